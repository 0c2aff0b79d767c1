"""Progress bars with throughput and remaining time."""

import sys
from collections.abc import Iterable
from typing import TypeVar

import tqdm

T = TypeVar('T')


def bar(
  iterable: Iterable[T] | None = None,
  *,
  total: int | None = None,
  desc: str = '',
  unit: str = 'it',
  initial: int = 0,
) -> tqdm.tqdm:
  """A bar on stderr that stays away from what ends within a second.

  In a log file, where a bar cannot redraw itself, it writes a line every ten
  seconds instead of ten a second.
  """
  return tqdm.tqdm(
    iterable,
    total=total,
    desc=desc,
    unit=unit,
    initial=initial,
    delay=1,
    mininterval=0.1 if sys.stderr.isatty() else 10,
    dynamic_ncols=True,
    smoothing=0.1,
  )
