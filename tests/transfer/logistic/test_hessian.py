"""Products with the Hessian against its dense Schur complement."""

import jax
import numpy as np

from tests.transfer.logistic import small
from tf_transfer.transfer.logistic import hessian


def test_product_is_with_the_schur_complement(is_softmax, layout):
  case = small.case(is_softmax, layout)
  change = small.random_gradient(case)

  @jax.jit
  def multiply(problem, point, change):
    return hessian.hessian_product(problem, point, small.PENALTY)(change)

  product, bias_change = multiply(case.problem, case.point, change)
  dense = small.dense_hessian(case)
  bias_inverse = np.linalg.pinv(dense[:, 4, :, 4], rcond=1e-10)
  expected_bias = -bias_inverse @ np.einsum(
    'cds,ds->c', dense[:, 4, :, :4], change
  )
  expected = np.einsum('crds,ds->cr', dense[:, :4, :, :4], change)
  expected += dense[:, :4, :, 4] @ expected_bias
  np.testing.assert_allclose(product, expected, rtol=1e-4, atol=1e-5)
  if is_softmax:
    # The same step of all classes changes nothing.
    expected_bias -= expected_bias.mean()
    bias_change -= bias_change.mean()
  np.testing.assert_allclose(bias_change, expected_bias, rtol=1e-4, atol=1e-5)


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
