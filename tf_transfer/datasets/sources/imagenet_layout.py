"""Reads ImageNet from class folders, or flat with a list of the classes.

The images are in train and val; where they are Kaggle's, in
ILSVRC/Data/CLS-LOC/train and val, with LOC_val_solution.csv beside ILSVRC.
"""

import csv
import os
from collections.abc import Sequence

import numpy as np

from tf_transfer.datasets.sources.annotations import (
  class_indices,
  is_dir,
  join,
  list_names,
  read_lines,
  read_mat,
)
from tf_transfer.datasets.sources.image_files import (
  Contents,
  Examples,
  printable,
  printable_listing,
  whole_files,
)
from tf_transfer.errors import InputError
from tf_transfer.runtime.units import counted

_SYNSETS = 'imagenet_2012_validation_synset_labels.txt'
_DEVKIT = 'ILSVRC2012_devkit_t12/data'
_SOLUTION = 'LOC_val_solution.csv'
_MAPPING = 'LOC_synset_mapping.txt'
_KAGGLE_FOLDERS = ('ILSVRC/Data/CLS-LOC', 'Data/CLS-LOC')
# Where Kaggle's archive has val.
KAGGLE_VAL = tuple(f'{folder}/val' for folder in _KAGGLE_FOLDERS)


def read_imagenet(root: str) -> Contents:
  """Reads ImageNet; train may be missing, as val is enough to evaluate."""
  folder = _images_folder(root)
  test_paths, test_wnids, source = _read_val(root, _innermost(folder, 'val'))
  train_folder = _innermost(folder, 'train')
  has_train = os.path.isdir(train_folder)
  if has_train:
    classes = list_names(train_folder, folders=True)
  else:
    val_folders = list_names(_innermost(folder, 'val'), folders=True)
    classes = sorted({*val_folders, *test_wnids, *_mapped_wnids(root)})
  names, labels, paths = [], [], []
  for label, wnid in enumerate(classes if has_train else ()):
    for file in list_names(join(train_folder, wnid)):
      names.append(file)
      labels.append(label)
      paths.append(join(train_folder, wnid, file))
  train = Examples(tuple(names), np.array(labels, np.int32), whole_files(paths))
  test = Examples(
    tuple(os.path.basename(path) for path in test_paths),
    class_indices(root, source, classes, test_wnids),
    whole_files(test_paths),
  )
  return Contents(tuple(classes), {'train': train, 'test': test})


def _images_folder(root: str) -> str:
  """Returns the folder that holds val: Kaggle's archive has it deep down."""
  if not is_dir(root, 'val'):
    for folder in _KAGGLE_FOLDERS:
      if is_dir(root, f'{folder}/val'):
        return join(root, folder)
  return root


def _innermost(folder: str, name: str) -> str:
  """Returns folder/name, or folder/name/name if it holds nothing else."""
  path = join(folder, name)
  is_all = os.path.isdir(join(path, name)) and (
    list_names(path, folders=True) == [name] and not list_names(path)
  )
  return join(path, name) if is_all else path


def _file_beside(root: str, name: str) -> str | None:
  """Finds a list beside Kaggle's images, in or above the dataset's directory.

  Returns:
    Its path relative to root; None: there is no such file.
  """
  places = (name, f'ILSVRC/{name}')
  if not is_dir(root, 'val'):
    places += (f'../{name}',)
  return next((p for p in places if os.path.isfile(join(root, p))), None)


def _mapped_wnids(root: str) -> list[str]:
  """Returns the WNIDs of Kaggle's list of classes, if it is there."""
  file = _file_beside(root, _MAPPING)
  return [line.split()[0] for line in read_lines(root, file)] if file else []


def _read_val(root: str, val: str) -> tuple[list[str], list[str], str]:
  """Lists the paths and the classes (WNIDs) of the images in val.

  Args:
    root: the dataset's directory.
    val: the folder of the images.

  Returns:
    Paths, WNIDs, and the file that has these, relative to root.
  """
  wnids = list_names(val, folders=True)
  if not wnids:
    images = list_names(val)
    paths = [join(val, file) for file in images]
    return paths, *_flat_classes(root, val, images)
  images = [
    (wnid, file) for wnid in wnids for file in list_names(join(val, wnid))
  ]
  paths = [join(val, wnid, file) for wnid, file in images]
  return paths, [wnid for wnid, _ in images], 'val'


def _flat_classes(
  root: str, val: str, images: Sequence[str]
) -> tuple[list[str], str]:
  """Reads the class of each image in a val without folders.

  Args:
    root: the dataset's directory.
    val: the folder of the images.
    images: their names, sorted.

  Returns:
    WNIDs, and the file that has them.

  Raises:
    InputError: no file has the classes, or it has another number of them.
  """
  solution = _file_beside(root, _SOLUTION)
  if os.path.exists(join(root, _SYNSETS)):
    labels_file = _SYNSETS
    wnids = read_lines(root, labels_file)
  elif is_dir(root, _DEVKIT):
    labels_file = f'{_DEVKIT}/ILSVRC2012_validation_ground_truth.txt'
    synsets = np.atleast_1d(read_mat(root, f'{_DEVKIT}/meta.mat', 'synsets'))
    by_id = {str(row['ILSVRC2012_ID']): row['WNID'] for row in synsets}
    wnids = [by_id.get(line, line) for line in read_lines(root, labels_file)]
  elif solution:
    return _solution_classes(root, solution, images), solution
  else:
    raise InputError(
      f'{printable(val)}: images in no class folders, and nothing that says '
      f'their classes: put {_SYNSETS}, the folder ILSVRC2012_devkit_t12 or '
      f"Kaggle's {_SOLUTION} in {printable(root)}, or a folder for each WNID "
      'in val'
    )
  if len(wnids) != len(images):
    raise InputError(
      f'{printable(join(root, labels_file))}: {counted(len(wnids), "label")} '
      f'for {counted(len(images), "image")} in val: unpack both archives again'
    )
  return wnids, labels_file


def _solution_classes(root: str, file: str, images: Sequence[str]) -> list[str]:
  """Reads the class of each image from Kaggle's table.

  Its rows are an image's name without suffix, and WNID and box of each object;
  all objects of an image are of one class.

  Args:
    root: the dataset's directory.
    file: the table.
    images: names of the files in val.

  Raises:
    InputError: the table is broken, or an image is not in it.
  """
  path = printable(join(root, file))
  wnids = {}
  lines = enumerate(read_lines(root, file), start=1)
  next(lines)  # The header, which has its own names in each copy.
  for number, line in lines:
    try:
      name, boxes = next(csv.reader([line]))
      wnid = boxes.split()[0]
    except (ValueError, IndexError, csv.Error) as error:
      raise InputError(
        f'{path}, line {number}: expected the name of an image, a comma, and '
        'WNID and box of each object: restore the original'
      ) from error
    if wnids.setdefault(name, wnid) != wnid:
      raise InputError(
        f'{path}, line {number}: a second class of {printable(name)}: restore '
        'the original'
      )
  unknown = [n for n in images if os.path.splitext(n)[0] not in wnids]
  if unknown:
    raise InputError(
      f'{path}: has no class of {counted(len(unknown), "image")} in val '
      f'({printable_listing(unknown)}): restore the original, or remove them'
    )
  return [wnids[os.path.splitext(name)[0]] for name in images]
