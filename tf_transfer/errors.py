"""What ends a job and is meant for the person, or machine, who started it."""

import difflib
from collections.abc import Iterable


class InputError(Exception):
  """Something given from outside cannot be used.

  The message stands alone: what was expected, what was found and what to do.
  `main` prints it without a traceback and exits with 1.
  """


class CannotWrite(InputError):
  """A full disk, or a directory that cannot be written: nothing can go on."""


class Preempted(Exception):
  """The job was told to end (SIGTERM) and has written where it stands.

  `main` exits with 75 (`EX_TEMPFAIL`): the same command goes on from there.
  """


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
  """An error that names the nearest of the known names."""
  known = list(known)
  near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
  hint = f'did you mean {" or ".join(near)}? ' if near else ''
  return InputError(
    f'unknown {kind} {name!r}: {hint}known are {", ".join(known)}'
  )
