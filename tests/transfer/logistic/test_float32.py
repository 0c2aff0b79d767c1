"""Linear functions in float32 of vectors that float32 cannot hold."""

import jax.numpy as jnp
import numpy as np
import pytest

from tf_transfer.transfer.logistic import float32


@pytest.mark.parametrize('size', [1e-200, 1.0, 1e200])
def test_result_keeps_its_relative_precision(x64, size):
  vector = size * jnp.array([1.0, -3.0, 0.5])
  result = float32.apply(lambda v: 2 * v, vector)
  assert result.dtype == jnp.float64
  np.testing.assert_allclose(result, 2 * vector, rtol=1e-6)


def test_function_gets_float32(x64):
  types = []

  def record_type(vector):
    types.append(vector.dtype)
    return vector

  float32.apply(record_type, jnp.ones(2))
  float32.apply(record_type, jnp.ones(2), jnp.float64)
  assert types == [jnp.float32, jnp.float64]


def test_zero_stays_zero(x64):
  assert (float32.apply(lambda v: v, jnp.zeros(3)) == 0).all()
  assert float32.magnitude(jnp.zeros(3)) == 1e-300
