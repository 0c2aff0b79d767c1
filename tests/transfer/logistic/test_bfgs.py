"""The correction of a preconditioner by earlier products."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.transfer.logistic import small
from tf_transfer.transfer.logistic import bfgs


def dense_matrix(case):
  """A positive definite matrix [12, 12], not that of the case."""
  root = np.random.default_rng(3).normal(size=(12, 12))
  return root @ root.T / 12 + small.PENALTY * np.eye(12)


def history_of(case, num_directions, num_known):
  """Random directions and their images, the unknown ones zero."""
  matrix = dense_matrix(case)
  directions = np.random.default_rng(4).normal(size=(num_directions, 12))
  squares = np.sum(directions @ matrix * directions, axis=1)
  directions /= np.sqrt(squares)[:, None]
  directions[num_known:] = 0
  images = directions @ (matrix - small.PENALTY * np.eye(12))
  trace = case.point.bias_hessian.trace()
  return bfgs.BfgsHistory(
    jnp.asarray(directions, jnp.float32),
    jnp.asarray(images, jnp.float32),
    trace,
  )


@jax.jit
def correct(history, point, vector):
  """Applies the correction of M = 0.1 to a vector [3, 4]."""
  return bfgs.correct(lambda v: 0.1 * v, history, point, small.PENALTY)(vector)


def test_correction_is_exact_for_known_directions(x64):
  """Images map to their directions, with room for directions to come."""
  case = small.case(True)
  history = history_of(case, num_directions=5, num_known=3)
  images = history.images + small.PENALTY * history.directions
  for direction, image in zip(history.directions, images, strict=True):
    result = correct(
      history, case.point, np.asarray(image, np.float64).reshape(3, 4)
    )
    np.testing.assert_allclose(result.ravel(), direction, atol=1e-4)


def test_correction_follows_the_formula(x64):
  """D' E D + (1 - D' E Y) M (1 - Y' E D), with M = 0.1."""
  case = small.case(True)
  history = history_of(case, num_directions=5, num_known=5)
  d = np.asarray(history.directions, np.float64)
  y = history.images + small.PENALTY * d
  e = np.linalg.inv(d @ y.T)
  left = np.eye(12) - d.T @ e @ y
  expected = d.T @ e @ d + 0.1 * left @ left.T
  vector = np.random.default_rng(5).normal(size=12)
  result = correct(history, case.point, vector.reshape(3, 4))
  np.testing.assert_allclose(
    result.ravel(), expected @ vector, rtol=1e-3, atol=1e-4
  )


update = jax.jit(bfgs.update_history)


def test_new_directions_come_first_and_the_oldest_drop_out(x64):
  case = small.case(True)
  trace = case.point.bias_hessian.trace()
  old = bfgs.BfgsHistory(
    jnp.arange(3.0)[:, None] + jnp.ones((3, 2), jnp.float32),
    jnp.ones((3, 2), jnp.float32),
    trace / 2,
  )
  new = jnp.full((3, 2), 9.0)
  history = update(old, case.point, new, new, 1)
  np.testing.assert_array_equal(history.directions[:, 0], [9, 1, 2])
  # Old images grow with the curvature.
  np.testing.assert_allclose(history.images[:, 0], [9, 2, 2], rtol=1e-6)
  assert history.curvature == trace
  history = update(old, case.point, new, new, 7)
  np.testing.assert_array_equal(history.directions, new)


def test_rows_are_written_in_place(x64):
  history = bfgs.empty_history(2, 12)
  array = bfgs.write_row(history.directions, jnp.ones((3, 4)), 1)
  np.testing.assert_array_equal(array, [[0] * 12, [1] * 12])
