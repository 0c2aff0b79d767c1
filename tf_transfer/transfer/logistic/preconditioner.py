"""Builds approximate inverses of the Hessian, for conjugate gradients.

The Hessian is a sum over examples of A ⊗ x x', with A [C, C] the curvature of
the example's loss (see `curvature`), plus the penalty. There are three
approximations, and a correction of each:

*A Kronecker product.* Mean A ⊗ the rows' Gram matrix + penalty is inverted in
the eigenbases of its two factors, the second of which is computed once for the
whole path (`spectrum`). It is good while all examples are about equally
uncertain: at large penalties.

*Leading examples* (`leading_examples`). At smaller penalties a few examples
have nearly all of the curvature. They give a matrix of low rank, which is
inverted by Woodbury's identity on top of the Kronecker product of the rest.

*The whole Hessian* (`block_cholesky`). With fewer weights than examples many
examples matter at every penalty, and the Hessian is small enough to be
factored.

*Corrected by products* (`bfgs`). Each product with the Hessian shows an error
of the approximation; the last ones are put right.

`schedule` says which one a penalty is worth.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from tf_transfer.transfer.logistic import (
  bfgs,
  block_cholesky,
  float32,
  leading_examples,
)
from tf_transfer.transfer.logistic import spectrum as spectrum_lib
from tf_transfer.transfer.logistic.bfgs import BfgsHistory
from tf_transfer.transfer.logistic.block_cholesky import BlockCholesky
from tf_transfer.transfer.logistic.leading_examples import LeadingExamples
from tf_transfer.transfer.logistic.objective import Point
from tf_transfer.transfer.logistic.problem import Problem
from tf_transfer.transfer.logistic.spectrum import Spectrum


def build_preconditioner(
  problem: Problem,
  spectrum: Spectrum,
  history: BfgsHistory,
  approximation: LeadingExamples | BlockCholesky | None,
  point: Point,
  penalty: ArrayLike,
) -> Callable[[jax.Array], jax.Array]:
  """Returns a function that maps a gradient to an approximate Newton step.

  Args:
    problem: whose Hessian is approximated.
    spectrum: of its rows.
    history: products with the Hessian; without rows there is no correction.
    approximation: of the Hessian; None for the Kronecker product.
    point: where Newton's system is solved.
    penalty: of the objective.

  Returns:
    A function of [C, R] float64 with a result of the same shape and type.
  """
  match approximation:
    case None:
      apply_inverse = _kronecker_inverse(problem, spectrum, point, penalty)
    case LeadingExamples():
      apply_inverse = leading_examples.woodbury_inverse(
        spectrum, approximation, penalty
      )
    case BlockCholesky():
      apply_inverse = block_cholesky.solve_cholesky(approximation)

  dtype = spectrum.values.dtype

  def precondition(vector: jax.Array) -> jax.Array:
    if spectrum.axes is None:
      return apply_inverse(vector)
    rotated = float32.apply(lambda v: v @ spectrum.axes, vector, dtype)
    step = float32.apply(
      lambda v: v @ spectrum.axes.T, apply_inverse(rotated), dtype
    )
    # The axes are exact to rounding only: a little of the step falls on
    # features that do not vary, whose products count as zero.
    return jnp.where(problem.varies, step, 0)

  if not len(history.directions):
    return precondition
  return bfgs.correct(precondition, history, point, penalty)


def _kronecker_inverse(
  problem: Problem, spectrum: Spectrum, point: Point, penalty: ArrayLike
) -> Callable[[jax.Array], jax.Array]:
  """Inverts mean curvature ⊗ Gram matrix + penalty, in the eigenbasis."""
  dtype = spectrum.values.dtype
  mean = point.bias_hessian / jnp.sum(problem.row_mask)
  if mean.ndim == 1:
    scale = spectrum_lib.kronecker_inverse(spectrum, mean, penalty)
    return lambda vector: float32.apply(lambda v: scale * v, vector, dtype)
  curvatures, axes = jnp.linalg.eigh(mean)
  scale = spectrum_lib.kronecker_inverse(
    spectrum, jnp.maximum(curvatures, 0), penalty
  )
  axes = axes.astype(dtype)

  def apply_inverse(vector: jax.Array) -> jax.Array:
    scaled = float32.apply(lambda v: scale * (axes.T @ v), vector, dtype)
    return float32.apply(lambda v: axes @ v, scaled, dtype)

  return apply_inverse
