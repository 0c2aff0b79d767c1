"""The recipes of timm's weights on the hub, by architecture and tag.

A name there is ARCHITECTURE.TAG, and a tag means another recipe for another
architecture: `in1k` alone is Google's first recipe for a tf_efficientnet, and
nothing for others. What no source states stays unknown. timm's page of
hyperparameters says that tags stand for families of recipes "roughly": its
statements carry that.
"""

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Any

from tf_transfer.convert_weights import recipes
from tf_transfer.networks import published_timm
from tf_transfer.networks import recipe as recipe_lib

Recipe = recipe_lib.Recipe
_Tags = Mapping[str, Recipe]

_PAGE = "timm's page of hyperparameters"
_COMMAND = "the command in timm's page of training scripts, and its defaults"
_GLUON = "GluonCV's command and log of the training"
_BILLION = 'Yalniz et al. (2019), and the README of its repository'

_trained = functools.partial(
  Recipe,
  bn_scale=True,
  auxiliary_head=False,
  trained_on='imagenet',
  supervision='supervised',
)


def _stated(source: str, **fields: Any) -> Recipe:
  """Returns the recipe of a network with batch norm that a source states."""
  return recipes.sourced(_trained(**fields), source)


_A2 = dataclasses.replace(
  recipes.A1,
  label_smoothing=False,
  epochs=300,
  notes='A2: drop path, repeated augmentation',
)
_A3 = dataclasses.replace(_A2, epochs=100, resolution=160, notes='A3')
# The page tells A1H from AH, which has no CutMix.
_A1H = _stated(
  _PAGE,
  label_smoothing=True,
  dropout=True,
  mixup=True,
  cutmix=True,
  augmentation='RandAugment',
  notes='A1 with dropout, more drop path and RandAugment',
)
_B = _stated(_PAGE, augmentation='RandAugment', notes='RMSProp')
_C = _stated(_PAGE, notes='SGD with adaptive gradient clipping')
_RA = _stated(_PAGE, ema=True, augmentation='RandAugment', notes='RMSProp')
# Images that a teacher has labeled, and fine-tuning with ImageNet's labels.
_SEMI_SUPERVISED = _stated(
  _BILLION,
  distillation=True,
  notes='pretrained on images that a teacher has labeled, then fine-tuned',
)
_GLUON_RESNET = _stated(
  _GLUON,
  label_smoothing=True,
  dropout=False,
  mixup=False,
  cutmix=False,
  bce=False,
  ema=False,
  distillation=False,
  epochs=120,
  resolution=224,
)

_RESNET: _Tags = {
  'a1_in1k': recipes.A1,
  'a1h_in1k': _A1H,
  'a2_in1k': _A2,
  'a3_in1k': _A3,
  'am_in1k': _stated(_PAGE, bce=False, augmentation='AugMix', notes='JSD loss'),
  'b1k_in1k': _B,
  'b2k_in1k': _B,
  'bt_in1k': _stated(_PAGE, notes='bag of tricks'),
  'c1_in1k': _C,
  'c2_in1k': _C,
  'd_in1k': _stated(_PAGE, bce=True, notes='AdamW'),
  'gluon_in1k': _GLUON_RESNET,
  'ra_in1k': _RA,
  # The table of that page gives its top-1.
  'ram_in1k': _stated(
    _COMMAND,
    label_smoothing=True,
    dropout=False,
    mixup=False,
    cutmix=False,
    bce=False,
    ema=False,
    distillation=False,
    augmentation='RandAugment',
    epochs=200,
    notes='JSD loss, random erasing',
  ),
  'ra4_e3600_r224_in1k': recipes.at(recipes.TIMM_EFFICIENTNET_RA4, 224),
  'tv_in1k': recipes.TORCHVISION_RESNET,
  'tv2_in1k': recipes.TORCHVISION_RESNET_V2,
  'fb_ssl_yfcc100m_ft_in1k': dataclasses.replace(
    _SEMI_SUPERVISED, trained_on='YFCC-100M, then imagenet'
  ),
  'fb_swsl_ig1b_ft_in1k': dataclasses.replace(
    _SEMI_SUPERVISED,
    trained_on='Instagram-1B, then imagenet',
    notes=f'{_SEMI_SUPERVISED.notes}; the teacher saw hashtags',
  ),
}

# Google's EfficientNets, ported. The authors' README tells the baseline, "in1k"
# of timm, from the networks with AutoAugment by their top-1.
_BASELINE = recipes.change(
  recipes.EFFICIENTNET_AUTOAUGMENT,
  "the README of the authors' repository",
  augmentation='crops and mirroring',
)
_ADVERSARIAL = _stated(
  "timm's page on AdvProp",
  label_smoothing=True,
  dropout=True,
  augmentation='AutoAugment, adversarial examples',
  epochs=350,
  notes='drop connect; ported from TensorFlow',
)
_TF_EFFICIENTNET: _Tags = {
  'in1k': _BASELINE,
  'aa_in1k': recipes.EFFICIENTNET_AUTOAUGMENT,
  'ap_in1k': _ADVERSARIAL,
  'ns_jft_in1k': recipes.NOISY_STUDENT,
}
_EFFICIENTNET: _Tags = {
  'ra_in1k': recipes.TIMM_EFFICIENTNET,
  'ra2_in1k': recipes.TIMM_EFFICIENTNET_RA2,
  'ra4_e3600_r224_in1k': recipes.TIMM_EFFICIENTNET_RA4,
  'ra4_e3600_r240_in1k': recipes.TIMM_EFFICIENTNET_RA4,
  # timm says "fine-tuned", and not from what.
  'ft_in1k': recipes.sourced(
    Recipe(bn_scale=True, auxiliary_head=False, trained_on='imagenet'),
    recipes.TIMM_CARD,
  ),
}

_12K = recipes.sourced(
  Recipe(
    trained_on='imagenet12k, then imagenet',
    auxiliary_head=False,
    notes='trained by the author of timm; no batch norm',
    supervision='supervised',
  ),
  recipes.TIMM_CARD,
)
_CLIP = recipes.sourced(
  Recipe(
    trained_on='LAION-2B, then imagenet',
    auxiliary_head=False,
    notes='image tower of a CLIP, fine-tuned; no batch norm',
    supervision='language',
  ),
  recipes.TIMM_CARD,
)
_CONVNEXT: _Tags = {
  'fb_in1k': recipes.CONVNEXT,
  'fb_in22k_ft_in1k': recipes.CONVNEXT_21K,
  'fb_in22k_ft_in1k_384': recipes.at(
    recipes.CONVNEXT_21K, 384, recipes.CONVNEXT_COMMANDS
  ),
  'in12k_ft_in1k': _12K,
  'in12k_ft_in1k_384': recipes.at(_12K, 384),
  'clip_laion2b_augreg_ft_in1k': recipes.at(_CLIP, 256),
  'clip_laion2b_augreg_ft_in12k_in1k': recipes.at(
    dataclasses.replace(
      _CLIP, trained_on='LAION-2B, imagenet12k, then imagenet'
    ),
    256,
  ),
  'clip_laion2b_augreg_ft_in12k_in1k_384': recipes.at(
    dataclasses.replace(
      _CLIP, trained_on='LAION-2B, imagenet12k, then imagenet'
    ),
    384,
  ),
  'clip_laiona_augreg_ft_in1k_384': recipes.at(
    dataclasses.replace(_CLIP, trained_on='LAION-Aesthetic, then imagenet'),
    384,
  ),
}

_RANDAUGMENT = Recipe(
  bn_scale=True,
  auxiliary_head=False,
  trained_on='imagenet',
  notes='RandAugment',
)
# Pattern of an architecture -> the recipes of its tags.
_ARCHITECTURES: Mapping[str, _Tags] = {
  r'resnet\d+': _RESNET,
  r'tf_efficientnet_b\d': _TF_EFFICIENTNET,
  r'efficientnet_b\d': _EFFICIENTNET,
  r'convnext_\w+': _CONVNEXT,
  r'densenet\d+': {
    'ra_in1k': _RANDAUGMENT,
    'tv_in1k': dataclasses.replace(recipes.PLAIN, notes="torchvision's"),
  },
  r'mobilenetv[12]_\w+': {
    'ra_in1k': _RANDAUGMENT,
    'ra4_e3600_r224_in1k': dataclasses.replace(
      _RANDAUGMENT, notes='RandAugment, 3,600 epochs'
    ),
  },
}
# Of an architecture and tag alone: what its own source adds or corrects.
_OWN: Mapping[str, tuple[str, Mapping[str, Any]]] = {
  'resnet50.a1h_in1k': (recipes.TIMM_CARD, {'resolution': 176}),
  # GluonCV's command for it sets no smoothing of labels.
  'resnet34.gluon_in1k': (_GLUON, {'label_smoothing': False}),
}
# The commands of GluonCV for these were not found.
_UNKNOWN = {
  f'resnet{layers}.gluon_in1k': recipes.sourced(_trained(), recipes.TIMM_CARD)
  for layers in (18, 152)
}
# The size of training images, in pixels, where the tag does not tell; of
# ResNets where no other is known.
_SIZE_OF_RESNETS = 224
_SIZES = {
  **dict(
    zip(
      (f'tf_efficientnet_b{number}' for number in range(5)),
      (224, 240, 260, 300, 380),
      strict=True,
    )
  ),
  'efficientnet_b0.ra_in1k': 224,
  'efficientnet_b0.ra4_e3600_r224_in1k': 224,
  'efficientnet_b1.ra4_e3600_r240_in1k': 240,
  'efficientnet_b2.ra_in1k': 256,
  'efficientnet_b3.ra2_in1k': 288,
  'efficientnet_b4.ra2_in1k': 320,
}


def find(name: str) -> Recipe | None:
  """Returns the recipe of weights of timm; None if none is known.

  Args:
    name: on the hub, as timm/resnet50.a1_in1k; without timm/ too.
  """
  name = name.removeprefix(published_timm.HUB_PREFIX)
  architecture, tag = published_timm.split_name(name)
  if name in _UNKNOWN:
    return _complete(_UNKNOWN[name], name, architecture, tag)
  for pattern, tags in _ARCHITECTURES.items():
    if tag in tags and re.fullmatch(pattern, architecture):
      return _complete(tags[tag], name, architecture, tag)
  return None


def _complete(recipe: Recipe, name: str, architecture: str, tag: str) -> Recipe:
  """Returns a tag's recipe with what only this architecture's has."""
  size = _SIZES.get(name, _SIZES.get(architecture))
  if size is None and architecture.startswith('resnet'):
    size = recipe.resolution or _SIZE_OF_RESNETS
  if size and size != recipe.resolution:
    recipe = recipes.at(recipe, size)
  # Xie et al. (2020): networks smaller than B4 were trained for longer.
  if tag == 'ns_jft_in1k' and int(architecture[-1]) < 4:
    recipe = recipes.change(recipe, 'Xie et al. (2020)', epochs=700)
  source, fields = _OWN.get(name, ('', {}))
  return recipes.change(recipe, source, **fields) if fields else recipe
