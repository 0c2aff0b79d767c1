"""Reads datasets in the official layouts that their archives unpack to.

Each reader returns the splits that the authors define, with names, labels and
paths of the images. The authors' lists say which image is in which split. They
are not trusted to say which images exist: each file is looked for.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tf_transfer.datasets.sources import cifar, flowers, imagenet_layout
from tf_transfer.datasets.sources.annotations import (
  check_contained,
  class_indices,
  existing_paths,
  first_existing,
  folder_of,
  is_dir,
  join,
  list_names,
  listed_examples,
  read_field,
  read_lines,
  read_mat,
  read_table,
  subfolders,
  zero_based,
)
from tf_transfer.datasets.sources.image_files import (
  Contents,
  Examples,
  printable,
  printable_listing,
  whole_files,
)
from tf_transfer.errors import InputError


@dataclasses.dataclass(frozen=True)
class Layout:
  """How the files of a dataset are arranged.

  Attributes:
    folder: the one that its archives unpack to.
    required: files and folders in it that tell it from other layouts.
    read: reads the contents of a directory; raises InputError.
    elsewhere: one of `required` -> other places of it, as archives from other
      sites than the official one have it.
  """

  folder: str
  required: tuple[str, ...]
  read: Callable[[str], Contents]
  elsewhere: Mapping[str, tuple[str, ...]] = dataclasses.field(
    default_factory=dict
  )

  def missing(self, root: str) -> list[str]:
    """Returns those of `required` that a directory lacks."""
    return [
      name
      for name in self.required
      if not any(
        os.path.exists(join(root, place))
        for place in (name, *self.elsewhere.get(name, ()))
      )
    ]

  def is_certain(self, root: str) -> bool:
    """Returns whether a directory has this layout and no other can have it.

    One folder of a usual name, such as val, is not enough.
    """
    if self.missing(root):
      return False
    return len(self.required) > 1 or not os.path.exists(
      join(root, self.required[0])
    )


def _food101(root: str) -> Contents:
  """Reads Food-101."""
  # Sorted: the file has two classes in another order than other sources do.
  classes = sorted(read_lines(root, 'meta/classes.txt'))
  splits = {}
  for split_name in ('train', 'test'):
    file = f'meta/{split_name}.txt'
    names = read_lines(root, file)
    labels = class_indices(
      root, file, classes, [folder_of(name) for name in names]
    )
    paths = [f'images/{name}.jpg' for name in names]
    splits[split_name] = listed_examples(root, file, names, labels, paths)
  return Contents(tuple(classes), splits)


def _birdsnap(root: str) -> Contents:
  """Reads those images of Birdsnap that exist; most links in it are dead."""
  ids, classes = read_table(root, 'species.txt', ('id', 'common'))
  names, species = read_table(root, 'images.txt', ('path', 'species_id'))
  (test_list,) = read_table(root, 'test_images.txt', ('path',))
  test_names = set(test_list)
  unknown = sorted(test_names.difference(names))
  if unknown:
    raise InputError(
      f'{printable(join(root, "test_images.txt"))}: names images that '
      f'images.txt does not ({printable_listing(unknown)}): restore both from '
      'one archive'
    )
  labels = class_indices(root, 'images.txt', ids, species)
  check_contained(root, 'images.txt', names, header_lines=1)
  paths, existing = _birdsnap_images(root, names)
  if not existing:
    raise InputError(
      f'{printable(root)}: none of the {len(paths):,} images that images.txt '
      'names is here: the archive holds their addresses only; run its '
      'get_birdsnap.py, or copy the images to the folder images'
    )
  positions = [i for i, path in enumerate(paths) if path in existing]
  splits = {}
  for split_name in ('train', 'test'):
    is_test = split_name == 'test'
    members = [i for i in positions if (names[i] in test_names) == is_test]
    splits[split_name] = Examples(
      tuple(names[i] for i in members),
      labels[members],
      whole_files(paths[i] for i in members),
    )
  return Contents(classes, splits)


def _birdsnap_images(
  root: str, names: Sequence[str]
) -> tuple[list[str], set[str]]:
  """Finds Birdsnap's images, which may be one folder too deep.

  Args:
    root: the dataset's directory.
    names: of all images in the list.

  Returns:
    The path of each image, and those of them that exist.
  """
  folders = [n for n in ('images', 'download/images') if is_dir(root, n)]
  folders += [
    f'{folder}/{inner}'
    for folder in folders
    for inner in subfolders(join(root, folder))
    if not any(name.startswith(f'{inner}/') for name in names)
  ]
  for folder in folders or ['']:
    paths = [join(root, *filter(None, [folder]), name) for name in names]
    existing = existing_paths(paths)
    if existing:
      break
  return paths, existing


def _sun397(root: str) -> Contents:
  """Reads partition 1 of SUN397."""
  classes = read_lines(root, 'Partitions/ClassName.txt')
  splits = {}
  for split_name, file in (
    ('train', 'Partitions/Training_01.txt'),
    ('test', 'Partitions/Testing_01.txt'),
  ):
    lines = read_lines(root, file)
    labels = class_indices(
      root, file, classes, [folder_of(line) for line in lines]
    )
    names = [line.removeprefix('/') for line in lines]
    splits[split_name] = listed_examples(root, file, names, labels, names)
  return Contents(tuple(classes), splits)


def _cars_places(file: str) -> tuple[str, ...]:
  """Returns where archives have a file of the development kit of Cars."""
  folders = ('devkit', '', 'devkit/devkit', 'car_devkit/devkit')
  return tuple(f'{folder}/{file}'.lstrip('/') for folder in folders)


def _cars(root: str) -> Contents:
  """Reads Stanford Cars."""
  meta_file = first_existing(root, *_cars_places('cars_meta.mat'))
  meta = read_mat(root, meta_file, 'class_names')
  classes = tuple(str(name) for name in np.atleast_1d(meta))
  in_devkit, beside, *others = _cars_places('cars_test_annos_withlabels.mat')
  test_file = first_existing(root, beside, in_devkit, *others)
  train_file = first_existing(root, *_cars_places('cars_train_annos.mat'))
  splits = {}
  for split_name, file in (('train', train_file), ('test', test_file)):
    rows = np.atleast_1d(read_mat(root, file, 'annotations'))
    names = [str(read_field(root, file, row, 'fname')) for row in rows]
    labels = [read_field(root, file, row, 'class') for row in rows]
    labels = zero_based(root, file, labels, len(classes))
    paths = [f'cars_{split_name}/{name}' for name in names]
    splits[split_name] = listed_examples(root, file, names, labels, paths)
  return Contents(classes, splits)


def _aircraft(root: str) -> Contents:
  """Reads FGVC Aircraft, whose classes are the variants."""
  # Names of variants contain spaces and slashes: a line is one name.
  classes = read_lines(root, 'data/variants.txt')
  splits = {}
  for split_name in ('train', 'val', 'test'):
    file = f'data/images_variant_{split_name}.txt'
    rows = [line.partition(' ') for line in read_lines(root, file)]
    labels = class_indices(
      root, file, classes, [variant for *_, variant in rows]
    )
    names = [f'{number}.jpg' for number, *_ in rows]
    paths = [f'data/images/{name}' for name in names]
    splits[split_name] = listed_examples(root, file, names, labels, paths)
  return Contents(tuple(classes), splits)


VOC_CLASSES = (
  *('aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat'),
  *('chair', 'cow', 'diningtable', 'dog', 'horse', 'motorbike', 'person'),
  *('pottedplant', 'sheep', 'sofa', 'train', 'tvmonitor'),
)
# Labels in VOC's lists -> labels in `Split`. VOC's 0 is "difficult only".
_VOC_LABELS = {'1': 1, '-1': 0, '0': -1}


def _voc2007(root: str) -> Contents:
  """Reads PASCAL VOC 2007, with several labels per image."""
  splits = {}
  for split_name in ('train', 'val', 'test'):
    columns, names = [], None
    for name in VOC_CLASSES:
      file = f'ImageSets/Main/{name}_{split_name}.txt'
      rows = [line.split() for line in read_lines(root, file)]
      if any(len(row) != 2 or row[1] not in _VOC_LABELS for row in rows):
        raise InputError(
          f'{printable(join(root, file))}: expected lines of a number and 1, '
          '-1 or 0: restore the original'
        )
      if names not in (None, [row[0] for row in rows]):
        raise InputError(
          f'{printable(join(root, file))}: lists other images than the file '
          f'of {VOC_CLASSES[0]}: restore both from one archive'
        )
      names = [row[0] for row in rows]
      columns.append([_VOC_LABELS[row[1]] for row in rows])
    labels = np.array(columns, np.int32).T
    paths = [f'JPEGImages/{name}.jpg' for name in names]
    names = [f'{name}.jpg' for name in names]
    splits[split_name] = listed_examples(root, file, names, labels, paths)
  return Contents(VOC_CLASSES, splits)


def _dtd(root: str) -> Contents:
  """Reads the first of DTD's ten folds."""
  names_by_split = {
    split_name: read_lines(root, f'labels/{split_name}1.txt')
    for split_name in ('train', 'val', 'test')
  }
  classes = sorted({folder_of(name) for name in names_by_split['train']})
  splits = {}
  for split_name, names in names_by_split.items():
    file = f'labels/{split_name}1.txt'
    labels = class_indices(
      root, file, classes, [folder_of(name) for name in names]
    )
    paths = [f'images/{name}' for name in names]
    splits[split_name] = listed_examples(root, file, names, labels, paths)
  return Contents(tuple(classes), splits)


def _pets(root: str) -> Contents:
  """Reads Oxford-IIIT Pets."""
  splits, classes = {}, {}
  for split_name, file in (
    ('train', 'annotations/trainval.txt'),
    ('test', 'annotations/test.txt'),
  ):
    # Name, class, species, number within the species.
    rows = [line.split() for line in read_lines(root, file)]
    ids = [row[1] if len(row) == 4 else row for row in rows]
    breeds = [row[0].rpartition('_')[0] for row in rows]
    count = len(classes) if classes else len(set(breeds))
    labels = zero_based(root, file, ids, count)
    if split_name == 'train':
      classes = dict(zip(labels.tolist(), breeds, strict=True))
    names = [f'{row[0]}.jpg' for row in rows]
    paths = [f'images/{name}' for name in names]
    splits[split_name] = listed_examples(root, file, names, labels, paths)
  names = [classes[label] for label in sorted(classes)]
  return Contents(tuple(names), splits)


def _caltech101(root: str) -> Contents:
  """Reads Caltech-101, which has no official split."""
  # TFDS has the names in lower case: a draw by name needs one spelling.
  folders = {name.lower(): name for name in list_names(root, folders=True)}
  classes = sorted(folders)
  names, labels, paths = [], [], []
  for label, name in enumerate(classes):
    for file in list_names(join(root, folders[name])):
      if file.lower().endswith('.jpg'):
        names.append(f'{name}/{file}')
        labels.append(label)
        paths.append(join(root, folders[name], file))
  labels = np.array(labels, np.int32)
  examples = Examples(tuple(names), labels, whole_files(paths))
  return Contents(tuple(classes), {'whole': examples})


# Dataset -> its official layout.
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
    {'devkit/cars_train_annos.mat': _cars_places('cars_train_annos.mat')},
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
  'imagenet': Layout(
    'ILSVRC2012',
    ('val',),
    imagenet_layout.read_imagenet,
    {'val': imagenet_layout.KAGGLE_VAL},
  ),
}


def recognize(root: str) -> str | None:
  """Returns the name of the dataset whose layout a directory has, or None."""
  for name, layout in LAYOUTS.items():
    if not layout.missing(root):
      return name
  return None
