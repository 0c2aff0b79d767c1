"""Checks the distortion of colors against TensorFlow's."""

import numpy as np
import pytest

from tf_transfer.datasets.images import augmentation
from tf_transfer.transfer.training import color

# As TF-Slim's preprocessing for Inception lists them for its four threads.
SLIM_ORDERS = {
  'fast': (
    ('brightness', 'saturation'),
    ('saturation', 'brightness'),
    ('saturation', 'brightness'),
    ('saturation', 'brightness'),
  ),
  'slow': (
    ('brightness', 'saturation', 'hue', 'contrast'),
    ('saturation', 'brightness', 'contrast', 'hue'),
    ('contrast', 'hue', 'brightness', 'saturation'),
    ('hue', 'saturation', 'contrast', 'brightness'),
  ),
}


@pytest.fixture(scope='module')
def pictures():
  """uint8 [8, 12, 10, 3], gray, black and white pixels among them."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (8, 12, 10, 3), dtype=np.uint8)
  images[:, 0] = images[:, 0, :, :1]
  images[:, 1], images[:, 2] = 0, 255
  return images


def distort_by_tensorflow(image, drawn, mode):
  tf = pytest.importorskip('tensorflow')
  order, brightness, saturation, hue, contrast = drawn.tolist()
  change = {
    'brightness': lambda x: tf.image.adjust_brightness(x, brightness),
    'saturation': lambda x: tf.image.adjust_saturation(x, saturation),
    'hue': lambda x: tf.image.adjust_hue(x, hue),
    'contrast': lambda x: tf.image.adjust_contrast(x, contrast),
  }
  pixels = tf.image.convert_image_dtype(image, tf.float32)
  for name in SLIM_ORDERS[mode][int(order)]:
    pixels = change[name](pixels)
  return np.asarray(tf.clip_by_value(pixels, 0.0, 1.0)) * 255


@pytest.mark.parametrize('mode', ['fast', 'slow'])
@pytest.mark.parametrize('order', range(4))
def test_distortion_is_tf_slims(pictures, order, mode):
  drawn = np.array(
    [augmentation.draw_color(augmentation.generator(0, 0, i)) for i in range(8)]
  )
  drawn[:, 0] = order
  distorted = np.asarray(color.distort(pictures, drawn, mode))
  assert distorted.dtype == np.float32
  for one, picture, numbers in zip(distorted, pictures, drawn, strict=True):
    np.testing.assert_allclose(
      one, distort_by_tensorflow(picture, numbers, mode), atol=0.02
    )


def test_fast_mode_leaves_out_hue_and_contrast(pictures):
  drawn = np.tile(np.array([0, 0.1, 1.2, 0, 1], np.float32), (8, 1))
  other = drawn + np.array([0, 0, 0, 0.15, 0.4], np.float32)
  for mode, same in (('fast', True), ('slow', False)):
    one, two = (color.distort(pictures, d, mode) for d in (drawn, other))
    assert np.allclose(one, two) == same


@pytest.mark.parametrize('mode', ['fast', 'slow'])
def test_no_change_changes_nothing(pictures, mode):
  still = np.tile(np.array([0, 0, 1, 0, 1], np.float32), (8, 1))
  for order in range(4):
    still[:, 0] = order
    np.testing.assert_allclose(
      color.distort(pictures, still, mode), pictures, atol=0.01
    )
