"""Tests of networks that are any function from images to features."""

import numpy as np
import pytest

from tf_transfer import errors, networks
from tf_transfer.contract import Contract
from tf_transfer.networks import custom_function

CONTRACT = Contract(8, mean=(0,) * 3, std=(255,) * 3, channels='bgr')


def mean(x):
  assert isinstance(x, np.ndarray)
  assert x.dtype == np.float32
  assert x.flags.writeable  # PyTorch warns of others.
  return x.mean(axis=(1, 2))


def build(function=mean, **fields):
  own = networks.CustomNetwork(contract=CONTRACT, features=function, **fields)
  return custom_function.build(own, 'mine', 'a:mine')


def test_features_of_images_and_pixels():
  net = build(parameters=12)
  assert (net.feature_dim, net.parameters, net.layers(8)) == (3, 12, {})
  pixels = np.arange(100 * 8 * 8 * 3).reshape(100, 8, 8, 3) % 256
  pixels = pixels.astype(np.uint8)
  wanted = pixels[..., ::-1].mean(axis=(1, 2)) / 255
  np.testing.assert_allclose(
    net.features_of_pixels({}, pixels), wanted, rtol=1e-6
  )
  features = net.features(CONTRACT.scale(pixels))
  assert features.dtype == np.float32
  np.testing.assert_allclose(features, wanted, rtol=1e-6)
  assert net.features(np.zeros((0, 8, 8, 3))).shape == (0, 3)


def test_many_images_are_cut_into_batches():
  sizes = []

  def observed(x):
    sizes.append(len(x))
    return mean(x)

  net = build(observed)
  assert net.features(np.ones((300, 8, 8, 3))).shape == (300, 3)
  assert max(sizes) == 64


def test_it_cannot_be_trained_and_has_no_head():
  net = build()
  assert 'cannot be trained' in net.fixed_reason
  with pytest.raises(errors.InputError, match='cannot be trained'):
    networks.rebuild(net, num_classes=2)
  with pytest.raises(errors.InputError, match='no head'):
    net.logits(np.zeros((1, 8, 8, 3)))
  with pytest.raises(errors.InputError, match='cannot be trained'):
    net.apply_features({}, None)


def test_identity_without_a_stated_one_is_that_of_features():
  first = build()
  assert build().sha256 == first.sha256 == first.features_sha256
  other = build(lambda x: mean(x) * np.float32(1 + 1e-6))
  assert other.sha256 != first.sha256
  assert not first.has_identity


def test_stated_identity_never_serves_the_features_of_other_weights():
  first = build(identity='v1')
  other = build(lambda x: 2 * mean(x), identity='v1')
  assert first.sha256 == other.sha256 != build(identity='v2').sha256
  assert first.sha256 != build().sha256
  assert first.features_sha256 != other.features_sha256
  assert first.has_identity


def fails(x):
  raise KeyError(f'of {len(x)}\nmore')


def fails_later(calls=iter(range(9))):  # noqa: B008
  def function(x):
    return np.ones((len(x), 3 + next(calls)))

  return function


@pytest.mark.parametrize(
  ('function', 'message'),
  [
    (fails, r"mine: features of images \[2, 8, 8, 3\]: KeyError: 'of 2"),
    (lambda x: x, r'mine: features have the shape \[2, 8, 8, 3\]'),
    (lambda x: mean(x)[:1], r'shape \[1, 3\], expected \[2, D\]'),
    (lambda x: mean(x) * np.nan, 'mine: features with NaN or infinity'),
    (lambda x: [['a']] * len(x), 'expected an array of numbers'),
  ],
)
def test_what_is_wrong_is_said(function, message):
  with pytest.raises(errors.InputError, match=message) as caught:
    build(function)
  assert '\n' not in str(caught.value)


def test_another_width_in_the_second_batch():
  net = build(fails_later())
  with pytest.raises(errors.InputError, match=r'\[1, 3\] as of the first'):
    net.features(np.zeros((1, 8, 8, 3)))


def test_nan_in_a_later_batch():
  net = build(lambda x: mean(x) / (x.max() > 0))
  wrong = pytest.raises(errors.InputError, match='NaN or infinity')
  with np.errstate(all='ignore'), wrong:
    net.features(np.zeros((1, 8, 8, 3)))
