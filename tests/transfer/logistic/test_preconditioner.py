"""The preconditioners in the features' own basis, against dense inverses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.transfer.logistic import small
from tf_transfer.transfer.logistic import (
  bfgs,
  block_cholesky,
  leading_examples,
  preconditioner,
)


def precondition(case, approximation, vector):
  """Applies a preconditioner without history to a vector [3, 4]."""

  @jax.jit
  def apply(problem, spectrum, approximation, point, vector):
    return preconditioner.build_preconditioner(
      problem,
      spectrum,
      bfgs.empty_history(0, 12),
      approximation,
      point,
      small.PENALTY,
    )(vector)

  return apply(
    case.problem, case.spectrum, approximation, case.point, jnp.asarray(vector)
  )


def test_kronecker_product_is_exact_for_equal_curvatures(is_softmax):
  """With zero weights all examples are equally uncertain."""
  case = small.case(is_softmax, scale=0)
  if not is_softmax:
    # No label is ignored then either.
    mask = jnp.ones_like(case.problem.label_mask)
    problem = dataclasses.replace(case.problem, label_mask=mask)
    point = small.evaluate(problem, case.weights, case.bias, small.PENALTY)
    case = case._replace(problem=problem, point=point)
  gradient = small.random_gradient(case)
  expected, _ = small.newton_step(case, gradient, np.zeros(3))
  np.testing.assert_allclose(
    precondition(case, None, gradient), expected, rtol=1e-4, atol=1e-5
  )


@pytest.mark.parametrize('kind', ['leading', 'cholesky'])
def test_approximations_are_used_in_the_eigenbasis(x64, kind):
  case = small.case(True)
  gradient = small.random_gradient(case)
  if kind == 'leading':
    approximation = jax.jit(
      lambda *arguments: leading_examples.find_leading_examples(
        *arguments, small.PENALTY, 48
      )
    )(case.problem, case.spectrum, case.point)
  else:
    approximation = block_cholesky.factor_hessian(
      case.problem,
      case.spectrum,
      case.weights,
      case.bias,
      small.PENALTY,
      samples_per_row=1000,
    )
  expected, _ = small.newton_step(case, gradient, np.zeros(3))
  np.testing.assert_allclose(
    precondition(case, approximation, gradient),
    expected,
    rtol=2e-2,
    atol=5e-3,
  )
