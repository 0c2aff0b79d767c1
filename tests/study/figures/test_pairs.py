"""The sheet of pairs of images that look alike."""

import dataclasses

import numpy as np
import pytest

from tf_transfer import datasets
from tf_transfer.study.figures import pairs
from tf_transfer.study.leak_audit import Leak

RED, GREEN = (255, 0, 0), (0, 255, 0)


@dataclasses.dataclass(frozen=True)
class Split:
  """Images of one color; a color of None cannot be decoded."""

  colors: tuple

  def read(self, i):
    if self.colors[i] is None:
      raise datasets.CorruptImage('damaged')
    return np.full((40, 80, 3), self.colors[i], np.uint8)


@dataclasses.dataclass(frozen=True)
class Dataset:
  splits: dict


def leak(kind, test, other, distance):
  return Leak(kind, test, 'photos', 'train', other, distance, None)


def draw(leaks, max_pairs=10):
  dataset = Dataset(
    {'test': Split((RED, None)), 'train': Split((GREEN, GREEN))}
  )
  sheet = pairs.draw_pairs(leaks, {'photos': dataset}, dataset, max_pairs)
  return np.asarray(sheet)


def test_test_image_is_on_the_left():
  pixels = draw([leak('exact', 0, 1, 0)])
  np.testing.assert_array_equal(pixels[10, 10], RED)
  np.testing.assert_array_equal(pixels[10, 112 + 10], GREEN)


def test_the_least_similar_pairs_are_shown():
  near = [leak('hash', 0, 0, distance) for distance in (1, 8)]
  one = draw([leak('exact', 0, 1, 0), *near], max_pairs=1)
  np.testing.assert_array_equal(one, draw(near[1:]))


@pytest.mark.parametrize(('count', 'rows'), [(1, 1), (5, 1), (6, 2)])
def test_five_pairs_in_a_row(count, rows):
  pixels = draw([leak('hash', 0, 0, 1)] * count)
  assert pixels.shape == (rows * 130, 5 * 232, 3)


def test_an_unreadable_image_is_gray():
  pixels = draw([leak('exact', 1, 0, 0)])
  np.testing.assert_array_equal(pixels[10, 10], (128, 128, 128))
