"""Reads data from pickles without running code from them.

A pickle is a program: loading one from the internet can run anything. This
unpickler accepts a fixed list of names and refuses every other name before it
is imported. Where a caller asks for it, classes that are not on the list become
stand-ins that hold nothing and do nothing; functions are refused all the same.
"""

import pickle
import re
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


# Stand-ins for more names than this are refused: each takes a kilobyte.
_MAX_STAND_INS = 1000
# Modules that run code or reach the system, whose very classes are refused.
_DANGEROUS = frozenset(
  (
    *('asyncio', 'commands', 'ctypes', 'importlib', 'multiprocessing', 'nt'),
    *('os', 'pdb', 'posix', 'pty', 'runpy', 'shutil', 'socket', 'subprocess'),
    *('sys', 'timeit', 'webbrowser'),
  )
)
# Types, and functions that only make values, that scripts leave in pickles.
_HARMLESS = {
  '_codecs': ('encode',),
  'builtins': (
    *('bool', 'bytearray', 'bytes', 'complex', 'dict', 'float', 'frozenset'),
    *('int', 'list', 'object', 'range', 'set', 'slice', 'str', 'tuple', 'type'),
    # Of Python 2.
    *('long', 'unicode', 'xrange'),
  ),
  'collections': ('defaultdict', 'deque'),
  'copyreg': ('_reconstructor',),
  'functools': ('partial',),
  'datetime': ('date', 'datetime', 'time', 'timedelta', 'timezone'),
  'numpy': ('dtype', 'ndarray', 'matrix'),
  'numpy.core.multiarray': ('scalar', '_reconstruct'),
  'numpy.random': ('__randomstate_ctor', '__generator_ctor'),
  'uuid': ('UUID',),
}
_RENAMED = {
  '__builtin__': 'builtins',
  'copy_reg': 'copyreg',
  'numpy._core.multiarray': 'numpy.core.multiarray',
  'numpy.random._pickle': 'numpy.random',
}
_NUMPY_SCALAR = re.compile(r'(u?int|float|complex|bool)\d*_?|str_|bytes_')


class Refused(Exception):
  """The pickle names something that is not on the list."""


class StandIn(dict):
  """Stands for an instance of any class; drops what the pickle tells it.

  It is a dict because classes of options often are, and their pickles set
  entries.
  """

  __hash__ = object.__hash__

  def __new__(cls, *_: Any, **__: Any) -> 'StandIn':
    """Makes an instance; the class's own arguments do not matter."""
    return super().__new__(cls)

  def __init__(self, *_: Any, **__: Any) -> None:
    """Ignores the arguments."""
    super().__init__()

  def __setstate__(self, state: Any) -> None:
    """Drops the attributes."""

  def append(self, item: Any) -> None:
    """Drops an entry of a list."""

  def extend(self, items: Any) -> None:
    """Drops entries of a list."""

  def add(self, item: Any) -> None:
    """Drops an element of a set."""


def _is_harmless(module: str, name: str) -> bool:
  """Tells whether a name may become a stand-in: classes, not functions."""
  module = _RENAMED.get(module, module)
  if module.partition('.')[0] in _DANGEROUS:
    return False
  if name in _HARMLESS.get(module, ()):
    return True
  if module in _HARMLESS and module.startswith('numpy'):
    return bool(_NUMPY_SCALAR.fullmatch(name)) or name[:1].isupper()
  # Classes are written so, after the last dot of a class within a class.
  return module != 'builtins' and name.rpartition('.')[2][:1].isupper()


class Unpickler(pickle.Unpickler):
  """Loads plain containers, and what a list of names admits."""

  def __init__(
    self,
    file: IO[bytes],
    admitted: Mapping[tuple[str, str], Any],
    encoding: str = 'ASCII',
    stand_ins: bool = False,
  ):
    """Opens a pickle; `load` reads it.

    Args:
      file: opened for reading.
      admitted: (module, name) -> the object to use for that name.
      encoding: of strings from Python 2; 'bytes' keeps them as bytes.
      stand_ins: whether other classes become a `StandIn` in place of being
        refused.
    """
    super().__init__(file, encoding=encoding)
    self._admitted = admitted
    self._stand_ins: dict[tuple[str, str], type] | None = (
      {} if stand_ins else None
    )

  def find_class(self, module: str, name: str) -> Any:
    """Returns the object that stands for a name; nothing is imported.

    Raises:
      Refused: the name is not admitted, nor a class with a stand-in.
    """
    if (module, name) in self._admitted:
      return self._admitted[module, name]
    if self._stand_ins is None or not _is_harmless(module, name):
      raise Refused(f'{module}.{name}')
    if (module, name) not in self._stand_ins:
      if len(self._stand_ins) == _MAX_STAND_INS:
        raise Refused(f'{module}.{name} and {_MAX_STAND_INS:,} classes more')
      self._stand_ins[module, name] = type(
        f'{module}.{name}', (StandIn,), {'__hash__': object.__hash__}
      )
    return self._stand_ins[module, name]
