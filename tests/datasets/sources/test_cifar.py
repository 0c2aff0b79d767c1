"""CIFAR's pickles, beside the authors' binary version."""

import hashlib
import pickle

import numpy as np
import pytest

from tests.datasets import miniatures
from tests.datasets.miniatures import (
  assert_refused,
  open_in,
  overwrite,
  remove,
  truncate,
)
from tf_transfer.datasets import table


@pytest.fixture(autouse=True)
def rows(monkeypatch):
  """Makes the table expect the counts of the miniatures."""
  monkeypatch.setattr(table, 'TABLE', miniatures.rows())


@pytest.mark.parametrize('name', ['cifar10', 'cifar100'])
def test_pixels_and_labels_of_cifar(data_dir, name):
  """Against the authors' binary version: labels, then rows of R, G and B."""
  extra = 1 if name == 'cifar10' else 2
  (folder,) = (data_dir / name).glob('cifar-*')
  binary = {'train': [], 'test': []}
  for path in sorted(folder.glob('*.bin')):
    rows = np.fromfile(path, np.uint8).reshape(-1, 3072 + extra)
    binary['test' if 'test' in path.name else 'train'].append(rows)
  labels = {}
  for part, rows in binary.items():
    for row in np.concatenate(rows):
      red, green, blue = row[extra:].reshape(3, 32, 32)
      pixels = np.stack([red, green, blue], axis=-1).tobytes()
      labels[pixels] = part, row[extra - 1]
  dataset = open_in(data_dir, name)
  for part, split in dataset.splits.items():
    for i in range(len(split)):
      pixels = split.read(i).tobytes()
      official = 'test' if part == 'test' else 'train'
      assert labels[pixels] == (official, split.labels[i])
      assert split.digests[i].tobytes() == hashlib.sha256(pixels).digest()


def cifar_label(value):
  def change(root):
    with open(root / 'test_batch', 'rb') as file:
      content = pickle.load(file, encoding='bytes')
    content[b'labels'][3] = value
    (root / 'test_batch').write_bytes(miniatures.python2_pickle(content))

  return change


class Evil:
  def __reduce__(self):
    return print, ('run!',)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (cifar_label(10), 'test_batch: label 10, expected 0 to 9'),
    (cifar_label('x'), "test_batch: label b?'x', expected 0 to 9"),
    (
      truncate('data_batch_3'),
      'data_batch_3: not a valid pickle',
    ),
    (
      overwrite('data_batch_3', pickle.dumps({b'data': Evil()})),
      r'data_batch_3 is refused: its pickle names builtins\.print',
    ),
    (
      overwrite(
        'data_batch_3', miniatures.python2_pickle({b'data': np.zeros(3)})
      ),
      'data_batch_3: not a valid pickle .*not uint8',
    ),
    (remove('data_batch_3'), 'data_batch_3: cannot be read'),
  ],
)
def test_bad_layouts(tmp_path, data_dir, change, message):
  assert_refused(data_dir, tmp_path, 'cifar10', change, message)
