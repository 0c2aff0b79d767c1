"""Losses of logits and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.transfer.logistic import small
from tf_transfer.transfer.logistic import curvature as curvature_lib
from tf_transfer.transfer.logistic.curvature import Curvature


def random_problem(is_softmax):
  """Logits [3, 5], targets [3, 5] and a mask of labels."""
  rng = np.random.default_rng(0)
  logits = jnp.asarray(3 * rng.normal(size=(3, 5)))
  if is_softmax:
    return logits, jnp.arange(5) % 3 == jnp.arange(3)[:, None], None
  targets = jnp.asarray(rng.random((3, 5)) < 0.5)
  return logits, targets, jnp.asarray(rng.random((3, 5)) < 0.8)


def plain_loss(logits, targets, label_mask):
  """The sum of the losses, as textbooks have it."""
  if label_mask is None:
    chosen = jnp.where(targets, logits, 0).sum(0)
    return jnp.sum(jax.nn.logsumexp(logits, axis=0) - chosen)
  return jnp.sum(label_mask * (jax.nn.softplus(logits) - targets * logits))


def test_derivatives_are_those_of_the_loss(is_softmax):
  logits, targets, label_mask = random_problem(is_softmax)

  @jax.jit
  def compare(logits, change):
    loss, residual, curvature = curvature_lib.loss_and_derivatives(
      logits, targets, label_mask
    )
    gradient = jax.grad(plain_loss)
    return (
      (loss.sum(), plain_loss(logits, targets, label_mask)),
      (residual, gradient(logits, targets, label_mask)),
      (
        curvature_lib.apply_curvature(curvature, change),
        jax.jvp(
          lambda logits: gradient(logits, targets, label_mask),
          (logits,),
          (change,),
        )[1],
      ),
    )

  change = jnp.asarray(np.random.default_rng(1).normal(size=(3, 5)))
  for ours, expected in compare(logits, change):
    np.testing.assert_allclose(ours, expected, rtol=1e-11, atol=1e-14)


def test_tiny_losses_keep_their_relative_precision(is_softmax):
  """A margin of 300 leaves a loss of exp(-300), far below rounding of one."""
  logits = jnp.array([[300.0], [0.0]])
  targets = jnp.array([[True], [False]])
  if not is_softmax:
    logits = logits - 300 * jnp.array([[0.0], [1.0]])
  label_mask = None if is_softmax else jnp.ones((2, 1), bool)
  loss, residual, curvature = jax.jit(curvature_lib.loss_and_derivatives)(
    logits, targets, label_mask
  )
  tiny = np.exp(-300.0)
  total = tiny if is_softmax else 2 * tiny
  np.testing.assert_allclose(loss, [total], rtol=1e-12)
  np.testing.assert_allclose(residual, [[-tiny], [tiny]], rtol=1e-12)
  product = curvature_lib.apply_curvature(curvature, jnp.array([[1.0], [0.0]]))
  expected = [[tiny], [-tiny]] if is_softmax else [[tiny], [0]]
  np.testing.assert_allclose(product, expected, rtol=1e-12)


def test_probabilities_sum_to_one_in_float64(x64):
  case = small.case(True)
  curvature = case.point.curvature
  assert curvature.values.dtype == jnp.float32
  exact = curvature_lib.to_float64(curvature)
  np.testing.assert_allclose(exact.values.sum(0), 1, rtol=1e-15)
  np.testing.assert_allclose(exact.values, curvature.values, rtol=1e-6)


def test_bias_hessian_is_the_sum_of_curvatures(is_softmax):
  case = small.case(is_softmax)
  hessian = curvature_lib.bias_hessian(
    curvature_lib.to_float64(case.point.curvature)
  )
  expected = small.dense_curvature(case).sum(0)
  if not is_softmax:
    expected = np.diagonal(expected)
  np.testing.assert_allclose(hessian, expected, rtol=1e-5)


def test_inverse_is_that_of_classes_of_very_different_size(x64):
  """The probabilities of the classes are 1, 1e-6 and 1e-12."""
  values = np.array([[1.0, 1.0], [1e-6, 2e-6], [1e-12, 3e-12]])
  curvature = Curvature(jnp.asarray(values), jnp.zeros(2, jnp.int32))
  hessian = np.asarray(jax.jit(curvature_lib.bias_hessian)(curvature))
  inverse = jax.jit(curvature_lib.invert_bias_hessian)(hessian)
  # What sums to zero has no part of the shift that is free.
  vector = hessian @ np.array([1.0, -2.0, 5.0])
  step = curvature_lib.multiply_bias(inverse, vector)
  np.testing.assert_allclose(hessian @ step, vector, rtol=1e-6)


def test_inverse_of_a_diagonal_is_zero_where_that_is_zero(x64):
  inverse = curvature_lib.invert_bias_hessian(jnp.array([2.0, 0.0]))
  np.testing.assert_array_equal(inverse, [0.5, 0])
  vector = jnp.array([4.0, 7.0])
  np.testing.assert_array_equal(
    curvature_lib.multiply_bias(inverse, vector), [2, 0]
  )


def test_inverse_root_of_what_is_not_positive_is_zero(x64):
  root = curvature_lib.inverse_root(jnp.array([4.0, 0.0, -1.0]))
  np.testing.assert_array_equal(root, [0.5, 0, 0])
