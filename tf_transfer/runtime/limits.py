"""Checks the limits that the system sets a process, before libraries hit them.

XLA, LLVM and TensorFlow abort the process without a message that helps where
they get no memory or no thread.
"""

import resource
import threading

from tf_transfer import errors
from tf_transfer.runtime import units

# Measured with a small network. With 2.5 GiB of addresses TensorFlow cannot be
# loaded, and with 2 GiB the compiler of XLA aborts; with 3 GiB it runs. Of data
# 1 GiB suffices; with 0.75 GiB memory runs out.
_MIN_BYTES = {'-v': 3 * units.GIB, '-d': units.GIB}
# From here on a limit is seldom met.
_AMPLE_BYTES = 32 * units.GIB
# Files that are open at once: libraries, locks, images, event files.
_MIN_FILES = 128
_FILES = 4096
# As many as XLA and its BLAS start on a machine of few cores.
_NUM_THREADS = 64


def check() -> str | None:
  """Checks the limits on memory, threads and open files.

  The limit on open files is raised as far as the system lets a process do so.

  Returns:
    What to warn of: memory is limited, though not too little for a start.

  Raises:
    InputError: with one of these limits no job can run.
  """
  _raise_file_limit()
  warning = _check_addresses()
  _check_threads()
  return warning


def _raise_file_limit() -> None:
  """Raises the limit on open files.

  Raises:
    InputError: it is too low, and cannot be raised.
  """
  soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  if soft == resource.RLIM_INFINITY or soft >= _FILES:
    return
  if hard != resource.RLIM_INFINITY and hard < _MIN_FILES:
    raise errors.InputError(
      f'only {hard} files may be open at once (ulimit -n): expected '
      f'{_MIN_FILES} or more; raise the limit'
    )
  unlimited = hard == resource.RLIM_INFINITY
  new = _FILES if unlimited else min(hard, _FILES)
  resource.setrlimit(resource.RLIMIT_NOFILE, (max(new, soft), hard))


def _check_threads() -> None:
  """Starts as many threads as libraries will.

  Raises:
    InputError: the system does not let them start.
  """
  release = threading.Event()
  threads = []
  try:
    for _ in range(_NUM_THREADS):
      thread = threading.Thread(target=release.wait, daemon=True)
      thread.start()
      threads.append(thread)
  except RuntimeError as error:
    raise errors.InputError(
      f'only {len(threads)} threads can be started: expected {_NUM_THREADS} or '
      'more; raise the limit on processes (ulimit -u) or on memory '
      '(ulimit -v), or the limit of the container'
    ) from error
  finally:
    release.set()
    for thread in threads:
      thread.join()


def _check_addresses() -> str | None:
  """Checks how much memory the process may map."""
  limits = {
    name: resource.getrlimit(number)[0]
    for name, number in (
      ('-v', resource.RLIMIT_AS),
      ('-d', resource.RLIMIT_DATA),
    )
  }
  warning = None
  for flag, limit in limits.items():
    if limit == resource.RLIM_INFINITY or limit >= _AMPLE_BYTES:
      continue
    text = f'memory is limited to {limit / units.GIB:.2g} GiB (ulimit {flag})'
    if limit < _MIN_BYTES[flag]:
      raise errors.InputError(
        f'{text}: the libraries alone take {_MIN_BYTES[flag] // units.GIB} GiB '
        f'of it; lift the limit with "ulimit {flag} unlimited"'
      )
    warning = warning or (
      f'{text}: where a job needs more, XLA aborts the process; what is '
      'finished is kept'
    )
  return warning
