"""Simulates how often the interval of the ECE covers the true one.

    .venv/bin/python -m benchmarks.ece_coverage

prints the table of docs/study.md. The true ECE is that of 200,000 images whose
true probabilities are known. A model states the softmax of its logits over a
temperature: 1 is calibrated, less is over-confident.
"""

import dataclasses

import numpy as np

from tf_transfer.study.analysis import calibration

_NUM_CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Coverage:
  """Holds what a simulation shows.

  Attributes:
    true: the true ECE.
    mean: of the estimates.
    covered: the share of the intervals that hold the true ECE.
    length: the mean length of the intervals.
  """

  true: float
  mean: float
  covered: float
  length: float


def simulate(
  num_images: int, temperature: float, num_studies: int, *, scale: float = 2.0
) -> Coverage:
  """Simulates studies of a model.

  Args:
    num_images: of test.
    temperature: over which the true logits are what the model states.
    num_studies: how many.
    scale: the standard deviation of the true logits.
  """
  rng = np.random.default_rng(0)

  def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
    logits = rng.normal(scale=scale, size=(n, _NUM_CLASSES))
    return logits, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)

  true = _true_ece(draw(200_000)[0], temperature)
  estimates = []
  for _ in range(num_studies):
    logits, labels = draw(num_images)
    stated, predicted = logits / temperature, logits.argmax(axis=1)
    result = calibration.calibrate(labels, predicted, stated, labels, stated)
    estimates.append(result.before.ece)
  return Coverage(
    true,
    float(np.mean([one.value for one in estimates])),
    float(np.mean([one.low <= true <= one.high for one in estimates])),
    float(np.mean([one.high - one.low for one in estimates])),
  )


def _true_ece(logits: np.ndarray, temperature: float) -> float:
  """Returns the ECE of known probabilities."""
  accuracy = calibration.softmax(logits).max(axis=1)
  confidence = calibration.softmax(logits, temperature).max(axis=1)
  bins = np.ceil(confidence * calibration.NUM_BINS).astype(int)
  gaps = np.bincount(bins, confidence - accuracy)
  return float(np.abs(gaps).sum() / len(logits))


def main() -> None:
  """Prints the table."""
  print('| test images | temperature | true ECE | mean | covered | length |')
  print('|---|---|---|---|---|---|')
  for num_images in (367, 2000):
    for temperature in (1.0, 0.9, 0.8, 0.6, 1.5):
      one = simulate(num_images, temperature, 1000)
      print(
        f'| {num_images:,} | {temperature:g} | {100 * one.true:.1f} % | '
        f'{100 * one.mean:.1f} % | {100 * one.covered:.1f} % | '
        f'{100 * one.length:.1f} points |',
        flush=True,
      )


if __name__ == '__main__':
  main()
