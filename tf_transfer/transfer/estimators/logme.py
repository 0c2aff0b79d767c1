"""Computes LogME, the maximum evidence of a linear model of the labels.

You et al., 2021 (arXiv 2102.11005), section 4. For each class, y in {0, 1} is
modeled as y = f·w + noise with w ~ N(0, I/α) and noise ~ N(0, 1/β); neither
features nor labels are centered. LogME is the log evidence log p(y | F, α, β)
at its maximum over α and β, divided by N, averaged over classes.

With t = α/β, s the eigenvalues of FFᵀ and z the squared components of y along
its eigenvectors, the best β for a t is N / Q(t), where Q(t) = ∑ z / (1 + s/t),
and the evidence at it is

  L(t) = -N/2 (log 2π + 1 + log(Q(t) / N)) - 1/2 ∑ log(1 + s/t).

The stationary points of L are the fixed points of the paper's iteration. Here L
is maximized over t itself: on a grid, then by golden-section search. The
authors' code stops its iteration after at most 11 steps, and where it has
several fixed points it takes the one that α = β = 1 leads to: the value here is
never below theirs but for what they add to avoid dividing by zero.

Two copies of an image in one class, with fewer images than features, are fitted
exactly however small the noise, and the evidence of N images in N - 1
directions has no maximum. Such copies then count once.
"""

from collections.abc import Callable

import numpy as np

from tf_transfer.transfer.estimators import spectrum as spectrum_lib
from tf_transfer.transfer.estimators.examples import Examples, UndefinedError

_STEPS_PER_UNIT = 2  # of the grid, in log t
_DECADES_BEYOND = 12  # of the grid, below and above the eigenvalues
_GOLDEN_STEPS = 40  # leave 5e-9 of the interval
_GOLDEN = (5**0.5 - 1) / 2
_IN_SPAN = 1e-11  # of ‖y‖²; what is left below this is rounding


def logme(examples: Examples) -> float:
  """Computes LogME; classes without an example do not count.

  Raises:
    UndefinedError: the evidence of a class has no maximum, copies aside.
  """
  try:
    return _of_all(examples)
  except UndefinedError:
    distinct = examples.distinct()
    if len(distinct) == len(examples):
      raise
    return _of_all(distinct)


def _of_all(examples: Examples) -> float:
  """Computes LogME of examples that count once each; see `logme`."""
  spectrum = spectrum_lib.decompose(examples, center=False)
  counts = examples.class_counts()
  present = counts > 0
  evidences = max_log_evidence(
    spectrum.eigenvalues,
    spectrum.class_sums[present] ** 2 / spectrum.eigenvalues,
    counts[present].astype(np.float64),
    len(examples),
  )
  return float(np.mean(evidences)) / len(examples)


def max_log_evidence(
  eigenvalues: np.ndarray,
  components: np.ndarray,
  squares: np.ndarray,
  num_examples: int,
) -> np.ndarray:
  """Computes the maximum of log p(y | F, α, β) over α and β for each target.

  Args:
    eigenvalues: float [K] of FFᵀ, those above 0.
    components: float [C, K], squares of each y's components along them.
    squares: float [C], ‖y‖² of each.
    num_examples: N.

  Returns:
    float [C].

  Raises:
    UndefinedError: a target is a linear function of fewer than N directions:
      its evidence grows without bound as the noise vanishes.
  """
  rest = squares - components.sum(axis=1)
  rest[rest < _IN_SPAN * squares] = 0
  rank = len(eigenvalues)
  if rank < num_examples and (rest == 0).any():
    raise UndefinedError(
      'a class is an exact linear function of the features: the evidence has '
      'no maximum'
    )
  if not rank:
    return _null_evidence(squares, num_examples)

  def evidence(log_t: np.ndarray) -> np.ndarray:
    """Computes L [C] at log t [C], one for each target."""
    shrunk = 1 + np.exp(-log_t)[:, None] * eigenvalues
    q = (components / shrunk).sum(axis=1) + rest
    return _null_evidence(q, num_examples) - np.log(shrunk).sum(axis=1) / 2

  reach = _DECADES_BEYOND * np.log(10)
  low = np.log(eigenvalues.min()) - reach
  high = np.log(eigenvalues.max()) + reach
  grid = np.linspace(low, high, int((high - low) * _STEPS_PER_UNIT) + 2)
  shrunk = 1 + np.exp(-grid)[:, None] * eigenvalues
  q = components @ (1 / shrunk).T + rest[:, None]
  on_grid = _null_evidence(q, num_examples) - np.log(shrunk).sum(axis=1) / 2
  best, step = grid[on_grid.argmax(axis=1)], grid[1] - grid[0]
  return np.maximum(
    on_grid.max(axis=1), _golden_section(evidence, best - step, best + step)
  )


def _null_evidence(squares: np.ndarray, num_examples: int) -> np.ndarray:
  """Computes the evidence at the best β where t is infinite: no weights."""
  variance = squares / num_examples
  return -num_examples / 2 * (np.log(2 * np.pi) + 1 + np.log(variance))


def _golden_section(
  function: Callable[[np.ndarray], np.ndarray],
  low: np.ndarray,
  high: np.ndarray,
) -> np.ndarray:
  """Maximizes a function of each entry between low and high.

  Args:
    function: maps [C] to [C], entry by entry.
    low: float [C].
    high: float [C].

  Returns:
    float [C], the function's values at the maxima.
  """
  left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
  at_left, at_right = function(left), function(right)
  for _ in range(_GOLDEN_STEPS):
    up = at_left < at_right
    low, high = np.where(up, left, low), np.where(up, high, right)
    left_new = high - _GOLDEN * (high - low)
    right_new = low + _GOLDEN * (high - low)
    # One of the two points is kept, with its value.
    tried = function(np.where(up, right_new, left_new))
    at_left, at_right = (
      np.where(up, at_right, tried),
      np.where(up, tried, at_left),
    )
    left, right = left_new, right_new
  return np.maximum(at_left, at_right)
