"""Finding and loading configs, and the errors about them."""

import pathlib
import re
import sys

import ml_collections
import pytest

from tf_transfer import config_files, errors
from tf_transfer.configs import base

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def write_config(tmp_path):
  """A function that writes a config file and returns its path."""

  def write(text):
    path = tmp_path / 'mine.py'
    path.write_text(text)
    return str(path)

  return write


@pytest.mark.parametrize(
  'value',
  [
    'fine_tuned:resnet50,pets',
    'fine_tuned.py:resnet50,pets',
    'presets/fine_tuned:resnet50,pets',
    'configs/fine_tuned.py:resnet50,pets',
    'configs/presets/fine_tuned.py:resnet50,pets',
    './configs/fine_tuned.py:resnet50,pets',
  ],
)
def test_names_of_a_config_of_the_package(value, tmp_path, monkeypatch):
  """They mean the same in any folder."""
  monkeypatch.chdir(tmp_path)
  config = config_files.load(value)
  assert config.networks == ('resnet50',)
  assert config.datasets == ('pets',)
  assert config.settings == ('fine_tuned',)
  assert config.is_locked


def test_a_file_that_exists_comes_first(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'configs').mkdir()
  (tmp_path / 'configs' / 'quickstart.py').write_text(
    'import ml_collections\n'
    'def get_config(word="none"):\n'
    '  return ml_collections.ConfigDict({"job": "x", "word": word})\n'
  )
  load = config_files.load
  assert load('configs/quickstart.py').word == 'none'
  assert load('configs/quickstart.py:a:b,c').word == 'a:b,c'
  assert load('quickstart').job == 'study'


def test_every_config_of_the_package_is_known():
  files = config_files.package_folder()
  names = {p.stem for p in [*files.glob('*.py'), *files.glob('presets/*.py')]}
  assert set(config_files.package_configs()) == names - {'__init__'}
  assert {'quickstart', 'smoke', 'leaks'} <= names


@pytest.mark.parametrize(
  ('value', 'message'),
  [
    ('quikstart', "unknown config 'quikstart': did you mean quickstart?"),
    ('mine/few_example.py', 'no file mine/few_example.py; .* few_examples?'),
    ('settings_study:small', 'is now named regularizers'),
    ('quickstart:digits', "takes no argument after the colon, not 'digits'"),
    ('configs/fine_tuned.py:resnet50', "'resnet50': DATASET is missing"),
  ],
)
def test_config_that_is_wrong(value, message):
  with pytest.raises(errors.InputError, match=message) as raised:
    config_files.load(value)
  assert '\n' not in str(raised.value)


@pytest.mark.parametrize(
  ('body', 'message'),
  [
    ('x = 1', 'has no function get_config'),
    ('def get_config(cell):\n  return cell', 'needs an argument: .*:ARGUMENT'),
    ('def get_config():\n  pass', 'returns NoneType, expected'),
  ],
)
def test_file_that_is_no_config(write_config, body, message):
  with pytest.raises(errors.InputError, match=message):
    config_files.load(write_config(body))


_GET = 'from tf_transfer.configs import base\ndef get_config():\n'
_CONFIG = f'{_GET}  config = base.get_config()\n'
_PLACEHOLDER = (
  '  from ml_collections import config_dict\n'
  '  config.unlock()\n'
  '  del config.fine_tuned.steps\n'
  '  config.fine_tuned.steps = config_dict.required_placeholder(int)\n'
  '  return config\n'
)


@pytest.mark.parametrize(
  ('body', 'message'),
  [
    ('def get_config(:', 'line 1: SyntaxError: invalid syntax'),
    ('def get_config():\n  x = 1\n\ty = 2', 'line 3: TabError: inconsistent'),
    ('x = 1\n y = 2', 'line 2: IndentationError: unexpected indent'),
    ('import nothing_such', "line 1: ModuleNotFoundError: No module named 'no"),
    ('from . import base', 'line 1: ImportError: attempted relative import'),
    ('\n\nx = 1 / 0', 'line 3: ZeroDivisionError: division by zero'),
    ('import sys\nsys.exit()', 'line 2: SystemExit'),
    (f'{_GET}  return undefined', "line 3: NameError: name 'undefined'"),
    (f'{_GET}  return int("none")', 'line 3: ValueError: invalid literal'),
    (f'{_GET}  return {{}}["none"]', "line 3: KeyError: 'none'"),
    (f'{_GET}  return get_config()', 'line 3: RecursionError: maximum'),
    (f'{_GET}  raise MemoryError', 'line 3: MemoryError'),
    (f'{_GET}  raise Exception("a\\nb" * 999)', 'line 3: Exception: a ba b'),
    (
      f'{_CONFIG}  config.fine_tuned.steps = "many"',
      "line 4: TypeError: Could not override field 'steps'",
    ),
    (
      f'{_CONFIG}  t = config.fine_tuned\n'
      '  t.steps = t.get_ref("seed") // 0\n  return config',
      'line 5: ZeroDivisionError',
    ),
  ],
)
def test_fault_of_a_config_file_names_file_and_line(
  write_config, body, message
):
  path = write_config(body)
  with pytest.raises(errors.InputError) as raised:
    config_files.load(path)
  text = str(raised.value)
  assert text.startswith(f'{path}, {message}'), text
  assert '\n' not in text
  assert len(text) < 600


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (b'x = 1\0', 'SyntaxError|ValueError'),
    (b'x = "\xff"\n', "SyntaxError: .*'utf-8' codec can't decode"),
  ],
)
def test_file_that_is_no_text(tmp_path, monkeypatch, content, message):
  monkeypatch.chdir(tmp_path)  # What the interpreter runs is no file there.
  path = tmp_path / 'mine.py'
  path.write_bytes(content)
  with pytest.raises(errors.InputError, match=f'mine.py.*({message})'):
    config_files.load(str(path))


@pytest.mark.parametrize(
  ('body', 'message'),
  [
    (
      'import ml_collections as m\n'
      'def get_config():\n  return m.ConfigDict({"a": 1})',
      'has no field job',
    ),
    (
      f'{_CONFIG}{_PLACEHOLDER}',
      'gives config.fine_tuned.steps no value',
    ),
  ],
)
def test_config_that_misses_something(write_config, body, message):
  path = write_config(body)
  with pytest.raises(errors.InputError, match=f'{path} {message}'):
    config_files.load(path)


def test_frozen_config(write_config):
  path = write_config(
    f'import ml_collections\n{_CONFIG}'
    '  return ml_collections.FrozenConfigDict(config)\n'
  )
  config = config_files.load(path)
  assert config == base.get_config()
  config.fine_tuned.steps = 3


def test_config_file_imports_its_neighbor_from_any_folder(
  tmp_path, monkeypatch
):
  monkeypatch.chdir('/')
  body = f'{_CONFIG}  config.fine_tuned.steps = 3\n  return config\n'
  (tmp_path / 'its_neighbor.py').write_text(body)
  path = tmp_path / 'mine.py'
  path.write_text('from its_neighbor import get_config\n')
  before = list(sys.path)
  assert config_files.load(str(path)).fine_tuned.steps == 3
  assert sys.path == before


def test_fault_of_a_neighbor_names_the_neighbor(tmp_path):
  (tmp_path / 'its_bad_neighbor.py').write_text('x = (\n')
  path = tmp_path / 'mine.py'
  path.write_text('import its_bad_neighbor\n')
  with pytest.raises(errors.InputError, match='neighbor.py, line 1: Syntax'):
    config_files.load(str(path))


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('', 'is empty: name a config'),
    ('folder', 'is a directory: name a config file in it'),
    ('folder.py', 'is a directory'),
    ('config.txt', 'expected a Python file, whose name ends in .py'),
    ('none.py', "no file none.py; unknown config 'none'"),
    ('x' * 5000 + '.py', 'File name too long'),
    ('\0.py', 'unknown config'),
  ],
)
def test_path_of_no_config_file(tmp_path, monkeypatch, name, message):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'folder').mkdir()
  (tmp_path / 'folder.py').mkdir()
  (tmp_path / 'config.txt').write_text('x')
  with pytest.raises(errors.InputError, match=message) as raised:
    config_files.load(name)
  assert len(str(raised.value)) < 600


def users_config(lines):
  body = ''.join(f'  {line}\n' for line in lines)
  return (
    'import ml_collections\n'
    'from tf_transfer.configs import base\n'
    f'def get_config():\n  config = base.get_config()\n{body}  return config\n'
  )


@pytest.mark.parametrize(
  ('line', 'message'),
  [
    ('config.fine_tuned.together = 1', "'together' is now named 'concurrent_"),
    ('config.fine_tuned.final_run', "'final_run' is now named 'refit_on_"),
    ('config["colour"]', "'colour' is now named 'color_distortion'"),
    ('config.fine_tuned.stps = 1', 'stps: did you mean steps?'),
    ('config.xyzzy = 1', 'xyzzy. The fields are explained in .*base.py'),
    ('config.update({"penalties": 1})', "is now named 'num_penalties'"),
  ],
)
def test_field_that_a_config_file_gets_wrong(write_config, line, message):
  with pytest.raises(errors.InputError, match=message) as raised:
    config_files.load(write_config(users_config([line])))
  assert 'mine.py, line 5: uses a field that does not exist' in str(
    raised.value
  )


def test_old_field_of_a_config_that_is_not_locked(write_config):
  path = write_config(
    users_config(
      ['config.unlock()', 'config.features.cache_gb = 9.0', 'config.mine = 1']
    )
  )
  message = "'features.cache_gb' is now named 'features.cache_gib'"
  with pytest.raises(errors.InputError, match=message):
    config_files.load(path)


@pytest.mark.parametrize(('old', 'new'), config_files.RENAMED_FIELDS.items())
def test_every_renamed_field_is_one_of_a_config(old, new):
  fields = {
    field.rpartition('.')[2]
    for name in ('study', 'pretrain', 'leaks')
    for field in config_files._fields(config_files.load(name))
  }
  assert new in fields
  assert old not in fields
  error = config_files.unknown_field(base.get_config(), f'fine_tuned.{old}')
  assert f"'fine_tuned.{old}' is now named 'fine_tuned.{new}'" in str(error)


@pytest.mark.parametrize(
  ('config', 'path', 'message'),
  [
    ('study', 'fine_tuned.stps', 'mean fine_tuned.steps.*configs/base.py'),
    ('study', 'steps', 'mean fine_tuned.steps or random_init.steps?'),
    ('study', 'logistic.tolerance', 'mean logistic_regression.tolerance'),
    ('leaks', 'min_cosin', 'mean min_cosine? .* configs/leaks.py'),
    ('leaks', 'data.dri', 'mean data.dir? .*configs/base.py'),
    ('pretrain', 'pretrain.epoch', 'pretrain.epochs .*configs/pretrain.py'),
    ('regularizers', 'transfer.data.dri', 'transfer.data.dir.*base.py'),
    ('study', 'xyzzy', "no field 'xyzzy'. The fields are explained in"),
    (
      'study',
      'nearest_neighbours.neighbours',
      "now named 'nearest_neighbors.neighbors'",
    ),
  ],
)
def test_unknown_field_points_to_the_config_in_hand(config, path, message):
  error = config_files.unknown_field(config_files.load(config), path)
  with pytest.raises(errors.InputError, match=message.replace('?', '.')):
    raise error


def test_file_of_the_fields_from_another_folder(tmp_path, monkeypatch):
  """It is a path that exists, wherever the command runs."""
  monkeypatch.chdir(tmp_path)
  message = str(config_files.unknown_field(base.get_config(), 'xyzzy'))
  path = message.rpartition(' ')[2]
  assert path == str(config_files.package_folder() / 'base.py')


@pytest.mark.parametrize(
  ('argument', 'expected', 'parts'),
  [
    ('a,b', 'NETWORK,DATASET', ('a', 'b')),
    ('a,folder:/x,y', 'NETWORK,DATASET', ('a', 'folder:/x,y')),
    ('a,folder:/x,y,8', 'NETWORK,DATASET,COUNT', ('a', 'folder:/x,y', '8')),
    ('a,b,8', 'NETWORK,DATASET,COUNT', ('a', 'b', '8')),
    ('a,C1', 'NETWORK,CONFIGURATION[,DATASET]', ('a', 'C1', '')),
    ('a,C1,b', 'NETWORK,CONFIGURATION[,DATASET]', ('a', 'C1', 'b')),
    (
      'a,C1,folder:x,y,z',
      'NETWORK,CONFIGURATION[,DATASET]',
      ('a', 'C1', 'folder:x,y,z'),
    ),
    ('small', 'small[,SOURCE,TARGET]', ('small', '', '')),
    (
      'small,a,folder:b,c',
      'small[,SOURCE,TARGET]',
      ('small', 'a', 'folder:b,c'),
    ),
    ('/images, and,more', 'PATH', ('/images, and,more',)),
    ('folder:a,b', 'DATASET', ('folder:a,b',)),
  ],
)
def test_argument(argument, expected, parts):
  assert config_files.parse_argument(argument, expected) == parts


@pytest.mark.parametrize(
  ('argument', 'expected', 'message'),
  [
    ('a', 'NETWORK,DATASET', 'DATASET is missing'),
    ('', 'NETWORK,DATASET', 'NETWORK is empty'),
    (',b', 'NETWORK,DATASET', 'NETWORK is empty'),
    ('a,', 'NETWORK,DATASET', 'DATASET is empty'),
    ('a,b,c', 'NETWORK,DATASET', 'c is too much'),
    ('a,b', 'NETWORK,DATASET,COUNT', 'COUNT is missing'),
    ('a,b,1,2', 'NETWORK,DATASET,COUNT', '2 is too much'),
    ('a', 'NETWORK,CONFIGURATION[,DATASET]', 'CONFIGURATION is missing'),
    ('small,a', 'small[,SOURCE,TARGET]', 'TARGET is missing'),
    ('', 'PATH', 'PATH is empty'),
    ('a,b', 'DATASET', 'b is too much'),
  ],
)
def test_argument_that_is_wrong(argument, expected, message):
  with pytest.raises(errors.InputError) as raised:
    config_files.parse_argument(argument, expected)
  assert str(raised.value) == (
    f'argument {argument!r}: {message}; expected {expected}'
  )


def test_list():
  assert config_files.parse_list('', 'NAME') == ()
  assert config_files.parse_list('a,b', 'NAME') == ('a', 'b')
  with pytest.raises(errors.InputError, match='one NAME is empty'):
    config_files.parse_list('a,,b', 'NAME')


def test_fields_of_nested_configs():
  config = ml_collections.ConfigDict({'a': {'b': {'c': 1}}, 'd': 2})
  assert list(config_files._fields(config)) == ['a', 'a.b', 'a.b.c', 'd']


def test_config_of_the_documentation(write_config):
  text = (ROOT / 'docs/configs.md').read_text()
  (code,) = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
  config = config_files.load(f'{write_config(code)}:resnet50,pets')
  assert config.networks == ('resnet50',)
  assert config.fine_tuned.num_learning_rates == 3


def test_config_with_a_dataclass(write_config):
  path = write_config(
    'from __future__ import annotations\n'
    'import dataclasses\n'
    'from tf_transfer.configs import base\n'
    '@dataclasses.dataclass\n'
    'class Values:\n'
    '  steps: int = 7\n'
    'def get_config():\n'
    '  config = base.get_config()\n'
    '  config.fine_tuned.steps = Values().steps\n'
    '  return config\n'
  )
  assert config_files.load(path).fine_tuned.steps == 7


def test_renamed_fields_are_documented():
  renamed = config_files.RENAMED_FIELDS | config_files.RENAMED_CONFIGS
  for path in ('docs/configs.md', 'CHANGELOG.md'):
    text = (ROOT / path).read_text()
    for old, new in renamed.items():
      assert any(
        f'`{old}`' in line and f'`{new}`' in line for line in text.splitlines()
      ), (path, old)


def test_configs_are_documented():
  text = (ROOT / 'docs/configs.md').read_text()
  for name in config_files.package_configs():
    assert f'`{name}`' in text or name == 'base'
