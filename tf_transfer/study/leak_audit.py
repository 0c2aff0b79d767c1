"""Finds test images that are also in splits that networks are trained on.

Test is compared with train and val of the same dataset and of others: exact
copies by digest, near copies by perceptual hash and, on demand, by features.
Then a study's records are measured again without them. (The paper's
appendix H.)
"""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import ml_collections
import numpy as np

from tf_transfer import datasets, errors
from tf_transfer.datasets.images import perceptual_hash
from tf_transfer.runtime import progress
from tf_transfer.study import ledger as ledger_lib
from tf_transfer.study import predictions as predictions_lib
from tf_transfer.study import schema
from tf_transfer.transfer import metrics
from tf_transfer.transfer.fixed_features import features as features_lib

# How a pair can be found, the strictest first.
KINDS = ('exact', 'hash', 'features')
# The splits that a test image must not be in.
TRAINING_SPLITS = ('train', 'val')


@dataclasses.dataclass(frozen=True)
class Leak:
  """A test image and the image most like it in a split that is trained on.

  Attributes:
    kind: the strictest of KINDS that finds the pair.
    test: index of the test image in its split.
    dataset: name of the dataset of the other image.
    split: 'train' or 'val', the split of the other image.
    other: index of the other image in its split.
    distance: number of bits in which the perceptual hashes differ.
    cosine: similarity of the features; None where they did not find the pair.
  """

  kind: str
  test: int
  dataset: str
  split: str
  other: int
  distance: int
  cosine: float | None


class _Audit:
  """Compares one test split with one split after another.

  Attributes:
    num_unreadable: number of images that could not be read so far.
  """

  def __init__(
    self,
    dataset: datasets.Dataset,
    config: ml_collections.ConfigDict,
    extract: features_lib.Extractor | None,
  ):
    self._config = config
    self._extract = extract
    self._test = dataset.splits['test']
    self._hashes, self._readable = _hash_images(dataset, 'test')
    self._features = self._extract_features(dataset, 'test')
    self.num_unreadable = int(np.sum(~self._readable))

  def compare(
    self, dataset: datasets.Dataset, split_name: str
  ) -> Iterator[Leak]:
    """Yields the leaks of test images into a split, at most one for each."""
    split = dataset.splits[split_name]
    hashes, readable = _hash_images(dataset, split_name)
    self.num_unreadable += int(np.sum(~readable))
    copies = {digest.tobytes(): i for i, digest in enumerate(split.digests)}
    candidates = np.flatnonzero(readable)
    if not len(candidates):
      return
    nearest, _ = perceptual_hash.nearest(self._hashes, hashes[candidates])
    nearest = candidates[nearest]
    similar, cosines = self._most_similar(dataset, split_name)
    for i, digest in enumerate(self._test.digests):
      matches = [
        ('exact', copies.get(digest.tobytes())),
        ('hash', nearest[i]),
        ('features', similar[i]),
      ]
      for kind, other in matches:
        if other is None:
          continue
        distance = int(np.bitwise_count(self._hashes[i] ^ hashes[other]))
        cosine = cosines[i] if kind == 'features' else None
        if self._is_leak(kind, i, distance, cosine):
          yield Leak(
            kind, i, dataset.name, split_name, int(other), distance, cosine
          )
          break

  def _is_leak(
    self, kind: str, test: int, distance: int, cosine: float | None
  ) -> bool:
    """Tells whether a pair is close enough, by the measure that found it."""
    if kind == 'hash':
      near = distance <= self._config.max_distance
      return bool(self._readable[test]) and near
    if kind == 'features':
      return cosine is not None and cosine >= self._config.min_cosine
    return True

  def _most_similar(
    self, dataset: datasets.Dataset, split_name: str
  ) -> tuple[list[int | None], list[float | None]]:
    """Finds the image with the most similar features for each test image."""
    other: list[int | None] = [None] * len(self._test)
    cosines: list[float | None] = [None] * len(self._test)
    if self._features is not None:
      features = self._extract_features(dataset, split_name)
      indices, cosine = perceptual_hash.most_similar(
        self._features.values, features.values
      )
      for row, i in enumerate(self._features.indices):
        other[i] = int(features.indices[indices[row]])
        cosines[i] = float(cosine[row])
    return other, cosines

  def _extract_features(
    self, dataset: datasets.Dataset, split_name: str
  ) -> features_lib.Features | None:
    if self._extract is None:
      return None
    name = f'{dataset.name} {split_name}'
    return self._extract(dataset.splits[split_name], name)


def _hash_images(
  dataset: datasets.Dataset, split_name: str
) -> tuple[np.ndarray, np.ndarray]:
  """Hashes a split: uint64 [N], and bool [N], which images are readable."""
  return perceptual_hash.hash_split(
    dataset.splits[split_name],
    progress.bar,
    f'hashes: {dataset.name} {split_name}',
  )


def find_leaks(
  dataset: datasets.Dataset,
  others: list[datasets.Dataset],
  config: ml_collections.ConfigDict,
  extract: features_lib.Extractor | None = None,
) -> tuple[list[Leak], int]:
  """Finds the test images of a dataset that are in splits trained on.

  Args:
    dataset: its own train and val are searched first.
    others: datasets whose train and val are searched too.
    config: has max_distance and min_cosine.
    extract: extracts features to compare; None compares none.

  Returns:
    The leaks, in the order of the splits searched and then of test; and the
    number of images that could not be read.

  Raises:
    InputError: the dataset has folds.
  """
  if dataset.folds:
    raise errors.InputError(
      f'{dataset.name}: in folds each image is tested and trained on: set '
      'data.folds to 0 to look for images that are in two splits'
    )
  audit = _Audit(dataset, config, extract)
  leaks = [
    leak
    for searched in (dataset, *others)
    for split_name in TRAINING_SPLITS
    for leak in audit.compare(searched, split_name)
  ]
  return leaks, audit.num_unreadable


def measure_without(
  workdir: pathlib.Path, dataset: datasets.Dataset, leaked: set[int]
) -> list[dict[str, Any]]:
  """Measures a study's records on a dataset without the leaked test images.

  Args:
    workdir: of the study.
    dataset: the dataset; records on another test split of it do not count.
    leaked: indices of the test images to leave out.

  Returns:
    For each record its network and setting, the metric on all test images
    that it counted, and the metric on those that remain.

  Raises:
    InputError: there is no such record, its predictions cannot be read, or none
      of its images remains.
  """
  test = dataset.splits['test']
  removed = {test.digests[i].tobytes() for i in leaked}
  rows = []
  for record in ledger_lib.read_all(workdir).values():
    if (
      schema.identity_name(record['dataset']) != dataset.identity_name
      or record['splits_sha256']['test'] != test.hash
    ):
      continue
    arrays = predictions_lib.read(record, workdir)
    digest, label, prediction = (
      arrays[name] for name in ('digest', 'label', 'prediction')
    )
    remains = np.array([row.tobytes() not in removed for row in digest])
    if not remains.any():
      raise errors.InputError(
        f'{dataset.name}: every test image is a leak; lower '
        '--config.max_distance if they only look alike'
      )
    rows.append(
      {
        'network': record['network'],
        'setting': record['setting'],
        'metric': record['metric'],
        'all': dataclasses.asdict(
          metrics.measure(record['metric'], label, prediction)
        ),
        'without': dataclasses.asdict(
          metrics.measure(record['metric'], label[remains], prediction[remains])
        ),
      }
    )
  if not rows:
    raise errors.InputError(
      f'--config.ledger: {workdir} has no record on the test split of '
      f'{dataset.name}'
    )
  return rows
