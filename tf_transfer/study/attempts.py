"""Makes figures and pages, none of which ends a job if it fails.

The records are done by then. What could not be made is printed at once, and the
job ends with an error after everything else was made.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from tf_transfer import errors
from tf_transfer.runtime.units import counted

T = TypeVar('T')


class Attempts:
  """Calls functions that make figures and pages, and counts failures."""

  def __init__(self):
    """Starts without a failure."""
    self._failed: list[str] = []

  def make(
    self, what: str, function: Callable[..., T], *arguments: Any
  ) -> T | None:
    """Calls a function; prints why it failed.

    Args:
      what: it makes, for the message, such as 'figure_2'.
      function: that makes it.
      *arguments: of the function.

    Returns:
      What the function returns; None if it failed.

    Raises:
      Preempted: the job is told to end.
    """
    try:
      return function(*arguments)
    except errors.Preempted:
      raise
    except errors.InputError as error:
      reason = str(error)
    # Whatever it is (memory that ran out, a bug), the records are done.
    except Exception as error:  # noqa: BLE001
      reason = f'{type(error).__name__}: {error}'
    self._failed.append(what)
    text = ' '.join(errors.printable(reason).split())
    print(f'{what} could not be made: {text}', flush=True)
    return None

  def raise_failures(self) -> None:
    """Raises an InputError if something could not be made."""
    if self._failed:
      raise errors.InputError(
        f'{counted(len(self._failed), "figure or page", "figures and pages")} '
        f'could not be made ({", ".join(self._failed)}): the reasons are '
        'above. All records are kept, and the same command tries again'
      )
