"""Lists the estimators."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tf_transfer.transfer.estimators import (
  h_score,
  linear_probe,
  logme,
  neighbors,
  source_head,
)
from tf_transfer.transfer.estimators.examples import (
  Estimate,
  Examples,
  UndefinedError,
)


@dataclasses.dataclass(frozen=True)
class Estimator:
  """A way to estimate how well a network transfers.

  Attributes:
    name: as configs and records name it.
    title: for people.
    source: the paper, and where in it.
    needs_head: whether it works on the probabilities of the network's own
      head, not on features.
    function: computes the estimate, larger is better. Raises `UndefinedError`.
  """

  name: str
  title: str
  source: str
  needs_head: bool
  function: Callable[[Examples], float]


ESTIMATORS: Mapping[str, Estimator] = {
  row.name: row
  for row in (
    Estimator(
      'logme',
      'LogME',
      'You et al., 2021 (arXiv 2102.11005), section 4',
      needs_head=False,
      function=logme.logme,
    ),
    Estimator(
      'h_score',
      'H-score',
      'Bao et al., 2019 (ICIP), definition 2',
      needs_head=False,
      function=h_score.h_score,
    ),
    Estimator(
      'h_score_shrunk',
      'H-score, shrunk',
      'Ibrahim et al., 2021 (arXiv 2110.06893), section 4',
      needs_head=False,
      function=h_score.h_score_shrunk,
    ),
    Estimator(
      'leep',
      'LEEP',
      'Nguyen et al., 2020 (arXiv 2002.12462), equations 1 and 2',
      needs_head=True,
      function=source_head.leep,
    ),
    Estimator(
      'nce',
      'NCE',
      'Tran et al., 2019 (arXiv 1908.08142), section 4',
      needs_head=True,
      function=source_head.nce,
    ),
    Estimator(
      'knn_loo',
      '5 nearest neighbors, leave one out',
      '5 neighbors by cosine',
      needs_head=False,
      function=neighbors.knn_loo,
    ),
    Estimator(
      'linear_probe',
      'Linear probe on a tenth',
      'logistic regression on a tenth of each class',
      needs_head=False,
      function=linear_probe.linear_probe,
    ),
  )
}


def estimate_all(
  examples: Examples, names: Sequence[str] = tuple(ESTIMATORS)
) -> dict[str, Estimate]:
  """Computes estimates.

  Args:
    examples: labeled images; none of them from test.
    names: of the estimators, in `ESTIMATORS`.

  Returns:
    By name; NaN with a reason where an estimator has no value.
  """
  return {name: estimate(ESTIMATORS[name], examples) for name in names}


def estimate(estimator: Estimator, examples: Examples) -> Estimate:
  """Computes one estimate, with the time that it takes."""
  start = time.perf_counter()
  value, reason = np.nan, ''
  try:
    examples.check()
    value = float(estimator.function(examples))
  except UndefinedError as error:
    reason = str(error)
  if not reason and not np.isfinite(value):
    value, reason = np.nan, f'the value is {value}'
  return Estimate(value, time.perf_counter() - start, reason)
