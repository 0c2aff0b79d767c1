"""The paper's other settings: fine-tuning and training from random values.

The grid of learning rates and weight decays, trained on train -> the trial
and the view of the images that do best on val -> one run on train + val ->
tested once. (Section 5 of the protocol.) Trials train together, as many as
memory is to hold, on the same batches; what they came to is kept on disk, so
that a search that was killed goes on from the last checkpoint.
"""

import dataclasses
import datetime
import functools
import hashlib
import json
import math
import pathlib
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from absl import logging

from tf_transfer import datasets, errors, networks
from tf_transfer.datasets import dataset as dataset_lib
from tf_transfer.datasets import decoded
from tf_transfer.networks import weights
from tf_transfer.runtime import checkpoints as checkpoints_lib
from tf_transfer.runtime import devices, files
from tf_transfer.transfer import fixed_features, metrics, training, trials

SETTINGS = ('fine_tuned', 'random_init')
# What stands in records for how images were made the networks' input.
PREPROCESSING = 'random_crop_and_flip'
# Fields of the config that change where and when, but no result.
OPERATIONAL = ('together', 'checkpoint_every', 'decoded_gb')

_TIMED_STEPS = 3
_GIGABYTE = 2**30


def grid(config: ml_collections.ConfigDict) -> list[training.Trial]:
  """The trials of a search, by learning rate and then by weight decay."""
  rates, decays = (
    np.logspace(np.log10(low), np.log10(high), count)
    for low, high, count in (
      (
        config.learning_rate_min,
        config.learning_rate_max,
        config.learning_rates,
      ),
      (config.weight_decay_min, config.weight_decay_max, config.weight_decays),
    )
  )
  if config.no_weight_decay:
    decays = np.concatenate([[0.0], decays])
  return [
    training.Trial(float(rate), float(decay))
    for rate in rates
    for decay in decays
  ]


def recipe(config: ml_collections.ConfigDict, examples: int) -> training.Recipe:
  """What all trials share, for a split of so many examples."""
  epochs = math.ceil(config.min_epochs * examples / config.batch_size)
  names = {field.name for field in dataclasses.fields(training.Recipe)}
  given = {name: config[name] for name in names}
  return training.Recipe(**{**given, 'steps': max(config.steps, epochs)})


def check(name: str, config: ml_collections.ConfigDict) -> None:
  """Finds what is wrong with a setting's config before anything slow begins.

  Raises:
    InputError: a field is out of range.
  """
  for field in ('learning_rate', 'weight_decay'):
    low, high = config[f'{field}_min'], config[f'{field}_max']
    if not 0 < low <= high:
      raise errors.InputError(
        f'config.{name}: expected 0 < {field}_min <= {field}_max, found {low} '
        f'and {high}'
      )
  for field in (
    *('learning_rates', 'weight_decays'),
    *('together', 'checkpoint_every'),
  ):
    if config[field] < 1:
      raise errors.InputError(
        f'config.{name}.{field}: expected 1 or more, found {config[field]}'
      )
  try:
    grid(config)
    recipe(config, examples=1)
  except errors.InputError as error:
    raise errors.InputError(f'config.{name}: {error}') from error


@dataclasses.dataclass(frozen=True)
class Search:
  """A network on a dataset, in one of the two settings.

  Attributes:
    net: the network.
    dataset: what it is transferred to.
    config: of the setting.
    pretrained: whether training begins with the network's own weights.
    corrupt: 'error', or 'skip' for images that cannot be decoded.
    directory: of this cell, for what a killed search goes on from.
    identity: of the cell.
    description: of the cell, for progress bars.
    mesh: the devices.
  """

  net: networks.Network
  dataset: datasets.Dataset
  config: ml_collections.ConfigDict
  pretrained: bool
  corrupt: str
  directory: pathlib.Path
  identity: str
  description: str
  mesh: jax.sharding.Mesh

  def job(self, split: datasets.Split) -> trials.Job:
    """Training on a split."""
    given = recipe(self.config, len(split))
    if given.batch_size > len(split):
      raise errors.InputError(
        f'{self.dataset.name}: a batch of {given.batch_size} is larger than '
        f'{split.name}, which has {len(split)} images: set a smaller batch_size'
      )
    model = training.build_model(
      self.net, len(self.dataset.classes), len(split), given
    )
    variables = training.initial_variables(
      model,
      self.net.contract.image_size,
      given.seed,
      self.net.variables if self.pretrained else None,
    )
    return trials.Job(
      model,
      self.net.contract,
      given,
      decoded.keep_decoded(split, int(self.config.decoded_gb * _GIGABYTE)),
      variables,
      self.mesh,
      self.corrupt,
      self.config.checkpoint_every,
    )

  def checkpoints(self, name: str) -> checkpoints_lib.Checkpoints:
    """The checkpoints of a part of the search."""
    digest = hashlib.sha256(f'{self.identity} {name}'.encode()).hexdigest()
    return checkpoints_lib.Checkpoints(
      self.directory / 'checkpoints' / digest[:16], digest
    )

  @functools.cached_property
  def predict(self) -> trials.Predict:
    return trials.compile_predict(self.network({}), self.mesh)

  def network(self, variables: Mapping[str, Any]) -> networks.Network:
    """The network with a head for the dataset, for inference."""
    model = networks.build(
      self.net.name,
      num_classes=len(self.dataset.classes),
      **self.net.header.options,
    )
    return dataclasses.replace(self.net, model=model, variables=variables)

  def predictions(
    self, variables: Sequence[Any], split: datasets.Split, view: str
  ) -> tuple[list[np.ndarray], np.ndarray]:
    """What the metric looks at, of each trial; and the examples it is of."""
    logits, kept = trials.predictions(
      self.predict,
      self.net.contract,
      variables,
      split,
      view,
      self.mesh,
      batch_size=self.config.batch_size,
      corrupt=self.corrupt,
      description=f'{self.description}: {split.name}, {view}',
    )
    found = [fixed_features.predictions(self.dataset, x) for x in logits]
    return found, kept


def run(search: Search) -> tuple[fixed_features.Outcome, networks.Network]:
  """Runs a cell: the search, the final run and the test.

  Returns:
    What came of it, and the network of the final run.

  Raises:
    InputError: something given cannot be used, or every trial diverged.
    Preempted: SIGTERM came; the same command goes on.
  """
  given = grid(search.config)
  results = _searched(search, given)
  scores = {
    (number, view): value['value']
    for number, result in enumerate(results)
    for view, value in result['validation'].items()
  }
  if not scores:
    raise errors.InputError(
      f'{search.description}: all {len(given)} trials diverged; lower '
      'learning_rate_max and learning_rate_min'
    )
  number, view = max(scores, key=scores.get)  # the first of the best
  job = search.job(
    dataset_lib.joined(
      'trainval', search.dataset.splits['train'], search.dataset.splits['val']
    )
  )
  with search.checkpoints('final') as kept:
    trained = trials.train(
      job,
      job.compile(),
      [given[number]],
      kept,
      f'{search.description}: final run',
    )
  if trained.variables[0] is None:
    raise errors.InputError(
      f'{search.description}: the final run on train + val diverged with '
      f'{given[number]}, which was the best on val; lower learning_rate_max'
    )
  outcome = _tested(search, trained, results, number, view, job)
  return outcome, search.network(for_inference(trained.variables[0]))


def for_inference(variables: Mapping[str, Any]) -> dict[str, Any]:
  """Without the auxiliary head, on the host."""
  return {
    kind: {k: v for k, v in values.items() if k != 'auxiliary'}
    for kind, values in jax.device_get(dict(variables)).items()
  }


def _tested(search, trained, results, number, view, job):
  """Reads test, for the first time."""
  test = search.dataset.splits['test']
  (predicted,), kept = search.predictions(trained.variables, test, view)
  labels = test.labels[kept]
  best = results[number]
  return fixed_features.Outcome(
    validation=metrics.Measurement(**best['validation'][view]),
    test=metrics.measure(search.dataset.metric, labels, predicted),
    curve=np.array(
      [
        max((v['value'] for v in r['validation'].values()), default=np.nan)
        for r in results
      ]
    ),
    chosen={
      'learning_rate': best['learning_rate'],
      'weight_decay': best['weight_decay'],
      'view': view,
      'steps': job.recipe.steps,
    },
    solver={},
    predictions=fixed_features.per_example(test, kept, labels, predicted),
    skipped=(
      *(job.split.describe(i) for i in trained.skipped),
      *(test.describe(i) for i in np.setdiff1d(np.arange(len(test)), kept)),
    ),
    trials=tuple(results),
    losses=tuple(trained.courses[0].losses),
  )


def _searched(
  search: Search, given: Sequence[training.Trial]
) -> list[dict[str, Any]]:
  """What came of every trial, found on disk or trained now."""
  path = search.directory / 'trials.json'
  found = _read(path, search.identity)
  missing = [n for n in range(len(given)) if str(n) not in found]
  if missing:
    job = search.job(search.dataset.splits['train'])
    step = job.compile()
    estimate = _Estimate(search, job, step, given[0], len(given), len(missing))
    size = search.config.together
    for start in range(0, len(missing), size):
      numbers = missing[start : start + size]
      found.update(_train_together(search, job, step, given, numbers))
      if devices.leading():
        with files.atomic_write(path) as file:
          content = {'identity': search.identity, 'trials': found}
          file.write(json.dumps(content).encode())
      estimate.refine(len(numbers))
  return [found[str(number)] for number in range(len(given))]


def _read(path: pathlib.Path, identity: str) -> dict[str, Any]:
  """The trials that an interrupted search has been through."""
  try:
    content = json.loads(path.read_bytes())
  except FileNotFoundError:
    return {}
  except (ValueError, OSError) as error:
    logging.warning('%s is damaged (%s): searched again', path, error)
    return {}
  return content['trials'] if content['identity'] == identity else {}


def _train_together(search, job, step, given, numbers):
  """Trains some of the trials, and measures them on val in both views."""
  name = ' '.join(map(str, numbers))
  chosen = [given[number] for number in numbers]
  with search.checkpoints(name) as kept:
    text = f'{search.description}: trials {numbers[0] + 1} to {numbers[-1] + 1}'
    trained = trials.train(job, step, chosen, kept, f'{text} of {len(given)}')
  measured = _measured(search, trained.variables)
  results = {
    str(number): {
      **dataclasses.asdict(trial),
      'validation': validation,
      'diverged': course.diverged,
      'losses': [x if math.isfinite(x) else None for x in course.losses],
    }
    for number, trial, validation, course in zip(
      numbers, chosen, measured, trained.courses, strict=True
    )
  }
  # Their results stand: where they were on the way is of no more use.
  if devices.leading():
    shutil.rmtree(kept.directory, ignore_errors=True)
  return results


def _measured(search, variables) -> list[dict[str, Any]]:
  """The metric on val of each trial by view; none where it diverged."""
  val = search.dataset.splits['val']
  results = [{} for _ in variables]
  going = [n for n, values in enumerate(variables) if values is not None]
  for view in trials.VIEWS if going else ():
    found, kept = search.predictions([variables[n] for n in going], val, view)
    for number, predicted in zip(going, found, strict=True):
      results[number][view] = dataclasses.asdict(
        metrics.measure(search.dataset.metric, val.labels[kept], predicted)
      )
  return results


class _Estimate:
  """Says how long a search will take, before its first step and on the way."""

  def __init__(self, search, job, step, trial, count: int, missing: int):
    compiling, seconds = seconds_per_step(job, step, trial)
    self._left, self._count, self._started = missing, missing, time.monotonic()
    total = (missing + 1) * job.recipe.steps * seconds
    print(
      f'{search.description}: the step compiled in {compiling:.0f} s and takes '
      f'{seconds:.3g} s; {missing} of {count} trials and the final run, '
      f'{job.recipe.steps:,} steps of {job.recipe.batch_size} images each, '
      f'will take about {in_words(total)}',
      flush=True,
    )

  def refine(self, done: int) -> None:
    self._left -= done
    spent = time.monotonic() - self._started
    each = spent / (self._count - self._left)
    if self._left:
      left = in_words(each * (self._left + 1))
      print(f'  {self._left} trials left: about {left}', flush=True)


def in_words(seconds: float) -> str:
  """A duration: '2 days, 3:04:05'."""
  return str(datetime.timedelta(seconds=math.ceil(seconds)))


def seconds_per_step(
  job: trials.Job, step: training.Step, trial: training.Trial
) -> tuple[float, float]:
  """How long compiling took, and a step takes, on a state that is thrown away.

  The batches of a step come ready: where decoding is slower it takes longer.
  """
  size, count = job.contract.image_size, jax.process_count()
  rows = job.recipe.batch_size // count
  batch = {
    'image': np.zeros((rows, size, size, 3), np.uint8),
    'label': np.zeros((rows, *job.split.labels.shape[1:]), np.int32),
    'mask': np.ones(rows, bool),
    'index': np.zeros(rows, np.int32),
  }
  if job.colour:
    batch['colour'] = np.zeros((rows, 5), np.float32)
  (batch,) = devices.on_devices(
    [batch], devices.sharding(job.mesh, devices.BATCH)
  )
  state = training.new_state(job.variables, job.recipe, job.mesh)
  times = [time.monotonic()]
  for _ in range(1 + _TIMED_STEPS):
    state, found = step(state, dataclasses.asdict(trial), batch)
    jax.block_until_ready(found)
    times.append(time.monotonic())
  seconds = (times[-1] - times[1]) / _TIMED_STEPS
  return times[1] - times[0] - seconds, seconds


def export(
  path: pathlib.Path,
  net: networks.Network,
  dataset: datasets.Dataset,
  setting: str,
) -> None:
  """Writes the weights file of a network that a search gave.

  Raises:
    InputError: it could not be written.
  """
  header = dataclasses.replace(
    net.header,
    num_classes=len(dataset.classes),
    background=False,
    imagenet_top1=None,
    imagenet_top1_source='',
    recipe=dataclasses.replace(
      net.header.recipe,
      trained_on=dataset.name,
      notes=f'{setting} on train + val of {dataset.name}',
    ),
  )
  weights.save(path, header, net.variables)
