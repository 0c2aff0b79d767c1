"""Draws the learning curve with its interval, up to 4 times the images."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tf_transfer.study.choice import plots, types

WIDTH, HEIGHT = 400, 296
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 388, 22, 250


@dataclasses.dataclass(frozen=True)
class LearningFigure:
  """A learning curve as a picture.

  Attributes:
    x_ticks: numbers of training images.
    y_ticks: accuracies in percent.
    band: of the interval, an SVG path.
    line: of the fitted curve, an SVG path.
    points: x and y of the accuracy of each draw.
    now: x of all the training images that there are.
    rows: of the table: images, mean accuracy, number of draws.
    ahead: of the table: images, fitted accuracy, its interval.
  """

  x_ticks: Sequence[plots.Tick]
  y_ticks: Sequence[plots.Tick]
  band: str
  line: str
  points: Sequence[tuple[float, float]]
  now: float
  rows: Sequence[tuple[int, float, int]]
  ahead: Sequence[tuple[int, float, float, float]]


def build(curve: types.LearningCurve) -> LearningFigure:
  """Draws a learning curve.

  Args:
    curve: of a network, with one point or more. Of too few points for a fit,
      the points alone are drawn.
  """
  drawn = [
    (point.examples, accuracy)
    for point in curve.points
    for accuracy in point.accuracies
  ]
  fitted, low, high = (
    np.clip(values, 0, 1) for values in (curve.fitted, curve.low, curve.high)
  )
  x = plots.log_axis(
    [*(n for n, _ in drawn), *curve.examples.tolist()], _LEFT, _RIGHT
  )
  heights = [*(a for _, a in drawn), *low, *high]
  y = plots.share_axis(heights, _BOTTOM, _TOP)
  xs = [x.position(n) for n in curve.examples]
  ys, lows, highs = (
    [y.position(100 * float(v)) for v in values]
    for values in (fitted, low, high)
  )
  now = max(point.examples for point in curve.points)
  is_fitted = len(curve.examples) > 0
  return LearningFigure(
    x_ticks=x.ticks(),
    y_ticks=y.ticks(),
    band=plots.path([*xs, *xs[::-1]], [*highs, *lows[::-1]]) + 'Z'
    if is_fitted
    else '',
    line=plots.path(xs, ys) if is_fitted else '',
    points=[(x.position(n), y.position(100 * a)) for n, a in drawn],
    now=x.position(now),
    rows=[
      (p.examples, float(np.mean(p.accuracies)), len(p.accuracies))
      for p in curve.points
    ],
    ahead=[_ahead(curve, factor * now) for factor in (2, 4) if is_fitted],
  )


def _ahead(
  curve: types.LearningCurve, images: int
) -> tuple[int, float, float, float]:
  """Reads the fitted curve and its interval at a number of images."""
  at = np.log(curve.examples)
  fitted, low, high = (
    float(np.clip(np.interp(np.log(images), at, values), 0, 1))
    for values in (curve.fitted, curve.low, curve.high)
  )
  return images, fitted, low, high
