"""The one error that is meant for the person who started the job."""

import difflib
from collections.abc import Iterable


class InputError(Exception):
  """Something given from outside cannot be used.

  The message stands alone: what was expected, what was found and what to do.
  `main` prints it without a traceback and exits with 1.
  """


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
  """An error that names the nearest of the known names."""
  known = list(known)
  near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
  hint = f'did you mean {" or ".join(near)}? ' if near else ''
  return InputError(
    f'unknown {kind} {name!r}: {hint}known are {", ".join(known)}'
  )
