"""How datasets with official splits are dataset and divided."""

import hashlib
import shutil

import numpy as np
import pytest

from tests.datasets import miniatures
from tests.datasets.miniatures import open_in
from tf_transfer.datasets import table
from tf_transfer.datasets.sources import layouts


@pytest.fixture(autouse=True)
def rows(monkeypatch):
  """Makes the table expect the counts of the miniatures."""
  monkeypatch.setattr(table, 'TABLE', miniatures.rows())


def number(seed, content):
  """What a draw goes by, worked out apart."""
  inner = hashlib.sha256(content).digest()
  return hashlib.sha256(f'{seed}:'.encode() + inner).digest()[:8]


def test_caltechs_draw_can_be_derived_from_names_alone(data_dir):
  dataset = open_in(data_dir, 'caltech101')
  expected = {'train': set(), 'val': set(), 'test': set()}
  for folder in (data_dir / 'caltech101').iterdir():
    names = [
      f'{folder.name.lower()}/{path.name}' for path in folder.glob('*.jpg')
    ]
    names.sort(key=lambda name: number(0, name.encode()))
    expected['val'].update(names[:1])
    expected['train'].update(names[1 : miniatures.TRAIN])
    expected['test'].update(names[miniatures.TRAIN :])
  for part, split in dataset.splits.items():
    names = [
      '/'.join(split.describe(i).split('/')[-2:]) for i in range(len(split))
    ]
    assert {name.lower() for name in names} == expected[part]
    assert len(set(names)) == len(names)


def test_a_draw_by_content_over_all_classes(data_dir):
  dataset = open_in(data_dir, 'cars')
  contents = {}
  for path in (data_dir / 'cars/cars_train').iterdir():
    contents[str(path)] = number(0, path.read_bytes())
  lowest = sorted(contents, key=contents.get)[: miniatures.COUNTS['cars'][1]]
  val = dataset.splits['val']
  assert {val.describe(i) for i in range(len(val))} == set(lowest)


@pytest.mark.parametrize('name', ['food101', 'cifar10', 'sun397', 'pets'])
def test_balanced_draws(data_dir, name):
  val = open_in(data_dir, name).splits['val']
  assert np.bincount(val.labels).tolist() == [1] * miniatures.CLASSES[name]
  other = open_in(data_dir, name, seed=1).splits
  assert other['val'].hash != val.hash
  assert len(other['val']) == len(val)


def test_order_of_files_and_lists_does_not_matter(tmp_path, data_dir):
  shutil.copytree(data_dir / 'food101', tmp_path / 'food101')
  listed = tmp_path / 'food101/meta/train.txt'
  listed.write_text('\n'.join(listed.read_text().split()[::-1]))
  for part, split in open_in(data_dir, 'food101').splits.items():
    assert split.hash == open_in(tmp_path, 'food101').splits[part].hash


def test_the_banner_is_part_of_the_identity(tmp_path, monkeypatch, data_dir):
  monkeypatch.setattr('tf_transfer.datasets.sources.official.BANNER', 3)
  whole = open_in(data_dir, 'aircraft')
  cut = open_in(data_dir, 'aircraft', cut_banner=True)
  for part, split in whole.splits.items():
    assert cut.splits[part].hash != split.hash
    np.testing.assert_array_equal(cut.splits[part].read(4), split.read(4)[:5])
    assert cut.splits[part].describe(4) == split.describe(4)
  assert cut.notes == ('the lowest 3 rows of each image are cut off',)
  pets = open_in(data_dir, 'pets').splits['test'].hash
  assert open_in(data_dir, 'pets', cut_banner=True).splits['test'].hash == pets


def test_digests_are_remembered_until_a_file_changes(
  tmp_path, data_dir, monkeypatch
):
  shutil.copytree(data_dir / 'pets', tmp_path / 'pets')
  read = []
  original = layouts.whole_files.__globals__['read_bytes']
  monkeypatch.setattr(
    'tf_transfer.datasets.sources.image_files.read_bytes',
    lambda path, *more: read.append(path) or original(path, *more),
  )

  def images_read():
    read.clear()
    dataset = open_in(tmp_path, 'pets', cache_dir=tmp_path / 'cache')
    return dataset, sum(path.endswith('.jpg') for path in read)

  first, count = images_read()
  assert count == 37 * 5
  again, count = images_read()
  assert count == 0
  assert first.splits['val'].hash == again.splits['val'].hash
  (tmp_path / 'pets/images/class_0003_1004.jpg').write_bytes(
    miniatures.Photos(seed=9)()
  )
  changed, count = images_read()
  assert count == 37 * 2
  assert first.splits['val'].hash == changed.splits['val'].hash
  assert first.splits['test'].hash != changed.splits['test'].hash
  for path in (tmp_path / 'cache').iterdir():
    path.write_bytes(path.read_bytes()[:100])
  mended, count = images_read()
  assert count == 37 * 5
  assert mended.splits['test'].hash == changed.splits['test'].hash
