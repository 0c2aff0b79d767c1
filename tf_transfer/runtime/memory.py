"""Asks for memory in large pages, on Linux."""

import os
import pathlib

_TUNABLE = 'glibc.malloc.hugetlb'
_VARIABLE = 'GLIBC_TUNABLES'
_KERNEL_SETTING = pathlib.Path('/sys/kernel/mm/transparent_hugepage/enabled')


def large_pages() -> dict[str, str]:
  """Returns the environment for a process that uses pages of 2 MB.

  On CPU, XLA allocates the memory of a training step, gigabytes of it, anew at
  every step. The kernel provides and clears it in pages of 4 kB, which takes
  up to a third of the time of a step. glibc from 2.35 on asks for large pages
  if this variable is set when a process starts.

  Returns:
    A variable and its value. Empty if the kernel does not let programs choose,
    or if the user has chosen already.
  """
  tunables = os.environ.get(_VARIABLE, '')
  try:
    programs_choose = '[madvise]' in _KERNEL_SETTING.read_text()
  except OSError:  # Another system, or a kernel without large pages.
    programs_choose = False
  if not programs_choose or _TUNABLE in tunables:
    return {}
  return {_VARIABLE: ':'.join(filter(None, [tunables, f'{_TUNABLE}=1']))}
