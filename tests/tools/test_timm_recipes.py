"""Tests of the recipes of timm's weights, by architecture and tag."""

import re

import pytest

from tf_transfer.convert_weights import timm_recipes
from tf_transfer.networks import published_timm, timm_pretraining
from tf_transfer.networks import recipe as recipe_lib

_ARCHITECTURES = re.compile(
  r'resnet(18|34|50|101|152)|(tf_)?efficientnet_b[0-4]'
  r'|convnext_(tiny|small|base)'
)


def published():
  """Lists timm's weights of these architectures that have a top-1."""
  return [
    name
    for name in published_timm.checkpoints()
    if _ARCHITECTURES.fullmatch(name.partition('.')[0])
  ]


def test_every_published_checkpoint_has_a_recipe():
  names = published()
  assert len(names) == 90
  assert [name for name in names if timm_recipes.find(name) is None] == []


def test_every_statement_has_its_source():
  for name in published():
    recipe = timm_recipes.find(name)
    assert set(recipe.sources) == set(recipe.stated), name
    assert all(recipe.sources.values()), name


def test_the_data_are_those_that_the_name_tells():
  """The same words of a name, read by other rules."""
  for name in published():
    group = timm_pretraining.pretraining(name).group
    recipe = timm_recipes.find(name)
    alone = recipe.trained_on == 'imagenet'
    assert alone == (group == timm_pretraining.IMAGENET_1K), name
    language = recipe.supervision == 'language'
    assert language == (group == timm_pretraining.LANGUAGE), name


def test_the_size_is_one_that_timm_publishes():
  """Of training, or of the smallest test where that is larger."""
  for name in published():
    size = timm_recipes.find(name).resolution
    if size and 'ft_in1k' not in name:
      assert size in published_timm.sizes(name), name


# Wightman et al. (2021), table 2: label smoothing, drop path in the notes,
# epochs, and the size of training images of each column.
@pytest.mark.parametrize(
  ('tag', 'smoothing', 'epochs', 'size'),
  [
    ('a1_in1k', True, 600, 224),
    ('a2_in1k', False, 300, 224),
    ('a3_in1k', False, 100, 160),
  ],
)
@pytest.mark.parametrize('layers', [18, 34, 50, 101, 152])
def test_resnet_strikes_back(layers, tag, smoothing, epochs, size):
  recipe = timm_recipes.find(f'timm/resnet{layers}.{tag}')
  assert recipe.label_smoothing is smoothing
  assert (recipe.epochs, recipe.resolution) == (epochs, size)
  assert recipe.mixup is recipe.cutmix is recipe.bce is True
  assert recipe.dropout is recipe.ema is recipe.distillation is False


def test_a_tag_means_another_recipe_for_another_architecture():
  names = [f'resnet{n}.gluon_in1k' for n in (18, 34, 50, 101, 152)]
  smoothing = [timm_recipes.find(name).label_smoothing for name in names]
  assert smoothing == [None, False, True, True, None]
  assert timm_recipes.find('tf_efficientnet_b0.in1k').epochs == 350
  assert timm_recipes.find('resnet50.in1k') is None
  # Inception's file of this tag is not what torchvision trained.
  assert timm_recipes.find('inception_v3.tv_in1k') is None
  assert timm_recipes.find('resnet50.a1h_in1k').resolution == 176
  assert timm_recipes.find('resnet101.a1h_in1k').resolution == 224
  students = [
    timm_recipes.find(f'tf_efficientnet_b{n}.ns_jft_in1k') for n in (3, 4)
  ]
  assert [r.epochs for r in students] == [700, None]


def test_what_no_source_states_is_not_known():
  for tag in ('c1_in1k', 'c2_in1k', 'bt_in1k'):
    recipe = timm_recipes.find(f'resnet50.{tag}')
    for factor in ('label_smoothing', 'dropout', *recipe_lib.MODERN_FACTORS):
      assert getattr(recipe, factor) is None, (tag, factor)
  assert timm_recipes.find('resnet50.d_in1k').bce is True
  assert timm_recipes.find('resnet50.d_in1k').mixup is None


@pytest.mark.parametrize('name', ['resnet50', 'resnet50.new_in1k', 'x.a1_in1k'])
def test_an_unknown_name_has_none(name):
  assert timm_recipes.find(name) is None
