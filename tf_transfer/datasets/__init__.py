"""To what networks are transferred: datasets, each with three splits."""

import dataclasses
from collections.abc import Callable

from tf_transfer.datasets.dataset import (
  Dataset,
  Progress,
  Split,
  no_progress,
)
from tf_transfer.datasets.digits import open_digits
from tf_transfer.datasets.fashion_mnist import (
  find_directory,
  open_fashion_mnist,
)
from tf_transfer.datasets.folder import check_folder, open_folder
from tf_transfer.datasets.images import CorruptImage
from tf_transfer.datasets.splits import Draw
from tf_transfer.errors import unknown_name

__all__ = [
  'DATASETS',
  'CorruptImage',
  'Dataset',
  'Row',
  'Split',
  'check',
  'names',
  'open',
]


@dataclasses.dataclass(frozen=True)
class Row:
  """What is known of a dataset before it is opened.

  Attributes:
    name: as users write it; FOLDER's path follows it.
    classes: how many; None where the data say so.
    metric: 'top1' or 'mean_per_class'.
    citation: what to cite; empty for a user's own data.
    licence: the terms of the data.
    opener: reads it.
  """

  name: str
  classes: int | None
  metric: str
  citation: str
  licence: str
  opener: Callable[..., Dataset]


DATASETS = (
  Row(
    name='digits',
    classes=10,
    metric='top1',
    citation=(
      'E. Alpaydin and C. Kaynak. Optical Recognition of Handwritten Digits. '
      'UCI Machine Learning Repository, 1998.'
    ),
    licence='CC BY 4.0; a copy is part of scikit-learn',
    opener=open_digits,
  ),
  Row(
    name='fashion_mnist',
    classes=10,
    metric='top1',
    citation=(
      'H. Xiao, K. Rasul and R. Vollgraf. Fashion-MNIST: a Novel Image '
      'Dataset for Benchmarking Machine Learning Algorithms. '
      'arXiv:1708.07747, 2017.'
    ),
    licence='MIT, copyright Zalando SE',
    opener=open_fashion_mnist,
  ),
)

FOLDER = Row(
  name='folder:',
  classes=None,
  metric='top1',
  citation='',
  licence='as its owner says',
  opener=open_folder,
)


def names() -> tuple[str, ...]:
  """What `open` takes; PATH stands for a directory of images."""
  return (*(row.name for row in DATASETS), f'{FOLDER.name}PATH')


def check(name: str, data_dir: str | None = None) -> None:
  """Finds out in an instant whether `open` has a chance; opens nothing.

  Raises:
    InputError: no such dataset, or its files are plainly not there.
  """
  row = _row(name)
  if row is FOLDER:
    check_folder(name.removeprefix(FOLDER.name))
  elif row.name == 'fashion_mnist':
    find_directory(data_dir)


def open(
  name: str,
  *,
  data_dir: str | None = None,
  seed: int = 0,
  val_fraction: float = 0.2,
  test_fraction: float = 0.2,
  progress: Progress = no_progress,
) -> Dataset:
  """Opens a dataset.

  Args:
    name: 'digits', 'fashion_mnist' or 'folder:PATH'.
    data_dir: where the files of a named dataset are, if not where its source
      puts them by default.
    seed: of what is held out where there is no official split.
    val_fraction: share of validation in `digits` and folders; elsewhere the
      protocol says it.
    test_fraction: share of test in `digits` and folders without test.
    progress: a wrapper of iterables like tqdm, for what takes long.

  Raises:
    InputError: no such dataset, or its data cannot be used.
  """
  row = _row(name)
  draw = Draw(seed, val_fraction, test_fraction)
  if row is FOLDER:
    path = name.removeprefix(FOLDER.name)
    return row.opener(
      name, path, metric=row.metric, draw=draw, progress=progress
    )
  return row.opener(
    name, metric=row.metric, data_dir=data_dir, draw=draw, progress=progress
  )


def _row(name: str) -> Row:
  if name.startswith(FOLDER.name):
    return FOLDER
  for row in DATASETS:
    if row.name == name:
      return row
  raise unknown_name('dataset', name, names())
