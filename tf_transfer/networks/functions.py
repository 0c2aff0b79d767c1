"""Calls the function of a user's that makes a network: `module:function`.

The user's code runs because a config or a flag names it. No weights file and
no record ever names code that is run.
"""

import importlib
import importlib.util
import os
import pathlib
import re
import sys
import traceback
from collections.abc import Callable
from typing import Any

from tf_transfer import errors
from tf_transfer.networks import custom, custom_flax, custom_function
from tf_transfer.networks.network import Network

_SPEC = re.compile(
  r'(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*|.+\.py):(?P<name>\w+)'
)
# Of this program's modules.
_PACKAGE = pathlib.Path(__file__).parents[1]


def is_function(name: str) -> bool:
  """Tells whether a name is that of a function: `module:function`."""
  return _SPEC.fullmatch(name) is not None


def load(spec: str) -> Network:
  """Imports a module, calls its function and makes a network of the result.

  Args:
    spec: `mypackage.module:function`, or `path/to/file.py:function`.

  Raises:
    InputError: there is no such module or function, it fails, or what it
      returns is no network.
  """
  match = _SPEC.fullmatch(spec)
  if match is None:
    raise errors.InputError(f'{spec}: expected module:function')
  function = _find(spec, match['module'], match['name'])
  try:
    own = function()
  except errors.InputError as error:
    raise errors.InputError(f'{spec}: {error}') from error
  # Whatever the user's function raises; a program may end itself.
  except (Exception, SystemExit) as error:
    raise errors.InputError(f'{spec}: {_describe(error)}') from error
  if not isinstance(own, custom.CustomNetwork):
    raise errors.InputError(
      f'{spec}: expected the function to return a '
      f'tf_transfer.networks.CustomNetwork, not a {type(own).__name__}'
    )
  name = own.name or match['name']
  try:
    custom.check_name(name)
    if own.module is not None:
      return custom_flax.build(own, name, spec)
    return custom_function.build(own, name, spec)
  except errors.InputError as error:
    raise errors.InputError(f'{spec}: {error}') from error


def _find(spec: str, module_name: str, name: str) -> Callable[[], Any]:
  """Returns a function of a module, which is imported.

  Raises:
    InputError: there is none.
  """
  try:
    if module_name.endswith('.py'):
      module = _import_file(pathlib.Path(module_name).expanduser())
    else:
      module = _import_module(module_name)
  except (FileNotFoundError, ModuleNotFoundError) as error:
    if isinstance(error, FileNotFoundError):
      raise errors.InputError(f'{spec}: there is no such file') from error
    missing = getattr(error, 'name', None) or module_name
    raise errors.InputError(
      f'{spec}: there is no module {missing} in the current directory, or '
      'where PYTHONPATH and pip have modules'
    ) from error
  # Whatever the user's module raises, as a program does that reads our flags.
  except (Exception, SystemExit) as error:
    raise errors.InputError(
      f'{spec}: the module cannot be imported: {_describe(error)}'
    ) from error
  function = getattr(module, name, None)
  if not callable(function):
    names = [
      key
      for key, value in vars(module).items()
      if callable(value)
      and not key.startswith('_')
      and getattr(value, '__module__', '') == module.__name__
    ]
    raise errors.unknown_name(f'function of {module_name}', name, names)
  return function


def _import_module(name: str) -> Any:
  """Imports a module, also from the current directory."""
  directory = os.getcwd()
  if directory not in sys.path:
    sys.path.insert(0, directory)
  return importlib.import_module(name)


def _import_file(path: pathlib.Path) -> Any:
  """Imports a file as a module of its own name."""
  if not path.is_file():
    raise FileNotFoundError(path)
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  # Dataclasses look their module up there; a module of this name that is there
  # already stays.
  sys.modules.setdefault(path.stem, module)
  spec.loader.exec_module(module)
  return module


def _describe(error: BaseException) -> str:
  """Returns type, text and place of an error in the user's code."""
  first = (str(error).strip().splitlines() or [''])[0]
  # The user's call of ours, not where ours refuses it.
  places = [
    f' ({frame.filename}, line {frame.lineno})'
    for frame in traceback.extract_tb(error.__traceback__)
    if frame.filename[:1] != '<'
    and _PACKAGE not in pathlib.Path(frame.filename).parents
  ]
  return f'{type(error).__name__}: {first}{places[-1] if places else ""}'
