"""Miniature copies of the 13 official layouts, with real encoded images.

Every file that the authors publish and some source reads is here, and some
images are what they should not be: gray, CMYK, 16 bits deep, an animated GIF
or a BMP under the name of a JPEG.
"""

import dataclasses
import io
import itertools
import json
import pathlib
import pickle
import shutil
import struct

import numpy as np
import pytest
import scipy.io
from PIL import Image

from tf_transfer import datasets
from tf_transfer.datasets import table
from tf_transfer.datasets.sources import flowers, layouts
from tf_transfer.errors import InputError

# train, val and test of the miniatures, from `PER_CLASS` images a class.
TRAIN, TEST = 3, 2
CLASSES = {r.name: r.classes for r in table.TABLE}


class Photos:
  """Encodes images that differ, every few of them an odd one."""

  def __init__(self, seed=0, animated=True):
    self._rng = np.random.default_rng(seed)
    self._animated = animated
    self._count = 0

  def __call__(self):
    self._count += 1
    pixels = self._rng.integers(0, 256, (8, 6, 3), dtype=np.uint8)
    image, kind, more = Image.fromarray(pixels), 'JPEG', {}
    odd = self._count % 40
    if odd == 5:
      image = image.convert('L')
    elif odd == 6:
      image = image.convert('CMYK')
    elif odd == 7:
      image, kind = Image.fromarray(pixels[..., 0] * np.uint16(257)), 'PNG'
    elif odd == 8 and self._animated:
      kind = 'GIF'
      more = {
        'save_all': True,
        'append_images': [Image.fromarray(255 - pixels)],
      }
    elif odd == 9:
      kind = 'BMP'
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def put(root, where, content):
  path = root / where
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(content if isinstance(content, bytes) else content.encode())


def lines(root, where, rows):
  put(root, where, ''.join(f'{row}\n' for row in rows))


def synthetic(count):
  return [f'class_{i:04d}' for i in range(count)]


def food101(root, classes=None):
  classes = classes or synthetic(101)
  photo = Photos()
  lines(root, 'meta/classes.txt', classes)
  for part, count in (('train', TRAIN), ('test', TEST)):
    names = {c: [f'{c}/{part}{i}' for i in range(count)] for c in classes}
    put(root, f'meta/{part}.json', json.dumps(names))
    all_names = list(itertools.chain(*names.values()))
    lines(root, f'meta/{part}.txt', all_names)
    for name in all_names:
      put(root, f'images/{name}.jpg', photo())


class _Python2(pickle._Pickler):
  """Writes strings as Python 2 did, in which CIFAR's files were made."""

  dispatch = dict(pickle._Pickler.dispatch)

  def save_bytes(self, data):
    self.write(pickle.BINSTRING + struct.pack('<i', len(data)) + data)
    self.memoize(data)

  dispatch[bytes] = save_bytes

  def save_str(self, text):
    self.save_bytes(text.encode('latin1'))

  dispatch[str] = save_str


def python2_pickle(value):
  file = io.BytesIO()
  _Python2(file, protocol=2).dump(value)
  return file.getvalue()


def cifar(root, classes, meta, label_keys, files, binary):
  """One of the two; also the binary version, for TFDS's own reader."""
  rng = np.random.default_rng(len(classes))
  names = 'batches.meta' if len(classes) == 10 else 'fine_label_names'
  lines(root, f'{binary}/{names}.txt', classes)
  lines(root, f'{binary}/coarse_label_names.txt', synthetic(20))
  put(root, meta, python2_pickle({label_keys[1]: list(classes)}))
  for python, name, count in files:
    labels = np.tile(np.arange(len(classes)), count)
    rng.shuffle(labels)
    data = rng.integers(0, 256, (len(labels), 3072), dtype=np.uint8)
    content = {
      b'data': data,
      label_keys[0]: labels.tolist(),
      b'filenames': [f'{i}.png'.encode() for i in range(len(labels))],
    }
    put(root, python, python2_pickle(content))
    coarse = [] if len(classes) == 10 else [np.zeros(len(labels), np.uint8)]
    columns = [*coarse, labels.astype(np.uint8)]
    rows = np.concatenate([np.stack(columns, 1), data], axis=1)
    put(root, f'{binary}/{name}', rows.tobytes())


def cifar10(root, classes=None):
  batches = [(f'data_batch_{i}', f'data_batch_{i}.bin', 1) for i in range(1, 6)]
  files = [*batches, ('test_batch', 'test_batch.bin', TEST)]
  cifar(
    root,
    classes or synthetic(10),
    'batches.meta',
    (b'labels', b'label_names'),
    files,
    'cifar-10-batches-bin',
  )


def cifar100(root, classes=None):
  cifar(
    root,
    classes or synthetic(100),
    'meta',
    (b'fine_labels', b'fine_label_names'),
    [('train', 'train.bin', 5), ('test', 'test.bin', TEST)],
    'cifar-100-binary',
  )


def birdsnap(root, classes=None, animated=True):
  """One image in ten is lost, as most of the real ones are."""
  photo = Photos(animated=animated)
  classes = classes or synthetic(500)
  rows, test, number = [], [], 0
  for i, name in enumerate(classes):
    for k in range(5 + TEST):
      path = f'{name}/{number}.jpg'
      # A part that is not to be seen has no place.
      rows.append(f'http://nowhere/{number}\tmd5\t{path}\t{i + 1}\t1\t')
      if k >= 5:
        test.append(path)
      if number % 10 != 4:
        put(root, f'images/{path}', photo())
      number += 1
  header = 'url\tmd5\tpath\tspecies_id\tbb_x1\tnape_x'
  lines(root, 'images.txt', [header, *rows])
  lines(root, 'test_images.txt', ['path', *test])
  species = [f'{i + 1}\t{n}\tAvis {i}\t{n}' for i, n in enumerate(classes)]
  lines(root, 'species.txt', ['id\tcommon\tscientific\tdir', *species])


def sun397(root, classes=None):
  photo = Photos()
  classes = classes or [f'/c/{name}' for name in synthetic(397)]
  lines(root, 'Partitions/ClassName.txt', classes)
  for part, count in (('Training', TRAIN), ('Testing', TEST)):
    names = [f'{c}/sun_{part}{i}.jpg' for c in classes for i in range(count)]
    lines(root, f'Partitions/{part}_01.txt', names)
    for name in names:
      put(root, name.removeprefix('/'), photo())


def cars(root, classes=None):
  photo = Photos()
  classes = classes or synthetic(196)
  (root / 'devkit').mkdir(parents=True)
  names = np.array([*classes], object)[None]
  scipy.io.savemat(root / 'devkit/cars_meta.mat', {'class_names': names})
  for part, count, where in (
    ('train', TRAIN, 'devkit/cars_train_annos.mat'),
    ('test', TEST, 'cars_test_annos_withlabels.mat'),
  ):
    fields = ['bbox_x1', 'bbox_y1', 'bbox_x2', 'bbox_y2', 'class', 'fname']
    labels = np.tile(np.arange(len(classes)) + 1, count)
    rows = np.zeros((1, len(labels)), [(field, object) for field in fields])
    for i, label in enumerate(labels):
      name = f'{i + 1:05d}.jpg'
      rows[0, i] = (1, 1, 5, 5, int(label), name)
      put(root, f'cars_{part}/{name}', photo())
    scipy.io.savemat(root / where, {'annotations': rows})


def aircraft(root, classes=None, animated=True):
  photo = Photos(animated=animated)
  classes = classes or [f'Model {i}/{i}00' for i in range(100)]
  lines(root, 'data/variants.txt', classes)
  number = 1_000_000
  for part in ('train', 'val', 'test'):
    rows = []
    for name in classes * 2:
      number += 1
      rows.append(f'{number} {name}')
      put(root, f'data/images/{number}.jpg', photo())
    lines(root, f'data/images_variant_{part}.txt', rows)


def voc2007(root, classes=layouts.VOC_CLASSES):
  """Image i has class i (mod 20), and the next one, difficult or not."""
  photo = Photos()
  number = 0
  for part, count in (('train', 40), ('val', 20), ('test', 40)):
    rows_by_class = {name: [] for name in classes}
    ids = []
    for i in range(count):
      number += 1
      ids.append(f'{number:06d}')
      put(root, f'JPEGImages/{ids[-1]}.jpg', photo())
      difficult = {classes[i % 20]: [False]}
      if i % 3:
        difficult[classes[(i + 1) % 20]] = (
          [True] if i % 3 == 1 else [True, False]
        )
      objects = [(n, d) for n, ds in difficult.items() for d in ds]
      put(root, f'Annotations/{ids[-1]}.xml', _voc_xml(objects))
      for name in classes:
        objects = difficult.get(name)
        value = -1 if objects is None else 0 if all(objects) else 1
        rows_by_class[name].append(f'{ids[-1]} {value:2d}')
    lines(root, f'ImageSets/Main/{part}.txt', ids)
    for name, rows in rows_by_class.items():
      lines(root, f'ImageSets/Main/{name}_{part}.txt', rows)


def _voc_xml(objects):
  box = (
    '<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax></bndbox>'
  )
  inner = ''.join(
    f'<object><name>{name}</name><pose>Left</pose><truncated>0</truncated>'
    f'<difficult>{int(difficult)}</difficult>{box}</object>'
    for name, difficult in objects
  )
  size = '<size><width>6</width><height>8</height><depth>3</depth></size>'
  return f'<annotation>{size}{inner}</annotation>'


def dtd(root, classes=None):
  photo = Photos()
  classes = classes or synthetic(47)
  for part in ('train', 'val', 'test'):
    names = [f'{c}/{c}_{part}{i}.jpg' for c in classes for i in range(2)]
    lines(root, f'labels/{part}1.txt', names)
    lines(root, f'labels/{part}2.txt', names[::-1])
    for name in names:
      put(root, f'images/{name}', photo())


def pets(root, classes=None):
  photo = Photos()
  classes = classes or synthetic(37)
  trimap = Image.fromarray(np.full((8, 6), 2, np.uint8))
  file = io.BytesIO()
  trimap.save(file, 'PNG')
  for part, start, count in (('trainval', 0, TRAIN), ('test', TRAIN, TEST)):
    rows = []
    for i, name in enumerate(classes):
      for k in range(start, start + count):
        image = f'{name}_{1000 + k}'
        rows.append(f'{image} {i + 1} {1 + i % 2} {i // 2 + 1}')
        put(root, f'images/{image}.jpg', photo())
        put(root, f'annotations/trimaps/{image}.png', file.getvalue())
    lines(root, f'annotations/{part}.txt', rows)


def caltech101(root, classes=None):
  photo = Photos()
  classes = classes or [
    'BACKGROUND_Google',
    'Faces_easy',
    *synthetic(100),
  ]
  put(root, 'BACKGROUND_Google/tmp', 'not an image')
  for i, name in enumerate(classes):
    for k in range(TRAIN + TEST + i % 2):
      put(root, f'{name}/image_{k + 1:04d}.jpg', photo())


def flowers102(root, classes=flowers.CLASSES):
  photo = Photos()
  per_class = 7
  labels = np.tile(np.arange(len(classes)) + 1, per_class).astype(np.uint8)
  ids = np.arange(len(labels)) + 1
  np.random.default_rng(0).shuffle(ids)
  ids = ids[np.argsort(labels[ids - 1], kind='stable')].reshape(-1, per_class)
  root.mkdir(parents=True, exist_ok=True)
  scipy.io.savemat(root / 'imagelabels.mat', {'labels': labels[None]})
  parts = {'trnid': ids[:, :1], 'valid': ids[:, 1:2], 'tstid': ids[:, 2:]}
  parts = {k: v.reshape(1, -1).astype(np.uint16) for k, v in parts.items()}
  scipy.io.savemat(root / 'setid.mat', parts)
  for i in range(len(labels)):
    put(root, f'jpg/image_{i + 1:05d}.jpg', photo())


def imagenet(root, classes=None, truth=None, flat=True):
  """`truth` is the class of each validation image, in order of name."""
  photo = Photos()
  classes = classes or [f'n{i:08d}' for i in range(1000)]
  for name in classes:
    for k in range(2):
      put(root, f'train/{name}/{name}_{k}.JPEG', photo())
  truth = truth or classes[::-1]
  for i, name in enumerate(truth):
    folder = 'val' if flat else f'val/{name}'
    put(root, f'{folder}/ILSVRC2012_val_{i + 1:08d}.JPEG', photo())
  if flat:
    lines(root, 'imagenet_2012_validation_synset_labels.txt', truth)


MAKERS = {
  'food101': food101,
  'cifar10': cifar10,
  'cifar100': cifar100,
  'birdsnap': birdsnap,
  'sun397': sun397,
  'cars': cars,
  'aircraft': aircraft,
  'voc2007': voc2007,
  'dtd': dtd,
  'pets': pets,
  'caltech101': caltech101,
  'flowers': flowers102,
  'imagenet': imagenet,
}

COUNTS = {
  'food101': (202, 101, 202),
  'cifar10': (40, 10, 20),
  'cifar100': (480, 20, 200),
  'birdsnap': (2400, 100, 1000),
  'sun397': (794, 397, 794),
  'cars': (500, 88, 392),
  'aircraft': (200, 200, 200),
  'voc2007': (40, 20, 40),
  'dtd': (94, 94, 94),
  'pets': (74, 37, 74),
  'caltech101': (204, 102, 255),
  'flowers': (102, 102, 510),
  'imagenet': (1000, 1000, 1000),
}


def rows():
  """Returns the table with the counts of the miniatures."""
  miniature_rows = []
  for row in table.TABLE:
    if row.name in COUNTS:
      counts = dict(
        zip(('train', 'val', 'test'), COUNTS[row.name], strict=True)
      )
      rule = row.holdout
      if rule is not None:
        rule = dataclasses.replace(
          rule,
          per_class=rule.per_class and 1,
          trainval_per_class=rule.trainval_per_class and TRAIN,
        )
      row = dataclasses.replace(row, counts=counts, holdout=rule)
    miniature_rows.append(row)
  return tuple(miniature_rows)


def make(name, directory: pathlib.Path, **options) -> pathlib.Path:
  """Makes a miniature in DIRECTORY/NAME."""
  root = directory / name
  MAKERS[name](root, **options)
  return root


def open_in(directory: pathlib.Path, name: str, **options) -> datasets.Dataset:
  """Opens a miniature in DIRECTORY/NAME."""
  return datasets.open(name, data_dir=str(directory), **options)


def examples(dataset: datasets.Dataset):
  """Yields split, position, label and description of every example."""
  for split_name, split in dataset.splits.items():
    for i, label in enumerate(split.labels):
      yield split_name, i, label, split.describe(i)


def remove(path: str):
  """Returns a function that removes a file below a root."""
  return lambda root: (root / path).unlink()


def overwrite(path: str, content: str | bytes):
  """Returns a function that writes a file below a root."""

  def change(root):
    data = content.encode() if isinstance(content, str) else content
    (root / path).write_bytes(data)

  return change


def truncate(path: str):
  """Returns a function that keeps 200 bytes of a file below a root."""
  return lambda root: (root / path).write_bytes(
    (root / path).read_bytes()[:200]
  )


def assert_refused(data_dir, tmp_path, name, change, message):
  """Changes a copy of a miniature; opening it must fail and cache nothing."""
  shutil.copytree(data_dir / name, tmp_path / name)
  change(tmp_path / name)
  cache = tmp_path / 'cache'
  with pytest.raises(InputError, match=message):
    open_in(tmp_path, name, cache_dir=cache)
  assert not cache.exists()
