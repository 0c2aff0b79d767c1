"""Reads data from pickles without running code from them.

A pickle is a program: loading one from the internet can run anything. This
unpickler accepts a fixed list of names and refuses every other name before it
is imported.
"""

import pickle
import struct
from collections.abc import Mapping
from typing import IO, Any

# Exceptions that Python's unpickler raises on damaged or hostile pickles.
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
  """The pickle names something that is not on the list."""


class Unpickler(pickle.Unpickler):
  """Loads plain containers, and what a list of names admits."""

  def __init__(
    self,
    file: IO[bytes],
    admitted: Mapping[tuple[str, str], Any],
    encoding: str = 'ASCII',
  ):
    """Opens a pickle; `load` reads it.

    Args:
      file: opened for reading.
      admitted: (module, name) -> the object to use for that name.
      encoding: of strings from Python 2; 'bytes' keeps them as bytes.
    """
    super().__init__(file, encoding=encoding)
    self._admitted = admitted

  def find_class(self, module: str, name: str) -> Any:
    """Returns the object that stands for a name.

    Raises:
      Refused: the name is not admitted.
    """
    if (module, name) not in self._admitted:
      raise Refused(f'{module}.{name}')
    return self._admitted[module, name]
