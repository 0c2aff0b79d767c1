"""Tests of attention: its form for CPUs against the definition."""

import jax
import numpy as np
import pytest

from tests.networks import arrays
from tf_transfer.networks import attention


def by_definition(query, key, value):
  """Computes attention head by head in float64."""
  query, key, value = (np.float64(x) for x in (query, key, value))
  result = np.zeros((*query.shape[:3], value.shape[-1]))
  for image in range(query.shape[0]):
    for head in range(query.shape[2]):
      q, k, v = (x[image, :, head] for x in (query, key, value))
      scores = q @ k.T / np.sqrt(q.shape[-1])
      shares = np.exp(scores - scores.max(axis=1, keepdims=True))
      shares /= shares.sum(axis=1, keepdims=True)
      result[image, :, head] = shares @ v
  return result


def drawn(num_queries, num_keys):
  return [
    3 * arrays.random((2, count, 3, 8), seed)
    for seed, count in enumerate((num_queries, num_keys, num_keys))
  ]


@pytest.mark.parametrize('many', [False, True])
@pytest.mark.parametrize(('num_queries', 'num_keys'), [(7, 7), (1, 9)])
def test_values_and_gradients(num_queries, num_keys, many, monkeypatch):
  """In one batch, or head by head; gradients are JAX's own form's."""
  monkeypatch.setattr(attention, '_MANY_SCORES', 0 if many else 10**6)
  operands = drawn(num_queries, num_keys)
  (found, gradients), (value, wanted) = arrays.differentiate(
    [attention.attention, jax.nn.dot_product_attention], *operands
  )
  expected = by_definition(*operands)
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
  for ours, theirs in zip(gradients, wanted, strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_large_scores_do_not_overflow():
  query, key, value = drawn(5, 5)
  found = attention.attention(100 * query, 100 * key, value)
  expected = by_definition(100 * query, 100 * key, value)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_type_stays():
  operands = [x.astype('bfloat16') for x in drawn(7, 7)]
  found = attention.attention(*operands)
  assert found.dtype == 'bfloat16'
  expected = by_definition(*(np.float32(x) for x in operands))
  np.testing.assert_allclose(np.float32(found), expected, atol=0.1)
