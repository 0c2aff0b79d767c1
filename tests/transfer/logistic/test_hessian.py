"""Products with the Hessian against its dense Schur complement."""

import jax
import numpy as np
import pytest

from tests.transfer.logistic import small
from tf_transfer.transfer.logistic import curvature as curvature_lib
from tf_transfer.transfer.logistic import hessian
from tf_transfer.transfer.logistic import problem as problem_lib


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_product_is_with_the_schur_complement(is_softmax, layout, dtype):
  case, tolerance = small.case(is_softmax, layout), 1e-5
  if dtype == 'float64':
    problem = problem_lib.in_float64(case.problem)
    bias = case.bias + case.weights @ problem.shift
    point = small.evaluate(problem, case.weights, bias, small.PENALTY)
    case, tolerance = case._replace(problem=problem, point=point), 1e-9
  change = small.random_gradient(case)

  @jax.jit
  def multiply(problem, point, change):
    return hessian.hessian_product(problem, point, small.PENALTY)(change)

  product, bias_change = multiply(case.problem, case.point, change)
  if dtype == 'float64':
    exact = curvature_lib.to_float64(point.curvature)
    case = case._replace(point=point._replace(curvature=exact))
  dense = small.dense_hessian(case)
  bias_inverse = np.linalg.pinv(dense[:, 4, :, 4], rcond=1e-10)
  expected_bias = -bias_inverse @ np.einsum(
    'cds,ds->c', dense[:, 4, :, :4], change
  )
  expected = np.einsum('crds,ds->cr', dense[:, :4, :, :4], change)
  expected += dense[:, :4, :, 4] @ expected_bias
  np.testing.assert_allclose(
    product, expected, rtol=10 * tolerance, atol=tolerance
  )
  if dtype == 'float64':
    # What centered rows add to the bias's step.
    bias_change -= change @ problem.shift
  if is_softmax:
    # The same step of all classes changes nothing.
    expected_bias -= expected_bias.mean()
    bias_change -= bias_change.mean()
  np.testing.assert_allclose(
    bias_change, expected_bias, rtol=10 * tolerance, atol=tolerance
  )


def test_tiny_changes_do_not_underflow(x64):
  case = small.case(True)
  change = small.random_gradient(case)
  multiply = jax.jit(
    lambda change: hessian.hessian_product(
      case.problem, case.point, small.PENALTY
    )(change)[0]
  )
  np.testing.assert_allclose(
    multiply(1e-120 * change), 1e-120 * multiply(change), rtol=1e-5
  )
