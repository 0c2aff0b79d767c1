"""Computes statistics of accuracies, in log-odds: section 6 of the protocol.

Letters in shapes: M networks, D datasets, N test examples, C classes.
"""

import numpy as np
import scipy.special
import scipy.stats

from tf_transfer.errors import InputError

RESAMPLES = 10_000
# Of the validation split, on which ImageNet top-1 is measured.
IMAGENET_IMAGES = 50_000
# The population SD of fewer values is too small by 9 % or more.
_FEWEST_FOR_POPULATION_SD = 6


def clip_to_half_example(
  accuracy: np.ndarray | float, examples: np.ndarray | float
) -> np.ndarray:
  """Applies the continuity correction: 0 and 1 have no finite log-odds.

  Accuracies below 1 / 2n, half an example, are set to that, and those above
  1 − 1 / 2n likewise. Others stay as they are.

  Args:
    accuracy: in 0 to 1.
    examples: n, which broadcasts to it.
  """
  half = 0.5 / np.asarray(examples, float)
  return np.clip(accuracy, half, 1 - half)


def log_odds(
  accuracy: np.ndarray | float, examples: np.ndarray | float | None = None
) -> np.ndarray:
  """Returns log(p / (1 − p)), by the natural logarithm.

  Args:
    accuracy: in 0 to 1, of any metric; NaN stays NaN.
    examples: n, for the continuity correction (see `clip_to_half_example`);
      None: there is none.

  Raises:
    InputError: an accuracy is not in 0 to 1, or is an end without `examples`.
  """
  p = np.asarray(accuracy, float)
  if np.any((p < 0) | (p > 1)):
    raise InputError(
      f'accuracies are shares from 0 to 1; found {np.nanmin(p):g} to '
      f'{np.nanmax(p):g}: divide percentages by 100'
    )
  if examples is not None:
    p = clip_to_half_example(p, examples)
  elif np.any((p == 0) | (p == 1)):
    raise InputError(
      'an accuracy of 0 or 100 % has no log-odds: give the number of examples, '
      'and half an example is added or taken away'
    )
  return scipy.special.logit(p)


def averages(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns each network's mean log-odds over datasets, with Morey's error.

  Morey's (2008) error is within subjects: the mean over networks is first
  subtracted from each dataset, so that datasets' difficulty does not count; the
  standard error over datasets is multiplied by √(M / (M − 1)), which makes up
  for the subtraction. It is the population SD / √D, as in the paper's figures;
  of fewer than six datasets, the sample SD (by D − 1) / √D.

  Args:
    values: [M, D] log-odds.

  Returns:
    mean [M] and error [M]; the error is NaN for one network or one dataset.
  """
  num_networks, num_datasets = values.shape
  mean = values.mean(axis=1)
  if num_networks < 2 or num_datasets < 2:
    return mean, np.full(num_networks, np.nan)
  centered = values - values.mean(axis=0)
  ddof = int(uses_sample_sd(num_datasets))
  error = centered.std(axis=1, ddof=ddof) / np.sqrt(num_datasets)
  return mean, error * np.sqrt(num_networks / (num_networks - 1))


def uses_sample_sd(num_datasets: int) -> bool:
  """Returns whether Morey's error has the sample SD, as few datasets need."""
  return num_datasets < _FEWEST_FOR_POPULATION_SD


def steps_to_share(
  steps: np.ndarray, accuracy: np.ndarray, share: float = 0.9
) -> int:
  """Returns the fewest steps whose odds reach a share of the greatest odds.

  Args:
    steps: [S] step counts, ascending.
    accuracy: [S] in 0 to 1, exclusive of 1, after so many steps.
    share: of the greatest odds p / (1 − p) over all step counts.
  """
  odds = accuracy / (1 - accuracy)
  return int(steps[np.argmax(odds >= share * odds.max())])
