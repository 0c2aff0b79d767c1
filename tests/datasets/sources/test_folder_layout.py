"""Names of folders of splits, and folders that may be splits or classes."""

import itertools
import os

import pytest

from tests.datasets.sources.test_folder import animals, open_at, parts, write
from tf_transfer import datasets
from tf_transfer.datasets.sources import folder_layout
from tf_transfer.errors import InputError

# Written out, and not made of the words in the code.
NAMES = {
  'train': [
    *('train', 'Train', 'TRAIN', 'training', 'Training', 'trn', 'train_set'),
    *('train-set', 'Train Set', 'trainset', 'training_set', 'TRAINING-SET'),
    *('train_data', 'train_images', 'training data'),
  ],
  'val': [
    *('val', 'VAL', 'valid', 'Valid', 'validation', 'Validation', 'val_set'),
    *('validation-set', 'dev', 'Dev', 'dev_set', 'val images'),
  ],
  'test': [
    *('test', 'Test', 'testing', 'TESTING', 'tst', 'test_set', 'Test-Set'),
    *('testset', 'testing set', 'test_data', 'test_images'),
  ],
  'eval': ['eval', 'Eval', 'evaluation', 'EVALUATION', 'eval_set'],
  None: [
    *('trains', 'trainer', 'latest', 'contest', 'device', 'value', 'invalid'),
    *('test2', 'set', 'data', 'images', 'train tracks', '', 'testament'),
  ],
}


@pytest.mark.parametrize(
  ('name', 'expected'),
  [(name, key) for key, names in NAMES.items() for name in names],
)
def test_names_of_splits(name, expected):
  assert folder_layout.split_named(name) == expected


@pytest.mark.parametrize(
  ('train', 'val', 'test'),
  [
    ('Training', 'Validation', 'Testing'),
    ('train_set', 'dev', 'tst'),
    ('TRN', 'valid', 'test set'),
    ('training-set', 'eval', 'Testing'),
    ('Train', 'val', 'evaluation'),
  ],
)
def test_mixtures_of_names(tmp_path, train, val, test):
  dataset = open_at(write(tmp_path, parts(names=(train, val, test))))
  assert dataset.classes == ('cat', 'dog')
  counts = {name: len(part) for name, part in dataset.splits.items()}
  assert counts == {'train': 40, 'val': 12, 'test': 16}
  of_eval = [
    f'{name} is read as {split}'
    for name, split in ((val, 'val'), (test, 'test'))
    if name.startswith('eval')
  ]
  assert list(dataset.notes) == of_eval


def test_two_splits_are_enough(tmp_path):
  files = parts(train=30, val=0, names=('Training', 'x', 'Testing'))
  dataset = open_at(write(tmp_path, files))
  assert dataset.classes == ('cat', 'dog')
  assert len(dataset.splits['test']) == 16
  assert dataset.notes == ()


def test_two_names_of_one_split(tmp_path):
  write(tmp_path, parts(names=('train', 'Test_Set', 'test')))
  with pytest.raises(InputError, match='Test_Set and test both name the split'):
    datasets.check(f'folder:{tmp_path}')


def test_a_split_that_is_another_by_a_link(tmp_path):
  os.symlink('test', write(tmp_path, parts(val=0)) / 'val')
  with pytest.raises(InputError, match='test and val are the same folder'):
    datasets.check(f'folder:{tmp_path}')


@pytest.mark.parametrize('name', ['train', 'Valid', 'dev', 'training'])
def test_a_class_may_have_the_name_of_a_split(tmp_path, name):
  root = write(tmp_path, animals(classes=('bus', 'car', name)))
  assert set(open_at(root).classes) == {'bus', 'car', name}


@pytest.mark.parametrize(
  'names',
  [
    ('seg_train', 'seg_test'),
    ('train2017', 'val2017'),
    ('My Test', 'My Train'),
  ],
)
def test_names_that_differ_only_in_the_split(tmp_path, names):
  write(tmp_path, animals(classes=(*names, 'other')))
  with pytest.raises(InputError, match='look like splits: rename them to'):
    datasets.check(f'folder:{tmp_path}')


def test_classes_with_words_for_splits_in_their_names(tmp_path):
  names = ('bullet_train', 'latest', 'steam train', 'test tube', 'train2017')
  assert open_at(write(tmp_path, animals(classes=names))).classes == names


def nested(outer, inner, own=()):
  """Images in OUTER/INNER, and directly in the folders `own`."""
  numbers = itertools.count()
  files = {
    f'{a}/{b}/{i}.png': next(numbers)
    for a in outer
    for b in inner
    for i in range(15)
  }
  return files | {f'{a}/own.png': next(numbers) for a in own}


@pytest.mark.parametrize(
  ('files', 'message'),
  [
    (
      nested(('fold1', 'fold2'), ('cat', 'dog')),
      r'\(fold1, fold2\) all hold folders of the same names \(cat, dog\): if '
      'these are the classes, arrange them as train/cat ',
    ),
    (
      nested(('fold1', 'fold2', 'fold3'), ('cat', 'dog'), ('fold2',))
      | {'fold1/cow/1.png': 999},
      r'of the same names \(cat, dog\)',
    ),
    (
      nested(('cat', 'dog'), ('Test', 'Train')),
      r'\(Test, Train\): if these are the splits, arrange them as Test/cat ',
    ),
    (
      nested(('train/x', 'train/y', 'test/x', 'test/y'), ('cat', 'dog')),
      r'train: its folders \(x, y\) all hold folders of the same names',
    ),
  ],
)
def test_folders_of_the_same_names_in_all_folders(tmp_path, files, message):
  write(tmp_path, files)
  for function in (datasets.check, datasets.open):
    with pytest.raises(InputError, match=message) as raised:
      function(f'folder:{tmp_path}')
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize(
  'files',
  [
    nested(('cat', 'dog'), ('images',)),
    nested(('cat', 'dog'), ('left', 'right'), ('cat', 'dog')),
    nested(('cat',), ('left', 'right')) | nested(('dog',), ('up', 'down')),
    nested(('cat',), ('left', 'right')) | animals(15, ('dog',)),
  ],
)
def test_folders_in_classes_that_are_no_classes(tmp_path, files):
  dataset = open_at(write(tmp_path, files))
  assert dataset.classes == ('cat', 'dog')
  assert any('inside it' in note for note in dataset.notes)


def test_names_that_differ_in_case_alone(tmp_path):
  files = parts(val=0)
  files = {k.replace('test/cat', 'test/Cat'): v for k, v in files.items()}
  write(tmp_path, files)
  with pytest.raises(InputError, match='only the case differs of Cat'):
    datasets.check(f'folder:{tmp_path}')
  root = write(tmp_path / 'new', animals(classes=('Cat', 'cat')))
  assert open_at(root).notes == ('the classes Cat, cat differ only in case',)
