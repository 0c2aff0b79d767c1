"""Divides the examples of a dataset into folds for cross-validation."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import (
  Dataset,
  Split,
  build_dataset,
  listing,
  select,
)
from tf_transfer.errors import InputError
from tf_transfer.runtime.units import counted


def build_folds(
  name: str,
  classes: tuple[str, ...],
  metric: str,
  everything: Split,
  num_folds: int,
  random_split: splits.RandomSplit,
  notes: Iterable[str] = (),
  *,
  identity_name: str = '',
) -> Dataset:
  """Builds a dataset for cross-validation; see `Dataset.folds`.

  Each fold is the test of one dataset. Val is drawn from the other folds,
  stratified, with `val_fraction` of them, and train is what remains.

  Args:
    name: of the dataset.
    classes: as in `Dataset`.
    metric: as in `Dataset`.
    everything: all examples, in the order of `splits.sort_order`.
    num_folds: 2 or more.
    random_split: seed and `val_fraction`.
    notes: as in `Dataset`.
    identity_name: as in `Dataset`.

  Raises:
    InputError: there are too few examples, of all or of a class.
  """
  everything = dataclasses.replace(everything, name='test')
  digests, labels = everything.digests, everything.labels
  groups = everything.groups
  _check_classes(name, classes, everything, num_folds)
  fold_of = splits.assign_folds(
    digests, labels, groups, num_folds, random_split.seed
  )
  folds = []
  for fold in range(num_folds):
    others = np.flatnonzero(fold_of != fold)
    positions = splits.stratified_val(
      digests[others],
      labels[others],
      None if groups is None else groups[others],
      random_split.seed,
      random_split.val_fraction,
    )
    positions = {each: others[positions[each]] for each in positions}
    positions['test'] = np.flatnonzero(fold_of == fold)
    parts = [
      select(everything, positions[each], each, shares_features=True)
      for each in positions
    ]
    folds.append(
      build_dataset(
        name, classes, metric, parts, notes, identity_name=identity_name
      )
    )
  first = folds[0]
  note = f'each image is tested once, by one of {num_folds} folds'
  return dataclasses.replace(
    first,
    splits={**first.splits, 'test': everything},
    notes=(*notes, note),
    folds=tuple(folds),
  )


def _check_classes(
  name: str, classes: tuple[str, ...], everything: Split, num_folds: int
) -> None:
  """Checks that there are enough groups to train and to test on.

  Raises:
    InputError: there are not.
  """
  keys = (
    [row.tobytes() for row in everything.digests]
    if everything.groups is None
    else everything.groups.tolist()
  )
  if len(set(keys)) < num_folds:
    raise InputError(
      f'{name}: {counted(len(set(keys)), "image")} that differ, fewer than '
      f'data.folds={num_folds}: give fewer folds'
    )
  groups_of = [set() for _ in classes]
  for key, label in zip(keys, everything.labels.tolist(), strict=True):
    groups_of[label].add(key)
  alone = [
    class_name
    for class_name, members in zip(classes, groups_of, strict=True)
    if len(members) < 2
  ]
  if alone:
    raise InputError(
      f'{name}: all images of {listing(alone)} stay in one fold, so that none '
      'is left to train on when they are tested: give two images or more that '
      'differ, or leave the class out'
    )
