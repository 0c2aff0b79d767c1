"""Exceptions that end a job with a message for whoever started it."""

import difflib
from collections.abc import Iterable


class InputError(Exception):
  """The user's input cannot be used.

  The message says what was expected, what was there instead and what to do.
  `main` prints it without a traceback and exits with 1.
  """


class CannotWrite(InputError):
  """The disk is full or the directory cannot be written; the job must end."""


class Preempted(Exception):
  """The job received SIGTERM and has written a checkpoint.

  `main` exits with 75 (`EX_TEMPFAIL`); the same command resumes the job.
  """


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
  """Returns an error that names the known names nearest to `name`.

  Args:
    kind: what is named, such as 'network'.
    name: the unknown name.
    known: all names of this kind.
  """
  known = list(known)
  near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
  hint = f'did you mean {" or ".join(near)}? ' if near else ''
  return InputError(
    f'unknown {kind} {name!r}: {hint}known are {", ".join(known)}'
  )
