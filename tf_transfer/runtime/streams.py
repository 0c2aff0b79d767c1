"""Keeps standard streams usable, and prints messages and warnings on them.

A reader that closes its end of a pipe, a full disk or a character that the
terminal does not know end no job: its records matter more than its messages.
"""

import contextlib
import io
import logging as python_logging
import os
import select
import sys
import traceback
import warnings
from typing import TextIO

from absl import logging

from tf_transfer import errors
from tf_transfer.runtime import progress


class _Descriptor(io.RawIOBase):
  """Writes to a file descriptor; after an error, to nowhere."""

  def __init__(self, descriptor: int, name: str):
    """Wraps a descriptor.

    Args:
      descriptor: open for writing; it stays open.
      name: of the stream, for the message.
    """
    super().__init__()
    self._descriptor = descriptor
    self._name = name
    self.error: OSError | None = None

  def fileno(self) -> int:
    return self._descriptor

  def isatty(self) -> bool:
    return os.isatty(self._descriptor)

  def writable(self) -> bool:
    return True

  def write(self, data: 'memoryview | bytes') -> int:
    """Writes some bytes; all of them, to nowhere, after an error."""
    while True:
      try:
        return os.write(self._descriptor, data)
      except BlockingIOError:  # The parent has made the pipe non-blocking.
        select.select([], [self._descriptor], [])
      except OSError as error:
        self._give_up(error)

  def _give_up(self, error: OSError) -> None:
    """Leads the descriptor to nowhere, and says so on stderr."""
    self.error = error
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, self._descriptor)
    os.close(nowhere)
    if self._name == 'stdout':
      sys.stderr.write(
        f'warning: stdout cannot be written ({error.strerror}): messages are '
        'lost, what the job writes to files is not\n'
      )


def protect() -> None:
  """Replaces stdout and stderr by streams that end no job.

  Call it first: where a stream was closed, the next file that is opened would
  take its place, and get the messages.
  """
  closed = _open_missing()
  for name in ('stderr', 'stdout'):
    setattr(sys, name, _tolerant(getattr(sys, name), name))
  if 1 in closed:
    sys.stderr.write('warning: stdout is closed: no messages are shown on it\n')


def _open_missing() -> list[int]:
  """Opens the standard descriptors that are closed; returns these."""
  closed = []
  for descriptor in (0, 1, 2):
    try:
      os.fstat(descriptor)
    except OSError:
      closed.append(descriptor)
      os.open(os.devnull, os.O_RDWR)  # It takes the lowest free number.
  return closed


def _tolerant(stream: TextIO | None, name: str) -> TextIO:
  """Returns a stream as the given one whose errors end nothing."""
  raw = _Descriptor({'stdout': 1, 'stderr': 2}[name], name)
  return io.TextIOWrapper(
    io.BufferedWriter(raw),
    encoding=stream.encoding if stream else 'utf-8',
    errors='backslashreplace',
    line_buffering=stream.line_buffering if stream else True,
    write_through=stream.write_through if stream else False,
  )


def finish() -> int:
  """Writes what is buffered.

  Returns:
    The exit code of a program that has nothing else to report: EX_IOERR if some
    of its output was lost, else 0.
  """
  for stream in (sys.stdout, sys.stderr):
    # Streams of a test or of a notebook are not ours.
    with contextlib.suppress(ValueError):  # Closed.
      stream.flush()
  raw = getattr(getattr(sys.stdout, 'buffer', None), 'raw', None)
  lost = isinstance(raw, _Descriptor) and raw.error is not None
  return os.EX_IOERR if lost else 0


_PLAIN = python_logging.StreamHandler
# Libraries that log each error that they also raise, with its traceback.
_RAISE_WHAT_THEY_LOG = frozenset(('orbax', 'asyncio'))


class _Handler(python_logging.Handler):
  """Prints log records as lines for users, above the progress bars."""

  def emit(self, record: python_logging.LogRecord) -> None:
    """Prints 'warning: MESSAGE' on stderr."""
    folders = record.pathname.split(os.sep)
    if not _RAISE_WHAT_THEY_LOG.isdisjoint(folders):
      return
    try:
      text = errors.printable(self.format(record))
    except Exception:  # noqa: BLE001 - As logging itself: it has its own word.
      self.handleError(record)
      return
    progress.print_line(f'{record.levelname.lower()}: {text}')


def show_warnings() -> None:
  """Prints what is logged, and what libraries warn of, as plain lines.

  Libraries warn of their own internals: nobody who runs a job can mend those,
  and none of them ends it, whatever PYTHONWARNINGS says.
  """
  root = python_logging.getLogger()
  root.removeHandler(logging.get_absl_handler())
  # A library that logs while it is imported sets up a handler of its own.
  for handler in [h for h in root.handlers if type(h) is _PLAIN]:
    root.removeHandler(handler)
  if not any(isinstance(handler, _Handler) for handler in root.handlers):
    root.addHandler(_Handler(python_logging.WARNING))
  logging.set_verbosity(logging.WARNING)
  # JAX reports the accelerators that a machine does not have.
  python_logging.getLogger('jax').setLevel(python_logging.WARNING)
  warnings.filters[:] = [f for f in warnings.filters if f[0] != 'error']
  warnings.showwarning = _show_warning
  sys.unraisablehook = _show_unraisable


def _show_warning(
  message: Warning | str,
  category: type[Warning],
  filename: str,
  lineno: int,
  file: TextIO | None = None,
  line: str | None = None,
) -> None:
  """Prints a Python warning as a line, without the code that raised it."""
  del category, filename, lineno, line
  text = errors.printable(' '.join(str(message).split()))
  if file is None:
    progress.print_line(f'warning: {text}')
  else:
    file.write(f'warning: {text}\n')


def _show_unraisable(unraisable: 'sys.UnraisableHookArgs') -> None:
  """Prints an error that nobody can catch, but for those that follow another.

  Once a write fails, Orbax closes the event loop of all writes, and raises. The
  writes that are still under way then find no loop to report to.
  """
  frames = traceback.extract_tb(unraisable.exc_traceback)
  inside = bool(frames) and 'asyncio' in frames[-1].filename.split(os.sep)
  if inside and isinstance(unraisable.exc_value, RuntimeError):
    return
  sys.__unraisablehook__(unraisable)
