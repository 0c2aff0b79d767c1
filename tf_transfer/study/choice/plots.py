"""Lays out the axes of plots that the page draws as SVG."""

import dataclasses
import math
from collections.abc import Sequence

# Multiples of powers of ten at which an axis may have ticks, the densest first.
_MULTIPLES = ((1, 2, 5), (1, 3), (1,))
_MAX_TICKS = 6


@dataclasses.dataclass(frozen=True)
class Tick:
  """A tick of an axis: where it is in the picture, and what it says."""

  position: float
  text: str


@dataclasses.dataclass(frozen=True)
class Axis:
  """An axis of a plot.

  Attributes:
    low: the value at its start.
    high: the value at its end.
    start: where in the picture it starts, in pixels.
    end: where it ends.
    logarithmic: whether equal lengths are equal factors.
  """

  low: float
  high: float
  start: float
  end: float
  logarithmic: bool = False

  def position(self, value: float) -> float:
    """Returns where a value is, in pixels to a tenth."""
    low, high = self.low, self.high
    if self.logarithmic:
      low, high, value = math.log(low), math.log(high), math.log(value)
    share = (value - low) / (high - low)
    return round(float(self.start + share * (self.end - self.start)), 1)

  def ticks(self) -> tuple[Tick, ...]:
    """Returns up to six ticks."""
    values = _log_ticks(self) if self.logarithmic else _linear_ticks(self)
    return tuple(Tick(self.position(v), short(v)) for v in values)


def log_axis(values: Sequence[float], start: float, end: float) -> Axis:
  """Makes a logarithmic axis of values above 0, with a margin at both ends."""
  low, high = min(values), max(values)
  margin = max((high / low) ** 0.09, 1.3)
  return Axis(low / margin, high * margin, start, end, logarithmic=True)


def share_axis(values: Sequence[float], start: float, end: float) -> Axis:
  """Makes an axis, in percent, of shares from 0 to 1."""
  low, high = 100 * min(values), 100 * max(values)
  margin = max(0.06 * (high - low), 0.3)
  return Axis(max(low - margin, -1), min(high + margin, 101), start, end)


def _log_ticks(axis: Axis) -> list[float]:
  """Returns the values with a tick on a logarithmic axis."""
  decades = range(
    math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1
  )
  ticks = []
  for multiples in _MULTIPLES:
    ticks = [
      multiple * 10.0**decade
      for decade in decades
      for multiple in multiples
      if axis.low <= multiple * 10.0**decade <= axis.high
    ]
    if len(ticks) < 2:
      # The axis is so short that it is nearly linear.
      return _linear_ticks(axis)
    if len(ticks) <= _MAX_TICKS:
      return ticks
  return ticks[:: math.ceil(len(ticks) / _MAX_TICKS)]


def _linear_ticks(axis: Axis) -> list[float]:
  """Returns the values with a tick on a linear axis."""
  rough = (axis.high - axis.low) / (_MAX_TICKS - 1)
  unit = 10.0 ** math.floor(math.log10(rough))
  step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= rough)
  # Quotients of round numbers are rounded, too.
  first = math.ceil(axis.low / step - 1e-9)
  last = math.floor(axis.high / step + 1e-9)
  return [round(n * step, 10) for n in range(first, last + 1)]


def short(value: float) -> str:
  """Writes a number in few letters: 0.5, 20, 3,000, 20k, 5M."""
  for limit, unit in ((1e9, 'G'), (1e6, 'M'), (1e4, 'k')):
    if value >= limit:
      return f'{value / (1000 if unit == "k" else limit):.3g}{unit}'
  return f'{value:,.0f}' if value >= 1000 else f'{value:.3g}'


def path(xs: Sequence[float], ys: Sequence[float]) -> str:
  """Returns the commands of an SVG path through points."""
  return 'M' + 'L'.join(f'{x} {y}' for x, y in zip(xs, ys, strict=True))
