"""How a folder is split: by class, groups, folds, and without corrupt files."""

import os

import numpy as np
import pytest

from tests.datasets.images.test_near_duplicates import COPIES, encode, photo
from tests.datasets.sources.test_folder import animals, hashes, open_at, write
from tf_transfer.datasets.sources import folder_draw
from tf_transfer.errors import InputError
from tf_transfer.images.decoding import CorruptImage


def write_photos(root, count=8, copies=('recoded', 'halved')):
  """Writes photos of two classes, each with copies."""
  for c, name in enumerate(('cat', 'dog')):
    (root / name).mkdir(parents=True)
    for i in range(count):
      image = photo(100 * c + i)
      (root / name / f'{i}.png').write_bytes(encode(image))
      for copy in copies:
        (root / name / f'{copy}{i}.jpg').write_bytes(COPIES[copy](image))
  return root


def names(split):
  return [os.path.basename(split.describe(i)) for i in range(len(split))]


def sides_of(dataset, key):
  """What a key finds in names -> the splits that it is in."""
  sides = {}
  for split_name, split in dataset.splits.items():
    for i in range(len(split)):
      sides.setdefault(key(split.describe(i)), set()).add(split_name)
  return sides


def test_each_class_is_tested(tmp_path):
  # 6 classes of 2 to 7 images: by content alone some would have none.
  files = {f'{c}/{i}.png': 100 * c + i for c in range(2, 8) for i in range(c)}
  dataset = open_at(write(tmp_path, files))
  counts = {
    name: np.bincount(split.labels, minlength=6).tolist()
    for name, split in dataset.splits.items()
  }
  assert counts == {
    'train': [1, 1, 2, 3, 4, 5],
    'val': [0, 1, 1, 1, 1, 1],
    'test': [1, 1, 1, 1, 1, 1],
  }
  assert dataset.split_version == 2
  assert dataset.notes == ('val has no image of 2',)


def test_the_old_draw_can_be_asked_for(tmp_path):
  dataset = open_at(write(tmp_path, animals()), split_version=1)
  # Hashes of the version before the stratified draw.
  assert [x[:12] for x in hashes(dataset).values()] == [
    '978887668961',
    '8b0cb00fa786',
    'c77d0b552238',
  ]
  assert dataset.split_version == 1
  assert all(split.groups is None for split in dataset.splits.values())


def test_copies_of_photos_stay_on_one_side(tmp_path):
  dataset = open_at(write_photos(tmp_path))
  sides = sides_of(
    dataset, lambda path: path.split('/')[-2] + path.split('.')[-2][-1]
  )
  assert len(sides) == 16
  assert all(len(names) == 1 for names in sides.values())
  assert dataset.notes == (
    '48 images look like another, recoded or resized, in 16 groups',
  )
  groups = [split.groups for split in dataset.splits.values()]
  assert len(np.unique(np.concatenate(groups))) == 16


def test_group_by_keeps_patients_on_one_side(tmp_path):
  files = {
    f'{name}/p{i % 10}_{i}.png': 1000 * c + i
    for c, name in enumerate(('ill', 'well'))
    for i in range(40)
  }
  files['ill/none.png'] = 5000
  write(tmp_path, files)
  dataset = open_at(tmp_path, group_by=r'^(p\d+)_')
  sides = sides_of(dataset, lambda path: path.split('/')[-1].split('_')[0])
  del sides['none.png']
  assert len(sides) == 10
  assert all(len(names) == 1 for names in sides.values())
  assert dataset.group_by == r'^(p\d+)_'
  assert dataset.notes == (
    'group_by finds nothing in the names of 1 of 81 files: each of these is '
    'alone',
  )
  # Not by the class, which the path that is searched does not contain.
  whole = open_at(tmp_path, group_by='ill|well')
  assert '81 of 81' in whole.notes[0]


def test_group_keys():
  keys = folder_draw.group_keys(['a1_x.png', 'b2.png', '.png'], r'([a-z])\d')
  assert keys == ['a', 'b', '']
  assert folder_draw.group_keys(['a1_x.png'], r'[a-z]\d') == ['a1']
  assert folder_draw.group_keys(['a'], '') == ['']
  assert folder_draw.group_keys(['a'], r'(b)?a') == ['']
  with pytest.raises(InputError, match=r"data\.group_by: '\(' is no regular"):
    folder_draw.group_keys(['a'], '(')


def test_folds_of_a_folder(tmp_path):
  dataset = open_at(write_photos(tmp_path), folds=4)
  assert len(dataset.folds) == 4
  tested = [
    name for fold in dataset.folds for name in names(fold.splits['test'])
  ]
  assert sorted(tested) == sorted(names(dataset.splits['test']))
  assert len(dataset.splits['test']) == 48
  for fold in dataset.folds:
    parts = [set(split.groups.tolist()) for split in fold.splits.values()]
    assert sum(map(len, parts)) == 16
    assert fold.split_version == 2
    assert np.bincount(fold.splits['test'].labels).tolist() == [6, 6]
  assert dataset.identity_name == 'folder'
  assert dataset.notes[-1] == 'each image is tested once, by one of 4 folds'


def test_a_folder_with_a_test_split_has_no_folds(tmp_path):
  files = {
    f'{split}/{path}': number + 1000 * s
    for s, split in enumerate(('train', 'test'))
    for path, number in animals(10).items()
  }
  with pytest.raises(InputError, match='has a test split of its own'):
    open_at(write(tmp_path, files), folds=3)


def test_val_of_a_given_train_is_stratified(tmp_path):
  files = {
    f'{split}/{path}': number + 5000 * s
    for s, split in enumerate(('train', 'test'))
    for path, number in animals(20).items()
  }
  dataset = open_at(write(tmp_path, files))
  assert np.bincount(dataset.splits['val'].labels).tolist() == [4, 4]
  assert dataset.split_version == 2


def test_given_splits_are_of_no_version(tmp_path):
  files = {
    f'{split}/{path}': number + 5000 * s
    for s, split in enumerate(('train', 'val', 'test'))
    for path, number in animals(5).items()
  }
  dataset = open_at(write(tmp_path, files), group_by='0')
  assert (dataset.split_version, dataset.group_by) == (1, '')


def damage(root, count):
  for i in range(count):
    (root / 'cat' / f'bad{i:02}.jpg').write_bytes(b'\xff\xd8\xff' + bytes([i]))


def test_all_corrupt_files_are_one_error(tmp_path):
  damage(write(tmp_path, animals()), 15)
  with pytest.raises(CorruptImage) as error:
    open_at(tmp_path)
  message = str(error.value)
  assert '15 of 95 files cannot be decoded' in message
  assert 'bad11.jpg (' in message
  assert 'bad12.jpg' not in message
  assert 'and 3 more' in message
  assert '--config.data.corrupt=skip' in message
  assert f'--config=datasets:folder:{tmp_path}' in message
  assert '\n' not in message


@pytest.mark.parametrize('version', [1, 2])
def test_corrupt_files_are_left_out_and_change_nothing_else(tmp_path, version):
  before = open_at(write(tmp_path, animals()), split_version=version)
  damage(tmp_path, 2)
  after = open_at(tmp_path, corrupt='skip', split_version=version)
  assert hashes(after) == hashes(before)
  assert before.skipped == ()
  assert after.skipped == (
    f'{tmp_path}/cat/bad00.jpg',
    f'{tmp_path}/cat/bad01.jpg',
  )
  assert after.notes[0].startswith(
    '2 of 82 files cannot be decoded and are left out, the first '
    f'{tmp_path}/cat/bad00.jpg ('
  )


def test_a_class_of_corrupt_files_alone_is_an_error(tmp_path):
  write(tmp_path, {**animals(5), **animals(5, ['ant'])})
  for path in (tmp_path / 'ant').iterdir():
    path.write_bytes(b'\xff\xd8\xff')
  with pytest.raises(InputError, match='no image of ant can be decoded'):
    open_at(tmp_path, corrupt='skip')
