"""Places the names of networks beside their points.

adjustText was tried on figures 1 and 2 instead: it let names of networks near
the right edge leave the panel, covered marks and error bars (it knows points,
not the marks' size), moved names of a cluster far away with lines that cross,
and took twice as long. Here each name chooses among fixed places around its
point, so that a place outside the panel is never taken while another is left.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from tf_transfer.study.figures import canvas

# Distance of a label from its point, in points -> what that costs.
_DISTANCE_COSTS: Mapping[int, float] = {
  6: 0,
  10: 0.4,
  16: 0.9,
  24: 1.6,
  34: 2.4,
  46: 3.4,
}
_NUM_DIRECTIONS = 16
_NUM_ROUNDS = 3
_FONT_SIZE = 7.5  # In points.
_HALF_MARK = 4  # Half the width of a point's mark, in points.
_MAX_GAP = 8  # In points; a label farther from its point gets a line to it.
_HALO = patheffects.withStroke(linewidth=1.8, foreground='white', alpha=0.8)


@dataclasses.dataclass(frozen=True)
class Labels:
  """Labels to place on a panel.

  Attributes:
    axis: the panel.
    x: [N] of the points, in data coordinates.
    y: [N].
    texts: N labels.
    obstacles: arrays [K, 2] of points in data coordinates, such as those along
      lines and error bars, that labels should not cover.
  """

  axis: Axes
  x: np.ndarray
  y: np.ndarray
  texts: Sequence[str]
  obstacles: Sequence[np.ndarray] = ()


def bar_obstacles(
  x: np.ndarray, low: np.ndarray, high: np.ndarray
) -> list[np.ndarray]:
  """Returns points along error bars, which labels should not cover."""
  return [
    np.column_stack([np.full(9, at), np.linspace(bottom, top, 9)])
    for at, bottom, top in zip(x, low, high, strict=True)
  ]


def place_all(figure: Figure, panels: Sequence[Labels]) -> None:
  """Fixes the layout of a figure and places the labels of its panels."""
  canvas.freeze_layout(figure)
  for labels in panels:
    place(labels)


def place(labels: Labels) -> None:
  """Writes each label beside its point, where it covers as little as it can.

  Each label in turn takes that place around its point which costs the least.
  Costs are for covering other labels, points or obstacles, for leaving the
  panel, and for distance. There are three rounds, so that early labels make
  room for late ones. The layout of the figure must be final.
  """
  axis = labels.axis
  axis.autoscale(False)  # The lines to far labels must not move the limits.
  pixels = axis.figure.dpi / 72
  to_pixels = axis.transData.transform
  points = to_pixels(np.column_stack([labels.x, labels.y]))
  obstacles = np.concatenate(
    [np.empty((0, 2)), *(to_pixels(one) for one in labels.obstacles)]
  )
  boxes = [
    _candidate_boxes(point, size, pixels)
    for point, size in zip(points, _text_sizes(labels), strict=True)
  ]
  renderer = axis.figure.canvas.get_renderer()
  frame = axis.get_window_extent(renderer).padded(-3 * pixels)
  fixed_costs = [
    _fixed_costs(candidates, i, points, obstacles, frame, pixels)
    for i, candidates in enumerate(boxes)
  ]
  choices = _choose(boxes, fixed_costs)
  for text, candidates, choice, point in zip(
    labels.texts, boxes, choices, points, strict=True
  ):
    _write(axis, text, candidates[choice], point)


def _text_sizes(labels: Labels) -> list[tuple[float, float]]:
  """Measures the width and height of each label, in pixels."""
  renderer = labels.axis.figure.canvas.get_renderer()
  sizes = []
  for text in labels.texts:
    # Any place will do that exists: a logit scale has no 0.
    probe = labels.axis.text(
      labels.x[0], labels.y[0], text, fontsize=_FONT_SIZE
    )
    box = probe.get_window_extent(renderer)
    # Letters are a little wider or narrower at another resolution.
    sizes.append((1.05 * box.width, 1.1 * box.height))
    probe.remove()
  return sizes


def _choose(
  boxes: Sequence[np.ndarray], fixed_costs: Sequence[np.ndarray]
) -> list[int]:
  """Chooses a box for each label.

  Args:
    boxes: of each label the candidates [B, 4].
    fixed_costs: of each label [B].

  Returns:
    The index of each label's box.
  """
  choices = [0] * len(boxes)
  for _ in range(_NUM_ROUNDS):
    for i, candidates in enumerate(boxes):
      others = np.array(
        [boxes[j][choices[j]] for j in range(len(boxes)) if j != i]
      ).reshape(-1, 4)
      costs = fixed_costs[i] + 10 * _overlap(candidates, others)
      choices[i] = int(np.argmin(costs))
  return choices


def _write(axis: Axes, text: str, box: np.ndarray, point: np.ndarray) -> None:
  """Writes a label into its box, with a line to its point if that is far."""
  to_data = axis.transData.inverted().transform
  nearest = np.clip(point, box[:2], box[2:])
  if np.hypot(*(nearest - point)) > _MAX_GAP * axis.figure.dpi / 72:
    ends = to_data([point, nearest])
    axis.plot(*ends.T, color='0.55', linewidth=0.5, zorder=1)
  axis.text(
    *to_data((box[:2] + box[2:]) / 2),
    text,
    fontsize=_FONT_SIZE,
    ha='center',
    va='center',
    zorder=5,
    path_effects=[_HALO],
  )


def _candidate_boxes(
  point: np.ndarray, size: tuple[float, float], pixels: float
) -> np.ndarray:
  """Returns boxes around a point, near ones first.

  Args:
    point: [2] in pixels.
    size: width and height of the label, in pixels.
    pixels: per point of 1/72 inch.

  Returns:
    [B, (left, bottom, right, top)] in pixels.
  """
  width, height = size

  def center_to_edge(direction: np.ndarray) -> float:
    with np.errstate(divide='ignore'):
      return np.min(0.5 * np.array(size) / np.abs(direction))

  boxes = []
  for distance in _DISTANCE_COSTS:
    for angle in np.linspace(0, 2 * np.pi, _NUM_DIRECTIONS, endpoint=False):
      direction = np.array([np.cos(angle), np.sin(angle)])
      # The box's nearest point is at about the distance.
      center = point + direction * (
        distance * pixels + center_to_edge(direction)
      )
      boxes.append(
        [
          center[0] - width / 2,
          center[1] - height / 2,
          center[0] + width / 2,
          center[1] + height / 2,
        ]
      )
  return np.array(boxes)


def _overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
  """Returns the areas [B] that boxes share with others, in heights squared.

  Args:
    boxes: [B, 4], all of one size.
    others: [K, 4].
  """
  low = np.maximum(boxes[:, None, :2], others[None, :, :2])
  high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
  area = np.prod(np.maximum(high - low, 0), axis=2).sum(axis=1)
  return area / (boxes[0, 3] - boxes[0, 1]) ** 2


def _fixed_costs(
  boxes: np.ndarray,
  index: int,
  points: np.ndarray,
  obstacles: np.ndarray,
  frame: Bbox,
  pixels: float,
) -> np.ndarray:
  """Returns what each box of a label costs, wherever other labels are.

  Args:
    boxes: [B, 4] candidates of the label.
    index: of its point.
    points: [N, 2] in pixels.
    obstacles: [K, 2] in pixels.
    frame: that labels should not leave.
    pixels: per point of 1/72 inch.

  Returns:
    [B].
  """
  half = _HALF_MARK * pixels
  marks = np.concatenate([points - half, points + half], axis=1)
  cost = 10 * _overlap(boxes, marks)
  covered = np.all(
    (obstacles[None] > boxes[:, None, :2] - 1)
    & (obstacles[None] < boxes[:, None, 2:] + 1),
    axis=2,
  )
  cost += 0.8 * covered.sum(axis=1)
  cost += 5 * _num_passed(boxes, index, points, half)
  outside = np.maximum(
    [frame.x0, frame.y0] - boxes[:, :2], boxes[:, 2:] - [frame.x1, frame.y1]
  )
  cost += 100 * np.any(outside > 0, axis=1)
  return cost + np.repeat(list(_DISTANCE_COSTS.values()), _NUM_DIRECTIONS)


def _num_passed(
  boxes: np.ndarray, index: int, points: np.ndarray, half: float
) -> np.ndarray:
  """Counts [B] the other points that the line from a point to its box passes.

  Such a label would seem to belong to another point.
  """
  point = points[index]
  nearest = np.clip(point, boxes[:, :2], boxes[:, 2:])
  steps = np.linspace(0, 1, 12)[:, None, None]
  line = point + steps * (nearest - point)
  others = np.delete(points, index, axis=0)
  distance = np.linalg.norm(line[:, :, None] - others, axis=3)
  # Two points in one place cannot be told apart by their labels.
  apart = np.linalg.norm(others - point, axis=1) > half
  return np.any((distance < half) & apart, axis=0).sum(axis=1)
