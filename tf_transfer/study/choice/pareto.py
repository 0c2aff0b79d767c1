"""Draws accuracy against cost, with the networks that no other beats in both.

These networks are the Pareto front: each other network is no more accurate than
one of them that costs no more.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from tf_transfer.study.choice import labels, plots, types

WIDTH, HEIGHT = 380, 296
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 370, 22, 250
_ALL_NAMED = 12  # networks; of more, only the important ones are named


@dataclasses.dataclass(frozen=True)
class Point:
  """A network in the picture.

  Attributes:
    x: in pixels.
    y: of its accuracy.
    low: of the lower end of the interval.
    high: of the upper end.
    kind: 'recommended', 'tied' or 'other'.
    on_front: whether it is on the Pareto front.
    text: all of it in words.
  """

  x: float
  y: float
  low: float
  high: float
  kind: str
  on_front: bool
  text: str


@dataclasses.dataclass(frozen=True)
class Chart:
  """Accuracy against one cost.

  Attributes:
    title: of the horizontal axis.
    better: where on this axis networks are cheaper.
    x_ticks: of the horizontal axis.
    y_ticks: of the vertical axis, in percent.
    points: the networks.
    front: of the Pareto front, an SVG path; '' of a single network.
    labels: names of networks.
    front_names: of the networks on the front, the cheapest first.
  """

  title: str
  better: str
  x_ticks: Sequence[plots.Tick]
  y_ticks: Sequence[plots.Tick]
  points: Sequence[Point]
  front: str
  labels: Sequence[labels.Label]
  front_names: Sequence[str]


def front(cost: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
  """Finds the Pareto front.

  Args:
    cost: float [N], less is better.
    accuracy: float [N], more is better.

  Returns:
    bool [N], whether no other has both at least as good, and one better.
  """
  no_worse = (cost[None] <= cost[:, None]) & (
    accuracy[None] >= accuracy[:, None]
  )
  better = (cost[None] < cost[:, None]) | (accuracy[None] > accuracy[:, None])
  return ~(no_worse & better).any(axis=1)


def build(choice: types.Choice) -> list[Chart]:
  """Makes the charts of all costs that are known."""
  batches = [set(c.cost.images_per_second) for c in choice.candidates]
  shared = sorted(set.intersection(*batches)) if batches else []
  charts = [
    _chart(
      choice,
      lambda cost, size=size: cost.images_per_second[size],
      f'Images/s in batches of {size}, measured here',
      faster=True,
    )
    for size in shared[-1:]
  ]
  charts += [
    _chart(choice, lambda cost: cost.flops / 1e9, 'GFLOPs an image'),
    _chart(choice, lambda cost: cost.parameters / 1e6, 'Million parameters'),
  ]
  return [chart for chart in charts if chart is not None]


def _chart(
  choice: types.Choice,
  read: Callable[[types.Cost], float],
  title: str,
  *,
  faster: bool = False,
) -> Chart | None:
  """Makes the chart of a cost; None where no network has it.

  Args:
    choice: with the networks.
    read: returns the value on the horizontal axis.
    title: of this axis.
    faster: whether larger values are better.
  """
  known = [
    c
    for c in choice.candidates
    if math.isfinite(read(c.cost))
    and read(c.cost) > 0
    and math.isfinite(c.accuracy.value)
  ]
  if not known:
    return None
  # The most important first: their labels are placed first.
  known.sort(key=lambda c: _rank(choice, c))
  values = np.array([read(c.cost) for c in known], float)
  accuracy = np.array([c.accuracy.value for c in known])
  on_front = front(-values if faster else values, accuracy)
  x = plots.log_axis(values, _LEFT, _RIGHT)
  ends = [(c.accuracy.low, c.accuracy.high) for c in known]
  y = plots.share_axis(np.ravel(ends), _BOTTOM, _TOP)
  points = [
    _point(choice, c, value, title, (x, y), bool(is_on))
    for c, value, is_on in zip(known, values, on_front, strict=True)
  ]
  order = [i for i in np.argsort(values) if on_front[i]]
  cheapest = order[::-1] if faster else order
  line = [(points[i].x, points[i].y) for i in order]
  return Chart(
    title,
    'right' if faster else 'left',
    x.ticks(),
    y.ticks(),
    points,
    plots.path(*zip(*line, strict=True)) if len(line) > 1 else '',
    _labels(known, points, line),
    [known[i].title for i in cheapest],
  )


def _rank(choice: types.Choice, candidate: types.Candidate) -> int:
  """Returns how important it is to name a network, 0 the most."""
  verdict = choice.verdict
  ranked = [
    candidate.network == verdict.recommended,
    candidate.network == verdict.best,
    candidate.network in verdict.tied,
  ]
  return ranked.index(True) if any(ranked) else len(ranked)


def _point(
  choice: types.Choice,
  candidate: types.Candidate,
  value: float,
  title: str,
  axes: tuple[plots.Axis, plots.Axis],
  on_front: bool,
) -> Point:
  """Makes the point of a network."""
  x, y = axes
  accuracy = candidate.accuracy
  text = (
    f'{candidate.title}: {100 * accuracy.value:.1f} % '
    f'({100 * accuracy.low:.1f} to {100 * accuracy.high:.1f}); '
    f'{title}: {value:,.3g}'
  )
  kind = 'tied' if candidate.network in choice.verdict.tied else 'other'
  if candidate.network == choice.verdict.recommended:
    kind = 'recommended'
  return Point(
    x.position(value),
    *(
      y.position(100 * v) for v in (accuracy.value, accuracy.low, accuracy.high)
    ),
    kind,
    on_front,
    text,
  )


def _labels(
  known: Sequence[types.Candidate],
  points: Sequence[Point],
  line: Sequence[tuple[float, float]],
) -> list[labels.Label]:
  """Names the networks: all, or of many those on the front and tied.

  Args:
    known: the networks.
    points: of them.
    line: the points of the front.
  """
  named = [
    len(known) <= _ALL_NAMED or p.on_front or p.kind != 'other' for p in points
  ]
  return labels.place(
    [(p.x, p.y) for p in points],
    [9.0 if p.kind == 'recommended' else 5.0 for p in points],
    [
      c.title if is_named else None
      for c, is_named in zip(known, named, strict=True)
    ],
    (_LEFT + 1, _TOP, _RIGHT + 8, _BOTTOM - 1),
    line,
  )
