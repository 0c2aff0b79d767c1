"""Reads pickles that hold data, without running what else they may hold.

A pickle is a program. This unpickler admits the names that it is given and
refuses whatever else a pickle names, before anything of it runs.
"""

import pickle
import struct
from collections.abc import Mapping
from typing import IO, Any

# What a damaged or hostile pickle makes Python's unpickler raise.
ERRORS = (
  pickle.UnpicklingError,
  AttributeError,
  EOFError,
  ImportError,
  IndexError,
  KeyError,
  MemoryError,
  OverflowError,
  TypeError,
  ValueError,
  struct.error,
)


class Refused(Exception):
  """The pickle names something that its kind of file has no need of."""


class Unpickler(pickle.Unpickler):
  """Admits plain containers and the given names only."""

  def __init__(
    self,
    file: IO[bytes],
    admitted: Mapping[tuple[str, str], Any],
    encoding: str = 'ASCII',
  ):
    """Reads from a file.

    Args:
      file: opened for reading.
      admitted: (module, name) -> what stands for it.
      encoding: of Python 2's strings; 'bytes' leaves them bytes.
    """
    super().__init__(file, encoding=encoding)
    self._admitted = admitted

  def find_class(self, module: str, name: str) -> Any:
    if (module, name) not in self._admitted:
      raise Refused(f'{module}.{name}')
    return self._admitted[module, name]
