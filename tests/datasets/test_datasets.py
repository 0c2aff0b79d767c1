"""The face of the package: what it exports, and how light it is."""

import subprocess
import sys

from tf_transfer import datasets
from tf_transfer.datasets import table


def test_exports():
  assert datasets.TABLE is table.TABLE
  assert sorted(datasets.__all__) == sorted(set(datasets.__all__))
  for name in datasets.__all__:
    assert hasattr(datasets, name), name


def test_import_is_light():
  code = (
    'import sys; import tf_transfer.datasets.pipeline; '
    'heavy = {"jax", "tensorflow", "tensorflow_datasets", "sklearn"}; '
    'assert not heavy & set(sys.modules)'
  )
  subprocess.run([sys.executable, '-c', code], check=True)
