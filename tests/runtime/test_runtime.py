"""What a system without fcntl, as Windows, is told."""

import importlib
import runpy
import sys

import pytest

from tf_transfer import runtime
from tf_transfer.runtime import files, termination


def test_a_system_without_locks_of_files(monkeypatch):
  monkeypatch.setitem(sys.modules, 'fcntl', None)
  with pytest.raises(ImportError, match='runs on Linux and macOS'):
    importlib.reload(runtime)
  for module in (runtime, files, termination):
    monkeypatch.delitem(sys.modules, module.__name__)
  with pytest.raises(ImportError, match='runs on Linux and macOS'):
    importlib.import_module('tf_transfer.runtime.files')


def test_the_program_says_it_in_one_line(monkeypatch):
  monkeypatch.setitem(sys.modules, 'fcntl', None)
  for name in [n for n in sys.modules if n.startswith('tf_transfer.runtime')]:
    monkeypatch.delitem(sys.modules, name)
  monkeypatch.delitem(sys.modules, 'tf_transfer.main', raising=False)
  with pytest.raises(SystemExit) as ended:
    runpy.run_module('tf_transfer.main')
  assert str(ended.value).startswith('error: tf_transfer runs on Linux')
  assert '\n' not in str(ended.value)
