"""Shows progress bars with speed and remaining time."""

import sys
from collections.abc import Iterable
from typing import TypeVar

import tqdm

T = TypeVar('T')

# Seconds between two updates of a bar.
_TERMINAL_INTERVAL = 0.1
_LOG_FILE_INTERVAL = 10


class _Bar(tqdm.tqdm):
  """A bar that ends its line if it was shown by `print_line`, too."""

  _is_shown = False

  def display(self, *args: object, **kwargs: object) -> bool | None:
    """Shows the bar."""
    self._is_shown = True
    return super().display(*args, **kwargs)

  def close(self) -> None:
    """Ends the bar and its line."""
    if self._is_shown and not self.disable:
      # A bar that was not shown by itself would leave its line open.
      self.last_print_t = max(self.last_print_t, self.start_t + self.delay)
    super().close()


def print_line(text: str) -> None:
  """Prints a line on stderr, above the progress bars."""
  tqdm.tqdm.write(text, file=sys.stderr)
  sys.stderr.flush()


def bar(
  iterable: Iterable[T] | None = None,
  *,
  total: int | None = None,
  desc: str = '',
  unit: str = 'it',
  initial: int = 0,
) -> tqdm.tqdm:
  """Creates a progress bar on stderr.

  Nothing is shown if the work ends within a second. In a log file, where each
  update is a line of its own, there is one update in ten seconds.

  Args:
    iterable: what to iterate over; None: the caller calls `update`.
    total: number of iterations, if `iterable` has no length.
    desc: text in front of the bar.
    unit: name of an iteration.
    initial: iterations that were done before.
  """
  return _Bar(
    iterable,
    total=total,
    desc=desc,
    unit=unit,
    initial=initial,
    delay=1,
    mininterval=(
      _TERMINAL_INTERVAL if sys.stderr.isatty() else _LOG_FILE_INTERVAL
    ),
    dynamic_ncols=True,
    smoothing=0.1,
  )
