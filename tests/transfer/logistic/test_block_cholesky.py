"""The factored Hessian against dense inverses."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.transfer.logistic import small
from tf_transfer.transfer.logistic import block_cholesky


def test_whole_hessian_is_factored(layout):
  """Of so many samples, each example has its share, and none is left out."""
  case = small.case(True, layout)
  factor = block_cholesky.factor_hessian(
    case.problem,
    case.spectrum,
    case.weights,
    case.bias,
    small.PENALTY,
    samples_per_row=1000,
  )
  gradient = small.random_gradient(case)
  axes = np.asarray(case.spectrum.axes, np.float64)
  solve = jax.jit(block_cholesky.solve_cholesky(factor))
  step = solve(jnp.asarray(gradient @ axes)) @ axes.T
  expected, _ = small.newton_step(case, gradient, np.zeros(3))
  np.testing.assert_allclose(step, expected, rtol=2e-2, atol=5e-3)


def test_no_factor_where_float32_cannot(x64):
  """With weights that are not numbers no ridge helps."""
  case = small.case(True)
  factor = block_cholesky.factor_hessian(
    case.problem,
    case.spectrum,
    np.full_like(case.weights, np.nan),
    case.bias,
    small.PENALTY,
  )
  assert factor is None


def test_examples_are_drawn_by_their_shares(x64):
  shares = jnp.array([0.0, 1.0, 5.0, 0.0, 2.0], jnp.float32)
  index, total = block_cholesky._draw(shares, 16)
  assert total == 8
  counts = np.bincount(index, minlength=5)
  np.testing.assert_array_equal(counts, [0, 2, 10, 0, 4])


def test_inverse_of_the_cholesky_factor(x64):
  root = np.random.default_rng(0).normal(size=(4, 4))
  matrix = root @ root.T + np.eye(4)
  inverse = block_cholesky.inverse_cholesky(jnp.asarray(matrix))
  np.testing.assert_allclose(inverse.T @ inverse, np.linalg.inv(matrix))
