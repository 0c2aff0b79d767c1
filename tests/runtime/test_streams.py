"""Standard streams that are closed, full or ASCII; messages without prefix."""

import asyncio
import gc
import logging as python_logging
import os
import pathlib
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator

import pytest
from absl import logging

from tf_transfer.runtime import streams

ROOT = pathlib.Path(__file__).parents[2]
# Prints much, then opens a file; the exit code says whether output was lost.
SCRIPT = (
  'import sys\n'
  'from tf_transfer.runtime import streams\n'
  'streams.protect()\n'
  "file = open(sys.argv[1], 'w')\n"
  'for _ in range(20_000):\n'
  "  print('Käfer')\n"
  "file.write('kept')\n"
  'sys.exit(streams.finish())\n'
)


def run(path, *before, **options):
  return subprocess.Popen(
    [*before, sys.executable, '-c', SCRIPT, str(path)],
    stderr=subprocess.PIPE,
    cwd=ROOT,
    **options,
  )


def assert_lost(process, path, *words):
  stderr = process.stderr.read().decode()
  process.stderr.close()
  assert process.wait() == os.EX_IOERR, stderr
  (line,) = stderr.splitlines()
  assert line.startswith('warning: stdout cannot be written')
  for word in words:
    assert word in line
  assert path.read_text() == 'kept'


def test_a_reader_that_leaves(tmp_path):
  process = run(tmp_path / 'file', stdout=subprocess.PIPE)
  assert process.stdout.readline().decode() == 'Käfer\n'
  process.stdout.close()
  assert_lost(process, tmp_path / 'file', 'Broken pipe')


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='Linux only')
def test_a_full_device(tmp_path):
  with open('/dev/full', 'wb') as full:
    process = run(tmp_path / 'file', stdout=full)
    assert_lost(process, tmp_path / 'file', 'No space left on device')


def test_streams_that_were_closed(tmp_path):
  """No file takes their place, so nothing is printed into one."""
  process = run(tmp_path / 'file', 'sh', '-c', 'exec "$@" <&- >&-', 'sh')
  stderr = process.communicate()[1].decode()
  assert process.returncode == 0
  assert stderr == 'warning: stdout is closed: no messages are shown on it\n'
  assert (tmp_path / 'file').read_text() == 'kept'


def test_an_encoding_without_the_character(tmp_path):
  process = run(
    tmp_path / 'file',
    stdout=subprocess.PIPE,
    env={**os.environ, 'PYTHONIOENCODING': 'ascii'},
  )
  stdout, stderr = process.communicate()
  assert process.returncode == 0, stderr
  assert stdout.splitlines()[0] == rb'K\xe4fer'


@pytest.fixture
def shown(monkeypatch):
  """Shows warnings as a program does."""
  root = python_logging.getLogger()
  monkeypatch.setattr(root, 'handlers', [logging.get_absl_handler()])
  jax_level = python_logging.getLogger('jax').level
  verbosity = logging.get_verbosity()
  monkeypatch.setattr(sys, 'unraisablehook', sys.unraisablehook)
  with warnings.catch_warnings():
    streams.show_warnings()
    yield
  logging.set_verbosity(verbosity)
  python_logging.getLogger('jax').setLevel(jax_level)


def test_what_is_logged_is_a_plain_line(shown, capsys):
  logging.warning('%s: odd', 'a\x1b[31mb')
  python_logging.getLogger('library').error('broken')
  logging.info('not shown')
  # As fontTools, which says what it does with each figure's font.
  chatty = python_logging.getLogger('chatty')
  chatty.setLevel(python_logging.INFO)
  chatty.info('not shown')
  assert capsys.readouterr().err == 'warning: a\\x1b[31mb: odd\nerror: broken\n'


def test_what_a_library_raises_too_is_not_logged(shown, capsys):
  """As by Orbax, a traceback of each of its threads on a full disk."""
  record = python_logging.LogRecord(
    *('absl', python_logging.ERROR, '/lib/orbax/checkpoint/a.py', 1),
    *('thread failed', (), None),
  )
  python_logging.getLogger('absl').handle(record)
  assert not capsys.readouterr().err


def test_warnings_of_libraries_end_nothing(shown, capsys):
  """Under pytest each is an error, as with PYTHONWARNINGS=error."""
  warnings.warn('first\n  second', UserWarning, stacklevel=1)
  assert capsys.readouterr().err == 'warning: first second\n'


def _failing() -> Iterator[None]:
  raise RuntimeError('Event loop is closed')
  yield


class _Raising:
  """Calls a function that raises when it is deleted: nobody can catch it."""

  def __init__(self, call: Callable[[], object]):
    self._call = call

  def __del__(self) -> None:
    self._call()


def _closed_loop() -> asyncio.AbstractEventLoop:
  loop = asyncio.new_event_loop()
  loop.close()
  return loop


@pytest.mark.parametrize(
  ('call', 'words'),
  [
    # As TensorStore's writes that are under way when another one has failed.
    (lambda: _closed_loop().call_soon_threadsafe(print), ''),
    (lambda: [].pop(), 'IndexError'),
    (lambda: next(_failing()), 'RuntimeError: Event loop'),
  ],
)
def test_errors_that_follow_another_are_not_shown(shown, capsys, call, words):
  raising = _Raising(call)
  del raising
  gc.collect()
  text = capsys.readouterr().err
  assert words in text
  assert bool(words) == bool(text)
