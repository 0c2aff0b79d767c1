"""The Hessian by its leading examples, against dense inverses."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.transfer.logistic import small
from tf_transfer.transfer.logistic import leading_examples


def find(case, num_leading):
  """The leading examples of a case, compiled as one program."""
  return jax.jit(
    lambda problem, spectrum, point: leading_examples.find_leading_examples(
      problem, spectrum, point, small.PENALTY, num_leading
    )
  )(case.problem, case.spectrum, case.point)


def test_all_directions_are_the_whole_hessian(is_softmax, layout):
  """Of three classes each example has two directions, of labels three."""
  case = small.case(is_softmax, layout)
  leading = find(case, 48 if is_softmax else 72)
  apply = leading_examples.woodbury_inverse(
    case.spectrum, leading, small.PENALTY
  )
  gradient = small.random_gradient(case)
  axes = np.asarray(case.spectrum.axes, np.float64)
  step = jax.jit(apply)(jnp.asarray(gradient @ axes)) @ axes.T
  # The weights' part of the whole inverse has the bias eliminated.
  expected, _ = small.newton_step(case, gradient, np.zeros(3))
  # The bias has a little penalty in it: what a softmax's classes share.
  np.testing.assert_allclose(step, expected, rtol=2e-2, atol=5e-3)


def test_directions_are_split_off_the_curvature_exactly(x64):
  """Both terms of a softmax of three classes sum to A."""
  case = small.case(True)
  find_pairs = jax.jit(
    lambda problem, curvature: leading_examples._leading_pairs(
      problem, curvature, 48
    )
  )
  sizes, index, classes = find_pairs(case.problem, case.point.curvature)
  assert (np.diff(sizes) <= 0).all()
  curvature = np.zeros((24, 3, 3))
  np.add.at(
    curvature,
    np.asarray(index),
    np.einsum('m,mc,md->mcd', sizes, classes, classes),
  )
  np.testing.assert_allclose(
    curvature, small.dense_curvature(case), rtol=1e-4, atol=1e-6
  )


def test_leading_labels_are_the_most_uncertain(x64):
  values = jnp.array([[0.1, 0.25, 0.0], [0.2, 0.0, 0.15]])
  sizes, index, classes = leading_examples._leading_labels(values, 3)
  np.testing.assert_array_equal(sizes, [0.25, 0.2, 0.15])
  np.testing.assert_array_equal(index, [1, 0, 2])
  np.testing.assert_array_equal(classes, [[1, 0], [0, 1], [0, 1]])
