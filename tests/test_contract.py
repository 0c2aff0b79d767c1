"""The contract between images and networks."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from tf_transfer import contract


def make(**fields):
  return contract.Contract(
    **{
      'image_size': 224,
      'mean': (127.0, 127.0, 127.0),
      'std': (128.0, 128.0, 128.0),
      **fields,
    }
  )


def test_scale_by_hand():
  scale = make(mean=(0, 10, 20), std=(1, 2, 4)).scale
  pixels = np.array([[[4, 20, 60]]], np.uint8)
  np.testing.assert_array_equal(scale(pixels), [[[4, 5, 10]]])
  assert scale(pixels).dtype == np.float32
  np.testing.assert_array_equal(scale(jnp.asarray(pixels)), scale(pixels))


def test_scale_applies_the_mean_in_the_order_of_the_network():
  # Caffe's: BGR minus (104, 117, 123), so 104 belongs to blue.
  scale = make(mean=(104, 117, 123), std=(1, 1, 1), channels='bgr').scale
  red_green_blue = np.array([[[123, 117, 104]]], np.uint8)
  np.testing.assert_array_equal(scale(red_green_blue), np.zeros((1, 1, 3)))


def test_json_round_trip():
  original = make(interpolation='bicubic', antialias=False, crop_fraction=0.9)
  text = json.dumps(original.to_json())
  assert contract.Contract.from_json(json.loads(text)) == original


def test_from_json_names_missing_and_unknown_fields():
  fields = make().to_json()
  del fields['mean']
  fields['median'] = 3
  with pytest.raises(ValueError, match=r"missing \['mean'\].*\['median'\]"):
    contract.Contract.from_json(fields)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'mean': (1, 2)}, 'mean'),
    ({'std': (1, 0, 1)}, 'std'),
    ({'std': (1, float('nan'), 1)}, 'std'),
    ({'image_size': 0}, 'image_size'),
    ({'image_size': 224.0}, 'image_size'),
    ({'channels': 'grb'}, 'channels'),
    ({'interpolation': 'lanczos'}, 'interpolation'),
    ({'pixel_centers': 1.5}, 'pixel_centers: expected one of'),
    ({'pixel_centers': False}, 'with antialias=True'),
    (
      {
        'pixel_centers': False,
        'antialias': False,
        'interpolation': 'bicubic',
      },
      'not bicubic',
    ),
    ({'crop_fraction': 87.5}, 'crop_fraction'),
  ],
)
def test_invalid_fields_are_refused(fields, message):
  with pytest.raises(ValueError, match=message):
    make(**fields)
