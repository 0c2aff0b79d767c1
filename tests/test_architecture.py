"""The shape of the program: who imports whom, sizes, a test for each module."""

import ast
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest
from packaging import requirements

from tf_transfer.transfer import settings

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = ('tf_transfer', 'configs', 'tools')
MAX_MODULE_LINES = 500
MAX_FUNCTION_LINES = 60

# Modules over the limit, with the reason.
LONG_MODULES = {
  'tools/convert_weights/table.py': 'a table: every public checkpoint',
}
# Functions over the limit, as FILE:FUNCTION, with the reason.
LONG_FUNCTIONS: dict[str, str] = {}
# Modules without a test file of their own name, with the reason.
WITHOUT_TEST_FILE = {
  'tools/convert_weights/__main__.py': 'flags, tested by test_convert_weights',
  'tools/convert_weights/modern_sources.py': 'a part of table.py',
  'tf_transfer/networks/modern_table.py': 'a part of table.py',
  'tf_transfer/networks/row.py': 'a part of table.py',
}


def modules(*folders):
  paths = [p for folder in folders for p in (ROOT / folder).rglob('*.py')]
  return sorted(path.relative_to(ROOT) for path in paths)


def functions(path):
  """The functions of a file and their numbers of lines."""
  for node in ast.walk(ast.parse((ROOT / path).read_text())):
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
      yield node.name, node.end_lineno - node.lineno + 1


def has_code(path):
  """Whether a file has more than a docstring, imports and __names__."""

  def is_code(node):
    if isinstance(node, ast.Import | ast.ImportFrom):
      return False
    if isinstance(node, ast.Assign):
      return not ast.unparse(node.targets[0]).startswith('__')
    return not isinstance(node, ast.Expr)

  return any(map(is_code, ast.parse((ROOT / path).read_text()).body))


def test_direction_of_imports():
  """The contracts in pyproject.toml hold."""
  pytest.importorskip('importlinter')
  # In a process of its own: it keeps the streams that pytest captures.
  program = 'from importlinter import cli; cli.lint_imports_command()'
  result = subprocess.run(
    [sys.executable, '-c', program, '--no-cache'],
    capture_output=True,
    text=True,
    cwd=ROOT,
    check=False,
  )
  assert result.returncode == 0, result.stdout + result.stderr
  assert '3 kept' in result.stdout


def test_packages_of_the_wheel_are_the_folders():
  """Each folder with modules is in pyproject.toml's list, and no other."""
  project = tomllib.loads((ROOT / 'pyproject.toml').read_text())
  setuptools = project['tool']['setuptools']
  folders = setuptools['package-dir']
  packages = set()
  for package, folder in folders.items():
    for path in (ROOT / folder).rglob('__init__.py'):
      parts = path.parent.relative_to(ROOT / folder).parts
      packages.add('.'.join((package, *parts)))
  assert setuptools['packages'] == sorted(packages)
  # A folder without __init__.py would be left out of both.
  for path in modules(*folders.values()):
    assert (ROOT / path.parent / '__init__.py').exists(), path


def test_files_of_the_wheel_that_are_no_modules():
  """Each is named in pyproject.toml."""
  project = tomllib.loads((ROOT / 'pyproject.toml').read_text())
  data = project['tool']['setuptools']['package-data']
  named = {
    path
    for package, patterns in data.items()
    for pattern in patterns
    for path in (ROOT / package.replace('.', '/')).glob(pattern)
  }
  others = {
    path
    for folder in SOURCES
    for path in (ROOT / folder).rglob('*')
    if path.is_file() and path.suffix not in ('.py', '.pyc')
  }
  assert named == others


def test_modules_are_short():
  lengths = {
    str(path): len((ROOT / path).read_text().splitlines())
    for path in modules(*SOURCES)
  }
  long = {k: n for k, n in lengths.items() if n > MAX_MODULE_LINES}
  assert set(long) == set(LONG_MODULES), '\n'.join(map(str, long.items()))


def test_functions_are_short():
  long = {
    f'{path}:{name}': lines
    for path in modules(*SOURCES)
    for name, lines in functions(path)
    if lines > MAX_FUNCTION_LINES
  }
  assert set(long) == set(LONG_FUNCTIONS), '\n'.join(map(str, long.items()))


def untyped(path):
  """The functions of a file with a parameter or a result without a type."""
  for node in ast.walk(ast.parse((ROOT / path).read_text())):
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
      continue
    parameters = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
    without_type = [
      parameter.arg
      for parameter in parameters
      if parameter.annotation is None and parameter.arg not in ('self', 'cls')
    ]
    special = node.name in ('__init__', '__post_init__')
    if without_type or (node.returns is None and not special):
      yield f'{path}:{node.name}'


def test_every_parameter_and_result_has_a_type():
  names = [name for path in modules(*SOURCES) for name in untyped(path)]
  assert names == []


def file_of_tests(path):
  """Where the tests of a module are."""
  parts = path.parts
  folder = {'tf_transfer': (), 'tools': ('tools',)}[parts[0]]
  rest = parts[1:] if parts[0] == 'tf_transfer' else parts[2:]
  # A package is tested under its own name, within itself.
  if rest[-1] == '__init__.py':
    name = rest[-2] if len(rest) > 1 else parts[-2]
  else:
    name = rest[-1].removesuffix('.py')
  return pathlib.Path('tests', *folder, *rest[:-1], f'test_{name}.py')


def test_every_module_has_a_test_file():
  missing = {
    str(path): str(file_of_tests(path))
    for path in modules('tf_transfer', 'tools/convert_weights')
    if has_code(path) and not (ROOT / file_of_tests(path)).exists()
  }
  assert set(missing) == set(WITHOUT_TEST_FILE), '\n'.join(missing)


def test_no_module_compares_the_name_of_a_setting():
  """Each asks the row of the table of settings instead."""
  matches = []
  for path in modules('tf_transfer'):
    if str(path) == 'tf_transfer/transfer/settings.py':
      continue
    text = (ROOT / path).read_text()
    for node in ast.walk(ast.parse(text)):
      if not isinstance(node, ast.Compare):
        continue
      comparison = ast.get_source_segment(text, node)
      constants = {
        n.value for n in ast.walk(node) if isinstance(n, ast.Constant)
      }
      if constants & settings.SETTINGS.keys():
        matches.append(f'{path}:{node.lineno}: {comparison}')
  assert matches == [], '\n'.join(matches)


@pytest.mark.parametrize(
  ('system', 'machine', 'package'),
  [
    ('linux', 'x86_64', 'tensorflow-cpu'),
    ('linux', 'aarch64', 'tensorflow'),
    ('darwin', 'arm64', 'tensorflow'),
    ('win32', 'AMD64', 'tensorflow-cpu'),
  ],
)
def test_tensorflow_that_has_wheels_for_the_platform(system, machine, package):
  project = tomllib.loads((ROOT / 'pyproject.toml').read_text())
  platform = {'sys_platform': system, 'platform_machine': machine}
  wanted = [
    requirement.name
    for requirement in map(
      requirements.Requirement, project['project']['dependencies']
    )
    if requirement.name in ('tensorflow', 'tensorflow-cpu')
    and requirement.marker.evaluate(platform)
  ]
  assert wanted == [package]


def test_tables_of_the_docs_have_a_heading():
  """Rows without one are shown as text, as where two versions were joined."""
  torn = []
  for path in [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]:
    lines = ['', *path.read_text().splitlines(), '']
    for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
      is_first = line.startswith('|') and not before.startswith('|')
      if is_first and not re.fullmatch(r'[|:\- ]+', after):
        torn.append(f'{path.name}: {line}')
  assert not torn, '\n'.join(torn)
