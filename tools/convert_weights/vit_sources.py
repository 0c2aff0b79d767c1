"""The public checkpoints of vision transformers.

They are part of `table.SOURCES`, which says what the numbers are.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from tf_transfer.convert_weights import publishers, vit
from tf_transfer.networks import recipe
from tf_transfer.networks import vit as vit_lib

Source = publishers.Source

_CLIP = (
  (0.48145466 * 255, 0.4578275 * 255, 0.40821073 * 255),
  (0.26862954 * 255, 0.26130258 * 255, 0.27577711 * 255),
  'rgb',
)
_CLIP_EPSILON = {'epsilon': 1e-5}

_21K = 'imagenet21k, then imagenet'
# The weights' names say how they were pretrained, Steiner et al. what that
# means. Fine-tuning had neither of these.
_AUGREG = functools.partial(
  recipe.Recipe,
  label_smoothing=False,
  dropout=False,
  auxiliary_head=False,
  trained_on=_21K,
  supervision='supervised',
  cutmix=False,
  distillation=False,
  resolution=224,
)
_STEINER = 'Steiner et al. (2022)'


def _augreg(mixup: bool, augmentation: str, **fields: Any) -> recipe.Recipe:
  """Makes a recipe of Steiner et al. (2022), of pretraining on ImageNet-21k."""
  stated = ('mixup', 'cutmix', 'dropout')
  return _AUGREG(
    mixup=mixup,
    augmentation=augmentation,
    notes='mixup, dropout and augmentation are those of ImageNet-21k',
    sources=dict.fromkeys(
      (*stated, *(['augmentation'] if augmentation else [])), _STEINER
    ),
    **fields,
  )


def _stated_by(who: str, **fields: Any) -> recipe.Recipe:
  """Makes a recipe of which one publication states all fields."""
  texts = ('trained_on', 'notes', 'supervision')
  stated = [name for name in fields if name not in texts]
  return recipe.Recipe(
    auxiliary_head=False, sources=dict.fromkeys(stated, who), **fields
  )


_DEIT = _stated_by(
  'Touvron et al. (2021), table 9',
  label_smoothing=True,
  dropout=False,
  trained_on='imagenet',
  notes='drop path, repeated augmentation, random erasing',
  supervision='supervised',
  mixup=True,
  cutmix=True,
  bce=False,
  distillation=False,
  augmentation='RandAugment',
  epochs=300,
  resolution=224,
)
_DEIT3 = _stated_by(
  'Touvron et al. (2022), table 1',
  label_smoothing=False,
  dropout=False,
  trained_on='imagenet',
  notes='drop path, layer scale, repeated augmentation',
  supervision='supervised',
  mixup=True,
  cutmix=True,
  bce=True,
  augmentation='3-Augment',
  epochs=800,
)
_TORCHVISION = _stated_by(
  "torchvision's training references",
  label_smoothing=True,
  dropout=False,
  trained_on='imagenet',
  notes='repeated augmentation, gradient clipping',
  supervision='supervised',
  mixup=True,
  cutmix=True,
  ema=True,
  augmentation='RandAugment',
  epochs=300,
  resolution=224,
)
_SELF_SUPERVISED = functools.partial(
  recipe.Recipe, auxiliary_head=False, supervision='self_supervised'
)
_DINO = _SELF_SUPERVISED(
  trained_on='imagenet', ema=True, notes='DINO: self-distillation'
)
_DINOV2 = _SELF_SUPERVISED(
  trained_on='LVD-142M',
  distillation=True,
  notes='distilled from a larger network of the same pretraining',
  sources={'distillation': 'Oquab et al. (2023)'},
)
_LANGUAGE = functools.partial(
  recipe.Recipe, auxiliary_head=False, supervision='language'
)


def _measured(
  source: Source, measure: str, top1: float, who: str, note: str = ''
) -> Source:
  """Adds the accuracy of a network without a head of its own.

  Args:
    source: the weights.
    measure: what has that accuracy, as in a weights file's header.
    top1: in 0 to 1.
    who: published it.
    note: on how it was measured otherwise than the contract says.
  """
  return dataclasses.replace(
    source,
    imagenet_measure=measure,
    imagenet_top1=top1,
    imagenet_top1_source=who + (f', {note}' if note else ''),
  )


def _timm(
  architecture: vit_lib.Architecture,
  top1: float | None,
  weights: str,
  *,
  size: int = 224,
  scaling: tuple[Any, Any, str] = publishers.TORCH,
  crop_fraction: float = 0.9,
  has_head: bool = True,
  **fields: Any,
) -> Source:
  """Describes weights of timm; without a head they have features only."""
  if not has_head:
    fields['num_classes'] = 0
  return publishers.timm(
    functools.partial(vit.timm, architecture, has_head),
    size,
    top1,
    weights,
    scaling=scaling,
    crop_fraction=crop_fraction,
    **fields,
  )


def _deit(architecture: vit_lib.Architecture, name: str, top1: float) -> Source:
  """Describes DeiT's weights."""
  return _timm(
    architecture,
    top1,
    f'deit_{name}_patch16_224.fb_in1k',
    name='timm_deit',
    recipe=_DEIT,
  )


def _dino(architecture: vit_lib.Architecture, name: str, top1: float) -> Source:
  """Describes DINO's weights; `top1` is a linear probe's."""
  source = _timm(
    architecture,
    None,
    f'vit_{name}_patch16_224.dino',
    name='timm_dino',
    num_classes=0,
    recipe=_DINO,
  )
  return _measured(
    source,
    'linear_probe',
    top1,
    'Caron et al. (2021), table 2',
    'on features of several layers',
  )


def _dinov2(
  architecture: vit_lib.Architecture, name: str, top1: float
) -> tuple[Source, ...]:
  """Describes DINOv2's weights; `top1` is a linear probe's."""
  source = _timm(
    architecture,
    None,
    f'vit_{name}_dinov2.lvd142m',
    size=518,
    crop_fraction=1.0,
    has_head=False,
    recipe=_DINOV2,
  )
  note = 'at 224 px, on class token and mean of patches'
  who = "the table of the authors' repository"
  return (_measured(source, 'linear_probe', top1, who, note),)


def _clip() -> tuple[Source, ...]:
  """Describes CLIP's weights, of OpenAI and of OpenCLIP."""
  clip = functools.partial(_timm, vit_lib.CLIP_BASE, scaling=_CLIP)
  openai = clip(
    None,
    'vit_base_patch16_clip_224.openai',
    name='timm_openai',
    has_head=False,
    options={**_CLIP_EPSILON, 'activation': 'quick_gelu'},
    recipe=_LANGUAGE(trained_on='WIT (OpenAI)'),
  )
  laion = clip(
    None,
    'vit_base_patch16_clip_224.laion2b',
    name='timm_laion2b',
    crop_fraction=1.0,
    has_head=False,
    options=_CLIP_EPSILON,
    recipe=_LANGUAGE(trained_on='LAION-2B'),
  )
  return (
    _measured(openai, 'linear_probe', 0.802, 'Radford et al. (2021), table 10'),
    # Fine-tuned with a head of ImageNet's classes.
    clip(
      0.86204,
      'vit_base_patch16_clip_224.laion2b_ft_in12k_in1k',
      crop_fraction=0.95,
      options=_CLIP_EPSILON,
      recipe=_LANGUAGE(trained_on='LAION-2B, then imagenet12k, then imagenet'),
    ),
    _measured(laion, 'zero_shot', 0.702, "OpenCLIP's table of results"),
  )


def _siglip() -> tuple[Source, ...]:
  """Describes SigLIP's weights, of both versions."""
  siglip = functools.partial(
    _timm, vit_lib.SIGLIP_BASE, None, scaling=publishers.HALF, has_head=False
  )
  who = 'Tschannen et al. (2025), table 1'
  recipe_of_both = _LANGUAGE(trained_on='WebLI')
  return tuple(
    _measured(
      siglip(
        f'vit_base_patch16_siglip_224.{tag}', name=name, recipe=recipe_of_both
      ),
      'zero_shot',
      top1,
      who,
    )
    for name, tag, top1 in (
      ('timm', 'v2_webli', 0.782),
      ('timm_v1', 'webli', 0.762),
    )
  )


_HALF = {'scaling': publishers.HALF}
_LIGHT = _augreg(mixup=False, augmentation='RandAugment')
_MEDIUM = _augreg(mixup=True, augmentation='RandAugment')

SOURCES: Mapping[str, tuple[Source, ...]] = {
  'vit_tiny': (
    _timm(
      vit_lib.TINY,
      0.75452,
      'vit_tiny_patch16_224.augreg_in21k_ft_in1k',
      recipe=_augreg(mixup=False, augmentation=''),
      **_HALF,
    ),
    _deit(vit_lib.TINY, 'tiny', 0.72190),
  ),
  'vit_small': (
    _timm(
      vit_lib.SMALL,
      0.81402,
      'vit_small_patch16_224.augreg_in21k_ft_in1k',
      recipe=_LIGHT,
      **_HALF,
    ),
    _deit(vit_lib.SMALL, 'small', 0.79856),
    _dino(vit_lib.SMALL, 'small', 0.770),
  ),
  'vit_base': (
    _timm(
      vit_lib.BASE,
      0.85108,
      'vit_base_patch16_224.augreg2_in21k_ft_in1k',
      recipe=dataclasses.replace(
        _MEDIUM,
        label_smoothing=None,
        cutmix=None,
        notes=f'{_MEDIUM.notes}; fine-tuned by timm',
        sources={k: v for k, v in _MEDIUM.sources.items() if k != 'cutmix'},
      ),
      **_HALF,
    ),
    publishers.torchvision(
      functools.partial(vit.torchvision, vit_lib.BASE),
      224,
      0.81072,
      'vit_b_16-c867db91.pth',
      recipe=_TORCHVISION,
    ),
    _deit(vit_lib.BASE, 'base', 0.81980),
    _dino(vit_lib.BASE, 'base', 0.782),
    _timm(
      vit_lib.BASE,
      0.86010,
      'vit_base_patch16_384.augreg_in21k_ft_in1k',
      name='timm_384',
      size=384,
      crop_fraction=1.0,
      options={'pretrained_size': 384},
      recipe=dataclasses.replace(_MEDIUM, resolution=384),
      **_HALF,
    ),
  ),
  'deit3_small': (
    _timm(
      vit_lib.DEIT3_SMALL,
      0.81382,
      'deit3_small_patch16_224.fb_in1k',
      recipe=_DEIT3,
    ),
  ),
  'dinov2_small': _dinov2(vit_lib.DINOV2_SMALL, 'small_patch14', 0.811),
  'dinov2_base': _dinov2(vit_lib.DINOV2_BASE, 'base_patch14', 0.845),
  'dinov2_small_reg4': _dinov2(
    vit_lib.DINOV2_SMALL_REG4, 'small_patch14_reg4', 0.809
  ),
  'clip_vit_base': _clip(),
  'siglip_vit_base': _siglip(),
}
