"""Places the labels of points so that none lies on another or on a point."""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

# Widths of letters in a wide font, as shares of its size.
_NARROW, _WIDE = "fijltrI.,:;'|!()[] -", 'mwMWQGO@%…—'
_SIZE = 12.0  # of the font, in pixels
_HEIGHT = 13.0
_GAP = 3.0  # pixels between a point and its label
_STEP = 4.0  # pixels along a line that labels avoid
_DISTANCES = (0, 8, 18, 30, 44, 62, 84, 110)
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


def width(text: str, size: float = _SIZE) -> float:
  """Estimates the width of a text in pixels, rather too wide than too narrow.

  Args:
    text: of one line.
    size: of the font, in pixels.
  """
  return size * sum(map(_letter_width, text))


def _letter_width(letter: str) -> float:
  """Returns the width of a letter as a share of the size of its font."""
  if letter in _NARROW:
    return 0.4
  # From here on, letters are those of East Asia, and symbols.
  if letter in _WIDE or ord(letter) >= 0x2E80:
    return 1.0
  return 0.7 if letter.isupper() else 0.62


def place(
  points: Sequence[tuple[float, float]],
  radii: Sequence[float],
  texts: Sequence[str | None],
  frame: Box,
  line: Sequence[tuple[float, float]] = (),
) -> list[Label]:
  """Places labels, those of the first points first.

  A label that has no free place is left out, but for the first one, which then
  covers as few points as it can.

  Args:
    points: in pixels, the most important first.
    radii: of the points.
    texts: of their labels; None: no label.
    frame: that all labels lie in.
    line: the corners of a line that labels avoid where they can.
  """
  beside_line = [(x, y, x, y) for x, y in _along(line)]
  taken: list[Box] = [
    (x - r, y - r, x + r, y + r)
    for (x, y), r in zip(points, radii, strict=True)
  ]
  labels = []
  for point, radius, text in zip(points, radii, texts, strict=True):
    if text is None:
      continue
    text = shorten(text)
    inside = [
      (box, extra)
      for box, extra in _places(point, radius + _GAP, width(text))
      if _inside(box, frame)
    ]
    covered = [sum(_overlap(box, t) for t in taken) for box, _ in inside]
    fewest = min(covered, default=1)
    # The most important label is written in any case.
    if fewest and (labels or not inside):
      continue
    free = [p for p, n in zip(inside, covered, strict=True) if n == fewest]
    box, extra = min(
      free, key=lambda place: any(_overlap(place[0], b) for b in beside_line)
    )
    taken.append(box)
    leader = _line(point, box) if extra > _DISTANCES[1] else None
    labels.append(Label(text, round(box[0], 1), round(box[3] - 3, 1), leader))
  return labels


def _along(
  line: Sequence[tuple[float, float]],
) -> Iterator[tuple[float, float]]:
  """Returns points along a line, a few pixels apart."""
  for (x1, y1), (x2, y2) in itertools.pairwise(line):
    steps = math.ceil(math.hypot(x2 - x1, y2 - y1) / _STEP)
    for k in range(1, steps):
      yield x1 + (x2 - x1) * k / steps, y1 + (y2 - y1) * k / steps


def _places(
  point: tuple[float, float], nearest: float, length: float
) -> list[tuple[Box, float]]:
  """Returns the boxes that a label may have, and how far they are moved off.

  Args:
    point: in pixels.
    nearest: how far from it a label is at least.
    length: of the label.
  """
  places = []
  for extra in _DISTANCES:
    distance = nearest + extra
    for angle in _ANGLES:
      dx, dy = math.cos(math.radians(angle)), math.sin(math.radians(angle))
      # The side or corner of the box that is nearest to the point.
      x = point[0] + distance * dx - length * (1 - dx) / 2
      y = point[1] + distance * dy - _HEIGHT * (1 - dy) / 2
      places.append(((x, y, x + length, y + _HEIGHT), extra))
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
