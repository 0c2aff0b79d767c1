"""The recipes of public checkpoints: which regularizers each was trained with.

None stands for what no publication or training script tells. A port has the
recipe of its origin: a batch norm whose scale is 1 because the origin had none
counts as one without.
"""

import dataclasses
import functools

from tf_transfer.networks import recipe

_imagenet = functools.partial(recipe.Recipe, trained_on='imagenet')


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

# timm's own weights, by the tag that ends their names: as their model cards
# say, and Wightman et al. (2021) of the recipes that those name.
TIMM = {
  'a1_in1k': _imagenet(
    bn_scale=True,
    label_smoothing=True,
    dropout=False,
    auxiliary_head=False,
    notes='A1: mixup, CutMix, drop path, RandAugment',
  ),
  'a1h_in1k': _imagenet(
    bn_scale=True,
    label_smoothing=True,
    dropout=True,
    auxiliary_head=False,
    notes='A1 with dropout and more drop path',
  ),
  'ra_in1k': _imagenet(
    bn_scale=True, auxiliary_head=False, notes='RandAugment'
  ),
  'ra4_e3600_r224_in1k': _imagenet(
    bn_scale=True, auxiliary_head=False, notes='RandAugment, 3,600 epochs'
  ),
  'tv_in1k': _with_notes(PLAIN, "torchvision's"),
}

# A tag of timm that says whose weights they are, and not how they were trained
# -> the families of networks whose recipe it stands for.
TIMM_FAMILIES = {'tv_in1k': ('ResNet', 'DenseNet')}


def find_timm(tag: str, family: str) -> recipe.Recipe | None:
  """Returns the recipe that a tag of timm names; None if it is not known.

  Args:
    tag: that ends the weights' name, as a1_in1k.
    family: of the network, as `networks.family` returns it.
  """
  if family not in TIMM_FAMILIES.get(tag, (family,)):
    return None
  return TIMM.get(tag)
