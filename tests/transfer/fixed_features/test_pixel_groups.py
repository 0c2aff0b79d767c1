"""Tests which networks share decoded images."""

from tf_transfer.contract import Contract
from tf_transfer.transfer.fixed_features import features, pixel_groups


def contract(image_size, crop_fraction, mean=0.5):
  return Contract(
    image_size, (mean,) * 3, (0.5,) * 3, crop_fraction=crop_fraction
  )


CONTRACTS = {
  'a': contract(224, 0.875),
  'b': contract(224, 1.0),
  'c': contract(224, 0.875, mean=0.0),
  'd': contract(240, 0.875),
}


def groups(resize):
  options = features.Options(resize=resize)
  return pixel_groups.group('abcd', CONTRACTS.get, options)


def test_scaling_does_not_part_networks_but_size_and_crop_do():
  assert groups('resize_then_crop') == [['a', 'c'], ['b'], ['d']]


def test_whole_images_are_not_cropped():
  assert groups('whole_image') == [['a', 'b', 'c'], ['d']]


def test_no_networks():
  assert pixel_groups.group([], CONTRACTS.get, features.Options()) == []
