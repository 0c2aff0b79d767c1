"""Folders of images: classes, splits, and folders with errors."""

import contextlib
import io
import os
import random
import stat
import unicodedata

import numpy as np
import pytest
from PIL import Image

from tf_transfer import datasets
from tf_transfer.datasets.sources import folder
from tf_transfer.errors import InputError


def png(number):
  """A small image that is another one for each number."""
  pixels = np.full((3, 4, 3), [number % 256, number // 256, 7], np.uint8)
  file = io.BytesIO()
  Image.fromarray(pixels).save(file, 'PNG')
  return file.getvalue()


def write(root, files):
  """Writes {path below root: number of the image}, in the order given."""
  for path, number in files.items():
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(png(number))
  return root


def animals(count=40, classes=('cat', 'dog')):
  return {
    f'{name}/{i:03}.png': 1000 * c + i
    for c, name in enumerate(classes)
    for i in range(count)
  }


def open_at(root, **options):
  return datasets.open(f'folder:{root}', **options)


def contents(dataset):
  """split -> the set of pairs of class and digest."""
  return {
    name: {
      (dataset.classes[label], digest.tobytes())
      for label, digest in zip(part.labels, part.digests, strict=True)
    }
    for name, part in dataset.splits.items()
  }


def hashes(dataset):
  return {name: part.hash for name, part in dataset.splits.items()}


def test_folder_of_classes(tmp_path):
  dataset = open_at(write(tmp_path, animals()))
  assert dataset.name == f'folder:{tmp_path}'
  assert dataset.classes == ('cat', 'dog')
  assert dataset.metric == 'top1'
  assert dataset.notes == ()
  assert sum(len(part) for part in dataset.splits.values()) == 80
  for part in dataset.splits.values():
    assert len(part) > 5
    assert part.labels.tolist() == sorted(part.labels)
    for i in range(len(part)):
      path = part.describe(i)
      assert path.startswith(str(tmp_path))
      assert (
        os.path.basename(os.path.dirname(path))
        == (dataset.classes[part.labels[i]])
      )
      number = int(os.path.basename(path)[:3])
      assert part.read(i)[0, 0].tolist() == [
        (number + 1000 * part.labels[i]) % 256,
        (number + 1000 * part.labels[i]) // 256,
        7,
      ]


def test_order_of_the_file_system_changes_nothing(tmp_path, monkeypatch):
  files = animals()
  one = open_at(write(tmp_path / 'one', files))
  backwards = dict(reversed(files.items()))
  root = write(tmp_path / 'other', backwards)
  scan = os.scandir
  rng = random.Random(0)

  class Shuffled:
    def __init__(self, path):
      with scan(path) as entries:
        self.entries = list(entries)
      rng.shuffle(self.entries)

    def __enter__(self):
      return iter(self.entries)

    def __exit__(self, *_):
      return None

  monkeypatch.setattr(os, 'scandir', Shuffled)
  other = open_at(root)
  assert hashes(one) == hashes(other)
  for name, part in one.splits.items():
    for i in range(len(part)):
      assert os.path.relpath(part.describe(i), tmp_path / 'one') == (
        os.path.relpath(other.splits[name].describe(i), root)
      )


def test_new_names_of_files_change_nothing(tmp_path):
  files = animals()
  renamed = {
    f'{os.path.dirname(path)}/deep/er/x{1000 - i}.PNG': number
    for i, (path, number) in enumerate(files.items())
  }
  one = open_at(write(tmp_path / 'one', files))
  other = open_at(write(tmp_path / 'other', renamed))
  assert hashes(one) == hashes(other)


def test_another_class_changes_nothing_in_the_others(tmp_path):
  before = contents(open_at(write(tmp_path, animals())))
  # Before the others in the alphabet, so that their labels move.
  write(tmp_path, {f'ape/{i}.png': 5000 + i for i in range(30)})
  after = open_at(tmp_path)
  assert after.classes == ('ape', 'cat', 'dog')
  for name, pairs in contents(after).items():
    assert {pair for pair in pairs if pair[0] != 'ape'} == before[name]


def test_more_files_move_none_in_the_draw_of_version_1(tmp_path):
  root = write(tmp_path, animals(40))
  before = contents(open_at(root, split_version=1))
  after = contents(open_at(write(tmp_path, animals(70)), split_version=1))
  for name in before:
    assert before[name] <= after[name]


def test_seed_moves_files(tmp_path):
  write(tmp_path, animals())
  assert hashes(open_at(tmp_path)) != hashes(open_at(tmp_path, seed=1))


@pytest.mark.parametrize('version', [1, 2])
def test_identical_files_are_on_one_side(tmp_path, version):
  files = animals()
  for i in range(40):
    files[f'cat/copy{i}.png'] = files[f'cat/{i:03}.png']
    files[f'dog/stolen{i}.png'] = files[f'cat/{i:03}.png']
  dataset = open_at(write(tmp_path, files), split_version=version)
  sides = [
    {digest for _, digest in pairs} for pairs in contents(dataset).values()
  ]
  assert len(set.union(*sides)) == sum(len(side) for side in sides) == 80
  assert sum(len(part) for part in dataset.splits.values()) == 160
  assert dataset.notes == (
    '120 files are identical to a file of another class, the first cat/000.png',
  )


def test_notes_are_in_the_dataset(tmp_path):
  before = hashes(open_at(write(tmp_path, animals())))
  write(
    tmp_path,
    {'logo.png': 1, 'cat/@eaDir/000.png/THUMB.jpg': 2, '.cache/x.png': 3},
  )
  (tmp_path / 'cat' / 'readme.txt').write_text('cats')
  dataset = open_at(tmp_path)
  assert hashes(dataset) == before
  assert dataset.notes == (
    '1 image beside the class folders is left out, the first logo.png',
    '1 file in .cache left out',
    '1 file in @eaDir left out',
    'left out: 1 .txt',
  )


def test_home_directory(tmp_path, monkeypatch):
  write(tmp_path / 'pets', animals())
  monkeypatch.setenv('HOME', str(tmp_path))
  datasets.check('folder:~/pets')
  assert datasets.open('folder:~/pets').classes == ('cat', 'dog')


def test_progress_sees_every_file_once(tmp_path):
  calls = []

  def progress(iterable, **options):
    calls.append(options)
    for item in iterable:
      calls.append('file')
      yield item

  open_at(write(tmp_path, animals()), progress=progress)
  assert calls[0] == {
    'total': 80,
    'desc': f'reading folder:{tmp_path}',
    'unit': 'file',
  }
  assert calls[1:] == ['file'] * 80


# Folders of splits.


def parts(train=20, val=6, test=8, names=('train', 'val', 'test')):
  files = {}
  for p, (name, count) in enumerate(
    zip(names, (train, val, test), strict=True)
  ):
    for path, number in animals(count).items():
      files[f'{name}/{path}'] = number + 5000 * p
  return files


@pytest.mark.parametrize(
  'names',
  [
    ('train', 'val', 'test'),
    ('Train', 'valid', 'TEST'),
    ('train', 'validation', 'test'),
  ],
)
def test_folders_of_splits(tmp_path, names):
  dataset = open_at(write(tmp_path, parts(names=names)))
  counts = {name: len(part) for name, part in dataset.splits.items()}
  assert counts == {'train': 40, 'val': 12, 'test': 16}
  assert dataset.notes == ()
  for name, folder_name in zip(('train', 'val', 'test'), names, strict=True):
    part = dataset.splits[name]
    assert part.name == name
    assert f'/{folder_name}/' in part.describe(0)


def test_validation_is_held_out_of_train_if_not_given(tmp_path):
  dataset = open_at(write(tmp_path, parts(train=60, val=0)))
  assert len(dataset.splits['test']) == 16
  assert len(dataset.splits['train']) + len(dataset.splits['val']) == 120
  assert 10 <= len(dataset.splits['val']) <= 40
  bigger = open_at(tmp_path, val_fraction=0.6)
  assert len(bigger.splits['val']) > 50


def test_copies_of_test_are_left_out_of_train_and_val(tmp_path):
  files = parts()
  files['train/dog/z1.png'] = files['test/cat/000.png']
  files['train/cat/z2.png'] = files['test/cat/000.png']
  files['val/cat/z3.png'] = files['test/cat/001.png']
  files['train/cat/z4.png'] = files['val/cat/002.png']
  dataset = open_at(write(tmp_path, files))
  counts = {name: len(part) for name, part in dataset.splits.items()}
  assert counts == {'train': 40, 'val': 12, 'test': 16}
  assert dataset.notes == (
    '1 of 13 files of val is left out: identical to files of test, '
    'the first val/cat/z3.png',
    '2 of 43 files of train are left out: identical to files of test, '
    'the first train/cat/z2.png',
    '1 of 41 files of train is left out: identical to files of val, '
    'the first train/cat/z4.png',
    '3 files are identical to a file of another class, the first '
    'test/cat/000.png',
  )


def test_a_class_may_be_called_train(tmp_path):
  root = write(tmp_path, animals(classes=('bus', 'train')))
  assert open_at(root).classes == ('bus', 'train')


@pytest.mark.parametrize(
  ('files', 'message'),
  [
    (
      parts(val=0, test=0),
      'no folder test beside train: .* give folder:.*/train$',
    ),
    (
      parts(test=0),
      'no folder test beside train, val: .* on val, rename it to test$',
    ),
    (parts(train=0), 'no folder train beside test, val'),
    (parts() | {'other/x.png': 1}, r'splits \(test, train, val\) beside oth'),
    (
      parts(val=0, test=0) | animals(3),
      r'splits \(train\) beside others \(cat, dog\)',
    ),
    (parts() | {'valid/cat/x.png': 1}, 'val and valid both name the split val'),
    (
      parts() | {'test/cow/x.png': 1},
      r'train: no folder for 1 of the classes in .*test \(cow\)',
    ),
    (
      parts() | {'train/cow/x.png': 1, 'val/cow/x.png': 2},
      r'test: no folder for 1 of the classes in .*train \(cow\)',
    ),
    (
      {'train/x.png': 1, 'test/y.png': 2},
      r'train: images \(x.png\) that are in no class folder',
    ),
  ],
)
def test_folders_of_splits_that_are_wrong(tmp_path, files, message):
  write(tmp_path, files)
  with pytest.raises(InputError, match=message):
    open_at(tmp_path)


def test_a_class_that_is_all_copies(tmp_path):
  files = parts(train=1, val=3, test=8)
  files['train/cat/000.png'] = files['test/cat/000.png']
  write(tmp_path, files)
  with pytest.raises(InputError, match='no training image is left of cat'):
    open_at(tmp_path)


# Directories that cannot be used.


def test_nothing_there(tmp_path):
  with pytest.raises(InputError, match='none: no such directory: expected a'):
    open_at(tmp_path / 'none')


def test_a_file(tmp_path):
  (tmp_path / 'pets.zip').write_bytes(b'PK')
  with pytest.raises(InputError, match=r'pets\.zip: not a directory.*unpack'):
    open_at(tmp_path / 'pets.zip')


@pytest.mark.parametrize(
  ('files', 'message'),
  [
    ({}, 'no class folders'),
    ({'a.png': 1, 'b.png': 2}, r'images \(a\.png, b\.png\) that are in no cla'),
    ({'cat/a.png': 1}, 'only one class, cat: there must be two'),
    ({'cat/.a.png': 1, 'dog/.b.png': 2}, 'no images in any of its 2 class'),
    (
      {'cat/a.png': 1, 'dog/.b.png': 2, 'cow/.c.png': 3},
      r'cow: a class without images \(so are 2 of 3: cow, dog\)',
    ),
  ],
)
def test_directories_without_what_is_needed(tmp_path, files, message):
  write(tmp_path, files)
  with pytest.raises(InputError, match=message) as raised:
    open_at(tmp_path)
  assert str(tmp_path) in str(raised.value)


def test_the_only_folder_may_hold_the_classes(tmp_path):
  write(tmp_path / 'images', animals(2))
  with pytest.raises(InputError, match=f'give folder:{tmp_path}/images'):
    open_at(tmp_path)


def test_too_few_images(tmp_path):
  write(tmp_path, {'cat/a.png': 1, 'dog/b.png': 2})
  with pytest.raises(InputError, match=r'no image is left for|no training'):
    open_at(tmp_path)


@contextlib.contextmanager
def as_nobody(path):
  """Root may read everything: while this lasts, root is someone else."""
  if os.geteuid():
    yield
    return
  for parent in path.parents:
    if not parent.stat().st_mode & stat.S_IXOTH:
      parent.chmod(0o711)
  os.seteuid(65534)
  try:
    yield
  finally:
    os.seteuid(0)


@pytest.mark.parametrize('path', ['cat', 'cat/000.png', ''])
def test_no_permission(tmp_path, path):
  root = tmp_path / 'root'
  write(root, animals())
  locked = root / path
  mode = locked.stat().st_mode
  locked.chmod(0)
  try:
    with (
      as_nobody(root),
      pytest.raises(InputError, match='cannot be read') as raised,
    ):
      open_at(root)
  finally:
    locked.chmod(mode)
  assert str(locked) in str(raised.value)


@pytest.mark.parametrize('name', ['scandir', 'stat'])
def test_a_folder_that_fails(tmp_path, monkeypatch, name):
  write(tmp_path, animals())
  works = getattr(os, name)

  def fail(path, *args, **options):
    if str(path).endswith('cat'):
      raise PermissionError(13, 'Permission denied', path)
    return works(path, *args, **options)

  monkeypatch.setattr(os, name, fail)
  with pytest.raises(
    InputError, match=r'cat: cannot be read \(Permission denied\)'
  ):
    open_at(tmp_path)


# One folder, however it is written.


def test_the_name_of_a_folder_in_many_ways(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  monkeypatch.chdir(tmp_path)
  write(tmp_path / 'pets', animals())
  (tmp_path / 'far' / 'inner').mkdir(parents=True)
  os.symlink(tmp_path / 'far' / 'inner', tmp_path / 'link')
  names = {
    path: folder.folder_name(path)
    for path in (
      *('pets', 'pets/', './pets', 'pets//', 'pets/cat/..', 'pets/.'),
      *(str(tmp_path / 'pets'), f'/{tmp_path}/pets/', '~/pets', '~/pets/'),
    )
  }
  assert set(list(names.values())[:6]) == {'folder:pets'}
  assert set(list(names.values())[6:]) == {
    f'folder:{tmp_path}/pets',
    'folder:~/pets',
  }
  # `..` of a link is not the folder that the link is in.
  assert folder.folder_name('link/..') == f'folder:{tmp_path}/far'
  for path in ('.', 'pets/..', '~', '~/'):
    assert folder.folder_name(path) == f'folder:{tmp_path}'
  opened = [datasets.open(f'folder:{path}') for path in (*names, 'pets')]
  assert {dataset.identity_name for dataset in opened} == {'folder'}
  assert len({str(hashes(dataset)) for dataset in opened}) == 1


def test_the_name_of_a_folder_can_be_printed():
  name = folder.folder_name('/no/\x1b[31mre\u0308d\udcff')
  assert name == 'folder:/no/\\x1b[31mr\u00ebd\\xff'
  name.encode()


@pytest.mark.parametrize(
  ('one', 'other'), [('NFC', 'NFC'), ('NFC', 'NFD'), ('NFD', 'NFC')]
)
def test_names_in_any_normalization_are_the_same(tmp_path, one, other):
  """Of classes in two splits, and of the directory itself."""
  classes = ('K\u00e4fer', '\u00d6l', 'plain')
  root = tmp_path / unicodedata.normalize(other, 'D\u00e9j\u00e0')
  for split, form in (('train', one), ('test', other)):
    names = [unicodedata.normalize(form, name) for name in classes]
    files = animals(20, names)
    offset = 9000 * (split == 'test')
    write(root / split, {path: n + offset for path, n in files.items()})
  dataset = open_at(root)
  assert dataset.classes == ('K\u00e4fer', 'plain', '\u00d6l')
  assert dataset.name == f'folder:{tmp_path}/D\u00e9j\u00e0'
  assert (
    dataset.splits['test']
    .describe(0)
    .endswith(
      f'/test/{unicodedata.normalize(other, classes[0])}/'
      + os.path.basename(dataset.splits['test'].describe(0))
    )
  )
  if other == 'NFC':
    composed = open_at(root)
    assert hashes(composed) == hashes(dataset)


def test_one_class_in_two_normalizations(tmp_path):
  names = [unicodedata.normalize(form, '\u00d6l') for form in ('NFC', 'NFD')]
  write(tmp_path, animals(3, names))
  with pytest.raises(InputError, match='two folders are named \u00d6l'):
    datasets.check(f'folder:{tmp_path}')


def test_names_that_a_terminal_would_obey(tmp_path):
  classes = ('a\x1b[31m', 'b\nc', 'c\u202e', 'd\te')
  dataset = open_at(write(tmp_path / 'x\x1b]0;', animals(20, classes)))
  assert dataset.classes == ('a\\x1b[31m', 'b\\nc', 'c\\u202e', 'd\\te')
  texts = [dataset.name, dataset.splits['test'].describe(0)]
  assert all(text.isprintable() for text in (*texts, *dataset.classes))


def test_classes_that_print_alike(tmp_path):
  write(tmp_path, animals(20, ('d\\xffg', 'cat')))
  odd = os.path.join(os.fsencode(tmp_path), b'd\xffg')
  os.rename(write(tmp_path / 'new', animals(20)) / 'dog', odd)
  os.rename(tmp_path / 'new' / 'cat', tmp_path / 'cow')
  os.rmdir(tmp_path / 'new')
  with pytest.raises(InputError, match=r'two classes print as d\\xffg'):
    open_at(tmp_path)


@pytest.mark.parametrize(
  ('path', 'message'),
  [
    ('', 'folder: has no path'),
    ('/', '/: everything on this machine'),
    ('a\0b', r'folder:a\\x00b: no path has a zero byte'),
    ('gs://bucket/data', 'gs://bucket/data is no directory of this machine'),
    ('~nobody-of-this-name/x', 'the home directory is not known'),
    ('x' * 5000, 'no such directory'),
  ],
)
def test_paths_that_are_no_directories(path, message):
  for function in (datasets.check, datasets.open):
    with pytest.raises(InputError, match=message):
      function(f'folder:{path}')


def test_every_file_is_opened_once(tmp_path, monkeypatch):
  write(tmp_path, animals())
  opened = []

  def count(function):
    def counted(path, *args, **options):
      if str(path).startswith(str(tmp_path)):
        opened.append(str(path))
      return function(path, *args, **options)

    return counted

  monkeypatch.setattr('builtins.open', count(open))
  monkeypatch.setattr(os, 'open', count(os.open))
  open_at(tmp_path)
  assert sorted(opened) == sorted(map(str, tmp_path.glob('*/*.png')))
