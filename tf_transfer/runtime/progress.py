"""Shows progress bars with speed and remaining time."""

import sys
from collections.abc import Iterable
from typing import TypeVar

import tqdm

T = TypeVar('T')

# Seconds between two updates of a bar.
_TERMINAL_INTERVAL = 0.1
_LOG_FILE_INTERVAL = 10


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
  return tqdm.tqdm(
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
