"""The recipes of public checkpoints: which regularizers each was trained with.

None stands for what no publication or training script tells. A port has the
recipe of its origin: a batch norm whose scale is 1 because the origin had none
counts as one without.
"""

import dataclasses
import functools
from typing import Any

from tf_transfer.networks import recipe

_imagenet = functools.partial(recipe.Recipe, trained_on='imagenet')
# What the network itself shows, and not a text on its training.
_NETWORK = 'the network itself'
_OF_THE_NETWORK = ('bn_scale', 'auxiliary_head')


def sourced(base: recipe.Recipe, source: str) -> recipe.Recipe:
  """Returns a recipe in which every field that is known has its source.

  Args:
    base: the recipe; the sources that it has stay.
    source: who states the other fields.
  """
  sources = {
    name: _NETWORK if name in _OF_THE_NETWORK else source
    for name in base.stated
  }
  return dataclasses.replace(base, sources={**sources, **base.sources})


def change(base: recipe.Recipe, source: str, **fields: Any) -> recipe.Recipe:
  """Returns a recipe with other fields, which a source states."""
  return dataclasses.replace(
    base, **fields, sources={**base.sources, **dict.fromkeys(fields, source)}
  )


def _with_notes(base: recipe.Recipe, notes: str) -> recipe.Recipe:
  """Returns a recipe with other notes."""
  return dataclasses.replace(base, notes=notes)


# ResNet and DenseNet as their authors trained them, and torchvision.
PLAIN = _imagenet(
  bn_scale=True, label_smoothing=False, dropout=False, auxiliary_head=False
)
# Szegedy et al. (2016, 2017), and TF-Slim.
INCEPTION = _imagenet(
  bn_scale=False, label_smoothing=True, dropout=True, auxiliary_head=True
)
INCEPTION_PORT = _with_notes(
  INCEPTION, 'ported from TF-Slim, whose batch norm has no scale'
)
EARLY_INCEPTION = _imagenet(
  bn_scale=False, label_smoothing=True, dropout=True, auxiliary_head=False
)
EARLY_INCEPTION_PORT = _with_notes(EARLY_INCEPTION, INCEPTION_PORT.notes)
CAFFE_BN_INCEPTION = _imagenet(
  bn_scale=True, dropout=False, notes='ported from Caffe'
)
GLUON_INCEPTION = _imagenet(bn_scale=True, notes='by GluonCV')
NASNET = _imagenet(
  bn_scale=True,
  label_smoothing=True,
  dropout=True,
  auxiliary_head=True,
  notes='drop path, in the large one',
)
# TF-Slim's script keeps 99.9 % of the features.
MOBILENET_V1 = _imagenet(
  bn_scale=True,
  label_smoothing=False,
  dropout=True,
  auxiliary_head=False,
  notes='little weight decay; dropout of 0.001',
)
# The command in TF-Slim's page on MobileNet v2.
MOBILENET_V2 = _imagenet(
  bn_scale=True,
  label_smoothing=True,
  dropout=True,
  auxiliary_head=False,
  notes='little weight decay',
)
TORCHVISION_MOBILENET_V2 = _imagenet(
  bn_scale=True,
  label_smoothing=False,
  dropout=True,
  auxiliary_head=False,
  notes='little weight decay',
)
EFFICIENTNET = _imagenet(
  bn_scale=True,
  label_smoothing=True,
  dropout=True,
  auxiliary_head=False,
  notes='drop connect',
)
EFFICIENTNET_PORT = _with_notes(
  EFFICIENTNET, 'drop connect; ported from TensorFlow'
)
EFFICIENTNET_21K = dataclasses.replace(
  EFFICIENTNET,
  trained_on='imagenet21k, then imagenet',
  notes='drop connect; ported from TensorFlow',
)

_supervised = functools.partial(
  _imagenet,
  bn_scale=True,
  auxiliary_head=False,
  supervision='supervised',
  mixup=False,
  cutmix=False,
  bce=False,
  distillation=False,
)
_TORCHVISION_PAGE = "torchvision's references/classification"
TIMM_CARD = "timm's model card"
# Of the ingredients of A1, A2 and A3.
_STRIKES_BACK = 'Wightman et al. (2021), table 2'
EFFICIENTNET_SCRIPT = "the authors' training script"
_TIMM_PAGE = "timm's page of training scripts, and its script's defaults"
# ResNet-18 and -34: the defaults of torchvision's training script.
TORCHVISION_RESNET = sourced(
  _supervised(
    label_smoothing=False,
    dropout=False,
    ema=False,
    augmentation='crops and mirroring',
    epochs=90,
    resolution=224,
  ),
  _TORCHVISION_PAGE,
)
# The same script, with the options that its page gives for MobileNet v3.
TORCHVISION_MOBILENET_V3 = sourced(
  _supervised(
    label_smoothing=False,
    dropout=True,
    augmentation='AutoAugment',
    epochs=600,
    resolution=224,
    notes='random erasing; the average of three checkpoints',
  ),
  _TORCHVISION_PAGE,
)
# The page's command for ResNet-50, which the authors' text on it explains;
# ResNet-101's weights are by the same one. The network has no dropout.
TORCHVISION_RESNET_V2 = sourced(
  _imagenet(
    bn_scale=True,
    label_smoothing=True,
    dropout=False,
    auxiliary_head=False,
    notes='random erasing, repeated augmentation, little weight decay',
    supervision='supervised',
    mixup=True,
    cutmix=True,
    bce=False,
    ema=True,
    distillation=False,
    augmentation='TrivialAugment',
    epochs=600,
    resolution=176,
  ),
  "torchvision's text on its new training recipe (2021)",
)
# TF-Slim's script can neither mix images nor distill, and smooths no labels by
# default; the network has no dropout.
SLIM_RESNET = sourced(
  _supervised(label_smoothing=False, dropout=False, resolution=224),
  "TF-Slim's training script, and its defaults",
)
# He et al. (2016), whose files Keras ported. Mixup and CutMix came later.
AUTHORS_RESNET = sourced(
  _supervised(
    label_smoothing=False,
    dropout=False,
    augmentation='crops, mirroring, colors',
    resolution=224,
  ),
  'He et al. (2016)',
)
# Wightman et al. (2021), table 2, column A1.
A1 = sourced(
  _imagenet(
    bn_scale=True,
    label_smoothing=True,
    dropout=False,
    auxiliary_head=False,
    supervision='supervised',
    mixup=True,
    cutmix=True,
    bce=True,
    ema=False,
    distillation=False,
    augmentation='RandAugment',
    epochs=600,
    resolution=224,
    notes='A1: drop path, repeated augmentation',
  ),
  _STRIKES_BACK,
)
# Tan and Le (2019), section 5.2; epochs, averaging and label smoothing are the
# defaults of their training script. Keras's are those with AutoAugment: it
# states their accuracies.
EFFICIENTNET_AUTOAUGMENT = sourced(
  _supervised(
    label_smoothing=True,
    dropout=True,
    ema=True,
    augmentation='AutoAugment',
    epochs=350,
    notes='drop connect',
    sources={
      'augmentation': 'Tan and Le (2019)',
      'epochs': "the authors' training script",
      'ema': "the authors' training script",
      'label_smoothing': "the authors' training script",
    },
  ),
  EFFICIENTNET_SCRIPT,
)
# Xie et al. (2020), section 3.1: a teacher labels images for the student. They
# train networks smaller than B4 for 700 epochs, and larger ones for 350.
NOISY_STUDENT = sourced(
  _imagenet(
    bn_scale=True,
    dropout=True,
    auxiliary_head=False,
    trained_on='unlabeled JFT-300M and imagenet',
    supervision='supervised',
    distillation=True,
    augmentation='RandAugment',
    notes='noisy student, drop connect; ported from TensorFlow',
  ),
  'Xie et al. (2020)',
)
# timm's page has the commands for B0 and B2; label smoothing is the default of
# its script, mixing of images is off there.
TIMM_EFFICIENTNET = sourced(
  _supervised(
    label_smoothing=True,
    dropout=True,
    ema=True,
    augmentation='RandAugment',
    epochs=450,
    notes='drop path, random erasing',
  ),
  _TIMM_PAGE,
)
# B3 began as B2, was resumed with other values, and averages checkpoints: so
# timm's page. Of B4 only the model card tells.
TIMM_EFFICIENTNET_RA2 = sourced(
  _imagenet(
    bn_scale=True,
    auxiliary_head=False,
    supervision='supervised',
    ema=True,
    augmentation='RandAugment',
    notes='drop path, random erasing',
  ),
  TIMM_CARD,
)
# The recipe of MobileNet v4 (Qin et al., 2024), says timm's model card.
TIMM_EFFICIENTNET_RA4 = sourced(
  _imagenet(
    bn_scale=True,
    auxiliary_head=False,
    supervision='supervised',
    augmentation='RandAugment',
    epochs=3600,
    resolution=240,
  ),
  TIMM_CARD,
)
# The command in timm's page.
TIMM_MOBILENET_V3 = sourced(
  dataclasses.replace(TIMM_EFFICIENTNET, epochs=600, resolution=224), TIMM_CARD
)
# Howard et al. (2019), section 6.1: no word on label smoothing.
MOBILENET_V3 = sourced(
  _imagenet(
    bn_scale=True,
    dropout=True,
    auxiliary_head=False,
    supervision='supervised',
    ema=True,
    resolution=224,
    notes='little weight decay',
  ),
  'Howard et al. (2019)',
)


def at(
  base: recipe.Recipe, resolution: int, source: str = TIMM_CARD
) -> recipe.Recipe:
  """Returns a recipe with the size of the training images.

  Args:
    base: the recipe.
    resolution: height and width of the images, in pixels.
    source: who states it.
  """
  return change(base, source, resolution=resolution)


def ported(base: recipe.Recipe) -> recipe.Recipe:
  """Returns the recipe of weights that torchvision took over from timm."""
  return _with_notes(base, '; '.join(filter(None, (base.notes, 'by timm'))))


# Without batch norm, so that the factor of its scale is not known. Liu et al.
# (2022), tables of their appendix, and the commands in their repository.
_CONVNEXT_PAPER = 'Liu et al. (2022), appendix A.1'
_CONVNEXT_SCRIPT = "the authors' training script"
CONVNEXT_COMMANDS = "TRAINING.md of the authors' repository"
CONVNEXT = sourced(
  _imagenet(
    label_smoothing=True,
    dropout=False,
    auxiliary_head=False,
    notes='stochastic depth, random erasing; no batch norm',
    supervision='supervised',
    mixup=True,
    cutmix=True,
    bce=False,
    ema=True,
    distillation=False,
    augmentation='RandAugment',
    epochs=300,
    resolution=224,
    sources={
      **dict.fromkeys(
        ('label_smoothing', 'mixup', 'cutmix', 'augmentation', 'epochs'),
        _CONVNEXT_PAPER,
      ),
      'ema': "the published files' names, which end in _ema",
    },
  ),
  _CONVNEXT_SCRIPT,
)
CONVNEXT_21K = sourced(
  dataclasses.replace(
    CONVNEXT,
    trained_on='imagenet21k, then imagenet',
    notes=(
      'stochastic depth, random erasing; mixup and CutMix on ImageNet-21k '
      'alone; no batch norm'
    ),
    ema=False,
    epochs=30,
    sources={
      **dict.fromkeys(
        ('label_smoothing', 'mixup', 'cutmix', 'augmentation'), _CONVNEXT_PAPER
      ),
      **dict.fromkeys(('ema', 'epochs', 'resolution'), CONVNEXT_COMMANDS),
    },
  ),
  _CONVNEXT_SCRIPT,
)
# The command in the page on torchvision's training scripts.
_TORCHVISION_COMMAND = "the README of torchvision's references/classification"
TORCHVISION_CONVNEXT = sourced(
  _imagenet(
    label_smoothing=True,
    dropout=False,
    auxiliary_head=False,
    notes='stochastic depth, random erasing; no batch norm',
    supervision='supervised',
    mixup=True,
    cutmix=True,
    bce=False,
    ema=True,
    distillation=False,
    augmentation='TrivialAugment',
    epochs=600,
    resolution=176,
  ),
  _TORCHVISION_COMMAND,
)
