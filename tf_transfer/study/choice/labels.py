"""Places the labels of points so that none lies on another or on a point."""

import dataclasses
import math
from collections.abc import Sequence

_LETTER = 6.4  # pixels, on average at a size of 12
_HEIGHT = 13.0
_RADIUS = 5.0  # of a point that no label may lie on
_DISTANCES = (8, 16, 26, 38, 52)
_ANGLES = (0, 180, 270, 90, 325, 35, 215, 145, 300, 60, 240, 120)
MAX_LETTERS = 24

# Left, top, right, bottom in pixels.
Box = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Label:
  """A label: its text, the middle of its left end, and a line to its point.

  Attributes:
    text: of the label.
    x: its left end.
    y: its baseline.
    line: from the point to the label where it is not beside it, else None.
  """

  text: str
  x: float
  y: float
  line: Box | None


def shorten(text: str, limit: int = MAX_LETTERS) -> str:
  """Shortens a text to a number of letters; both its ends are kept."""
  if len(text) <= limit:
    return text
  tail = limit // 3
  return f'{text[: limit - tail - 1]}…{text[-tail:]}'


def place(
  points: Sequence[tuple[float, float]],
  texts: Sequence[str | None],
  frame: Box,
) -> list[Label]:
  """Places labels, those of the first points first.

  A label that has no free place is left out.

  Args:
    points: in pixels, the most important first.
    texts: of their labels; None: no label.
    frame: that all labels lie in.
  """
  taken: list[Box] = [
    (x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS) for x, y in points
  ]
  labels = []
  for point, text in zip(points, texts, strict=True):
    if text is None:
      continue
    text = shorten(text)
    for box, distance in _places(point, len(text) * _LETTER):
      if _inside(box, frame) and not any(_overlap(box, t) for t in taken):
        taken.append(box)
        line = _line(point, box) if distance > _DISTANCES[1] else None
        labels.append(Label(text, round(box[0], 1), round(box[3] - 3, 1), line))
        break
  return labels


def _places(
  point: tuple[float, float], width: float
) -> list[tuple[Box, float]]:
  """Returns the boxes that a label may have, with their distances."""
  places = []
  for distance in _DISTANCES:
    for angle in _ANGLES:
      dx, dy = math.cos(math.radians(angle)), math.sin(math.radians(angle))
      # The side or corner of the box that is nearest to the point.
      x = point[0] + distance * dx - width * (1 - dx) / 2
      y = point[1] + distance * dy - _HEIGHT * (1 - dy) / 2
      places.append(((x, y, x + width, y + _HEIGHT), distance))
  return places


def _line(point: tuple[float, float], box: Box) -> Box:
  """Returns the line from a point to the nearest place of a box."""
  x = min(max(point[0], box[0]), box[2])
  y = min(max(point[1], box[1]), box[3])
  return (*point, round(x, 1), round(y, 1))


def _inside(box: Box, frame: Box) -> bool:
  """Tells whether a box lies in a frame."""
  return (
    box[0] >= frame[0]
    and box[1] >= frame[1]
    and box[2] <= frame[2]
    and box[3] <= frame[3]
  )


def _overlap(a: Box, b: Box) -> bool:
  """Tells whether two boxes overlap."""
  return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
