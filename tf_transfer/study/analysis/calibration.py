"""Measures how far the probabilities of a classifier can be relied on.

Three measures on the test images: the negative log-likelihood (NLL), the Brier
score and the expected calibration error (ECE); before and after the logits are
divided by a temperature that is fitted on val (Guo et al. 2017, On calibration
of modern neural networks).

Conventions:
- NLL: the mean of -log p of the true class, natural logarithm (nats).
- Brier score: the mean over images of the squared error of the probabilities,
  summed over the classes, as Brier (1950) defined it: from 0 to 2.
- ECE: 15 bins of equal width of the probability of the predicted class, each
  without its lower end and with its upper one; the mean over images of how far
  accuracy and mean confidence of their bin are apart.
"""

import dataclasses
import functools

import numpy as np

from tf_transfer.networks.predict import softmax
from tf_transfer.transfer import metrics
from tf_transfer.transfer.temperature import fit as fit_temperature

NUM_BINS = 15
_NUM_RESAMPLES = 1000
_COUNTS_AT_ONCE = 2**22  # of images in resamples, for the memory
_BLOCK_ROWS = 4096  # of softmax at a time, for the memory


@dataclasses.dataclass(frozen=True)
class Estimate:
  """Holds a measure with its 95 % interval from `low` to `high`."""

  value: float
  low: float
  high: float


@dataclasses.dataclass(frozen=True)
class Bin:
  """Holds one bin of a reliability diagram that has images.

  Attributes:
    low: the lower end of its confidences, which is not in it.
    high: the upper end, which is.
    confidence: the mean confidence of its images.
    accuracy: on its images, with Wilson's 95 % interval and their number.
  """

  low: float
  high: float
  confidence: float
  accuracy: metrics.Measurement


@dataclasses.dataclass(frozen=True)
class Quality:
  """Holds the measures of some probabilities on the test images.

  Attributes:
    nll: the mean negative log-likelihood, in nats.
    brier: the Brier score, from 0 to 2.
    ece: the expected calibration error, from 0 to 1.
    bins: of the reliability diagram, those that have images.
  """

  nll: Estimate
  brier: Estimate
  ece: Estimate
  bins: tuple[Bin, ...]


@dataclasses.dataclass(frozen=True)
class Calibration:
  """Holds the calibration of a cell.

  Attributes:
    top1: the share of test images whose class of the largest score is right.
    temperature: by which logits are divided, fitted on val.
    at_bound: whether the best temperature is not between the bounds, as where
      val is separable: the smaller it is, the better.
    before: of the softmax of the logits.
    after: of the softmax of the logits divided by the temperature.
  """

  top1: float
  temperature: float
  at_bound: bool
  before: Quality
  after: Quality


def calibrate(
  labels: np.ndarray,
  predicted: np.ndarray,
  scores: np.ndarray,
  val_labels: np.ndarray,
  val_scores: np.ndarray,
) -> Calibration:
  """Measures calibration on test, before and after temperature scaling.

  The intervals are bootstrapped over the test images; the temperature stays as
  it is in them.

  Args:
    labels: int [N], of the test images.
    predicted: int [N], where the scores are largest. Rounded scores may have
      several such classes.
    scores: float [N, C], log-probabilities up to a constant of each row.
    val_labels: int [V].
    val_scores: float [V, C], likewise; here the temperature is fitted.
  """
  temperature, at_bound = fit_temperature(val_labels, val_scores)
  before, after = (
    _Losses.of_scores(labels, predicted, scores, t) for t in (1.0, temperature)
  )
  resamples = _resampled_means(np.hstack([before.columns, after.columns]))
  of_before, of_after = np.hsplit(resamples, 2)
  return Calibration(
    top1=float(np.mean(labels == predicted)),
    temperature=temperature,
    at_bound=at_bound,
    before=before.measure(of_before),
    after=after.measure(of_after),
  )


def nll(
  labels: np.ndarray, scores: np.ndarray, temperature: float = 1.0
) -> np.ndarray:
  """Returns -log p of the true class, float64 [N].

  Args:
    labels: int [N].
    scores: float [N, C], log-probabilities up to a constant of each row.
    temperature: by which they are divided.
  """
  scores = np.asarray(scores, np.float64)
  below = (scores - scores.max(axis=1, keepdims=True)) / temperature
  of_label = below[np.arange(len(below)), labels]
  return np.log(np.exp(below).sum(axis=1)) - of_label


@dataclasses.dataclass(frozen=True)
class _Losses:
  """Holds what the probabilities of each test image cost.

  Attributes:
    labels: int [N].
    predicted: int [N].
    confidence: float64 [N], the probability of the predicted class.
    bin_of: int [N], the bin of each.
    columns: float64 [N, 2 + bins], the means of which give all measures: NLL,
      Brier score, and confidence minus whether it is right in the image's bin.
  """

  labels: np.ndarray
  predicted: np.ndarray
  confidence: np.ndarray
  bin_of: np.ndarray
  columns: np.ndarray

  @classmethod
  def of_scores(
    cls,
    labels: np.ndarray,
    predicted: np.ndarray,
    scores: np.ndarray,
    temperature: float,
  ) -> '_Losses':
    """Computes the losses of scores [N, C] over a temperature."""
    columns = np.zeros((len(labels), 2 + NUM_BINS))
    confidence = np.empty(len(labels))
    for start in range(0, len(labels), _BLOCK_ROWS):
      block = slice(start, start + _BLOCK_ROWS)
      p = softmax(scores[block], temperature)
      columns[block, 0] = nll(labels[block], scores[block], temperature)
      columns[block, 1] = _squared_error(labels[block], p)
      confidence[block] = p.max(axis=1)
    bin_of = np.ceil(confidence * NUM_BINS).astype(int) - 1
    bin_of = np.clip(bin_of, 0, NUM_BINS - 1)
    rows = np.arange(len(labels))
    columns[rows, 2 + bin_of] = confidence - (labels == predicted)
    return cls(labels, predicted, confidence, bin_of, columns)

  def measure(self, resamples: np.ndarray) -> Quality:
    """Measures all test images.

    Args:
      resamples: [B, 2 + bins], the means of the columns in resamples.
    """
    means = self.columns.mean(axis=0)
    quantiles = np.quantile(resamples[:, :2], (0.025, 0.975), axis=0)
    nll_estimate, brier = (
      Estimate(float(means[i]), *map(float, quantiles[:, i])) for i in (0, 1)
    )
    return Quality(
      nll_estimate,
      brier,
      _ece(means[2:], resamples[:, 2:]),
      tuple(self._bin(b) for b in np.unique(self.bin_of)),
    )

  def _bin(self, position: int) -> Bin:
    """Returns one bin of the reliability diagram."""
    inside = self.bin_of == position
    return Bin(
      float(position / NUM_BINS),
      float((position + 1) / NUM_BINS),
      float(self.confidence[inside].mean()),
      metrics.measure('top1', self.labels[inside], self.predicted[inside]),
    )


def _squared_error(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
  """Returns the sum over classes of the squared error, [N]."""
  errors = probabilities.copy()
  errors[np.arange(len(errors)), labels] -= 1
  return np.einsum('nc,nc->n', errors, errors)


def _ece(gaps: np.ndarray, resampled: np.ndarray) -> Estimate:
  """Returns the ECE with its interval.

  Noise moves the ECE up, and resamples have it twice. So percentiles of the
  resamples would cover a small ECE hardly ever. The interval is as long to
  below as to above. It begins at 0 where resampling alone makes the gaps differ
  by as much as the ECE: then the images are no evidence of miscalibration.

  Args:
    gaps: [bins], how much larger confidence is than accuracy, times the share
      of the images that the bin has.
    resampled: [B, bins], likewise, of resamples.
  """
  value = float(np.abs(gaps).sum())
  noise = np.quantile(np.abs(resampled - gaps).sum(axis=1), 0.975)
  half = float(np.quantile(np.abs(resampled).sum(axis=1), 0.975)) - value
  half = max(half, 0.0)
  low = 0.0 if value <= noise else max(value - half, 0.0)
  return Estimate(value, low, min(value + half, 1.0))


def _resampled_means(columns: np.ndarray) -> np.ndarray:
  """Returns the means of columns [N, K] in resamples of the rows, [B, K]."""
  counts = _resample_counts(len(columns))
  step = max(1, _COUNTS_AT_ONCE // len(columns))
  columns = columns.astype(np.float32)
  sums = [
    counts[start : start + step].astype(np.float32) @ columns
    for start in range(0, _NUM_RESAMPLES, step)
  ]
  return np.concatenate(sums) / len(columns)


# Cells of one dataset that follow each other share them.
@functools.lru_cache(maxsize=1)
def _resample_counts(n: int) -> np.ndarray:
  """Returns how often each of n images is in each resample, uint8 [B, n].

  They are the same every time.
  """
  generator = np.random.default_rng(0)
  counts = np.empty((_NUM_RESAMPLES, n), np.uint8)
  for row in counts:
    drawn = generator.integers(n, size=n, dtype=np.int32)
    row[:] = np.bincount(drawn, minlength=n)
  return counts
