import subprocess
import sys

import numpy as np
import pytest

from tf_transfer import datasets
from tf_transfer.errors import InputError

# The paper's table 1 and BYOL's table 10 once more, written down apart from
# the code: classes, train + val, test, metric, train, val.
PAPER = """
food101     101  75,750 25,250 top1            68,175  7,575
cifar10      10  50,000 10,000 top1            45,000  5,000
cifar100    100  50,000 10,000 top1            44,933  5,067
birdsnap    500  47,386  2,443 top1            42,405  4,981
sun397      397  19,850 19,850 top1            15,880  3,970
cars        196   8,144  8,041 top1             6,494  1,650
aircraft    100   6,667  3,333 mean_per_class   3,334  3,333
voc2007      20   5,011  4,952 map11            2,501  2,510
dtd          47   3,760  1,880 top1             1,880  1,880
pets         37   3,680  3,669 mean_per_class   2,940    740
caltech101  102   3,060  6,084 mean_per_class   2,550    510
flowers     102   2,040  6,149 mean_per_class   1,020  1,020
"""


def test_names_and_rows():
  assert datasets.names() == (
    *('digits', 'fashion_mnist', 'food101', 'cifar10', 'cifar100'),
    *('birdsnap', 'sun397', 'cars', 'aircraft', 'voc2007', 'dtd', 'pets'),
    *('caltech101', 'flowers', 'imagenet', 'folder:PATH'),
  )
  for row in datasets.ROWS:
    assert row.metric in ('top1', 'mean_per_class', 'map11')
    assert row.citation
    assert row.license
    if row.published:
      assert row.page
      assert row.size
      assert row.traps


def test_counts_are_the_papers():
  for line in PAPER.strip().replace(',', '').splitlines():
    name, classes, both, test, metric, train, val = line.split()
    row = datasets.row(name)
    assert row.classes == int(classes)
    assert row.metric == metric
    assert row.counts == {
      'train': int(train),
      'val': int(val),
      'test': int(test),
    }
    assert int(train) + int(val) == int(both)
    rule = row.held_out
    if rule is not None and rule.each is not None:
      assert rule.each * row.classes == int(val)
    if rule is not None and rule.test_from is not None:
      assert rule.test_from * row.classes == int(both)
  imagenet = datasets.row('imagenet')
  assert imagenet.counts['train'] + imagenet.counts['val'] == 1_281_167
  assert imagenet.counts['test'] == 50_000
  assert imagenet.held_out.each * imagenet.classes == imagenet.counts['val']


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
