"""Where datasets are found, and what is said where they are not."""

import os
import shutil

import pytest

from tests.datasets import miniatures
from tests.datasets.miniatures import open_in
from tf_transfer import datasets
from tf_transfer.datasets import table
from tf_transfer.errors import InputError


@pytest.fixture(autouse=True)
def rows(monkeypatch):
  """Makes the table expect the counts of the miniatures."""
  monkeypatch.setattr(table, 'TABLE', miniatures.rows())


def test_where_layouts_are_looked_for(tmp_path, data_dir):
  for name, where in (
    ('dtd', 'dtd/dtd'),
    ('pets', 'oxford-iiit-pet'),
    ('voc2007', 'voc2007/VOCdevkit/VOC2007'),
    ('cifar10', 'cifar-10-batches-py'),
  ):
    shutil.copytree(data_dir / name, tmp_path / where)
    datasets.check(name, str(tmp_path))
    test = open_in(tmp_path, name).splits['test']
    assert test.hash == open_in(data_dir, name).splits['test'].hash


def test_swapped_directories(tmp_path, data_dir):
  shutil.copytree(data_dir / 'pets', tmp_path / 'dtd')
  shutil.copytree(data_dir / 'dtd', tmp_path / 'pets')
  for name, other in (('dtd', 'pets'), ('pets', 'dtd')):
    with pytest.raises(InputError, match=f'{name}: .* it looks like {other}'):
      datasets.check(name, str(tmp_path))
  shutil.copytree(data_dir / 'cifar100', tmp_path / 'cifar10')
  with pytest.raises(InputError, match='data_batch_1.*looks like cifar100'):
    open_in(tmp_path, 'cifar10')


def test_a_dataset_that_may_not_be_read(tmp_path, monkeypatch):
  (tmp_path / 'pets').mkdir()
  monkeypatch.setattr(
    'tf_transfer.datasets.sources.locations.os.access', lambda path, mode: False
  )
  with pytest.raises(InputError, match='pets cannot be read: make it readable'):
    datasets.check('pets', str(tmp_path))


@pytest.mark.parametrize(
  ('name', 'where', 'data_dir_below'),
  [
    ('cars', 'cars/cars', ''),
    ('cars', 'cars/archive/stanford_cars', ''),
    ('pets', 'archive', ''),
    ('pets', 'archive/oxford-iiit-pet', ''),
    ('dtd', 'dtd/dtd-r1.0.1/dtd', ''),
    ('flowers', 'anything', 'anything'),
  ],
)
def test_a_layout_one_folder_too_deep(
  tmp_path, data_dir, name, where, data_dir_below
):
  shutil.copytree(data_dir / name, tmp_path / where, copy_function=os.link)
  named = tmp_path / data_dir_below
  datasets.check(name, str(named))
  expected = open_in(data_dir, name).splits['test'].hash
  assert open_in(named, name).splits['test'].hash == expected
  assert name in datasets.available(str(named))


def test_two_copies_of_which_neither_is_in_its_place(tmp_path, data_dir):
  for where in ('cars/a', 'cars/b'):
    shutil.copytree(data_dir / 'cars', tmp_path / where, copy_function=os.link)
  with pytest.raises(InputError, match='cars/a, .*cars/b have its files'):
    datasets.check('cars', str(tmp_path))


@pytest.mark.parametrize(
  ('images', 'named'),
  [
    (('flowers/1.jpg', 'temple/1.jpg'), ''),
    (('flowers/rose/1.jpg', 'flowers/tulip/1.jpg'), 'flowers'),
    (('flowers/train/rose/1.png', 'flowers/test/rose/1.png'), 'flowers'),
  ],
)
def test_a_folder_of_images_that_is_called_as_a_dataset(
  tmp_path, images, named
):
  for image in images:
    miniatures.put(tmp_path, image, miniatures.Photos()())
  assert 'flowers' not in datasets.available(str(tmp_path))
  with pytest.raises(InputError, match='no copy of the dataset') as raised:
    datasets.check('flowers', str(tmp_path))
  root = str(tmp_path / named) if named else str(tmp_path)
  assert f'write folder:{root} in place of flowers' in str(raised.value)
  assert 'unpacked' not in str(raised.value)


def test_a_part_of_a_dataset_is_incomplete(tmp_path):
  (tmp_path / 'flowers/jpg').mkdir(parents=True)
  assert 'flowers' in datasets.available(str(tmp_path))
  with pytest.raises(InputError, match='no setid.mat, imagelabels.mat, only j'):
    datasets.check('flowers', str(tmp_path))


def test_another_version_of_tfds(tmp_path):
  version = tmp_path / 'oxford_flowers102/1.0.0'
  version.mkdir(parents=True)
  (version / 'dataset_info.json').write_text('{}')
  with pytest.raises(InputError, match=r'102/1.0.0, but version 2.\*.\* is'):
    datasets.check('flowers', str(tmp_path))


def test_nothing_there(tmp_path):
  with pytest.raises(InputError, match='official archives') as raised:
    datasets.check('sun397', str(tmp_path))
  for words in ('Partitions', '37 GB', 'prepare=True', 'partition 1', 'SUN397'):
    assert words in str(raised.value)
  with pytest.raises(InputError, match='no such directory'):
    datasets.check('pets', str(tmp_path / 'none'))
