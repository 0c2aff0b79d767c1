"""The covariance's eigenbasis and the row space."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.transfer.logistic import small
from tf_transfer.transfer.logistic import spectrum as spectrum_lib


def test_spectrum_is_that_of_the_centered_rows(layout):
  case = small.case(True, layout)
  centered = case.features - case.features.mean(0)
  values, axes = case.spectrum
  np.testing.assert_allclose(
    axes * values @ axes.T, centered.T @ centered, rtol=1e-4, atol=1e-4
  )
  np.testing.assert_allclose(axes.T @ axes, np.eye(4), atol=1e-6)


def test_rows_of_the_row_space_are_the_features(x64):
  """Up to a rotation, in which their covariance is diagonal."""
  features = np.random.default_rng(0).normal(size=(5, 12)) + 3
  rows, spectrum, row_space = spectrum_lib.reduce_to_row_space(features)
  assert rows.shape == (5, 5)
  np.testing.assert_allclose(
    rows @ row_space.axes.T + row_space.mean, features, rtol=1e-12
  )
  np.testing.assert_allclose(
    (features - row_space.mean) @ row_space.axes, rows, atol=1e-12
  )
  assert spectrum.axes is None
  np.testing.assert_allclose(
    rows.T @ rows, np.diag(spectrum.values), rtol=1e-5, atol=1e-10
  )


def test_kronecker_inverse(x64):
  spectrum = spectrum_lib.Spectrum(jnp.array([1.0, 4.0], jnp.float32), None)
  inverse = spectrum_lib.kronecker_inverse(spectrum, jnp.array([0.0, 3.0]), 2.0)
  assert inverse.dtype == jnp.float32
  np.testing.assert_allclose(
    inverse, [[1 / 2, 1 / 2], [1 / 5, 1 / 14]], rtol=1e-6
  )


def test_centered_rows_are_in_the_eigenbasis(layout):
  case = small.case(True, layout)
  index = np.array([3, 23, 3])
  rows = jax.jit(spectrum_lib.centered_rows)(case.problem, case.spectrum, index)
  centered = (case.features - case.features.mean(0))[index]
  np.testing.assert_allclose(
    rows, centered @ np.asarray(case.spectrum.axes), atol=1e-5
  )
