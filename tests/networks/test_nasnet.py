"""Tests of NASNet: its drop path, and the outputs of each source."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.networks import parity
from tf_transfer.networks import nasnet

COUNT, RATE = 400, 0.25


def test_drop_path_grows_with_depth():
  model = nasnet.NASNet(repeats=1, features=8, stem=4, drop_path=0.7)
  rates = {}

  def record(call, args, kwargs, context):
    if isinstance(context.module, nasnet.Cell):
      rates[context.module.name] = context.module.drop_path
    return call(*args, **kwargs)

  with nn.intercept_methods(record):
    jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
  assert list(rates) == [
    *('stem_cell1', 'stem_cell2', 'cell1', 'reduction1', 'cell2'),
    *('reduction2', 'cell3'),
  ]
  np.testing.assert_allclose(list(rates.values()), 0.7 * np.arange(1, 8) / 7)


@pytest.fixture(scope='module')
def combination():
  """A cell's last combination, a separable convolution plus an identity.

  It is a function of drop_path and train, for many images that are all alike:
  what differs between them is what was dropped.
  """
  cell = nasnet.Cell(features=2)
  image = np.random.default_rng(0).normal(size=(1, 4, 4, 3))
  x = jnp.broadcast_to(jnp.asarray(image, jnp.float32), (COUNT, 4, 4, 3))
  variables = jax.jit(cell.init)(jax.random.key(0), x, x)

  def apply(drop_path, train=True):
    found, _ = cell.clone(drop_path=drop_path).apply(
      variables,
      x,
      x,
      train=train,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(1)},
    )
    return found[..., -2:].reshape(COUNT, -1)

  return apply


def test_drop_path_drops_operations_and_not_identities(combination):
  plain, found = np.asarray(combination(None)[0]), np.asarray(combination(RATE))
  same = np.abs(found - found[0]).max(axis=1) < 1e-3
  groups = sorted([found[same], found[~same]], key=len)
  dropped, kept = (group[0] for group in groups)
  for group in groups:
    assert np.abs(group - group[0]).max() < 1e-3
  # Only the identity is left of the one; the other is scaled up.
  assert np.abs(dropped).max() > 0.1
  np.testing.assert_allclose(
    dropped + (1 - RATE) * (kept - dropped), plain, atol=1e-3
  )
  deviation = np.sqrt(RATE * (1 - RATE) / COUNT)
  assert abs(len(groups[0]) / COUNT - RATE) < 4 * deviation


def test_drop_path_may_be_traced(combination):
  np.testing.assert_allclose(
    jax.jit(combination)(RATE), combination(RATE), atol=1e-4
  )
  np.testing.assert_allclose(
    jax.jit(combination)(0.0), combination(None), atol=1e-4
  )


def test_drop_path_leaves_evaluation_alone(combination):
  np.testing.assert_array_equal(
    combination(RATE, train=False), combination(None, train=False)
  )


@pytest.mark.parametrize(('source', 'network'), parity.cases(nasnet.NASNet))
def test_golden_outputs(source, network, golden_input):
  parity.check_golden_outputs(source, network, golden_input)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('source', 'network', 'wrong'),
  [
    ('slim', 'nasnet_mobile', {'reduction_pools': 'zeros_average'}),
    ('keras', 'nasnet_mobile', {'reduction_pools': 'zeros_average'}),
  ],
)
def test_comparison_sees_a_wrong_option(source, network, wrong, golden_input):
  parity.check_wrong_option_is_seen(source, network, wrong, golden_input)
