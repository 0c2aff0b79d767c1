"""Random crops, flips and color distortions."""

import io

import numpy as np
import pytest
import scipy.stats
from PIL import Image

from tf_transfer.contract import Contract
from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import Split
from tf_transfer.datasets.images import augmentation
from tf_transfer.images import decoding
from tf_transfer.images.decoding import Box

CONTRACT = Contract(16, mean=(0, 0, 0), std=(1, 1, 1))


def test_numbers_are_a_function_of_seed_epoch_and_example():
  numbers = {
    key: tuple(augmentation.generator(*key).random(3))
    for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 2**40)]
  }
  assert len(set(numbers.values())) == len(numbers)
  assert tuple(augmentation.generator(0, 1, 0).random(3)) == numbers[0, 1, 0]
  # Many numbers of one example never run into those of the next.
  long = augmentation.generator(0, 0, 0).random(10_000)
  assert not np.isin(augmentation.generator(0, 0, 1).random(100), long).any()
  order = augmentation.order_generator(0, 0).random(3)
  assert tuple(order) != numbers[0, 0, 0]


def test_crop_by_hand():
  # 400 x 300 pixels: half of 8 to 100 % is 54 %, or 64,800 pixels; aspect 1:
  # the side is 254.6. Half of the remaining 146 rows and 46 columns.
  half = np.full((1, 4), 0.5)
  assert augmentation.random_crop(400, 300, half) == Box(73, 23, 255, 255)
  # The smallest, as wide as can be: 9,600 pixels, 4 : 3, top left.
  small = np.array([[0, 1 - 1e-9, 0, 0]])
  assert augmentation.random_crop(400, 300, small) == Box(0, 0, 85, 113)
  # All of the area fits only at the aspect of the image, 3 : 4.
  full = np.array([[1 - 1e-9, 0.5, 0, 0], [1 - 1e-9, 0, 0.9, 0.9]])
  assert augmentation.random_crop(400, 300, full) == Box(0, 0, 400, 300)


def test_crop_is_central_if_no_attempt_fits():
  never = np.full((10, 4), 1 - 1e-9)
  # 100 x 900: at most 4 : 3 is allowed, 133 of 900 columns.
  assert augmentation.random_crop(100, 900, never) == Box(0, 383, 100, 133)
  assert augmentation.random_crop(900, 100, never) == Box(383, 0, 133, 100)
  assert augmentation.random_crop(1, 1, never) == Box(0, 0, 1, 1)


def test_crops_fit_and_are_uniformly_distributed():
  rng = np.random.default_rng(0)
  shapes = []
  for _ in range(4000):
    box = augmentation.random_crop(1000, 1000, rng.random((10, 4)))
    assert box.top >= 0
    assert box.left >= 0
    assert box.top + box.height <= 1000
    assert box.left + box.width <= 1000
    shapes.append((box.height * box.width / 1e6, box.width / box.height))
  area, aspect = np.array(shapes).T
  assert area.min() > 0.078
  assert aspect.min() > 0.745
  assert aspect.max() < 1.342
  # Where every aspect fits, areas and the logarithm of aspects are uniform.
  fits = area < 0.74
  assert (
    scipy.stats.kstest(area[fits], scipy.stats.uniform(0.08, 0.66).cdf).pvalue
    > 0.001
  )
  width = np.log(16 / 9)
  assert (
    scipy.stats.kstest(
      np.log(aspect[fits]), scipy.stats.uniform(-width / 2, width).cdf
    ).pvalue
    > 0.001
  )


def make_split(image, encoded=None):
  return Split(
    name='train',
    labels=np.zeros(1),
    digests=splits.content_digests([b'0']),
    read=lambda i: image,
    describe=lambda i: f'example {i}',
    **({} if encoded is None else {'encoded': lambda i: encoded}),
  )


def test_half_are_mirrored():
  # Columns count up: where they count down it is mirrored.
  ramp = np.repeat(np.arange(96, dtype=np.uint8)[None, :, None], 96, 0)
  split = make_split(np.repeat(ramp, 3, -1))
  mirrored = 0
  for epoch in range(400):
    image = augmentation.crop_and_flip(
      split, 0, CONTRACT, augmentation.generator(0, epoch, 0)
    )
    steps = np.diff(image[..., 0].astype(int), axis=1)
    assert (steps >= 0).all() or (steps <= 0).all()
    mirrored += int(steps.sum() < 0)
  assert 160 < mirrored < 240


@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
def test_cropping_before_decoding_changes_nothing(kind):
  rng = np.random.default_rng(0)
  small = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
  file = io.BytesIO()
  Image.fromarray(small).resize((120, 90), Image.BICUBIC).save(file, kind)
  data = file.getvalue()
  decoded = make_split(decoding.decode(data, 'x'))
  for epoch in range(20):
    one, other = (
      augmentation.crop_and_flip(
        split, 0, CONTRACT, augmentation.generator(3, epoch, 0)
      )
      for split in (decoded, make_split(None, data))
    )
    np.testing.assert_array_equal(one, other)


def test_draw_of_colors():
  drawn = np.array(
    [
      augmentation.draw_color(augmentation.generator(0, 0, i))
      for i in range(400)
    ]
  )
  assert drawn.dtype == np.float32
  assert set(drawn[:, 0]) == {0, 1, 2, 3}
  for column, (low, high) in zip(
    drawn[:, 1:].T,
    [(-32 / 255, 32 / 255), (0.5, 1.5), (-0.2, 0.2), (0.5, 1.5)],
    strict=True,
  ):
    assert low <= column.min() < low + 0.05 * (high - low)
    assert high - 0.05 * (high - low) < column.max() <= high
