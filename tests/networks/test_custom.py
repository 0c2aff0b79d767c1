"""Tests of what a function returns that makes a network."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tf_transfer import errors, networks
from tf_transfer.contract import Contract
from tf_transfer.networks import custom

CONTRACT = Contract(8, mean=(127.5,) * 3, std=(127.5,) * 3)
DENSE = nn.Dense(3)
VARIABLES = {'params': {}}


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'contract': None}, 'expected a tf_transfer.contract.Contract'),
    ({}, 'either module and variables, or features'),
    ({'features': len, 'module': DENSE}, 'either module and variables, or'),
    ({'features': 3}, 'expected a function, found a int'),
    ({'features': len, 'variables': {}}, 'with a module alone'),
    ({'module': nn.Dense, 'variables': VARIABLES}, 'the class Dense, not an'),
    ({'module': DENSE}, 'of the module, found None'),
    ({'module': DENSE, 'variables': {}}, 'of the module, found a dict'),
    (
      {'module': DENSE, 'variables': VARIABLES, 'identity': 'a'},
      'leave it out',
    ),
    ({'features': len, 'name': 'a/b'}, "'a/b': expected up to 60"),
    ({'features': len, 'name': 'a' * 61}, 'expected up to 60'),
    ({'features': len, 'name': 'a\nb'}, 'expected up to 60'),
    ({'features': len, 'name': 'resnet50'}, 'a network of the table'),
    ({'features': len, 'name': 3}, 'name: 3: expected up to 60'),
    ({'features': len, 'identity': 3}, 'identity: expected a str, found a int'),
    ({'features': len, 'family': None}, 'family: expected a str, found None'),
    ({'features': len, 'imagenet_top1': 76.1}, 'between 0 and 1, not 76.1'),
    ({'features': len, 'imagenet_top1': '0.7'}, "between 0 and 1, not '0.7'"),
    ({'features': len, 'imagenet_top1': True}, 'between 0 and 1, not True'),
    ({'features': len, 'imagenet_top1_source': 3}, 'source: expected a str'),
    ({'features': len, 'imagenet_measure': 'knnn'}, 'did you mean knn'),
    ({'features': len, 'parameters': 'many'}, "their number, not 'many'"),
    ({'features': len, 'parameters': -5}, 'their number, not -5'),
    ({'features': len, 'recipe': {'epochs': 3}}, 'Recipe, found a dict'),
  ],
)
def test_what_does_not_go_together(fields, message):
  with pytest.raises(errors.InputError, match=message):
    networks.CustomNetwork(**{'contract': CONTRACT, **fields})


def test_header():
  own = networks.CustomNetwork(
    contract=CONTRACT, features=len, imagenet_top1=0.7, name='Mine v2'
  )
  header = own.make_header('function', 'a:b')
  assert (header.network, header.source) == ('Mine v2', 'a:b')
  assert (header.num_classes, header.imagenet_top1) == (0, 0.7)


def test_probe_is_two_images_that_differ():
  probe = custom.make_probe(24)
  assert (probe.shape, probe.dtype) == ((2, 24, 24, 3), np.uint8)
  assert len(np.unique(probe)) > 200
  assert (probe[0] != probe[1]).mean() > 0.9
  # Caches and records know networks by it: it must stay as it is.
  assert probe[0, 2, 3, 1] == 2 * 3 + 3 * 5 + 61
  assert probe[1, 20, 22, 2] == (20 * 5 + 22 * 4 + 122 + 440 // 7) % 256
  assert probe.astype(int).sum() == 467_330


@pytest.mark.parametrize('dtype', ['f2', 'f4', 'f8', 'i4', jnp.bfloat16])
def test_features_become_float32(dtype):
  values = custom.check_features(np.ones((2, 3), dtype), 2, None)
  assert values.dtype == np.float32
  assert isinstance(values, np.ndarray)


class Tensor:
  """As PyTorch's with a gradient."""

  def __array__(self, dtype=None, copy=None):
    raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


@pytest.mark.parametrize(
  ('values', 'message'),
  [
    (None, r'features are None .*, expected an array of numbers \[2, D\]'),
    ({'features': np.ones((2, 3))}, 'features are a dict'),
    (np.ones((2, 3), complex), 'of the type complex128'),
    ([['1'] * 3] * 2, 'features are a list of the type <U1'),
    (np.ones((2, 3), object), 'of the type object'),
    (np.ones(2), r'shape \[2\], expected \[2, 3\]'),
    (np.ones((1, 3)), r'shape \[1, 3\], expected \[2, 3\]'),
    (np.ones((2, 4)), r'\[2, 4\], expected \[2, 3\] as of the first images'),
    (np.ones((2, 1, 1, 3)), r'shape \[2, 1, 1, 3\]'),
    (np.array([['a'] * 3] * 2), 'expected an array of numbers'),
    (Tensor(), r'requires grad.*x\.detach\(\)\.cpu\(\)\.numpy\(\)'),
  ],
)
def test_features_that_are_none(values, message):
  with pytest.raises(errors.InputError, match=message):
    custom.check_features(values, 2, 3)
