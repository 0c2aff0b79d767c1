"""The official layouts, in miniature: labels, and layouts with errors."""

import os
import shutil
import xml.etree.ElementTree

import numpy as np
import pytest
import scipy.io

from tests.datasets import miniatures
from tests.datasets.miniatures import (
  assert_refused,
  examples,
  open_in,
  overwrite,
  remove,
  truncate,
)
from tf_transfer import datasets
from tf_transfer.datasets import table
from tf_transfer.datasets.sources import layouts
from tf_transfer.errors import InputError

NAMES = tuple(miniatures.MAKERS)


@pytest.fixture(autouse=True)
def rows(monkeypatch):
  """Makes the table expect the counts of the miniatures."""
  monkeypatch.setattr(table, 'TABLE', miniatures.rows())


@pytest.mark.parametrize('name', NAMES)
def test_counts_classes_and_images(data_dir, name):
  dataset = open_in(data_dir, name)
  counts = [len(dataset.splits[part]) for part in ('train', 'val', 'test')]
  if name == 'birdsnap':
    # Of 2,500 and 1,000 each tenth is lost; val is its share of the rest.
    assert counts == [2160, 90, 900]
    assert dataset.notes[0].startswith(
      'only 2,250 of 2,500 images of train and val and 900 of 1,000 of test'
    )
  else:
    assert counts == list(miniatures.COUNTS[name])
  assert len(dataset.classes) == miniatures.CLASSES[name]
  assert dataset.metric == datasets.row(name).metric
  assert dataset.multi_label == (name == 'voc2007')
  for split in dataset.splits.values():
    for i in range(0, len(split), 7):
      image = split.read(i)
      assert image.dtype == np.uint8
      assert image.shape in ((8, 6, 3), (32, 32, 3))


@pytest.mark.parametrize(
  'name', ['food101', 'birdsnap', 'dtd', 'caltech101', 'sun397']
)
def test_labels_are_those_of_the_folders(data_dir, name):
  dataset = open_in(data_dir, name)
  for _, _, label, path in examples(dataset):
    folder = path.split('/')[-2].lower()
    assert dataset.classes[label].split('/')[-1] == folder


def test_labels_of_pets_are_in_the_names(data_dir):
  dataset = open_in(data_dir, 'pets')
  for part, _, label, path in examples(dataset):
    name, _, number = path.rpartition('/')[2].rpartition('_')
    assert dataset.classes[label] == name
    assert (int(number[:-4]) >= 1000 + miniatures.TRAIN) == (part == 'test')


def test_labels_of_cars(data_dir):
  for part, _, label, path in examples(open_in(data_dir, 'cars')):
    assert label == (int(path[-9:-4]) - 1) % 196
    assert ('cars_test' in path) == (part == 'test')


def test_labels_of_aircraft(data_dir):
  dataset = open_in(data_dir, 'aircraft')
  listed = {}
  for part in ('train', 'val', 'test'):
    text = data_dir / f'aircraft/data/images_variant_{part}.txt'
    for line in text.read_text().splitlines():
      listed[line[:7]] = part, line[8:]
  for part, _, label, path in examples(dataset):
    assert listed[path[-11:-4]] == (part, dataset.classes[label])


def test_labels_of_voc_are_those_of_its_annotations(data_dir):
  """The lists against the XML files, which nothing else here reads."""
  dataset = open_in(data_dir, 'voc2007')
  values = set()
  for _, _, labels, path in examples(dataset):
    tree = xml.etree.ElementTree.parse(
      path.replace('JPEGImages', 'Annotations').replace('.jpg', '.xml')
    )
    expected = np.zeros(20, int)
    for thing in tree.findall('object'):
      index = dataset.classes.index(thing.find('name').text)
      if thing.find('difficult').text == '0':
        expected[index] = 1
      elif expected[index] == 0:
        expected[index] = -1
    np.testing.assert_array_equal(labels, expected)
    values.update(labels.tolist())
  assert values == {-1, 0, 1}


def replace(where, old, new):
  def change(root):
    text = (root / where).read_text()
    assert old in text
    (root / where).write_text(text.replace(old, new))

  return change


PROBLEMS = [
  (
    'food101',
    remove('images/class_0003/train1.jpg'),
    r'1 of the 303 images that it names is not there \(.*class_0003',
  ),
  (
    'food101',
    lambda root: shutil.rmtree(root / 'images/class_0003'),
    'train.txt: 3 of the 303 .* half unpacked',
  ),
  (
    'food101',
    replace('meta/train.txt', 'class_0003/', 'class_9999/'),
    r'not among the 101 known \(class_9999\)',
  ),
  (
    'food101',
    replace('meta/train.txt', 'class_0003/train1', 'class_0003/train0'),
    r'names 1 image more than once \(class_0003/train0\)',
  ),
  (
    'food101',
    replace('meta/test.txt', 'class_0003/test1\n', ''),
    '201 images of test where there should be 202',
  ),
  ('food101', overwrite('meta/test.txt', ''), 'test.txt: is empty'),
  (
    'food101',
    overwrite('meta/test.txt', b'\xff\xfe\xff'),
    'not a text file',
  ),
  (
    'food101',
    remove('meta/test.txt'),
    'test.txt: cannot be read .*No such',
  ),
  (
    'food101',
    remove('meta/train.txt'),
    r'food101 has no meta/train\.txt',
  ),
  (
    'birdsnap',
    lambda root: shutil.rmtree(root / 'images'),
    'none of the 3,500 images .* get_birdsnap.py',
  ),
  (
    'birdsnap',
    replace('images.txt', 'class_0003/22.jpg\t4', 'class_0003/22.jpg\t777'),
    r'images.txt: 1 class not among the 500 known \(777\)',
  ),
  ('birdsnap', replace('images.txt', 'species_id', 'x'), 'no column species'),
  (
    'birdsnap',
    replace('images.txt', '\tclass_0000/3.jpg\t1\t1\t', ''),
    '1 of its 3,500 lines cut short',
  ),
  (
    'birdsnap',
    overwrite('species.txt', ''),
    'no column id, common, only nothing',
  ),
  (
    'birdsnap',
    replace('test_images.txt', 'class_0003/', 'class_0009/'),
    'names images that images.txt does not',
  ),
  (
    'cars',
    truncate('devkit/cars_train_annos.mat'),
    'not a valid MATLAB file',
  ),
  (
    'cars',
    overwrite('devkit/cars_meta.mat', 'text'),
    'not a valid MATLAB file',
  ),
  (
    'cars',
    remove('devkit/cars_meta.mat'),
    'cars_meta.mat: cannot be read',
  ),
  (
    'cars',
    remove('cars_test_annos_withlabels.mat'),
    'cars_test_annos_withlabels.mat: cannot be read',
  ),
  (
    'pets',
    replace('annotations/test.txt', ' 37 ', ' 38 '),
    'test.txt: 38 where a number from 1 to 37 belongs',
  ),
  (
    'pets',
    replace('annotations/test.txt', ' 37 ', ' '),
    'where a number from 1 to 37 belongs',
  ),
  (
    'voc2007',
    replace('ImageSets/Main/car_val.txt', ' -1', ' 7'),
    'car_val.txt: expected lines of a number and 1, -1 or 0',
  ),
  (
    'voc2007',
    replace('ImageSets/Main/car_val.txt', '000041', '000042'),
    'car_val.txt: lists other images',
  ),
  (
    'imagenet',
    replace('imagenet_2012_validation_synset_labels.txt', 'n00000004\n', ''),
    '999 labels for 1,000 images in val',
  ),
  (
    'caltech101',
    lambda root: shutil.rmtree(root / 'class_0007'),
    '101 classes, expected 102',
  ),
]


@pytest.mark.parametrize(('name', 'change', 'message'), PROBLEMS)
def test_bad_layouts(tmp_path, data_dir, name, change, message):
  assert_refused(data_dir, tmp_path, name, change, message)


@pytest.mark.parametrize('function', ['listdir', 'scandir'])
def test_directories_that_may_not_be_read(data_dir, monkeypatch, function):
  def refuse(path):
    raise PermissionError(13, 'Permission denied', path)

  monkeypatch.setattr(
    f'tf_transfer.datasets.sources.annotations.os.{function}', refuse
  )
  name = {'listdir': 'pets', 'scandir': 'caltech101'}[function]
  with pytest.raises(InputError, match='cannot be read .Permission denied'):
    open_in(data_dir, name)


def test_recognizes_each(data_dir):
  for name in NAMES:
    assert layouts.recognize(data_dir / name) == name


@pytest.fixture
def linked(data_dir, tmp_path):
  """Copies a miniature by links, which takes no time."""

  def copy(name, where=None):
    root = tmp_path / (where or name)
    shutil.copytree(data_dir / name, root, copy_function=os.link)
    return root

  return copy


def push_down(folder, inner=None):
  """Moves what is in a folder into a new one in it, of the same name."""
  away = folder.with_name(f'{folder.name}_away')
  folder.rename(away)
  folder.mkdir()
  away.rename(folder / (inner or folder.name))


def assert_same(name, first, second):
  splits = open_in(first, name).splits
  for part, split in open_in(second, name).splits.items():
    assert split.hash == splits[part].hash


@pytest.mark.parametrize(
  ('name', 'folders'),
  [
    ('food101', ['images']),
    ('birdsnap', ['images']),
    ('cars', ['cars_train', 'cars_test']),
    ('aircraft', ['data/images']),
    ('voc2007', ['JPEGImages']),
    ('dtd', ['images']),
    ('pets', ['images']),
    ('flowers', ['jpg']),
  ],
)
def test_images_one_folder_too_deep_are_read(
  tmp_path, data_dir, linked, name, folders
):
  root = linked(name)
  for folder in folders:
    push_down(root / folder)
  datasets.check(name, str(tmp_path))
  assert_same(name, data_dir, tmp_path)


def test_images_of_sun397_in_a_folder_beside_the_lists(
  tmp_path, data_dir, linked
):
  root = linked('sun397')
  (root / 'SUN397').mkdir()
  (root / 'c').rename(root / 'SUN397/c')
  assert_same('sun397', data_dir, tmp_path)


def test_images_some_of_which_are_too_deep(tmp_path, linked):
  root = linked('cars')
  push_down(root / 'cars_train')
  (root / 'cars_train/cars_train/00007.jpg').unlink()
  with pytest.raises(InputError, match='one folder too deep: 587 of') as raised:
    open_in(tmp_path, 'cars')
  assert 'cars_train/cars_train; move what is in it up' in str(raised.value)
  assert 'half unpacked' not in str(raised.value)


def test_no_images_at_all_are_not_half_unpacked(tmp_path, linked):
  root = linked('pets')
  shutil.rmtree(root / 'images')
  (root / 'images').mkdir()
  with pytest.raises(InputError, match='111 images that it names') as raised:
    open_in(tmp_path, 'pets')
  assert 'unpack the archive of the images' in str(raised.value)
  assert 'half unpacked' not in str(raised.value)


@pytest.mark.parametrize(
  ('folder', 'test_folder'), [('.', '.'), ('devkit/devkit', 'devkit')]
)
def test_annotations_of_cars_elsewhere(
  tmp_path, data_dir, linked, folder, test_folder
):
  root = linked('cars')
  kit = root / 'kit'
  (root / 'devkit').rename(kit)
  for target in (folder, test_folder):
    (root / target).mkdir(parents=True, exist_ok=True)
  for path in list(kit.iterdir()):
    path.rename(root / folder / path.name)
  (root / 'cars_test_annos_withlabels.mat').rename(
    root / test_folder / 'cars_test_annos_withlabels.mat'
  )
  datasets.check('cars', str(tmp_path))
  assert_same('cars', data_dir, tmp_path)


# Dataset, its lists, a name in them, what replaces it, and its first line.
OUTSIDE = [
  ('food101', 'meta', 'class_0003', '../../x', 'train.txt, line 10'),
  ('birdsnap', '.', 'class_0003/22.jpg', '../../x.jpg', 'images.txt, line 24'),
  ('birdsnap', '.', 'class_0003/22.jpg', '/etc/x.jpg', 'images.txt, line 24'),
  ('sun397', 'Partitions', 'c/class_0002', 'c/../../x', '_01.txt, line 7'),
  ('aircraft', 'data', '1000203 ', '../../x ', 'variant_val.txt, line 3'),
  ('dtd', 'labels', 'class_0002/', '../../class_0002/', 'train1.txt, line 5'),
  ('pets', 'annotations', 'class_0001', '../../x', 'trainval.txt, line 4'),
]


@pytest.mark.parametrize(('name', 'folder', 'old', 'new', 'place'), OUTSIDE)
def test_lists_name_no_image_outside(
  tmp_path, linked, name, folder, old, new, place
):
  root = linked(name)
  for path in (root / folder).glob('*.txt'):
    text = path.read_text()
    path.unlink()
    path.write_text(text.replace(old, new))
  with pytest.raises(InputError, match=f'{place}: .*leads out of'):
    open_in(tmp_path, name)


def test_annotations_of_cars_name_no_image_outside(tmp_path, linked):
  root = linked('cars')
  path = root / 'devkit/cars_train_annos.mat'
  rows = scipy.io.loadmat(path)['annotations']
  rows['fname'][0, 4] = np.array(['../../secret.jpg'])
  path.unlink()
  scipy.io.savemat(path, {'annotations': rows})
  with pytest.raises(InputError, match=r'annos.mat, entry 5: .*leads out of'):
    open_in(tmp_path, 'cars')


def test_names_of_voc_lead_nowhere_else(tmp_path, linked):
  root = linked('voc2007')
  for name in layouts.VOC_CLASSES:
    path = root / f'ImageSets/Main/{name}_train.txt'
    text = path.read_text()
    path.unlink()
    path.write_text(text.replace('000004 ', '../../secret '))
  with pytest.raises(InputError, match=r'_train.txt, line 4: .*leads out of'):
    open_in(tmp_path, 'voc2007')


def test_names_of_classes_are_printable(tmp_path, linked):
  root = linked('aircraft')
  for path in (root / 'data').glob('*.txt'):
    text = path.read_text()
    path.unlink()
    path.write_text(text.replace('Model 3/300', 'Model \x1b[2J\u202e'))
  classes = open_in(tmp_path, 'aircraft').classes
  assert 'Model \\x1b[2J\\u202e' in classes
