"""Small problems for tests of the solver's parts, with dense references."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import numpy as np

from tf_transfer.runtime import devices
from tf_transfer.transfer.logistic import (
  blocks,
  objective,
  validation,
)
from tf_transfer.transfer.logistic import problem as problem_lib
from tf_transfer.transfer.logistic import spectrum as spectrum_lib
from tf_transfer.transfer.logistic.objective import Point
from tf_transfer.transfer.logistic.problem import Problem
from tf_transfer.transfer.logistic.spectrum import Spectrum

PENALTY = 0.3

# Each way to hold the examples: number of devices, and whether streamed.
LAYOUTS = {'one device': (1, False), 'eight, streamed': (8, True)}

evaluate = jax.jit(objective.evaluate)


class Case(NamedTuple):
  """A problem of 24 examples, 4 features and 3 classes, and a point of it.

  Attributes:
    features: [24, 4] float32.
    labels: [24] classes, or [24, 3] labels of which some are ignored.
    problem: made of them.
    spectrum: of the problem.
    weights: [3, 4].
    bias: [3].
    point: there, for PENALTY.
  """

  features: np.ndarray
  labels: np.ndarray
  problem: Problem
  spectrum: Spectrum
  weights: np.ndarray
  bias: np.ndarray
  point: Point


@functools.cache
def case(
  is_softmax: bool, layout: str = 'one device', scale: float = 2
) -> Case:
  """Makes a case; to be called with 64-bit types enabled.

  Args:
    is_softmax: whether classes exclude each other.
    layout: one of LAYOUTS.
    scale: of the weights.
  """
  num_devices, streamed = LAYOUTS[layout]
  rng = np.random.default_rng(0)
  features = rng.normal(size=(24, 4)).astype(np.float32) + 1
  labels = np.arange(24) % 3 if is_softmax else rng.integers(-1, 2, (24, 3))
  targets, label_mask = validation.check_labels(labels, 24, 3)
  mesh = devices.data_mesh(jax.devices()[:num_devices])
  problem = problem_lib.build_problem(
    features, targets, label_mask, mesh, streamed
  )
  problem = dataclasses.replace(problem, mean=blocks.mean_row(problem))
  spectrum = spectrum_lib.compute_spectrum(problem)
  weights = scale * rng.normal(size=(3, 4))
  bias = scale / 2 * rng.normal(size=3)
  point = evaluate(problem, weights, bias, PENALTY)
  return Case(features, labels, problem, spectrum, weights, bias, point)


def dense_curvature(case: Case) -> np.ndarray:
  """Returns A of each example, [24, 3, 3]."""
  p = np.asarray(case.point.curvature.values, np.float64)
  curvature = np.einsum('cn,cd->ncd', p, np.eye(3))
  if case.problem.is_softmax:
    curvature -= np.einsum('cn,dn->ncd', p, p)
  return curvature


def dense_hessian(case: Case) -> np.ndarray:
  """Returns the Hessian [3, 5, 3, 5] of weights and bias."""
  rows = np.concatenate([case.features, np.ones((24, 1))], axis=1)
  hessian = np.einsum('ncd,nr,ns->crds', dense_curvature(case), rows, rows)
  penalty = PENALTY * np.diag([1, 1, 1, 1, 0])
  return hessian + np.einsum('cd,rs->crds', np.eye(3), penalty)


def newton_step(
  case: Case, gradient: np.ndarray, bias_gradient: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Solves the dense Hessian for right sides [3, 4] and [3].

  Returns:
    Weights [3, 4] and bias [3].
  """
  both = np.concatenate([gradient, bias_gradient[:, None]], axis=1)
  hessian = dense_hessian(case).reshape(15, 15)
  step = np.linalg.lstsq(hessian, both.ravel())[0].reshape(3, 5)
  return step[:, :4], step[:, 4]


def random_gradient(case: Case) -> np.ndarray:
  """Returns [3, 4]; a softmax's have no part that its classes share."""
  gradient = np.random.default_rng(1).normal(size=(3, 4))
  if case.problem.is_softmax:
    gradient -= gradient.mean(axis=0)
  return gradient
