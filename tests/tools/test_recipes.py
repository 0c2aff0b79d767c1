"""Tests of the recipes of public checkpoints."""

import dataclasses

import pytest

from tf_transfer.convert_weights import recipes, table, timm_recipes
from tf_transfer.networks import recipe as recipe_lib

_MODERN = (
  *('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'),
  *(f'efficientnet_b{number}' for number in range(5)),
  *('convnext_tiny', 'convnext_small', 'convnext_base'),
)


def test_timms_rows_have_the_recipes_that_their_files_names_tell():
  """A port says whose it is in addition."""
  for sources in table.SOURCES.values():
    for source in sources:
      named = timm_recipes.find(source.file)
      if source.file.startswith('timm/') and named is not None:
        own = dataclasses.replace(source.recipe, notes=named.notes)
        assert own == named, source.file


def test_torchvisions_first_resnets_had_none_of_the_regularizers():
  for recipe in (recipes.PLAIN, recipes.TORCHVISION_RESNET):
    assert recipe.factors == {
      'bn_scale': True,
      'label_smoothing': False,
      'dropout': False,
      'auxiliary_head': False,
    }
    assert recipe.configuration == 'C5'


def test_all_with_a_head_were_trained_on_imagenet():
  for sources in table.SOURCES.values():
    for source in sources:
      recipe = source.recipe
      if source.num_classes:
        assert recipe.trained_on.endswith('imagenet'), source.file
      else:
        assert recipe.supervision in ('self_supervised', 'language')
        assert recipe.trained_on


@pytest.mark.parametrize('network', _MODERN)
def test_every_statement_has_its_source(network):
  for source in table.SOURCES[network]:
    assert set(source.recipe.sources) == set(source.recipe.stated), source.file


def test_a_source_is_added_where_there_is_none():
  base = recipe_lib.Recipe(
    bn_scale=True, mixup=False, epochs=90, sources={'epochs': 'a log'}
  )
  assert recipes.sourced(base, 'a paper').sources == {
    'bn_scale': 'the network itself',
    'mixup': 'a paper',
    'epochs': 'a log',
  }


def test_the_size_of_training_images_has_its_source():
  recipe = recipes.at(recipes.A1, 160, 'a card')
  assert recipe.resolution == 160
  assert recipe.sources['resolution'] == 'a card'
  assert recipe.sources['epochs'] == recipes.A1.sources['epochs']


def test_torchvisions_second_version():
  for network in ('resnet50', 'resnet101', 'resnet152'):
    first, second = (
      next(s for s in table.SOURCES[network] if s.name == name)
      for name in ('torchvision', 'torchvision_v2')
    )
    assert second.imagenet_top1 > first.imagenet_top1 + 0.03
    assert 'V1' in first.imagenet_top1_source
    assert 'V2' in second.imagenet_top1_source
    assert second.contract.crop_fraction == 224 / 232
    assert second.recipe.ema is second.recipe.mixup is True
