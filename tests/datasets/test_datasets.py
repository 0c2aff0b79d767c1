import subprocess
import sys

import numpy as np
import pytest

from tf_transfer import datasets
from tf_transfer.errors import InputError


def test_names_and_rows():
  assert datasets.names() == ('digits', 'fashion_mnist', 'folder:PATH')
  for row in datasets.DATASETS:
    assert row.metric in ('top1', 'mean_per_class')
    assert row.citation
    assert row.licence


def test_unknown_name_hints_and_mentions_folders():
  with pytest.raises(InputError, match=r'did you mean digits.*folder:PATH'):
    datasets.open('digit')
  with pytest.raises(InputError, match='fashion_mnist'):
    datasets.check('fashion-mnist')


def test_check_is_about_names_and_directories(tmp_path):
  datasets.check('digits')
  with pytest.raises(InputError, match='no such directory'):
    datasets.check(f'folder:{tmp_path}/none')
  with pytest.raises(InputError, match='has no path'):
    datasets.check('folder:')
  with pytest.raises(InputError, match='data_dir'):
    datasets.check('fashion_mnist', str(tmp_path / 'none'))
  for name in 'ab':
    (tmp_path / name).mkdir()
  datasets.check(f'folder:{tmp_path}')


def test_bad_fractions_are_refused():
  with pytest.raises(InputError, match='val_fraction'):
    datasets.open('digits', val_fraction=2)


def test_digits():
  digits = datasets.open('digits')
  counts = {name: len(part) for name, part in digits.splits.items()}
  assert counts == {'train': 1046, 'val': 384, 'test': 367}
  assert digits.classes == tuple('0123456789')
  assert digits.metric == 'top1'
  assert digits.notes == ()
  test = digits.splits['test']
  assert test.hash.startswith('1b2a2cbb')
  assert test.read(0).shape == (8, 8, 3)
  assert test.read(0).dtype == np.uint8
  assert max(test.read(i).max() for i in range(20)) == 255
  assert test.describe(0).startswith('digits image ')
  assert set(test.labels.tolist()) == set(range(10))


def test_digits_are_those_of_scikit_learn():
  from sklearn.datasets import load_digits

  bunch = load_digits()
  part = datasets.open('digits').splits['val']
  for i in (0, 100, 300):
    original = int(part.describe(i).rsplit(' ', 1)[1])
    assert part.labels[i] == bunch.target[original]
    error = part.read(i)[..., 0] - bunch.images[original] * 255 / 16
    assert np.abs(error).max() <= 0.5


def test_seed_and_fractions_reach_the_draw():
  other = datasets.open('digits', seed=1, test_fraction=0.5)
  assert 0.45 < len(other.splits['test']) / 1797 < 0.55
  assert (
    other.splits['test'].hash != datasets.open('digits').splits['test'].hash
  )


def test_import_is_light():
  code = (
    'import sys; import tf_transfer.datasets.pipeline; '
    'heavy = {"jax", "tensorflow", "tensorflow_datasets", "sklearn"}; '
    'assert not heavy & set(sys.modules)'
  )
  subprocess.run([sys.executable, '-c', code], check=True)
