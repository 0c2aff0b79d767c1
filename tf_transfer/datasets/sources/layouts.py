"""The datasets' official layouts on disk, read as their authors publish them.

A directory -> the parts that the authors define, with names, labels and
paths. Lists are trusted for what belongs where, never for what is there:
every file that they name is looked for.
"""

import dataclasses
import os
from collections.abc import Callable

import numpy as np

from tf_transfer.datasets.sources import cifar, flowers
from tf_transfer.datasets.sources.annotations import (
  examples,
  field,
  folder_of,
  indices,
  is_dir,
  join,
  listdir,
  numbers,
  present,
  read_lines,
  read_mat,
  read_table,
)
from tf_transfer.datasets.sources.image_files import (
  Contents,
  Examples,
  shown,
  shown_listing,
  whole_files,
)
from tf_transfer.errors import InputError


@dataclasses.dataclass(frozen=True)
class Layout:
  """How a dataset lies on disk.

  Attributes:
    folder: what its archives unpack to.
    needs: files and folders below that which tell it from other layouts.
    read: from the directory to what is in it; raises InputError.
  """

  folder: str
  needs: tuple[str, ...]
  read: Callable[[str], Contents]

  def missing(self, root: str) -> list[str]:
    """Those of `needs` that a directory lacks."""
    return [name for name in self.needs if not os.path.exists(join(root, name))]


def _food101(root: str) -> Contents:
  # Sorted: the file has two classes in another order than other sources do.
  classes = sorted(read_lines(root, 'meta/classes.txt'))
  parts = {}
  for part in ('train', 'test'):
    where = f'meta/{part}.txt'
    names = read_lines(root, where)
    labels = indices(root, where, classes, [folder_of(name) for name in names])
    paths = [f'images/{name}.jpg' for name in names]
    parts[part] = examples(root, where, names, labels, paths)
  return Contents(tuple(classes), parts)


def _birdsnap(root: str) -> Contents:
  """Most of the links in the list are dead: what survived is what there is."""
  ids, classes = read_table(root, 'species.txt', ('id', 'common'))
  names, kinds = read_table(root, 'images.txt', ('path', 'species_id'))
  (listed,) = read_table(root, 'test_images.txt', ('path',))
  test = set(listed)
  unknown = sorted(test.difference(names))
  if unknown:
    raise InputError(
      f'{shown(join(root, "test_images.txt"))}: names images that images.txt '
      f'does not ({shown_listing(unknown)}): restore both from one archive'
    )
  labels = indices(root, 'images.txt', ids, kinds)
  folders = [n for n in ('images', 'download/images') if is_dir(root, n)]
  paths = [join(root, *folders[:1], path) for path in names]
  there = present(paths)
  if not there:
    raise InputError(
      f'{shown(root)}: none of the {len(paths):,} images that images.txt names '
      'is here: the archive holds their addresses only; run its '
      'get_birdsnap.py, or copy the images to the folder images'
    )
  found = [i for i, path in enumerate(paths) if path in there]
  parts = {}
  for part in ('train', 'test'):
    chosen = [i for i in found if (names[i] in test) == (part == 'test')]
    parts[part] = Examples(
      tuple(names[i] for i in chosen),
      labels[chosen],
      whole_files(paths[i] for i in chosen),
    )
  return Contents(classes, parts)


def _sun397(root: str) -> Contents:
  classes = read_lines(root, 'Partitions/ClassName.txt')
  parts = {}
  for part, where in (
    ('train', 'Partitions/Training_01.txt'),
    ('test', 'Partitions/Testing_01.txt'),
  ):
    listed = read_lines(root, where)
    labels = indices(root, where, classes, [folder_of(name) for name in listed])
    names = [name.removeprefix('/') for name in listed]
    parts[part] = examples(root, where, names, labels, names)
  return Contents(tuple(classes), parts)


def _cars(root: str) -> Contents:
  meta = read_mat(root, 'devkit/cars_meta.mat', 'class_names')
  classes = tuple(str(name) for name in np.atleast_1d(meta))
  with_labels = 'cars_test_annos_withlabels.mat'
  if not os.path.exists(join(root, with_labels)):
    with_labels = f'devkit/{with_labels}'
  parts = {}
  for part, where in (
    ('train', 'devkit/cars_train_annos.mat'),
    ('test', with_labels),
  ):
    rows = np.atleast_1d(read_mat(root, where, 'annotations'))
    names = [str(field(root, where, row, 'fname')) for row in rows]
    labels = [field(root, where, row, 'class') for row in rows]
    labels = numbers(root, where, labels, len(classes))
    paths = [f'cars_{part}/{name}' for name in names]
    parts[part] = examples(root, where, names, labels, paths)
  return Contents(classes, parts)


def _aircraft(root: str) -> Contents:
  # Names of variants contain spaces and slashes: a line is one name.
  classes = read_lines(root, 'data/variants.txt')
  parts = {}
  for part in ('train', 'val', 'test'):
    where = f'data/images_variant_{part}.txt'
    rows = [line.partition(' ') for line in read_lines(root, where)]
    labels = indices(root, where, classes, [variant for *_, variant in rows])
    names = [f'{number}.jpg' for number, *_ in rows]
    paths = [f'data/images/{name}' for name in names]
    parts[part] = examples(root, where, names, labels, paths)
  return Contents(tuple(classes), parts)


VOC_CLASSES = (
  *('aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat'),
  *('chair', 'cow', 'diningtable', 'dog', 'horse', 'motorbike', 'person'),
  *('pottedplant', 'sheep', 'sofa', 'train', 'tvmonitor'),
)
# As the lists have them -> as `Split` has them. 0 is "difficult only".
_VOC_LABELS = {'1': 1, '-1': 0, '0': -1}


def _voc2007(root: str) -> Contents:
  parts = {}
  for part in ('train', 'val', 'test'):
    columns, names = [], None
    for name in VOC_CLASSES:
      where = f'ImageSets/Main/{name}_{part}.txt'
      rows = [line.split() for line in read_lines(root, where)]
      if any(len(row) != 2 or row[1] not in _VOC_LABELS for row in rows):
        raise InputError(
          f'{shown(join(root, where))}: expected lines of a number and 1, '
          '-1 or 0: restore the original'
        )
      if names not in (None, [row[0] for row in rows]):
        raise InputError(
          f'{shown(join(root, where))}: lists other images than the file of '
          f'{VOC_CLASSES[0]}: restore both from one archive'
        )
      names = [row[0] for row in rows]
      columns.append([_VOC_LABELS[row[1]] for row in rows])
    labels = np.array(columns, np.int32).T
    paths = [f'JPEGImages/{name}.jpg' for name in names]
    names = [f'{name}.jpg' for name in names]
    parts[part] = examples(root, where, names, labels, paths)
  return Contents(VOC_CLASSES, parts)


def _dtd(root: str) -> Contents:
  lists_of = {
    part: read_lines(root, f'labels/{part}1.txt')
    for part in ('train', 'val', 'test')
  }
  classes = sorted({folder_of(name) for name in lists_of['train']})
  parts = {}
  for part, names in lists_of.items():
    where = f'labels/{part}1.txt'
    labels = indices(root, where, classes, [folder_of(name) for name in names])
    paths = [f'images/{name}' for name in names]
    parts[part] = examples(root, where, names, labels, paths)
  return Contents(tuple(classes), parts)


def _pets(root: str) -> Contents:
  parts, classes = {}, {}
  for part, where in (
    ('train', 'annotations/trainval.txt'),
    ('test', 'annotations/test.txt'),
  ):
    # Name, class, species, number within the species.
    rows = [line.split() for line in read_lines(root, where)]
    ids = [row[1] if len(row) == 4 else row for row in rows]
    breeds = [row[0].rpartition('_')[0] for row in rows]
    count = len(classes) if classes else len(set(breeds))
    labels = numbers(root, where, ids, count)
    if part == 'train':
      classes = dict(zip(labels.tolist(), breeds, strict=True))
    names = [f'{row[0]}.jpg' for row in rows]
    paths = [f'images/{name}' for name in names]
    parts[part] = examples(root, where, names, labels, paths)
  names = [classes[label] for label in sorted(classes)]
  return Contents(tuple(names), parts)


def _caltech101(root: str) -> Contents:
  # TFDS has the names in lower case: a draw by name needs one spelling.
  folders = {name.lower(): name for name in listdir(root, folders=True)}
  classes = sorted(folders)
  names, labels, paths = [], [], []
  for label, name in enumerate(classes):
    for file in listdir(join(root, folders[name])):
      if file.lower().endswith('.jpg'):
        names.append(f'{name}/{file}')
        labels.append(label)
        paths.append(join(root, folders[name], file))
  labels = np.array(labels, np.int32)
  whole = Examples(tuple(names), labels, whole_files(paths))
  return Contents(tuple(classes), {'whole': whole})


_IMAGENET_SYNSETS = 'imagenet_2012_validation_synset_labels.txt'
_IMAGENET_DEVKIT = 'ILSVRC2012_devkit_t12/data'


def _imagenet(root: str) -> Contents:
  """Train may be missing: to evaluate a network, val is enough."""
  folders = listdir(join(root, 'val'), folders=True)
  if folders:
    found = [(w, f) for w in folders for f in listdir(join(root, 'val', w))]
    wnids = [wnid for wnid, _ in found]
    test_paths = [join(root, 'val', wnid, file) for wnid, file in found]
  else:
    files = listdir(join(root, 'val'))
    wnids = _imagenet_truth(root, len(files))
    test_paths = [join(root, 'val', file) for file in files]
  with_train = is_dir(root, 'train')
  classes = (
    listdir(join(root, 'train'), folders=True)
    if with_train
    else sorted({*folders, *wnids})
  )
  names, labels, paths = [], [], []
  for label, wnid in enumerate(classes if with_train else ()):
    for file in listdir(join(root, 'train', wnid)):
      names.append(file)
      labels.append(label)
      paths.append(join(root, 'train', wnid, file))
  train = Examples(tuple(names), np.array(labels, np.int32), whole_files(paths))
  test = Examples(
    tuple(os.path.basename(path) for path in test_paths),
    indices(root, 'val', classes, wnids),
    whole_files(test_paths),
  )
  return Contents(tuple(classes), {'train': train, 'test': test})


def _imagenet_truth(root: str, count: int) -> list[str]:
  """The class of each image of a flat val/, in the order of their names."""
  if os.path.exists(join(root, _IMAGENET_SYNSETS)):
    where = _IMAGENET_SYNSETS
    wnids = read_lines(root, where)
  elif is_dir(root, _IMAGENET_DEVKIT):
    where = f'{_IMAGENET_DEVKIT}/ILSVRC2012_validation_ground_truth.txt'
    synsets = np.atleast_1d(
      read_mat(root, f'{_IMAGENET_DEVKIT}/meta.mat', 'synsets')
    )
    by_id = {str(row['ILSVRC2012_ID']): row['WNID'] for row in synsets}
    wnids = [by_id.get(line, line) for line in read_lines(root, where)]
  else:
    raise InputError(
      f'{shown(join(root, "val"))}: images in no class folders, and nothing '
      f'that says their classes: put {_IMAGENET_SYNSETS} or the folder '
      f'ILSVRC2012_devkit_t12 in {shown(root)}, or a folder for each WNID in '
      'val'
    )
  if len(wnids) != count:
    raise InputError(
      f'{shown(join(root, where))}: {len(wnids)} labels for {count} images '
      'in val: unpack both archives again'
    )
  return wnids


LAYOUTS = {
  'food101': Layout(
    'food-101', ('meta/classes.txt', 'meta/train.txt', 'images'), _food101
  ),
  'cifar10': Layout(
    'cifar-10-batches-py',
    ('batches.meta', 'data_batch_1', 'test_batch'),
    cifar.read_cifar10,
  ),
  'cifar100': Layout(
    'cifar-100-python', ('meta', 'train', 'test'), cifar.read_cifar100
  ),
  'birdsnap': Layout(
    'birdsnap', ('images.txt', 'test_images.txt', 'species.txt'), _birdsnap
  ),
  'sun397': Layout(
    'SUN397',
    ('Partitions/ClassName.txt', 'Partitions/Training_01.txt'),
    _sun397,
  ),
  'cars': Layout(
    'stanford_cars',
    ('devkit/cars_train_annos.mat', 'cars_train', 'cars_test'),
    _cars,
  ),
  'aircraft': Layout(
    'fgvc-aircraft-2013b',
    ('data/images_variant_train.txt', 'data/images'),
    _aircraft,
  ),
  'voc2007': Layout(
    'VOCdevkit/VOC2007', ('ImageSets/Main', 'JPEGImages'), _voc2007
  ),
  'dtd': Layout('dtd', ('labels/train1.txt', 'images'), _dtd),
  'pets': Layout(
    'oxford-iiit-pet', ('annotations/trainval.txt', 'images'), _pets
  ),
  'caltech101': Layout(
    '101_ObjectCategories', ('BACKGROUND_Google', 'Faces_easy'), _caltech101
  ),
  'flowers': Layout(
    'flowers-102', ('setid.mat', 'imagelabels.mat', 'jpg'), flowers.read_flowers
  ),
  'imagenet': Layout('ILSVRC2012', ('val',), _imagenet),
}


def recognize(root: str) -> str | None:
  """The dataset whose layout a directory has, if it is one of these."""
  for name, layout in LAYOUTS.items():
    if not layout.missing(root):
      return name
  return None
