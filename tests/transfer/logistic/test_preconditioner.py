"""The preconditioner against dense inverses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tf_transfer.runtime import devices
from tf_transfer.transfer.logistic import path, preconditioner
from tf_transfer.transfer.logistic import problem as problem_lib

PENALTY = 0.3


@pytest.fixture(params=[(1, False), (8, True)], ids=['one', 'eight, in blocks'])
def made(request):
  """A problem of 24 examples: softmax of 3, or 3 independent labels."""
  number, streamed = request.param

  def make(exclusive: bool):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(24, 4)).astype(np.float32) + 1
    labels = np.arange(24) % 3 if exclusive else rng.integers(-1, 2, (24, 3))
    targets, mask = path.check_labels(labels, 24, 3)
    mesh = devices.data_mesh(jax.devices()[:number])
    problem = path._problem(features, targets, mask, mesh, streamed)
    return problem, 2 * rng.normal(size=(3, 4)), rng.normal(size=3)

  with jax.enable_x64(True):
    yield make


def dense_hessian(problem, point):
  """[15, 15] of weights [3, 4] and bias [3], by hand."""
  rows = np.concatenate([problem.rows, np.ones((24, 1))], axis=1)
  p = np.asarray(point.curvature.spread, np.float64)
  if problem.mask is None:
    inner = np.einsum('cn,cd->ncd', p, np.eye(3))
    inner -= np.einsum('cn,dn->ncd', p, p)
  else:
    inner = np.einsum('cn,cd->ncd', p, np.eye(3))
  hessian = np.einsum('ncd,nr,ns->crds', inner, rows, rows)
  hessian += PENALTY * np.einsum(
    'cd,rs->crds', np.eye(3), np.diag([1] * 4 + [0])
  )
  return hessian.reshape(15, 15)


@pytest.mark.parametrize(('exclusive', 'number'), [(True, 48), (False, 72)])
def test_all_directions_are_the_whole_hessian(made, exclusive, number):
  """Of three classes each example has two directions, of labels three."""
  problem, weights, bias = made(exclusive)
  mean = problem_lib.mean_row(problem)
  problem = dataclasses.replace(problem, mean=mean)
  spectrum = preconditioner.spectrum(problem)
  point = problem_lib.evaluate(problem, weights, bias, PENALTY)
  leading = preconditioner.leading(problem, spectrum, point, PENALTY, number)
  check_inverse(problem, spectrum, leading, point)


def check_inverse(problem, spectrum, known, point):
  prepare = preconditioner.preconditioner(
    problem,
    spectrum,
    preconditioner.no_memory(0, 12),
    known,
    point,
    PENALTY,
  )
  gradient = np.random.default_rng(1).normal(size=(3, 4))
  if problem.mask is None:
    # Those of a softmax have none of what its classes share.
    gradient -= gradient.mean(axis=0)
  found = np.asarray(prepare(jnp.asarray(gradient)))
  # The weights' part of the whole inverse has the bias eliminated.
  whole = np.concatenate([gradient, np.zeros((3, 1))], axis=1).ravel()
  dense = np.linalg.lstsq(dense_hessian(problem, point), whole)[0]
  # The bias has a little penalty in it: what a softmax's classes share.
  np.testing.assert_allclose(
    found, dense.reshape(3, 5)[:, :4], rtol=2e-2, atol=5e-3
  )


def test_whole_hessian_is_factored(made):
  """Of so many drawn, each example has its share, and nothing is left out."""
  problem, weights, bias = made(True)
  mean = problem_lib.mean_row(problem)
  problem = dataclasses.replace(problem, mean=mean)
  spectrum = preconditioner.spectrum(problem)
  whole = preconditioner.whole(
    problem, spectrum, weights, bias, PENALTY, drawn=1000
  )
  point = problem_lib.evaluate(problem, weights, bias, PENALTY)
  check_inverse(problem, spectrum, whole, point)


def test_rows_are_gathered_from_wherever_they_lie(made, monkeypatch):
  monkeypatch.setattr(problem_lib, 'BLOCK_ROWS', 2)
  problem, *_ = made(True)
  index = jnp.array([23, 0, 7, 7, 12])
  found = preconditioner._gather(problem, index)
  np.testing.assert_array_equal(found, np.asarray(problem.rows)[index])
