"""TensorFlow is imported on demand, and sees no GPU."""

import subprocess
import sys

import pytest

from tf_transfer.runtime import tensorflow


def test_importing_the_module_does_not_import_tensorflow():
  code = (
    'import sys\n'
    'from tf_transfer.runtime import tensorflow, writers\n'
    "assert 'tensorflow' not in sys.modules\n"
  )
  subprocess.run([sys.executable, '-c', code], check=True)


def test_no_gpu_is_visible():
  tf = pytest.importorskip('tensorflow')
  assert tensorflow.import_without_gpu() is tf
  assert tf.config.get_visible_devices('GPU') == []


def test_gpus_are_hidden_before_use(monkeypatch):
  tf = pytest.importorskip('tensorflow')
  calls = []
  monkeypatch.setattr(
    tf.config, 'set_visible_devices', lambda *a: calls.append(a)
  )
  tensorflow.import_without_gpu.cache_clear()
  for _ in range(2):
    tensorflow.import_without_gpu()
  assert calls == [([], 'GPU')]


def test_a_missing_tensorflow(monkeypatch):
  monkeypatch.setitem(sys.modules, 'tensorflow', None)
  tensorflow.import_without_gpu.cache_clear()
  with pytest.raises(ImportError):
    tensorflow.import_without_gpu()
