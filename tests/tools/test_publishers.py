"""Tests that the scaling of pixels is the publishers' own."""

import numpy as np
import pytest

from tf_transfer.convert_weights import publishers

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)


def scaled(scaling):
  return publishers.contract(224, scaling).scale(PIXELS)


def test_half_is_tf_slims_and_kerass():
  # TF-Slim: to 0 to 1, minus 0.5, times 2.
  expected = (PIXELS.astype(np.float32) / 255 - 0.5) * 2
  np.testing.assert_allclose(scaled(publishers.HALF), expected, atol=1e-6)


@pytest.mark.parametrize(
  ('scaling', 'mode'),
  [
    (publishers.HALF, 'tf'),
    (publishers.TORCH, 'torch'),
    (publishers.CAFFE, 'caffe'),
  ],
)
def test_scaling_is_that_of_kerass_preprocess_input(scaling, mode):
  keras = pytest.importorskip('keras')
  expected = keras.applications.imagenet_utils.preprocess_input(
    PIXELS.astype(np.float32), data_format='channels_last', mode=mode
  )
  found = scaled(scaling)
  # A gray level is 1 / std: agreement is to a ten-thousandth of one.
  np.testing.assert_allclose(found, expected, atol=1e-4 / min(scaling[1]))


def test_scaling_is_torchvisions():
  # ToTensor and Normalize, which timm uses too.
  mean = np.array([0.485, 0.456, 0.406], np.float32)
  std = np.array([0.229, 0.224, 0.225], np.float32)
  expected = (PIXELS.astype(np.float32) / 255 - mean) / std
  np.testing.assert_allclose(scaled(publishers.TORCH), expected, atol=2e-6)


def test_vgg_subtracts_the_mean_of_imagenet():
  # TF-Slim's ResNets: RGB minus these, nothing else.
  expected = PIXELS - np.array([123.68, 116.78, 103.94])
  np.testing.assert_allclose(scaled(publishers.VGG), expected, atol=1e-4)
