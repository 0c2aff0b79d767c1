"""Tries a network: its features, predictions, cost and estimates.

A candidate is kept in WORKDIR/candidates under a hash of all that determines
its numbers, so a job that was killed goes on, and one with more networks tries
only those that are new.
"""

import dataclasses
import hashlib
import json
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np

from tf_transfer import contract as contract_lib
from tf_transfer import datasets, errors, networks
from tf_transfer.networks import weights as weights_lib
from tf_transfer.runtime import files, progress
from tf_transfer.study.choice import out_of_fold, speed, types
from tf_transfer.transfer import (
  cross_validation,
  estimators,
  metrics,
  settings,
)
from tf_transfer.transfer.fixed_features import (
  classifiers,
  estimates,
  feature_pairs,
)
from tf_transfer.transfer.fixed_features import features as features_lib

# Part of every identity: raise it when what is computed changes.
_VERSION = 1
# Images above which estimators that compare all pairs would take minutes.
_MAX_ESTIMATED = 20_000


@dataclasses.dataclass(frozen=True)
class Source:
  """A network that can be tried.

  Attributes:
    network: its name among those that are tried.
    weights: the name or path by which a config can name it.
    path: of the weights file; None for a function of the user's.
    header: of the weights file, or what stands for it.
    sha256: of the weights file, or what stands for it.
    contract: what it expects of images, with the size that the config names.
    parameters: their number, or an assumption of it.
  """

  network: str
  weights: str
  path: pathlib.Path
  header: weights_lib.Header
  sha256: str
  contract: contract_lib.Contract
  parameters: int = 1

  @property
  def title(self) -> str:
    """The network's name for people."""
    return networks.title(self.network)

  @property
  def operations(self) -> float:
    """How costly the network is beside others: parameters times pixels."""
    return float(self.parameters * self.contract.image_size**2)


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
  """What networks are tried on.

  Attributes:
    dataset: that a network is chosen for.
    parts: the splits whose images are used: train and val; or all images as
      one, where the dataset is divided into folds. Never test otherwise.
    images: the N images of all parts, in order.
    division: of these images.
    folds: int [N]; all 0 where the networks are compared on val alone.
    config: of a study with the same data, features and classifier.
    setting: the classifier.
    workdir: of the job.
  """

  dataset: datasets.Dataset
  parts: tuple[datasets.Split, ...]
  images: datasets.Split
  division: out_of_fold.Division
  folds: np.ndarray
  config: ml_collections.ConfigDict
  setting: str
  workdir: pathlib.Path

  def identity(self, source: Source) -> str:
    """Returns the hash of all that determines a candidate's numbers."""
    fields = {
      'version': _VERSION,
      'weights_sha256': source.sha256,
      'contract': source.contract.to_json(),
      'splits_sha256': [part.hash for part in self.parts],
      'folds': hashlib.sha256(self.folds.astype('<i8').tobytes()).hexdigest(),
      'metric': self.dataset.metric,
      'corrupt': self.config.data.corrupt,
      'setting': self.setting,
      **settings.row(self.setting).determinants(self.config),
    }
    text = json.dumps(fields, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True, eq=False)
class Kept:
  """A candidate as it is kept.

  Attributes:
    candidate: the candidate.
    positions: int [M], the images of the task that it predicts. Images that
      cannot be decoded are left out.
    skipped: the names of those.
  """

  candidate: types.Candidate
  positions: np.ndarray
  skipped: tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
  """The features of the images of a task.

  Attributes:
    values: float32 [K, D].
    labels: int [K].
    positions: int [K], among the images of the task.
    skipped: the names of images that cannot be decoded.
  """

  values: np.ndarray
  labels: np.ndarray
  positions: np.ndarray
  skipped: tuple[str, ...]


def extract_examples(extract: features_lib.Extractor, task: Task) -> Examples:
  """Extracts the features of a task's images; cached ones are read."""
  named = [(part, f'{task.dataset.name} {part.name}') for part in task.parts]
  if len(named) == 1:
    only = extract(*named[0])
    return Examples(only.values, only.labels, only.indices, only.skipped)
  first, second, both = feature_pairs.extract_pair(extract, *named)
  positions = np.concatenate(
    [first.indices, len(task.parts[0]) + second.indices]
  )
  return Examples(both.values, both.labels, positions, both.skipped)


def try_network(
  source: Source,
  net: networks.Network,
  extract: features_lib.Extractor,
  task: Task,
  seconds_before: float,
) -> Kept:
  """Tries a network and keeps the candidate.

  Args:
    source: the network.
    net: the same, loaded.
    extract: of its features.
    task: what it is tried on.
    seconds_before: seconds already spent on the network.

  Raises:
    InputError: the features or labels cannot be used.
  """
  started = time.monotonic()
  examples = extract_examples(extract, task)
  division = task.division.select(examples.positions)
  predicted = _predict(source, examples, division, task)
  positions = examples.positions[division.predicted]
  labels = examples.labels[division.predicted]
  measured_speed = speed.measure(extract, net)
  estimated = {}
  if len(examples.values) <= _MAX_ESTIMATED:
    estimated = estimate(net, examples, task)
  candidate = types.Candidate(
    network=source.network,
    title=source.title,
    weights=source.weights,
    weights_sha256=source.sha256,
    accuracy=measure(
      task.dataset.metric, labels, predicted.predictions, task.folds[positions]
    ),
    predictions=predicted.predictions,
    scores=predicted.scores,
    chosen=_chosen(task, predicted.best),
    converged=predicted.converged,
    cost=types.Cost(
      parameters=speed.count_parameters(net),
      flops=measured_speed.flops,
      images_per_second=measured_speed.images_per_second,
      file_size=source.path.stat().st_size if source.path else 0,
      seconds=seconds_before + time.monotonic() - started,
    ),
    estimates=estimated,
  )
  kept = Kept(candidate, positions, examples.skipped)
  keep(kept, task, source)
  return kept


def _predict(
  source: Source,
  examples: Examples,
  division: out_of_fold.Division,
  task: Task,
) -> out_of_fold.Predicted:
  """Predicts the images of a task, with a progress bar."""
  fields = setting_fields(task)
  grid = classifiers.CLASSIFIERS[task.setting].grid(fields)
  with progress.bar(
    total=len(grid) * len(division.fits),
    desc=f'{source.network}: {settings.title(task.setting).lower()}',
  ) as bar:
    return out_of_fold.predict(
      task.setting,
      examples.values,
      examples.labels,
      len(task.dataset.classes),
      division,
      task.dataset.metric,
      fields,
      lambda num_done: bar.update(num_done - bar.n),
    )


def setting_fields(task: Task) -> ml_collections.ConfigDict:
  """Returns the classifier's own fields; empty if it has none."""
  if settings.row(task.setting).has_fields:
    return task.config[task.setting]
  return ml_collections.ConfigDict()


def _chosen(task: Task, best: int) -> dict[str, float]:
  """Returns the hyperparameter at a position of the grid, by name."""
  classifier = classifiers.CLASSIFIERS[task.setting]
  if classifier.hyperparameter is None:
    return {}
  grid = classifier.grid(setting_fields(task))
  return {classifier.hyperparameter: grid[best].item()}


def measure(
  metric: str, labels: np.ndarray, predictions: np.ndarray, folds: np.ndarray
) -> metrics.Measurement:
  """Measures a metric, with cross-validation's interval if there are folds.

  Args:
    metric: of the dataset.
    labels: int [N].
    predictions: int [N].
    folds: int [N]; all 0 without cross-validation.
  """
  if len(np.unique(folds)) < 2:
    return metrics.measure(metric, labels, predictions)
  return cross_validation.measure(metric, labels, predictions, folds)


def estimate(
  net: networks.Network,
  examples: Examples,
  task: Task,
  names: Sequence[str] = tuple(estimators.ESTIMATORS),
) -> dict[str, types.Estimate]:
  """Computes estimates of how well a network transfers.

  Args:
    net: the network.
    examples: its features.
    task: what they are of.
    names: of the estimators.
  """
  probabilities, reason = estimates.head_probabilities(
    net, examples.values, task.config.features.layer
  )
  return estimators.estimate_all(
    estimators.Examples(
      examples.values,
      examples.labels,
      len(task.dataset.classes),
      probabilities,
      task.images.digests[examples.positions],
      without_head=reason,
    ),
    names,
  )


def keep(kept: Kept, task: Task, source: Source) -> None:
  """Writes a candidate to the workdir.

  Raises:
    InputError: it cannot be written.
  """
  directory = files.make_directory(task.workdir / 'candidates')
  stem = directory / task.identity(source)
  candidate = kept.candidate
  with files.atomic_write(stem.with_suffix('.npz')) as file:
    np.savez(
      file,
      predictions=candidate.predictions,
      scores=candidate.scores,
      positions=kept.positions,
    )
  fields = dataclasses.asdict(
    dataclasses.replace(candidate, predictions=None, scores=None)
  )
  fields |= {'skipped': kept.skipped}
  with files.atomic_write(stem.with_suffix('.json')) as file:
    file.write(json.dumps(fields, indent=1).encode())


def read(task: Task, source: Source) -> Kept | None:
  """Reads a candidate that the workdir has; None if it has none.

  Raises:
    InputError: it is damaged.
  """
  stem = task.workdir / 'candidates' / task.identity(source)
  path, arrays_path = stem.with_suffix('.json'), stem.with_suffix('.npz')
  if not path.exists() or not arrays_path.exists():
    return None
  try:
    fields = json.loads(path.read_text())
    arrays = files.load_arrays(arrays_path, _max_bytes(task))
    return _to_kept(fields, arrays, source)
  except (ValueError, KeyError, TypeError, OSError) as error:
    raise errors.InputError(
      f'{path} is damaged: remove it, and the network is tried again'
    ) from error


def _max_bytes(task: Task) -> int:
  """Returns the most that the arrays of a candidate can take."""
  return len(task.folds) * (2 * len(task.dataset.classes) + 64) + 10_000


def _to_kept(
  fields: Mapping[str, Any], arrays: Mapping[str, np.ndarray], source: Source
) -> Kept:
  """Makes a candidate of what is kept of it; it goes by its present name."""
  cost = fields['cost']
  speeds = {int(k): v for k, v in cost['images_per_second'].items()}
  candidate = types.Candidate(
    network=source.network,
    title=source.title,
    weights=source.weights,
    weights_sha256=fields['weights_sha256'],
    accuracy=metrics.Measurement(**fields['accuracy']),
    predictions=arrays['predictions'],
    scores=arrays['scores'],
    chosen=fields['chosen'],
    converged=fields['converged'],
    cost=types.Cost(**{**cost, 'images_per_second': speeds}),
    estimates={
      name: types.Estimate(**value)
      for name, value in fields['estimates'].items()
    },
  )
  return Kept(candidate, arrays['positions'], tuple(fields['skipped']))
