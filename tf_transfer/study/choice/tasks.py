"""Divides the images of a dataset for the choice of a network."""

import pathlib

import ml_collections
import numpy as np

from tf_transfer import datasets, errors
from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import concatenate, listing
from tf_transfer.runtime.units import counted
from tf_transfer.study.choice import candidates, out_of_fold

# From so many images of val on, networks are compared on val alone.
LARGE_VAL = 2000


def make(
  dataset: datasets.Dataset,
  num_folds: int,
  config: ml_collections.ConfigDict,
  setting: str,
  workdir: pathlib.Path,
) -> candidates.Task:
  """Divides train and val of a dataset for the choice.

  Args:
    dataset: what a network is chosen for.
    num_folds: of the cross-validation, where val is small.
    config: of a study with the same data, features and classifier.
    setting: the classifier.
    workdir: of the job.

  Raises:
    InputError: images have several labels, or there are too few.
  """
  if dataset.multi_label:
    raise errors.InputError(
      f'{dataset.name}: an image may belong to several classes, and networks '
      'are not chosen for that: run a study with --config=study'
    )
  seed = config.data.split_seed
  if dataset.folds:
    parts = (dataset.splits['test'],)
    images, num_folds = parts[0], len(dataset.folds)
  else:
    parts = dataset.splits['train'], dataset.splits['val']
    images = concatenate('train + val', *parts)
  val = parts[-1]
  if len(parts) > 1 and len(val) >= LARGE_VAL:
    choosing = splits.assign_folds(
      val.digests, val.labels, val.groups, num_folds, seed
    )
    division = out_of_fold.on_val(len(parts[0]), choosing)
    folds = np.zeros(len(images), int)
  else:
    folds = splits.assign_folds(
      images.digests, images.labels, images.groups, num_folds, seed
    )
    _check_folds(dataset, images.labels, folds)
    division = out_of_fold.by_fold(folds)
  return candidates.Task(
    dataset, parts, images, division, folds, config, setting, workdir
  )


def _check_folds(
  dataset: datasets.Dataset, labels: np.ndarray, folds: np.ndarray
) -> None:
  """Raises an InputError where too few images are there to be told apart."""
  if len(np.unique(folds)) < 2:
    raise errors.InputError(
      f'{dataset.name}: {counted(len(labels), "image")} of train and val '
      'cannot be divided for cross-validation: give more images, or group '
      'fewer of them'
    )
  counts = np.bincount(labels, minlength=len(dataset.classes))
  if np.sum(counts >= 2) < 2:
    raise errors.InputError(
      f'{dataset.name}: fewer than two classes have two images or more in '
      'train and val: a classifier is fitted on some images of a class and '
      'measured on others'
    )


def notes(task: candidates.Task) -> list[str]:
  """Says which images are of classes that their classifier cannot know."""
  labels = task.images.labels
  unknown = np.zeros(len(labels), bool)
  for fit, own in task.division.fits:
    unknown |= own & ~np.isin(labels, labels[fit])
  if not unknown.any():
    return []
  names = [task.dataset.classes[i] for i in np.unique(labels[unknown])]
  count = counted(int(unknown.sum()), 'image counts', 'images count')
  return [
    f'{count} as wrong, since no image of the class was left to fit the '
    f'classifier on: {listing(map(errors.printable, names))}; add images of '
    f'{"this class" if len(names) == 1 else "these classes"}'
  ]
