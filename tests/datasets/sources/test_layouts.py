"""The official layouts, in miniature: labels, splits and what is refused."""

import hashlib
import pickle
import shutil
import subprocess
import sys
import xml.etree.ElementTree

import numpy as np
import pytest
import scipy.io

from tests.datasets import miniatures
from tf_transfer import datasets
from tf_transfer.datasets import table
from tf_transfer.datasets.sources import flowers, layouts
from tf_transfer.errors import InputError

NAMES = tuple(miniatures.MAKERS)


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  """All 13 miniatures."""
  directory = tmp_path_factory.mktemp('layouts')
  for name in NAMES:
    miniatures.make(name, directory)
  return directory


@pytest.fixture(autouse=True)
def rows(monkeypatch):
  monkeypatch.setattr(table, 'TABLE', miniatures.rows())


def open_in(directory, name, **options):
  return datasets.open(name, data_dir=str(directory), **options)


def cells(dataset):
  """(part, position, label, description) of every example."""
  for part, split in dataset.splits.items():
    for i, label in enumerate(split.labels):
      yield part, i, label, split.describe(i)


@pytest.mark.parametrize('name', NAMES)
def test_counts_classes_and_images(data_dir, name):
  found = open_in(data_dir, name)
  counts = [len(found.splits[part]) for part in ('train', 'val', 'test')]
  if name == 'birdsnap':
    # Of 2,500 and 1,000 each tenth is lost; val is its share of the rest.
    assert counts == [2160, 90, 900]
    assert found.notes[0].startswith(
      'only 2,250 of 2,500 images of train and val and 900 of 1,000 of test'
    )
  else:
    assert counts == list(miniatures.COUNTS[name])
  assert len(found.classes) == miniatures.CLASSES[name]
  assert found.metric == datasets.row(name).metric
  assert found.multi_label == (name == 'voc2007')
  for split in found.splits.values():
    for i in range(0, len(split), 7):
      image = split.read(i)
      assert image.dtype == np.uint8
      assert image.shape in ((8, 6, 3), (32, 32, 3))


@pytest.mark.parametrize(
  'name', ['food101', 'birdsnap', 'dtd', 'caltech101', 'sun397']
)
def test_labels_are_those_of_the_folders(data_dir, name):
  found = open_in(data_dir, name)
  for _, _, label, path in cells(found):
    folder = path.split('/')[-2].lower()
    assert found.classes[label].split('/')[-1] == folder


def test_labels_of_pets_are_in_the_names(data_dir):
  found = open_in(data_dir, 'pets')
  for part, _, label, path in cells(found):
    name, _, number = path.rpartition('/')[2].rpartition('_')
    assert found.classes[label] == name
    assert (int(number[:-4]) >= 1000 + miniatures.TRAIN) == (part == 'test')


def test_labels_of_cars(data_dir):
  for part, _, label, path in cells(open_in(data_dir, 'cars')):
    assert label == (int(path[-9:-4]) - 1) % 196
    assert ('cars_test' in path) == (part == 'test')


def test_labels_of_aircraft(data_dir):
  found = open_in(data_dir, 'aircraft')
  listed = {}
  for part in ('train', 'val', 'test'):
    text = data_dir / f'aircraft/data/images_variant_{part}.txt'
    for line in text.read_text().splitlines():
      listed[line[:7]] = part, line[8:]
  for part, _, label, path in cells(found):
    assert listed[path[-11:-4]] == (part, found.classes[label])


def test_labels_of_voc_are_those_of_its_annotations(data_dir):
  """The lists against the XML files, which nothing else here reads."""
  found = open_in(data_dir, 'voc2007')
  seen = set()
  for _, _, labels, path in cells(found):
    tree = xml.etree.ElementTree.parse(
      path.replace('JPEGImages', 'Annotations').replace('.jpg', '.xml')
    )
    expected = np.zeros(20, int)
    for thing in tree.findall('object'):
      index = found.classes.index(thing.find('name').text)
      if thing.find('difficult').text == '0':
        expected[index] = 1
      elif expected[index] == 0:
        expected[index] = -1
    np.testing.assert_array_equal(labels, expected)
    seen.update(labels.tolist())
  assert seen == {-1, 0, 1}


def test_labels_of_flowers(data_dir):
  root = data_dir / 'flowers'
  labels = scipy.io.loadmat(root / 'imagelabels.mat')['labels'][0]
  ids = scipy.io.loadmat(root / 'setid.mat')
  parts = {'train': 'trnid', 'val': 'valid', 'test': 'tstid'}
  found = open_in(data_dir, 'flowers')
  for part, _, label, path in cells(found):
    number = int(path[-9:-4])
    assert label == labels[number - 1] - 1
    assert number in ids[parts[part]][0]
  assert len(set(flowers.CLASSES)) == 102


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
  found = open_in(data_dir, name)
  for part, split in found.splits.items():
    for i in range(len(split)):
      pixels = split.read(i).tobytes()
      official = 'test' if part == 'test' else 'train'
      assert labels[pixels] == (official, split.labels[i])
      assert split.digests[i].tobytes() == hashlib.sha256(pixels).digest()


def test_both_ways_to_lay_out_imagenets_validation(tmp_path, data_dir):
  miniatures.make('imagenet', tmp_path, flat=False)
  folders = open_in(tmp_path, 'imagenet')
  flat = open_in(data_dir, 'imagenet')
  for part, split in flat.splits.items():
    assert split.hash == folders.splits[part].hash
  for part, _, label, path in cells(folders):
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


def number(seed, content):
  """What a draw goes by, worked out apart."""
  inner = hashlib.sha256(content).digest()
  return hashlib.sha256(f'{seed}:'.encode() + inner).digest()[:8]


def test_caltechs_draw_can_be_derived_from_names_alone(data_dir):
  found = open_in(data_dir, 'caltech101')
  expected = {'train': set(), 'val': set(), 'test': set()}
  for folder in (data_dir / 'caltech101').iterdir():
    names = [
      f'{folder.name.lower()}/{path.name}' for path in folder.glob('*.jpg')
    ]
    names.sort(key=lambda name: number(0, name.encode()))
    expected['val'].update(names[:1])
    expected['train'].update(names[1 : miniatures.TRAIN])
    expected['test'].update(names[miniatures.TRAIN :])
  for part, split in found.splits.items():
    names = [
      '/'.join(split.describe(i).split('/')[-2:]) for i in range(len(split))
    ]
    assert {name.lower() for name in names} == expected[part]
    assert len(set(names)) == len(names)


def test_a_draw_by_content_over_all_classes(data_dir):
  found = open_in(data_dir, 'cars')
  contents = {}
  for path in (data_dir / 'cars/cars_train').iterdir():
    contents[str(path)] = number(0, path.read_bytes())
  lowest = sorted(contents, key=contents.get)[: miniatures.COUNTS['cars'][1]]
  val = found.splits['val']
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


# What is refused.


def remove(where):
  return lambda root: (root / where).unlink()


def write(where, content):
  def change(root):
    data = content.encode() if isinstance(content, str) else content
    (root / where).write_bytes(data)

  return change


def replace(where, old, new):
  def change(root):
    text = (root / where).read_text()
    assert old in text
    (root / where).write_text(text.replace(old, new))

  return change


def cut(where):
  return lambda root: (root / where).write_bytes(
    (root / where).read_bytes()[:200]
  )


def flower_label(value):
  def change(root):
    labels = scipy.io.loadmat(root / 'imagelabels.mat')['labels']
    labels[0, 17] = value
    scipy.io.savemat(root / 'imagelabels.mat', {'labels': labels})

  return change


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
  ('food101', write('meta/test.txt', ''), 'test.txt: is empty'),
  ('food101', write('meta/test.txt', b'\xff\xfe\xff'), 'not a text file'),
  ('food101', remove('meta/test.txt'), 'test.txt: cannot be read .*No such'),
  ('food101', remove('meta/train.txt'), r'food101 has no meta/train\.txt'),
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
  ('birdsnap', write('species.txt', ''), 'no column id, common, only nothing'),
  (
    'birdsnap',
    replace('test_images.txt', 'class_0003/', 'class_0009/'),
    'names images that images.txt does not',
  ),
  ('cars', cut('devkit/cars_train_annos.mat'), 'no whole MATLAB file'),
  ('cars', write('devkit/cars_meta.mat', 'text'), 'no whole MATLAB file'),
  ('cars', remove('devkit/cars_meta.mat'), 'cars_meta.mat: cannot be read'),
  (
    'cars',
    remove('cars_test_annos_withlabels.mat'),
    'cars_test_annos_withlabels.mat: cannot be read',
  ),
  ('flowers', flower_label(103), 'imagelabels.mat: 103 .* from 1 to 102'),
  ('flowers', flower_label(0), 'imagelabels.mat: 0 .* from 1 to 102'),
  (
    'flowers',
    lambda root: shutil.copy(root / 'imagelabels.mat', root / 'setid.mat'),
    'setid.mat: no variable trnid',
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
  ('cifar10', cifar_label(10), 'test_batch: label 10, expected 0 to 9'),
  ('cifar10', cifar_label('x'), "test_batch: label b?'x', expected 0 to 9"),
  ('cifar10', cut('data_batch_3'), 'data_batch_3: no whole pickle'),
  (
    'cifar10',
    write('data_batch_3', pickle.dumps({b'data': Evil()})),
    r'data_batch_3 is refused: its pickle names builtins\.print',
  ),
  (
    'cifar10',
    write('data_batch_3', miniatures.python2_pickle({b'data': np.zeros(3)})),
    'data_batch_3: no whole pickle .*not uint8',
  ),
  ('cifar10', remove('data_batch_3'), 'data_batch_3: cannot be read'),
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
  shutil.copytree(data_dir / name, tmp_path / name)
  change(tmp_path / name)
  cache = tmp_path / 'cache'
  with pytest.raises(InputError, match=message):
    open_in(tmp_path, name, cache_dir=cache)
  assert not cache.exists()


def test_swapped_directories(tmp_path, data_dir):
  shutil.copytree(data_dir / 'pets', tmp_path / 'dtd')
  shutil.copytree(data_dir / 'dtd', tmp_path / 'pets')
  for name, other in (('dtd', 'pets'), ('pets', 'dtd')):
    with pytest.raises(InputError, match=f'{name}: .* it looks like {other}'):
      datasets.check(name, str(tmp_path))
  shutil.copytree(data_dir / 'cifar100', tmp_path / 'cifar10')
  with pytest.raises(InputError, match='data_batch_1.*looks like cifar100'):
    open_in(tmp_path, 'cifar10')


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


def test_a_dataset_that_may_not_be_read(tmp_path, monkeypatch):
  (tmp_path / 'pets').mkdir()
  monkeypatch.setattr(
    'tf_transfer.datasets.sources.official.os.access', lambda path, mode: False
  )
  with pytest.raises(InputError, match='pets cannot be read: make it readable'):
    datasets.check('pets', str(tmp_path))


def test_nothing_there(tmp_path):
  with pytest.raises(InputError, match='official archives') as found:
    datasets.check('sun397', str(tmp_path))
  for words in ('Partitions', '37 GB', 'prepare=True', 'partition 1', 'SUN397'):
    assert words in str(found.value)
  with pytest.raises(InputError, match='no such directory'):
    datasets.check('pets', str(tmp_path / 'none'))


def test_recognizes_each(data_dir):
  for name in NAMES:
    assert layouts.recognize(data_dir / name) == name


# What is remembered.


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
    found = open_in(tmp_path, 'pets', cache_dir=tmp_path / 'cache')
    return found, sum(path.endswith('.jpg') for path in read)

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


def test_two_processes_fill_one_cache(tmp_path, data_dir):
  code = (
    'import sys\n'
    'from tests.datasets import miniatures\n'
    'from tf_transfer import datasets\n'
    'from tf_transfer.datasets import table\n'
    'table.TABLE = miniatures.rows()\n'
    "found = datasets.open('pets', data_dir=sys.argv[1], "
    'cache_dir=sys.argv[2])\n'
    'print(*(split.hash for split in found.splits.values()))\n'
  )
  command = [sys.executable, '-c', code, str(data_dir), str(tmp_path / 'cache')]
  processes = [
    subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for _ in range(2)
  ]
  expected = [split.hash for split in open_in(data_dir, 'pets').splits.values()]
  for process in processes:
    output, _ = process.communicate(timeout=120)
    assert output.split() == expected
  assert len(list((tmp_path / 'cache').iterdir())) == 2
