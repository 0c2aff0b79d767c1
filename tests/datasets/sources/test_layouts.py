"""The official layouts, in miniature: labels, and layouts with errors."""

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


def test_both_ways_to_lay_out_imagenets_validation(tmp_path, data_dir):
  miniatures.make('imagenet', tmp_path, flat=False)
  folders = open_in(tmp_path, 'imagenet')
  flat = open_in(data_dir, 'imagenet')
  for part, split in flat.splits.items():
    assert split.hash == folders.splits[part].hash
  for part, _, label, path in examples(folders):
    assert path.split('/')[-2] == folders.classes[label]
    assert (path.split('/')[-3] == 'val') == (part == 'test')


def test_imagenets_development_kit(tmp_path, data_dir):
  shutil.copytree(data_dir / 'imagenet', tmp_path / 'imagenet')
  root = tmp_path / 'imagenet'
  truth = root / 'imagenet_2012_validation_synset_labels.txt'
  wnids = truth.read_text().split()
  truth.unlink()
  with pytest.raises(InputError, match='nothing that says their classes'):
    open_in(tmp_path, 'imagenet')
  kit = root / 'ILSVRC2012_devkit_t12/data'
  kit.mkdir(parents=True)
  # The kit's numbers are not in the order of the names.
  known = sorted(wnids, key=lambda wnid: wnid[::-1])
  rows = np.zeros((1000, 1), [('ILSVRC2012_ID', object), ('WNID', object)])
  for i, wnid in enumerate(known):
    rows[i, 0] = (i + 1, wnid)
  scipy.io.savemat(kit / 'meta.mat', {'synsets': rows})
  numbers = [known.index(wnid) + 1 for wnid in wnids]
  miniatures.lines(kit, 'ILSVRC2012_validation_ground_truth.txt', numbers)
  test = open_in(tmp_path, 'imagenet').splits['test']
  assert test.hash == open_in(data_dir, 'imagenet').splits['test'].hash


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
    r'1 of the 303 images that it names are not there \(.*class_0003',
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
    r'names 1 images more than once \(class_0003/train0\)',
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
    r'images.txt: 1 classes that are not among the 500 known \(777\)',
  ),
  ('birdsnap', replace('images.txt', 'species_id', 'x'), 'no column species'),
  (
    'birdsnap',
    replace('images.txt', '\tclass_0000/3.jpg\t1\t1\t', ''),
    '1 of its 3500 lines are cut short',
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
    '999 labels for 1000 images in val',
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
