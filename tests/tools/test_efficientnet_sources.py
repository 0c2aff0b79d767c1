"""Tests of the table of EfficientNet's public checkpoints."""

import pytest

from tf_transfer.convert_weights import efficientnet_sources

SOURCES = efficientnet_sources.SOURCES


def of(source, number):
  rows = SOURCES[f'efficientnet_b{number}']
  return next(row for row in rows if row.name == source)


# Size, and crop fraction or the shorter side before the crop, as published.
PUBLISHED = {
  'timm': [(224, 0.875), (240, 0.9), (256, 0.875), (288, 0.875), (320, 0.875)],
  'timm_tf': [
    *((224, 0.875), (240, 0.882), (260, 0.89), (300, 0.904), (380, 0.922)),
  ],
  'torchvision': [(224, 256), (240, 256), (288, 288), (300, 320), (380, 384)],
}


@pytest.mark.parametrize('source', PUBLISHED)
def test_size_and_crop_are_as_published(source):
  for number, (size, crop) in enumerate(PUBLISHED[source]):
    contract = of(source, number).contract
    assert contract.image_size == size
    assert contract.crop_fraction == (crop if crop <= 1 else size / crop)
    assert contract.interpolation == 'bicubic'


@pytest.mark.parametrize('number', range(5))
def test_padding_and_epsilon_go_together(number):
  plain = {'padding': 'symmetric', 'epsilon': 1e-5}
  wanted = {'keras': {}, 'timm_tf': {}, 'timm': plain, 'torchvision': plain}
  rows = SOURCES[f'efficientnet_b{number}']
  assert {row.name: row.options for row in rows} == wanted


def test_torchvision_has_the_recipes_of_timm():
  """Of B1 it has other weights than those of timm that are in the table."""
  for number in (0, 2, 3, 4):
    ours, theirs = (of(s, number).recipe for s in ('torchvision', 'timm'))
    assert ours.notes == f'{theirs.notes}; by timm'
    assert ours.factors == theirs.factors
    assert ours.resolution == theirs.resolution
