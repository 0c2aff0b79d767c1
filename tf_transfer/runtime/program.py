"""Runs a command of the package: one line for each way in which it can end."""

import contextlib
import errno
import itertools
import os
import pathlib
import sys
import traceback
from collections.abc import Callable, Iterator

from absl import app

from tf_transfer import errors
from tf_transfer.runtime import limits, memory, progress, streams, termination

# What the system does to a program, not what a program does wrong.
_SYSTEM_ERRORS = frozenset(
  (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ESTALE,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
  )
)
# TensorFlow's and XLA's C++ code logs what it is built for and which devices
# are missing. From 3 on only fatal errors are shown.
_CPP_LOG_LEVEL = '3'


def restart(module: str, command: str) -> None:
  """Restarts this process once, if that gives it large pages or UTF-8.

  Call it first: the command runs again from its start in the same process, with
  the same number, streams and parent. A process that was started in another
  way, as by a test, is not restarted.

  Args:
    module: the program is started as `python -m module` ...
    command: ... or as this console command.
  """
  is_started = ('-m', module) in itertools.pairwise(sys.orig_argv) or (
    pathlib.Path(sys.argv[0]).name == command
  )
  environment = memory.large_pages()
  # TensorFlow takes names of files in UTF-8 only.
  if sys.getfilesystemencoding() != 'utf-8':
    environment['PYTHONUTF8'] = '1'
  if environment and is_started:
    os.execve(
      sys.executable,
      [sys.executable, *sys.orig_argv[1:]],
      {**os.environ, **environment},
    )


def run(main: Callable[[list[str]], None], **options: object) -> None:
  """Runs a program from the command line, and exits.

  Args:
    main: takes what is left of the command line; runs under `one_line_errors`.
    **options: of `absl.app.run`.
  """
  streams.protect()
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', _CPP_LOG_LEVEL)
  if os.path.expanduser('~') == '~':
    # A user without an entry and HOME, as in a container: libraries that ask
    # for the home directory fail without one, but not on one that is not there.
    os.environ['HOME'] = '/nonexistent'
  app.call_after_init(streams.show_warnings)
  with termination.handled():
    try:
      with one_line_errors():
        app.run(main, **options)
    except SystemExit as ended:
      _exit(ended)


def _exit(ended: SystemExit) -> None:
  """Exits as told; with another code if output was lost.

  A job that a signal ends waits for no thread: all that counts is on disk.
  """
  code = ended.code
  if isinstance(code, str):
    print(code, file=sys.stderr)
    code = 1
  code = code or streams.finish()
  if termination.is_ending():
    os._exit(code)
  sys.exit(code)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
  """Turns errors into one line on stderr and an exit code.

  The code is 1 for bad input and for what the system refuses, 75 after SIGTERM,
  and 130 after SIGINT.
  """
  try:
    yield
  except errors.InputError as error:
    _close_bars(error)
    sys.exit(f'error: {errors.printable(str(error))}')
  except errors.Preempted as preempted:
    _close_bars(preempted)
    progress.print_line(
      f'stopped by {termination.received().name}; {preempted}. The same '
      'command resumes the job'
    )
    sys.exit(termination.exit_code())
  except MemoryError as error:
    detail = f' ({error})' if str(error) else ''
    sys.exit(
      f'error: memory ran out{detail}: free some or lower the batch size; what '
      'is finished is kept, and the same command goes on from it'
    )
  except OSError as error:
    if error.errno not in _SYSTEM_ERRORS:
      raise
    place = f'{error.filename}: ' if error.filename else ''
    sys.exit(
      f'error: {errors.printable(place)}{error.strerror}: what is finished is '
      'kept, and the same command goes on from it'
    )


def _close_bars(error: BaseException) -> None:
  """Ends the progress bars of an error's frames, which hold them."""
  traceback.clear_frames(error.__traceback__)


def check_limits() -> None:
  """Checks the limits of the process, and warns where memory is limited.

  Raises:
    InputError: no job can run within them.
  """
  warning = limits.check()
  if warning:
    progress.print_line(f'warning: {warning}')
