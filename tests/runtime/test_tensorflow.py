"""TensorFlow is imported on demand, and sees no GPU."""

import pathlib
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

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


@pytest.mark.parametrize(
  ('system', 'machine', 'expected'),
  [
    ('linux', 'x86_64', 'tensorflow-cpu'),
    ('win32', 'AMD64', 'tensorflow-cpu'),
    ('linux', 'aarch64', 'tensorflow'),
    ('darwin', 'arm64', 'tensorflow'),
    ('darwin', 'x86_64', 'tensorflow'),
  ],
)
def test_what_is_installed_on_each_system(system, machine, expected):
  """tensorflow-cpu has wheels for two of them alone."""
  path = pathlib.Path(__file__).parents[2] / 'pyproject.toml'
  project = tomllib.loads(path.read_text())['project']
  environment = {'sys_platform': system, 'platform_machine': machine}
  names = {
    requirement.name
    for requirement in map(Requirement, project['dependencies'])
    if requirement.name.startswith('tensorflow')
    and (not requirement.marker or requirement.marker.evaluate(environment))
  }
  assert names - {'tensorflow-datasets'} == {expected}
