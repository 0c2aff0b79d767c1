"""Memory in large pages, on Linux."""

import itertools
import os
import pathlib
import sys

_SETTING = 'glibc.malloc.hugetlb'
_TUNABLES = 'GLIBC_TUNABLES'
_KERNEL = pathlib.Path('/sys/kernel/mm/transparent_hugepage/enabled')


def large_pages() -> dict[str, str]:
  """The environment of a process that takes its memory in pages of 2 MB.

  XLA on CPU asks for all of a step's memory anew at every step, gigabytes in
  training, and the kernel gives (and clears) it 4 kB at a time: up to a third
  of the time of a step. glibc, from 2.35, asks for large pages if it is told
  so when a process begins.

  Returns:
    A variable and its value; empty where the kernel does not leave the choice
    to programs, or where the user has chosen.
  """
  chosen = os.environ.get(_TUNABLES, '')
  try:
    asks = '[madvise]' in _KERNEL.read_text()
  except OSError:  # Another system, or a kernel without large pages.
    asks = False
  if not asks or _SETTING in chosen:
    return {}
  return {_TUNABLES: ':'.join(filter(None, [chosen, f'{_SETTING}=1']))}


def use_large_pages(module: str, command: str) -> None:
  """Restarts this process once, where that gives it large pages.

  To be called first: the same process (its number, streams and parent) runs
  the same command from the start. A process that was started in another way,
  for example by a test, is not restarted.

  Args:
    module: the program is started as `python -m module` ...
    command: ... or as this console command.
  """
  started = ('-m', module) in itertools.pairwise(sys.orig_argv) or (
    pathlib.Path(sys.argv[0]).name == command
  )
  environment = large_pages()
  if environment and started:
    os.execve(
      sys.executable,
      [sys.executable, *sys.orig_argv[1:]],
      {**os.environ, **environment},
    )
