"""Tests of the rules on checkpoints of every source and their variants."""

import re

import numpy as np
import pytest

from tests.golden import rule
from tf_transfer import convert_weights, networks
from tf_transfer.convert_weights import (
  rules,
  table,
)


def converted(source, network, tensors):
  found = convert_weights.get_source(network, source)
  return rules.apply_rules(tensors, found.rules)


def same(a, b):
  assert a.keys() == b.keys()
  for path in a:
    np.testing.assert_array_equal(a[path], b[path])


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


def test_densenet_keys_of_older_files():
  tensors = rule.checkpoint('torchvision', 'densenet121', 2.0)
  old = {
    re.sub(r'(denselayer\d+\.(?:norm|conv))([12])\.', r'\1.\2.', name): array
    for name, array in tensors.items()
  }
  assert old.keys() != tensors.keys()
  new, problems = converted('torchvision', 'densenet121', tensors)
  assert not problems
  again, problems = converted('torchvision', 'densenet121', old)
  assert not problems
  same(new, again)


@pytest.mark.parametrize(
  ('source', 'network', 'part'),
  [
    ('torchvision', 'resnet50', r'.*num_batches_tracked'),
    ('torchvision', 'inception_v1', r'aux[12]\..*'),
    ('torchvision', 'inception_v3', r'AuxLogits\..*'),
    ('slim', 'inception_v4', r'.*/AuxLogits/.*'),
    ('slim', 'nasnet_mobile', r'aux_.*'),
  ],
)
def test_variables_that_may_be_absent(source, network, part):
  tensors = {
    name: np.broadcast_to(np.float32(1), shape)
    for name, shape in rule.shapes(source, network).items()
  }
  less = {n: a for n, a in tensors.items() if not re.fullmatch(part, n)}
  assert len(less) < len(tensors)
  whole, problems = converted(source, network, tensors)
  assert not problems
  same(whole, converted(source, network, less)[0])


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
    assert source.recipe.bn_scale is not None
    if not source.options.get('use_scale', True):
      assert source.recipe.bn_scale is False
    assert source.license
    assert source.background == (source.num_classes == 1001)
    assert (source.imagenet_top1 is None) == (not source.imagenet_top1_source)
    networks.build(network, **source.options)
