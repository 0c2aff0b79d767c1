"""Compares networks that were trained several times each.

What differs between two networks on the same test images may be due to the draw
of the images, or to the training runs. This test allows for both. Letters in
shapes: R runs, N test examples.
"""

import dataclasses

import numpy as np

from tf_transfer.errors import InputError
from tf_transfer.study.analysis import paired_tests, uncertainty


@dataclasses.dataclass(frozen=True)
class Difference:
  """The difference of two networks, over test images and runs.

  Attributes:
    value: the first's metric minus the second's, of the means over runs.
    sampling: its variance due to the draw of test images.
    runs: its variance due to training runs.
    degrees: degrees of freedom of `runs`.
    p: two-sided, that there is no difference.
  """

  value: float
  sampling: float
  runs: float
  degrees: int
  p: float


def compare(
  metric: str,
  labels: np.ndarray,
  first: np.ndarray,
  second: np.ndarray,
  *,
  variance_factor: float = 1.0,
) -> Difference:
  """Compares two networks, one of which at least has several runs.

  The variance of the images is the sum of squared differences of the examples'
  scores, each the mean over runs: that of the permutation test. It holds a part
  of the runs' variance, which is thus counted twice, so the test errs on the
  cautious side. The variance of the runs is that of the metric over them,
  pooled over the two networks: one that has a single run is assumed to vary as
  the other does.

  Args:
    metric: 'top1', 'mean_per_class' or 'map11'; of the last the shares of right
      labels are compared.
    labels: [N]; of map11 [N, C].
    first: bool [R, *labels.shape], where each run of the first was right.
    second: the same of the second network, on the same examples.
    variance_factor: by how much the folds of a cross-validation raise the
      variance of the images.

  Raises:
    InputError: both have one run, or they are not of the same examples.
  """
  if not first.shape[1:] == second.shape[1:] == labels.shape:
    raise InputError(
      'a paired test needs the same examples of both networks; found '
      f'{first.shape[1:]} and {second.shape[1:]} for labels {labels.shape}'
    )
  degrees = len(first) + len(second) - 2
  if not degrees:
    raise InputError('the variance over runs takes a network with two or more')
  scores = [
    np.array([paired_tests.example_scores(metric, labels, run) for run in runs])
    for runs in (first, second)
  ]
  values = [one.sum(axis=1) for one in scores]
  squares = sum(float(((one - one.mean()) ** 2).sum()) for one in values)
  runs = squares / degrees * (1 / len(first) + 1 / len(second))
  differences = scores[0].mean(axis=0) - scores[1].mean(axis=0)
  sampling = variance_factor * float(np.sum(differences**2))
  # Sums that differ by float noise alone are equal.
  scale = float(np.abs(differences).sum())
  value = float(differences.sum())
  value = 0.0 if abs(value) <= 1e-12 * scale else value
  p = uncertainty.combined_p(value, sampling, runs, degrees)
  return Difference(value, sampling, runs, degrees, p)
