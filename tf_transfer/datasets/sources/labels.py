"""Opens a dataset of labels without images: `labels:DIR`.

Networks of which features are in files, `features:DIR`, can be transferred to
it, and no others. docs/own_network.md describes the directory.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import Dataset, Split, build_dataset
from tf_transfer.errors import InputError
from tf_transfer.runtime import array_files, files

_CLASSES = 'classes.txt'


def check_labels(path: str) -> pathlib.Path:
  """Returns a directory that has labels of each split.

  Raises:
    InputError: it does not exist, or a split is missing.
  """
  directory = files.local_path(path, 'config.datasets')
  if not directory.is_dir():
    raise InputError(f'labels:{path}: there is no such directory')
  for split in array_files.SPLITS:
    known = [directory / f'{split}_labels.{kind}' for kind in ('npy', 'txt')]
    if not any(one.exists() for one in known):
      raise InputError(
        f'labels:{path}: expected {split}_labels.npy or {split}_labels.txt'
      )
  return directory


def open_labels(name: str, metric: str) -> Dataset:
  """Opens a dataset of labels.

  Args:
    name: of the dataset, 'labels:PATH'.
    metric: of the dataset, where an example has one class.

  Raises:
    InputError: labels are missing, or are not those of one set of classes.
  """
  directory = check_labels(name.removeprefix('labels:'))
  by_split = {
    split: array_files.read_labels(directory, split)
    for split in array_files.SPLITS
  }
  classes, labels = _number_classes(name, directory, by_split)
  multi_label = next(iter(labels.values())).ndim == 2
  dataset = build_dataset(
    name,
    classes,
    'map11' if multi_label else metric,
    [
      _make_split(
        split, labels[split], array_files.read_names(directory, split), name
      )
      for split in array_files.SPLITS
    ],
    ('there are labels and no images',),
  )
  return dataclasses.replace(dataset, has_images=False)


def _number_classes(
  name: str,
  directory: pathlib.Path,
  by_split: dict[str, np.ndarray | Sequence[str]],
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
  """Returns the names of the classes, and labels that are indices into them.

  Raises:
    InputError: a label is none of the classes, or labels are of two kinds.
  """
  path = directory / _CLASSES
  classes = array_files.read_lines(path) if path.exists() else []
  if len(set(classes)) < len(classes):
    raise InputError(f'{path}: a class is there twice')
  kinds = {getattr(labels, 'ndim', 'text') for labels in by_split.values()}
  if len(kinds) > 1:
    raise InputError(
      f'{name}: expected the labels of all splits as integers [N], as 0 and 1 '
      '[N, C], or as text'
    )
  if kinds == {'text'}:
    classes = classes or sorted(set().union(*map(set, by_split.values())))
    numbers = {text: number for number, text in enumerate(classes)}
    texts = [text for labels in by_split.values() for text in labels]
    unknown = [text for text in texts if text not in numbers]
    if unknown:
      raise InputError(f'{name}: {unknown[0]} is no class of {_CLASSES}')
    return tuple(classes), {
      split: np.array([numbers[text] for text in labels], np.int32)
      for split, labels in by_split.items()
    }
  if kinds == {1}:
    count = 1 + max(int(labels.max(initial=0)) for labels in by_split.values())
  else:
    widths = {labels.shape[1] for labels in by_split.values()}
    count = max(widths)
    if len(widths) > 1:
      raise InputError(f'{name}: labels of {min(widths)} and {count} classes')
  if classes and (
    count > len(classes) or (kinds == {2} and count != len(classes))
  ):
    raise InputError(
      f'{name}: labels are of {count} classes, and {_CLASSES} has '
      f'{len(classes)}'
    )
  return tuple(classes or map(str, range(count))), by_split


def _make_split(
  split: str, labels: np.ndarray, names: list[str] | None, dataset: str
) -> Split:
  """Makes a split, whose examples are known by their names.

  Raises:
    InputError: there are more or fewer names than labels, or one is there
      twice.
  """
  if names is None:
    names = [f'{split} {row}' for row in range(len(labels))]
  if len(names) != len(labels):
    raise InputError(
      f'{dataset}: {split} has {len(labels):,} labels and {len(names):,} names'
    )
  if len(set(names)) < len(names):
    raise InputError(f'{dataset}: a name of {split}_names.txt is there twice')

  def read(i: int) -> np.ndarray:
    raise InputError(
      f'{dataset} has labels and no images ({names[i]}): networks are '
      'transferred to it by their features, as features:DIR'
    )

  return Split(
    name=split,
    labels=labels,
    digests=splits.content_digests([f'{split} {x}'.encode() for x in names]),
    read=read,
    describe=names.__getitem__,
  )
