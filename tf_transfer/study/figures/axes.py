"""Axes, labels and files that all figures share."""

import pathlib
from collections.abc import Sequence

import matplotlib

matplotlib.use('Agg')

import numpy as np
import scipy.special
from matplotlib import patheffects, ticker
from matplotlib import pyplot as plt

from tf_transfer.runtime import files

# Of a label from its point, in points, and what each costs.
_DISTANCES = {6: 0, 10: 0.4, 16: 0.9, 24: 1.6, 34: 2.4, 46: 3.4}

_HALO = patheffects.withStroke(linewidth=1.8, foreground='white', alpha=0.8)
STYLE = {
  'font.size': 9,
  'axes.spines.top': False,
  'axes.spines.right': False,
  'axes.titlesize': 10,
  'legend.frameon': False,
  # Text stays text in PDF, so that it can be searched and set again.
  'pdf.fonttype': 42,
}
_PERCENT_TICKS = np.array(
  [
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9),
    *(0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.992, 0.994, 0.995),
    *(0.996, 0.997, 0.998, 0.999, 0.9995, 0.9999),
  ]
)


def logit_axis(
  axis, low: float, high: float, *, ticks: int = 9, margin: float = 0.12
) -> None:
  """A logit scale from low to high with percent ticks.

  Args:
    axis: matplotlib's x or y axis, whose scale is logit.
    low: the lowest accuracy shown, above 0.
    high: the highest, below 1.
    ticks: at most so many.
    margin: at both ends, as a share of the range in log-odds.
  """
  ends, places = percent_ticks(low, high, ticks=ticks, margin=margin)
  (axis.axes.set_xlim if axis.axis_name == 'x' else axis.axes.set_ylim)(*ends)
  digits = 0
  if len(places) > 1:
    digits = percent_digits(places)
  axis.set_major_locator(ticker.FixedLocator(places))
  axis.set_major_formatter(ticker.PercentFormatter(1, decimals=digits))
  axis.set_minor_locator(ticker.NullLocator())


def percent_ticks(
  low: float, high: float, *, ticks: int = 9, margin: float = 0.12
) -> tuple[np.ndarray, np.ndarray]:
  """The ends of a logit scale and where to write percentages on it.

  Args:
    low: the lowest accuracy shown, above 0.
    high: the highest, below 1.
    ticks: at most so many.
    margin: at both ends, as a share of the range in log-odds.

  Returns:
    The ends [2] and the ticks [K], as shares.
  """
  log_odds = scipy.special.logit([low, high])
  margin = margin * max(log_odds[1] - log_odds[0], 0.05)
  ends = scipy.special.expit([log_odds[0] - margin, log_odds[1] + margin])
  places = _PERCENT_TICKS[
    (ends[0] <= _PERCENT_TICKS) & (ends[1] >= _PERCENT_TICKS)
  ]
  places = _apart(places, ends, ticks)
  if len(places) < 3:
    places = _even(ends, ticks)
  return ends, places


def _apart(places: np.ndarray, ends: np.ndarray, count: int) -> np.ndarray:
  """Those of the ticks that lie far enough apart for `count` on an axis."""
  low, high = scipy.special.logit(ends)
  kept, last = [], -np.inf
  for place in places:
    at = (scipy.special.logit(place) - low) / (high - low)
    if at - last >= 1 / count:
      kept.append(place)
      last = at
  return np.array(kept)


def _even(ends: np.ndarray, count: int) -> np.ndarray:
  """As many evenly spaced round ticks as have room for `count` on an axis."""
  for bins in range(min(5, count), 0, -1):
    places = ticker.MaxNLocator(bins).tick_values(*ends)
    places = places[(places >= ends[0]) & (places <= ends[1])]
    if len(_apart(places, ends, count)) == len(places):
      break
  return places


def percent_digits(places: np.ndarray) -> int:
  """The decimals that tell percent ticks from each other."""
  percent = 100 * places
  for digits in range(4):
    if np.allclose(percent, np.round(percent, digits), atol=1e-9):
      return digits
  return 4


def place_labels(
  axis,
  x: Sequence[float],
  y: Sequence[float],
  texts: Sequence[str],
  *,
  obstacles: Sequence[np.ndarray] = (),
  fontsize: float = 7.5,
) -> None:
  """Writes a label beside each point where it covers nothing.

  Each label in turn takes the place, of those around its point, that costs
  least: covering labels, points or obstacles, leaving the axes, and distance;
  three rounds, so that early ones make room for late ones. The figure's layout
  has to be final. A label that ends up far away gets a thin line.

  Args:
    axis: the axes.
    x: of the points, in data coordinates.
    y: of the points.
    texts: a label each.
    obstacles: [K, 2] points in data coordinates, as of lines and error bars.
    fontsize: in points.
  """
  axis.autoscale(False)  # The thin lines must not move what is placed.
  renderer = axis.figure.canvas.get_renderer()
  to_pixels = axis.transData.transform
  pixels = axis.figure.dpi / 72
  centers = to_pixels(np.column_stack([x, y]))
  sizes = []
  for text in texts:
    # Its place only has to exist: a logit scale has no 0.
    probe = axis.text(x[0], y[0], text, fontsize=fontsize)
    box = probe.get_window_extent(renderer)
    # Letters are a little wider or narrower at another resolution.
    sizes.append((1.05 * box.width, 1.1 * box.height))
    probe.remove()
  avoid = np.concatenate(
    [np.empty((0, 2)), *(to_pixels(one) for one in obstacles)]
  )
  places = [_places(c, s, pixels) for c, s in zip(centers, sizes, strict=True)]
  frame = axis.get_window_extent(renderer).padded(-3 * pixels)
  chosen = [0] * len(texts)
  fixed = [
    _fixed_costs(boxes, i, centers, avoid, frame, pixels)
    for i, boxes in enumerate(places)
  ]
  for _ in range(3):
    for i, boxes in enumerate(places):
      others = np.array(
        [places[j][chosen[j]] for j in range(len(texts)) if j != i]
      ).reshape(-1, 4)
      chosen[i] = int(np.argmin(fixed[i] + 10 * _overlap(boxes, others)))
  for i, text in enumerate(texts):
    _write_label(axis, text, places[i][chosen[i]], centers[i], fontsize)


def _write_label(
  axis, text: str, box: np.ndarray, point: np.ndarray, fontsize: float
) -> None:
  """A label in its box, and a line to its point if that is not beside it."""
  to_data = axis.transData.inverted().transform
  nearest = np.clip(point, box[:2], box[2:])
  if np.hypot(*(nearest - point)) > 8 * axis.figure.dpi / 72:
    ends = to_data([point, nearest])
    axis.plot(*ends.T, color='0.55', linewidth=0.5, zorder=1)
  axis.text(
    *to_data((box[:2] + box[2:]) / 2),
    text,
    fontsize=fontsize,
    ha='center',
    va='center',
    zorder=5,
    path_effects=[_HALO],
  )


def _places(center: np.ndarray, size: tuple, pixels: float) -> np.ndarray:
  """Boxes [B, (left, bottom, right, top)] around a point, near ones first."""
  boxes = []
  width, height = size

  def reach(direction: np.ndarray) -> float:
    """From a box's middle to its edge."""
    with np.errstate(divide='ignore'):
      return np.min(0.5 * np.array(size) / np.abs(direction))

  for distance in _DISTANCES:
    for angle in np.linspace(0, 2 * np.pi, 16, endpoint=False):
      direction = np.array([np.cos(angle), np.sin(angle)])
      # The box's nearest point is at about the distance.
      middle = center + direction * (distance * pixels + reach(direction))
      boxes.append(
        [
          middle[0] - width / 2,
          middle[1] - height / 2,
          middle[0] + width / 2,
          middle[1] + height / 2,
        ]
      )
  return np.array(boxes)


def _overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
  """[B] areas, in heights squared, that boxes [B, 4] share with [K, 4]."""
  low = np.maximum(boxes[:, None, :2], others[None, :, :2])
  high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
  area = np.prod(np.maximum(high - low, 0), axis=2).sum(axis=1)
  return area / (boxes[0, 3] - boxes[0, 1]) ** 2


def _fixed_costs(
  boxes: np.ndarray,
  own: int,
  points: np.ndarray,
  avoid: np.ndarray,
  frame,
  pixels: float,
) -> np.ndarray:
  """[B] what each place of point `own` costs whatever other labels do."""
  half = 4 * pixels
  marks = np.concatenate([points - half, points + half], axis=1)
  cost = 10 * _overlap(boxes, marks)
  inside = np.all(
    (avoid[None] > boxes[:, None, :2] - 1)
    & (avoid[None] < boxes[:, None, 2:] + 1),
    axis=2,
  )
  cost += 0.8 * inside.sum(axis=1)
  # A line that passes another point would seem to be that one's.
  nearest = np.clip(points[own], boxes[:, :2], boxes[:, 2:])
  steps = np.linspace(0, 1, 12)[:, None, None]
  line = points[own] + steps * (nearest - points[own])
  others = np.delete(points, own, axis=0)
  distance = np.linalg.norm(line[:, :, None] - others, axis=3)
  # Two points in one place cannot be told apart by that.
  apart = np.linalg.norm(others - points[own], axis=1) > half
  cost += 5 * np.any((distance < half) & apart, axis=0).sum(axis=1)
  outside = np.maximum(
    [frame.x0, frame.y0] - boxes[:, :2], boxes[:, 2:] - [frame.x1, frame.y1]
  )
  cost += 100 * np.any(outside > 0, axis=1)
  return cost + np.repeat(
    list(_DISTANCES.values()), len(boxes) // len(_DISTANCES)
  )


def settle(figure) -> None:
  """Makes the layout final: labels depend on it, and it is made only once."""
  figure.draw_without_rendering()
  figure.set_layout_engine('none')


def save(figure, path: pathlib.Path) -> None:
  """Writes `path`.png and `path`.pdf, and closes the figure.

  Raises:
    InputError: a file could not be written.
  """
  try:
    for kind, options in (
      ('png', {'dpi': 150}),
      # No date: the same figure is the same file.
      ('pdf', {'metadata': {'CreationDate': None}}),
    ):
      # Not with_suffix, which would cut a name that has a dot.
      with files.atomic_write(path.with_name(f'{path.name}.{kind}')) as file:
        figure.savefig(file, format=kind, **options)
  finally:
    plt.close(figure)
