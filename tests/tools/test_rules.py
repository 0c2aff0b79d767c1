"""Tests of renaming variables by rules, and of what the sources say."""

import numpy as np
import pytest

from tf_transfer import networks
from tf_transfer.convert_weights import (
  rules,
  table,
)


def test_first_rule_that_matches_counts():
  table = (
    rules.Rule(r'a\.b', 'literal'),
    rules.Rule(r'(\w)\.(\w)', r'\2/\1'),
    *rules.drop(r'z.*'),
  )
  tensors = {name: np.ones(1) for name in ('a.b', 'c.d', 'zebra', 'axb')}
  arrays, problems = rules.apply_rules(tensors, table)
  assert set(arrays) == {'literal', 'd/c'}
  assert problems == ['unknown variable axb (1,)']
  assert rules.count_unknown(tensors, table) == 1


def test_two_variables_for_one_path():
  table = (rules.Rule('a|b', 'path'),)
  _, problems = rules.apply_rules({'a': np.ones(1), 'b': np.ones(1)}, table)
  assert problems == ['b (1,): a second variable for path']


def test_variable_that_is_dropped_may_have_to_be_of_some_value():
  def check(array):
    if array.any():
      raise ValueError('not zero')
    return array

  table = (rules.Rule('a', None, check),)
  assert rules.apply_rules({'a': np.zeros(2)}, table) == ({}, [])
  _, problems = rules.apply_rules({'a': np.ones(2)}, table)
  assert problems == ['a (2,): not zero']


@pytest.mark.parametrize(
  ('framework', 'names'),
  [
    ('torch', ('a.b.weight', 'a.b.bias')),
    ('keras', ('a.b/kernel', 'a.b/bias')),
  ],
)
def test_gate_conv(framework, names):
  found = rules.gate_conv('a.b', 'x/y', framework)
  tensors = dict.fromkeys(names, np.zeros((1, 1, 1, 1)))
  arrays, problems = rules.apply_rules(tensors, found)
  assert problems == []
  assert set(arrays) == {
    'params/backbone/x/y/kernel',
    'params/backbone/x/y/bias',
  }


def test_bias_ahead_of_batch_norm_is_folded_into_the_mean():
  layers = [rules.Layer('conv', 'bn', 'x')]
  tensors = {
    'conv/bias': np.float32([1, 2]),
    'bn/moving_mean': np.float32([5, 5]),
  }
  arrays, problems = rules.apply_rules(tensors, rules.keras(layers, 'out'))
  assert not problems
  np.testing.assert_array_equal(
    arrays['batch_stats/backbone/x/bn/mean'], [4, 3]
  )
  del tensors['bn/moving_mean']
  _, problems = rules.apply_rules(tensors, rules.keras(layers, 'out'))
  assert 'a bias (2,) without its' in problems[0]


@pytest.mark.parametrize(
  ('name', 'transform', 'shape', 'wanted'),
  [
    ('torch', rules.torch_kernel, (5, 4, 2, 3), (2, 3, 4, 5)),
    ('torch depthwise', rules.torch_kernel, (5, 1, 2, 3), (2, 3, 1, 5)),
    ('tf depthwise', rules.depthwise_kernel, (2, 3, 5, 1), (2, 3, 1, 5)),
    ('dense', rules.matrix, (4, 5), (4, 5)),
    ('1×1', rules.matrix, (1, 1, 4, 5), (4, 5)),
  ],
)
def test_transforms(name, transform, shape, wanted):
  assert transform(np.zeros(shape)).shape == wanted


@pytest.mark.parametrize('network', table.SOURCES)
def test_what_the_sources_say(network):
  names = [source.name for source in table.SOURCES[network]]
  assert len(set(names)) == len(names)
  for source in table.SOURCES[network]:
    assert source.recipe.trained_on
    known = source.recipe.bn_scale is not None
    assert known == networks.has_batch_norm(network)
    if not source.options.get('use_scale', True):
      assert source.recipe.bn_scale is False
    assert source.license
    assert source.background == (source.num_classes == 1001)
    assert (source.imagenet_top1 is None) == (not source.imagenet_top1_source)
    networks.build(network, **source.options)
