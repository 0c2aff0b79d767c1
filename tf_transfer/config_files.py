"""Finds and loads configs, and explains what is wrong with one.

`--config=VALUE` is read in this order:

1. `PATH.py` or `PATH.py:ARGUMENT`: a file that exists.
2. `NAME` or `NAME:ARGUMENT`: a config of the package, from configs/ or
   configs/presets/. `configs/NAME.py` and `configs/presets/NAME.py` mean the
   same, so that a command works in any folder.

ARGUMENT is everything after the first colon. It is passed to the config's
function `get_config`.
"""

import contextlib
import difflib
import functools
import importlib
import importlib.util
import inspect
import pathlib
import re
import sys
import traceback
import types
from collections.abc import Iterator, Mapping

import ml_collections
from ml_collections import config_dict

from tf_transfer import errors

_PACKAGE = 'tf_transfer.configs'
_FOLDERS = ('', 'presets')

# Old name of a config or job -> new name.
RENAMED_CONFIGS = {'settings_study': 'regularizers'}
# Old name of a field -> new name, wherever in a config it is.
RENAMED_FIELDS = {
  'accumulation': 'gradient_accumulation_steps',
  'average_decay': 'ema_decay',
  'average_ramp': 'ema_warmup',
  'cache_gb': 'cache_gib',
  'choose_step': 'choose_steps_on_val',
  'colour': 'color_distortion',
  'decoded_gb': 'image_cache_gib',
  'final_run': 'refit_on_trainval',
  'final_tolerance': 'refit_tolerance',
  'learning_rates': 'num_learning_rates',
  'measure_epochs': 'evaluate_every_epochs',
  'nearest_neighbours': 'nearest_neighbors',
  'neighbours': 'neighbors',
  'no_weight_decay': 'include_zero_weight_decay',
  'penalties': 'num_penalties',
  'pictures': 'max_pairs_shown',
  'stop_early': 'early_stopping',
  'together': 'concurrent_trials',
  'watch_every': 'log_every',
  'weight_decays': 'num_weight_decays',
}

_MAX_MESSAGE = 300  # characters of an error of a config file
# The parts of an argument that may contain commas: paths of folders.
_WITH_COMMAS = ('DATASET', 'TARGET', 'PATH')
# How ml_collections names the field in its errors about locked configs.
_FIELD_IN_ERROR = (
  r'instead of "(?P<name>\w+)"',
  r'Key "(?P<name>\w+)" does not exist',
  r'^"\'(?P<name>\w+)\'"$',
)


def package_folder() -> pathlib.Path:
  """Returns the folder of the package's configs."""
  return pathlib.Path(importlib.import_module(_PACKAGE).__file__).parent


@functools.cache
def package_configs() -> Mapping[str, str]:
  """Returns the module of each config of the package, by the config's name."""
  modules = {}
  for folder in _FOLDERS:
    for path in sorted((package_folder() / folder).glob('*.py')):
      if path.stem != '__init__':
        modules[path.stem] = '.'.join(filter(None, (folder, path.stem)))
  return types.MappingProxyType(
    {name: f'{_PACKAGE}.{module}' for name, module in modules.items()}
  )


def _package_name(path: str) -> str:
  """Returns the name that `path` has if it names a config of the package.

  'configs/presets/smoke.py', 'presets/smoke' and 'smoke' all give 'smoke'.
  """
  name = path.removesuffix('.py').removeprefix('./')
  return name.removeprefix('configs/').removeprefix('presets/')


def _load_file(path: pathlib.Path) -> types.ModuleType:
  """Runs a config file and returns it as a module.

  Raises:
    InputError: it cannot be read, or has an error.
  """
  specification = importlib.util.spec_from_file_location(
    f'config_file_{path.stem}', path
  )
  module = importlib.util.module_from_spec(specification)
  # Dataclasses look up the module in which they are defined.
  sys.modules[specification.name] = module
  with _running(path):
    specification.loader.exec_module(module)
  return module


@contextlib.contextmanager
def _running(path: pathlib.Path) -> Iterator[None]:
  """Lets a config file import its neighbors; says in which line it fails.

  Raises:
    InputError: the file fails; the message names file and line.
  """
  folder = str(path.absolute().parent)
  sys.path.append(folder)
  try:
    yield
  except errors.InputError:
    raise
  except (Exception, SystemExit) as error:
    raise errors.InputError(_describe_failure(error, path)) from error
  finally:
    sys.path.remove(folder)


def _describe_failure(error: BaseException, path: pathlib.Path) -> str:
  """Describes an error of a config file as 'FILE, line 3: NameError: ...'."""
  if isinstance(error, AttributeError | KeyError):
    name = _unknown_field(error)
    if name is not None:
      return (
        f'{_place_of_failure(error, path)}: uses a field that does not exist: '
        f'{_explain_name(name, error)}'
      )
  message = error.msg if isinstance(error, SyntaxError) else str(error)
  message = ' '.join(message.split())
  if len(message) > _MAX_MESSAGE:
    message = f'{message[:_MAX_MESSAGE]}...'
  kind = type(error).__name__
  return f'{_place_of_failure(error, path)}: {kind}: {message}'.rstrip(': ')


def _place_of_failure(error: BaseException, path: pathlib.Path) -> str:
  """Returns where in a config file, or a neighbor, an error is."""
  if isinstance(error, SyntaxError) and error.filename and error.lineno:
    return f'{_shown_path(pathlib.Path(error.filename))}, line {error.lineno}'
  folder = path.absolute().parent
  for frame in reversed(traceback.extract_tb(error.__traceback__)):
    file = pathlib.Path(frame.filename).absolute()
    is_file = not frame.filename.startswith('<')  # Unlike '<frozen importlib>'.
    if is_file and file.parent == folder and frame.lineno:
      return f'{_shown_path(file)}, line {frame.lineno}'
  return str(path)


def _find_module(path: str) -> types.ModuleType:
  """Returns the module of a config.

  Args:
    path: what stands before the colon in `--config=PATH:ARGUMENT`.

  Raises:
    InputError: there is neither such a file nor such a config of the package.
  """
  try:
    is_file = pathlib.Path(path).is_file()
    is_directory = pathlib.Path(path).is_dir()
  except OSError as error:
    raise errors.InputError(f'{path[:100]}: {error.strerror}') from error
  if path.endswith('.py') and is_file:
    return _load_file(pathlib.Path(path))
  name = _package_name(path)
  modules = package_configs()
  if name in modules:
    return importlib.import_module(modules[name])
  if name in RENAMED_CONFIGS:
    raise errors.InputError(
      f'{path}: this config is now named {RENAMED_CONFIGS[name]}'
    )
  if is_file:
    raise errors.InputError(
      f'{path}: expected a Python file, whose name ends in .py'
    )
  if is_directory:
    raise errors.InputError(f'{path} is a directory: name a config file in it')
  name = pathlib.PurePath(name).name
  known = [known for known in modules if known != 'base']
  error = errors.unknown_name('config', name, known)
  if path == name:
    raise error
  raise errors.InputError(f'there is no file {path}; {error}')


def _call_get_config(
  module: types.ModuleType, path: str, arguments: list[str]
) -> ml_collections.ConfigDict:
  """Returns what the config's `get_config` returns.

  Raises:
    InputError: `get_config` is missing, takes no argument, needs one, does not
      return a config, or fails; the message names file and line.
  """
  if not callable(getattr(module, 'get_config', None)):
    raise errors.InputError(f'{path} has no function get_config')
  try:
    inspect.signature(module.get_config).bind(*arguments)
  except (TypeError, ValueError):
    reason = (
      f'takes no argument after the colon, not {arguments[0]!r}'
      if arguments
      else f'needs an argument: {path}:ARGUMENT'
    )
    raise errors.InputError(f'{path} {reason}') from None
  with _running(pathlib.Path(module.__file__)):
    config = module.get_config(*arguments)
  if not isinstance(config, ml_collections.ConfigDict):
    raise errors.InputError(
      f'get_config of {path} returns {type(config).__name__}, expected an '
      'ml_collections.ConfigDict'
    )
  return config


def load(value: str) -> ml_collections.ConfigDict:
  """Loads a config and locks it.

  Args:
    value: 'PATH.py', 'NAME', or one of them with ':ARGUMENT'.

  Raises:
    InputError: there is no such config, it fails, its argument is wrong, it
      names no job, or it has a field that was renamed.
  """
  path, *arguments = value.split(':', 1)
  if not path:
    raise errors.InputError('it is empty: name a config, such as quickstart')
  module = _find_module(path)
  config = _call_get_config(module, path, arguments)
  # References to other fields are resolved here, and may fail.
  with _running(pathlib.Path(module.__file__)):
    return _lock(config, path)


def _lock(
  config: ml_collections.ConfigDict, path: str
) -> ml_collections.ConfigDict:
  """Locks a config that names a job and has values for all its fields.

  Raises:
    InputError: it has not, or it has a field that was renamed.
  """
  if isinstance(config, ml_collections.FrozenConfigDict):
    config = config.as_configdict()
  if 'job' not in config:
    raise errors.InputError(
      f'{path} has no field job, which says what to run: take the config of '
      "configs/base.py, or set config.job = 'study'"
    )
  for field in _fields_without_value(config):
    raise errors.InputError(f'{path} gives config.{field} no value')
  for field in _fields(config):
    if field.rpartition('.')[2] in RENAMED_FIELDS:
      raise errors.InputError(
        f'{path} uses a field that does not exist: {_renamed(field)}'
      )
  return config.lock()


def _argument_error(
  argument: str, expected: str, reason: str
) -> errors.InputError:
  """Returns the error for an argument that is not as expected."""
  return errors.InputError(
    f'argument {argument!r}: {reason}; expected {expected}'
  )


def parse_argument(argument: str, expected: str) -> tuple[str, ...]:
  """Splits the argument of a config at its commas.

  A DATASET of the form folder:PATH may contain commas.

  Args:
    argument: what the user wrote after the colon.
    expected: names of the parts, such as 'NETWORK,DATASET,COUNT'. Parts in
      brackets at the end may be left out, all or none of them.

  Returns:
    As many parts as `expected` has; '' for those that were left out.

  Raises:
    InputError: a part is missing, empty or too much.
  """
  required, _, optional = expected.rstrip(']').partition('[,')
  names = required.split(',')
  least = len(names)
  names += optional.split(',') if optional else []
  parts = argument.split(',')
  for position, name in enumerate(names):
    extra = len(parts) - len(names)
    if extra <= 0 or name not in _WITH_COMMAS:
      continue
    path = ','.join(parts[position : position + extra + 1])
    if name == 'PATH' or path.startswith('folder:'):
      parts[position : position + extra + 1] = [path]
  if len(parts) > len(names):
    surplus = ','.join(parts[len(names) :])
    raise _argument_error(argument, expected, f'{surplus} is too much')
  for name, part in zip(names, parts, strict=False):
    if not part:
      raise _argument_error(argument, expected, f'{name} is empty')
  if len(parts) not in (least, len(names)):
    name = names[len(parts)]
    raise _argument_error(argument, expected, f'{name} is missing')
  return (*parts, *[''] * (len(names) - len(parts)))


def parse_list(argument: str, name: str) -> tuple[str, ...]:
  """Splits 'A,B,C' at its commas; '' is an empty list.

  Args:
    argument: what the user wrote after the colon.
    name: the name of one part in an error, such as 'NETWORK'.

  Raises:
    InputError: a part is empty.
  """
  if not argument:
    return ()
  parts = tuple(argument.split(','))
  if '' in parts:
    raise _argument_error(
      argument, f'{name},{name} ...', f'one {name} is empty'
    )
  return parts


def _fields(
  config: ml_collections.ConfigDict, prefix: str = ''
) -> Iterator[str]:
  """Yields the full path of each field and group of fields."""
  for name, value in config.items(preserve_field_references=True):
    yield f'{prefix}{name}'
    if isinstance(value, ml_collections.ConfigDict):
      yield from _fields(value, f'{prefix}{name}.')


def _fields_without_value(
  config: ml_collections.ConfigDict, prefix: str = ''
) -> Iterator[str]:
  """Yields the full path of each field that requires a value and has none."""
  for name, value in config.items(preserve_field_references=True):
    if isinstance(value, ml_collections.FieldReference):
      try:
        value.get()
      except config_dict.RequiredValueError:
        yield f'{prefix}{name}'
    elif isinstance(value, ml_collections.ConfigDict):
      yield from _fields_without_value(value, f'{prefix}{name}.')


def _renamed(path: str) -> str:
  """Says how a field whose path has old names is named now."""
  new = '.'.join(RENAMED_FIELDS.get(name, name) for name in path.split('.'))
  return f'{path!r} is now named {new!r}'


def _explain_name(name: str, error: Exception) -> str:
  """Explains an error of ml_collections about the field `name`."""
  if name in RENAMED_FIELDS:
    return _renamed(name)
  near = re.search(r'Did you mean "(\w+)"', str(error))
  hint = f': did you mean {near[1]}?' if near else '.'
  return f'{name}{hint} The fields are explained in {_base_file()}'


def _base_file() -> str:
  """Returns the path of the file that explains the fields of a study."""
  return _shown_path(package_folder() / 'base.py')


def _shown_path(path: pathlib.Path) -> str:
  """Returns a path relative to the current folder, if it is below that."""
  folder = pathlib.Path.cwd()
  return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _documentation(config: ml_collections.ConfigDict, path: str) -> str:
  """Returns the file that explains the fields near `path` of `config`."""
  job = config.get('job', '')
  shared = path.split('.')[0] in ('data', 'features', 'transfer')
  file = package_folder() / f'{job}.py'
  if job == 'study' or shared or not file.is_file():
    return _base_file()
  return _shown_path(file)


def _near_fields(config: ml_collections.ConfigDict, path: str) -> list[str]:
  """Returns up to three fields of `config` that are like `path`, best first.

  They have the same last name, or nearly the same path, or else nearly the
  same last name.
  """
  last_names = {field: field.rpartition('.')[2] for field in _fields(config)}
  last = path.rpartition('.')[2]
  near = set(difflib.get_close_matches(path, last_names, n=3, cutoff=0.75))
  near |= {field for field, name in last_names.items() if name == last}
  if not near:
    likely = difflib.get_close_matches(
      last, set(last_names.values()), n=1, cutoff=0.7
    )
    near = {field for field, name in last_names.items() if name in likely}
  return difflib.get_close_matches(path, sorted(near), n=3, cutoff=0.0)


def unknown_field(
  config: ml_collections.ConfigDict, path: str
) -> errors.InputError:
  """Returns the error for a field that `config` does not have.

  Args:
    config: the config in hand.
    path: the field, such as 'fine_tuned.stps'.
  """
  if any(name in RENAMED_FIELDS for name in path.split('.')):
    return errors.InputError(f'there is no such field: {_renamed(path)}')
  near = _near_fields(config, path)
  hint = f': did you mean {" or ".join(near)}?' if near else '.'
  return errors.InputError(
    f'there is no field {path!r}{hint} The fields are explained in '
    f'{_documentation(config, path)}'
  )


def has_field(config: ml_collections.ConfigDict, path: str) -> bool:
  """Whether `config` has the field; elements of tuples are not checked."""
  value = config
  *groups, last = path.partition('[')[0].split('.')
  for name in groups:
    if not isinstance(value, ml_collections.ConfigDict) or name not in value:
      return False
    value = value[name]
  return isinstance(value, ml_collections.ConfigDict) and last in value


def _unknown_field(error: AttributeError | KeyError) -> str | None:
  """Returns the field that ml_collections does not know, None if another."""
  for pattern in _FIELD_IN_ERROR:
    match = re.search(pattern, str(error))
    if match:
      return match['name']
  return None
