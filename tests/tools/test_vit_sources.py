"""Tests of the public checkpoints of vision transformers."""

import pytest

from tf_transfer import networks
from tf_transfer.convert_weights import vit_sources

ALL = [s for rows in vit_sources.SOURCES.values() for s in rows]


@pytest.mark.parametrize('source', ALL, ids=lambda s: s.file)
def test_top1_without_a_head_says_what_it_is_of(source):
  if source.num_classes:
    assert source.num_classes == 1000
    assert not source.imagenet_measure
  else:
    assert source.imagenet_measure in ('linear_probe', 'zero_shot')
    assert source.recipe.supervision != 'supervised'
  assert 0 < source.imagenet_top1 < 1
  assert source.imagenet_top1_source


@pytest.mark.parametrize('source', ALL, ids=lambda s: s.file)
def test_recipe_has_no_batch_norm_and_names_who_states_it(source):
  recipe = source.recipe
  assert recipe.bn_scale is None
  stated = ('mixup', 'cutmix', 'bce', 'ema', 'distillation')
  for name in recipe.sources:
    assert getattr(recipe, name) not in (None, ''), name
  if recipe.supervision == 'supervised' and 'imagenet21k' not in (
    recipe.trained_on
  ):
    for name in stated:
      assert getattr(recipe, name) is None or name in recipe.sources


def test_embedding_of_another_size_is_an_option():
  sizes = {
    source.name: source.options.get('pretrained_size', 224)
    for source in vit_sources.SOURCES['vit_base']
  }
  assert sizes == dict.fromkeys(sizes, 224) | {'timm_384': 384}
  for name, rows in vit_sources.SOURCES.items():
    for source in rows:
      backbone = networks.build(name, **source.options).backbone
      assert backbone.pretrained_size == source.contract.image_size
