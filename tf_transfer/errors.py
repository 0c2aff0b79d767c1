"""Exceptions that end a job with a message for whoever started it."""

import difflib
import re
from collections.abc import Iterable

# Controls of a terminal, and marks that change the direction of text; line
# breaks and tabs are none of them. Half of a surrogate pair cannot be printed.
_UNPRINTABLE = re.compile(
  '[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069'
  '\ud800-\udfff]'
)

# Kinds of names of which a field takes several.
_LISTED = ('network', 'dataset', 'setting')


class InputError(Exception):
  """The user's input cannot be used.

  The message says what was expected, what was there instead and what to do.
  `main` prints it without a traceback and exits with 1.
  """


class CannotWrite(InputError):
  """The disk is full or the directory cannot be written; the job must end."""


class Preempted(BaseException):
  """The job received SIGTERM; what it has finished is on disk.

  `main` exits with 75 (`EX_TEMPFAIL`); the same command resumes the job. As
  KeyboardInterrupt it is no `Exception`: it may be raised anywhere, and nobody
  who handles errors takes it for one.
  """


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
  """Returns an error that names the known names nearest to `name`.

  Args:
    kind: what is named, such as 'network'.
    name: the unknown name.
    known: all names of this kind.
  """
  known = list(known)
  hint = ''
  if kind in _LISTED and ',' in name and explain_list(name):
    hint = f'{explain_list(name)}; '
  elif near := nearest(name, known):
    hint = f'did you mean {" or ".join(near)}? '
  return InputError(
    f'unknown {kind} {name!r}: {hint}known are {", ".join(known)}'
  )


def explain_list(text: str) -> str:
  """Says how several names are written on a command line; '' for one name.

  Args:
    text: what was written: 'a,b' or '(a, b)' is one name to a shell.
  """
  names = [name for name in re.split('[][(){},;\\s"\']+', text) if name]
  if len(names) < 2:
    return ''
  return (
    f'several are written "{printable(str(tuple(names)))}", quotes included'
  )


def nearest(name: str, known: Iterable[str]) -> list[str]:
  """Returns the known names nearest to another, at most three."""
  return difflib.get_close_matches(name, known, n=3, cutoff=0.5)


def printable(text: str) -> str:
  """Escapes what a terminal would obey or cannot print.

  Names and messages from files go through this before they are printed.
  """
  return _UNPRINTABLE.sub(
    lambda match: match[0].encode('unicode_escape').decode(), text
  )
