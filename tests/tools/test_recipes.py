"""Tests of the recipes of public checkpoints."""

import re

from tf_transfer.convert_weights import recipes, table


def test_timms_recipes_are_those_that_its_files_name():
  """By the tag that ends their names; ports have the recipe of their origin.

  One that knows more than the tag's says the same of what that knows.
  """
  for sources in table.SOURCES.values():
    for source in sources:
      tag = re.fullmatch(r'timm/[^.]+\.(.*)', source.file)
      if tag and tag[1] in recipes.TIMM and source.name == 'timm':
        tagged, own = recipes.TIMM[tag[1]], source.recipe
        if own.is_modern:
          for factor, value in tagged.factors.items():
            assert value in (None, own.factors[factor]), source.file
        else:
          assert own == tagged or 'ported' in own.notes, source.file


def test_tag_of_data_alone_is_the_recipe_of_one_family():
  for tag, families in recipes.TIMM_FAMILIES.items():
    for family in families:
      assert recipes.find_timm(tag, family) is recipes.TIMM[tag]
    assert recipes.find_timm(tag, 'EfficientNet') is None
  named = recipes.find_timm('a1_in1k', 'ResNet')
  assert named is recipes.TIMM['a1_in1k']
  assert recipes.find_timm('zzz', 'ResNet') is None


def test_torchvisions_first_resnets_had_none_of_the_regularizers():
  assert recipes.PLAIN.factors == {
    'bn_scale': True,
    'label_smoothing': False,
    'dropout': False,
    'auxiliary_head': False,
  }
  assert recipes.PLAIN.configuration == 'C5'


def test_all_were_trained_on_imagenet():
  for sources in table.SOURCES.values():
    for source in sources:
      assert source.recipe.trained_on.endswith('imagenet'), source.file
