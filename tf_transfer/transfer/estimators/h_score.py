"""Computes the H-score, plain and with a shrunk covariance.

Bao et al., 2019 (ICIP, An information-theoretic approach to transferability in
task transfer learning), definition 2: tr(cov(f)⁻¹ cov(E[f | y])), with the
pseudo-inverse where the covariance is singular. With as many features as
examples or more it says nothing: each class is told apart from all others, and
its value is the number of classes less one, or close to it.

Ibrahim et al., 2021 (arXiv 2110.06893), section 4: tr(cov_a(f)⁻¹ (1 - a)
cov(E[f | y])), with Ledoit and Wolf's covariance cov_a(f) = (1 - a) cov(f) +
a tr(cov(f)) / D · I and its a. All covariances divide by N here.
"""

import numpy as np

from tf_transfer.transfer.estimators import spectrum as spectrum_lib
from tf_transfer.transfer.estimators.examples import Examples


def h_score(examples: Examples) -> float:
  """Computes the H-score: 0 to the smaller of C - 1 and D."""
  spectrum = spectrum_lib.decompose(examples, center=True)
  variances = spectrum.eigenvalues / len(examples)
  return float(np.sum(_between_classes(examples, spectrum) / variances))


def h_score_shrunk(examples: Examples) -> float:
  """Computes the H-score with Ledoit and Wolf's covariance."""
  spectrum = spectrum_lib.decompose(examples, center=True)
  if not len(spectrum.eigenvalues):
    return 0.0
  width = examples.features.shape[1]
  variances = spectrum.eigenvalues / len(examples)
  mean_variance = variances.sum() / width
  shrinkage = ledoit_wolf(spectrum, len(examples), width)
  shrunk = (1 - shrinkage) * variances + shrinkage * mean_variance
  between = _between_classes(examples, spectrum)
  return float(np.sum((1 - shrinkage) * between / shrunk))


def ledoit_wolf(
  spectrum: spectrum_lib.Spectrum, num_examples: int, width: int
) -> float:
  """Computes Ledoit and Wolf's shrinkage, 0 to 1 (2004, lemma 3.2 to 3.4).

  Args:
    spectrum: of the centered features.
    num_examples: N.
    width: D; directions beyond the spectrum's have no variance.
  """
  variances = spectrum.eigenvalues / num_examples
  squares = np.sum(variances**2)
  distance = squares - variances.sum() ** 2 / width
  error = (spectrum.fourth_moment / num_examples - squares) / num_examples
  if distance <= 0:
    return 0.0
  return float(np.clip(error / distance, 0, 1))


def _between_classes(
  examples: Examples, spectrum: spectrum_lib.Spectrum
) -> np.ndarray:
  """Computes the variance of class means along each direction, [K]."""
  counts = np.maximum(examples.class_counts(), 1)  # Sums of none are 0.
  return np.sum(spectrum.class_sums**2 / counts[:, None], axis=0) / len(
    examples
  )
