"""Sets logit axes with percent ticks."""

import numpy as np
import scipy.special
from matplotlib import ticker
from matplotlib.axis import Axis

_PERCENT_TICKS = np.array(
  [
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9),
    *(0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.992, 0.994, 0.995),
    *(0.996, 0.997, 0.998, 0.999, 0.9995, 0.9999),
  ]
)
_MIN_TICKS = 3  # Fewer of those above: evenly spaced ones are taken.


def logit_axis(
  axis: Axis,
  low: float,
  high: float,
  *,
  max_ticks: int = 9,
  margin: float = 0.12,
) -> None:
  """Sets the ends of a logit axis, with percent ticks.

  Args:
    axis: matplotlib's x or y axis, whose scale is logit.
    low: the lowest accuracy shown, above 0.
    high: the highest, below 1.
    max_ticks: at most so many.
    margin: at both ends, as a share of the range in log-odds.
  """
  ends, ticks = percent_ticks(low, high, max_ticks=max_ticks, margin=margin)
  (axis.axes.set_xlim if axis.axis_name == 'x' else axis.axes.set_ylim)(*ends)
  decimals = percent_decimals(ticks) if len(ticks) > 1 else 0
  axis.set_major_locator(ticker.FixedLocator(ticks))
  axis.set_major_formatter(ticker.PercentFormatter(1, decimals=decimals))
  axis.set_minor_locator(ticker.NullLocator())


def percent_ticks(
  low: float, high: float, *, max_ticks: int = 9, margin: float = 0.12
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the ends of a logit scale and its ticks at round percentages.

  Args:
    low: the lowest accuracy shown, above 0.
    high: the highest, below 1.
    max_ticks: at most so many.
    margin: at both ends, as a share of the range in log-odds.

  Returns:
    The ends [2] and the ticks [K], in 0 to 1.
  """
  log_odds = scipy.special.logit([low, high])
  margin = margin * max(log_odds[1] - log_odds[0], 0.05)
  ends = scipy.special.expit([log_odds[0] - margin, log_odds[1] + margin])
  ticks = _PERCENT_TICKS[
    (ends[0] <= _PERCENT_TICKS) & (ends[1] >= _PERCENT_TICKS)
  ]
  ticks = _thinned(ticks, ends, max_ticks)
  if len(ticks) < _MIN_TICKS:
    ticks = _even_ticks(ends, max_ticks)
  return ends, ticks


def _thinned(ticks: np.ndarray, ends: np.ndarray, max_ticks: int) -> np.ndarray:
  """Drops ticks that lie closer together than an axis has room for."""
  low, high = scipy.special.logit(ends)
  kept, last = [], -np.inf
  for tick in ticks:
    position = (scipy.special.logit(tick) - low) / (high - low)
    if position - last >= 1 / max_ticks:
      kept.append(tick)
      last = position
  return np.array(kept)


def _even_ticks(ends: np.ndarray, max_ticks: int) -> np.ndarray:
  """Returns as many evenly spaced round ticks as an axis has room for."""
  for bins in range(min(5, max_ticks), 0, -1):
    ticks = ticker.MaxNLocator(bins).tick_values(*ends)
    ticks = ticks[(ticks >= ends[0]) & (ticks <= ends[1])]
    if len(_thinned(ticks, ends, max_ticks)) == len(ticks):
      break
  return ticks


def percent_decimals(ticks: np.ndarray) -> int:
  """Returns the decimals, at most 4, that percent ticks need."""
  percent = 100 * ticks
  for decimals in range(4):
    if np.allclose(percent, np.round(percent, decimals), atol=1e-9):
      return decimals
  return 4
