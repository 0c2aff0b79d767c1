"""Tests of datasets of labels without images."""

import numpy as np
import pytest

from tf_transfer import datasets, errors
from tf_transfer.datasets import table

SPLITS = ('train', 'val', 'test')


def write(directory, values, names=None):
  for split in SPLITS:
    if isinstance(values, str):
      (directory / f'{split}_labels.txt').write_text(values)
    else:
      np.save(directory / f'{split}_labels.npy', np.array(values))
    if names:
      (directory / f'{split}_names.txt').write_text(names.format(split))


def open_labels(directory):
  return datasets.open(f'labels:{directory}')


def test_numbers(tmp_path):
  write(tmp_path, [0, 2, 1, 2], '{0}/a\n{0}/b\n{0}/c\n{0}/d\n')
  dataset = open_labels(tmp_path)
  datasets.check(dataset.name)
  assert not dataset.has_images
  assert (dataset.classes, dataset.metric) == (('0', '1', '2'), 'top1')
  val = dataset.splits['val']
  assert val.labels.tolist() == [0, 2, 1, 2]
  assert val.describe(1) == 'val/b'
  assert table.title(dataset.name) == tmp_path.name
  with pytest.raises(errors.InputError, match='labels and no images'):
    val.read(0)


def test_names_of_classes(tmp_path):
  write(tmp_path, 'dog\ncat\ndog\n')
  dataset = open_labels(tmp_path)
  assert dataset.classes == ('cat', 'dog')
  assert dataset.splits['test'].labels.tolist() == [1, 0, 1]
  assert dataset.splits['test'].describe(2) == 'test 2'
  (tmp_path / 'classes.txt').write_text('dog\ncat\n')
  assert open_labels(tmp_path).splits['test'].labels.tolist() == [0, 1, 0]


def test_several_classes(tmp_path):
  write(tmp_path, [[0, 1], [1, 1], [1, 0]])
  dataset = open_labels(tmp_path)
  assert (dataset.metric, dataset.multi_label) == ('map11', True)


def test_same_labels_have_other_digests_by_split_and_name(tmp_path):
  write(tmp_path, [0, 1])
  splits = open_labels(tmp_path).splits.values()
  digests = np.concatenate([split.digests for split in splits])
  assert len(np.unique(digests, axis=0)) == 6
  hashes = {split.hash for split in splits}
  write(tmp_path, [0, 1], 'a\nb\n')
  assert hashes.isdisjoint(
    x.hash for x in open_labels(tmp_path).splits.values()
  )


@pytest.mark.parametrize(
  ('values', 'files', 'message'),
  [
    ([0, 1], {'val_labels.npy': None}, r'expected val_labels\.npy or'),
    ([0, 3], {'classes.txt': 'a\nb\n'}, 'are of 4 classes, and classes.txt'),
    ([[0, 1]], {'classes.txt': 'a\n'}, 'are of 2 classes, and classes.txt'),
    ([0, 1], {'classes.txt': 'a\na\n'}, 'a class is there twice'),
    ('a\nb\n', {'classes.txt': 'a\n'}, 'b is no class of classes.txt'),
    ([0, 1], {'val_names.txt': 'a\n'}, '2 labels and 1 names'),
    ([0, 1], {'val_names.txt': 'a\na\n'}, 'is there twice'),
  ],
)
def test_what_is_wrong_is_said(tmp_path, values, files, message):
  write(tmp_path, values)
  for name, text in files.items():
    if text is None:
      (tmp_path / name).unlink()
    else:
      (tmp_path / name).write_text(text)
  with pytest.raises(errors.InputError, match=message):
    open_labels(tmp_path)


def test_labels_of_two_kinds(tmp_path):
  write(tmp_path, [0, 1])
  np.save(tmp_path / 'val_labels.npy', np.eye(2, dtype=int))
  with pytest.raises(errors.InputError, match='the labels of all splits as'):
    open_labels(tmp_path)


def test_no_such_directory(tmp_path):
  with pytest.raises(errors.InputError, match='no such directory'):
    open_labels(tmp_path / 'none')
