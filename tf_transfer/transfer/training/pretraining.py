"""Pretrains the networks that are transferred.

A network of the table with random values and the paper's four factors (section
3) is trained on train and measured on val on the way. Random values are then
trained on train + val for the number of steps that did best. The moving average
is measured on test once.

Both trainings write checkpoints, and the chosen number of steps is kept on
disk.
"""

import dataclasses
import json
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import jax
import ml_collections
import msgspec
from absl import logging

from tf_transfer import datasets, errors, networks
from tf_transfer.datasets import dataset as dataset_lib
from tf_transfer.datasets.images import image_cache
from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.runtime import checkpoints as checkpoints_lib
from tf_transfer.runtime import devices, files, json_lines, schemas, units
from tf_transfer.transfer import metrics
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.training import (
  corrupt_images,
  predictions,
  pretrain_config,
  refit,
  timing,
  train_step,
  trials,
)

# The view on which everything is measured: the central 87.5 %.
VIEW = 'central'

# Images that are measured at once; it changes no result.
_EVALUATION_BATCH_SIZE = 256


@dataclasses.dataclass(frozen=True)
class Pretraining:
  """Describes a pretraining.

  Attributes:
    net: from `pretrain_config.untrained_network`.
    dataset: what it is trained on.
    config: `pretrain` of a job's config.
    corrupt: 'error', or 'skip' for images that cannot be decoded.
    directory: for what an interrupted job resumes from.
    identity: of all that determines the result.
    mesh: the devices.
    before_test: is called before the test split is evaluated.
  """

  net: networks.Network
  dataset: datasets.Dataset
  config: ml_collections.ConfigDict
  corrupt: str
  directory: pathlib.Path
  identity: str
  mesh: jax.sharding.Mesh
  before_test: Callable[[], None] = lambda: None

  @property
  def description(self) -> str:
    """Names the network and the dataset, for messages."""
    return f'{self.net.name} on {self.dataset.name}'

  @property
  def trial(self) -> train_step.Trial:
    """The learning rate and weight decay."""
    return pretrain_config.build_trial(self.config)

  def build_train_config(
    self, num_examples: int
  ) -> pretrain_config.PretrainConfig:
    """Returns the hyperparameters for a split of so many examples."""
    return pretrain_config.build_train_config(self.config, num_examples)

  def build_job(
    self, split: datasets.Split, train_config: pretrain_config.PretrainConfig
  ) -> trials.Job:
    """Builds the training on a split, from random values.

    Raises:
      InputError: a batch is larger than the split.
    """
    if train_config.batch_size > len(split):
      raise errors.InputError(
        f'{self.dataset.name}: a batch of {train_config.batch_size} is larger '
        f'than {split.name}, which has {len(split)} images: set a smaller '
        '--config.pretrain.batch_size'
      )
    model = train_step.build_model(
      self.net, len(self.dataset.classes), len(split), train_config
    )
    return trials.Job(
      model,
      self.net.contract,
      train_config,
      image_cache.cache_images(
        split, int(self.config.image_cache_gib * units.GIB)
      ),
      train_step.initial_variables(
        model, self.net.contract.image_size, train_config.seed
      ),
      self.mesh,
      self.corrupt,
      self.config.checkpoint_every,
    )

  def build_network(self, variables: Mapping[str, Any]) -> networks.Network:
    """Builds the network for inference, with these variables."""
    model = networks.build(
      self.net.name,
      num_classes=len(self.dataset.classes),
      **self.net.header.options,
    )
    return dataclasses.replace(self.net, model=model, variables=variables)

  def measure(
    self,
    predict: predictions.Predict,
    variables: Any,
    split: datasets.Split,
  ) -> metrics.Measurement:
    """Measures the dataset's metric on a split."""
    (logits,), positions = predictions.predict_logits(
      predict,
      self.net.contract,
      [variables],
      split,
      VIEW,
      self.mesh,
      batch_size=_EVALUATION_BATCH_SIZE,
      corrupt=self.corrupt,
      description=f'{self.description}: {split.name}',
    )
    return metrics.measure(
      self.dataset.metric,
      split.labels[positions],
      result_lib.predictions(self.dataset, logits),
    )

  def train(self, job: trials.Job, name: str) -> trials.TrainedTrials:
    """Runs one training, from its last checkpoint on.

    Args:
      job: from `build_job`.
      name: of the training and the directory of its checkpoints.

    Raises:
      InputError: the training diverged.
    """
    step = job.compile()
    description = f'{self.description}: {name}'
    with checkpoints_lib.Checkpoints(
      self.directory / name, f'{self.identity} {name}'
    ) as checkpoints:
      _print_duration(job, step, self.trial, description)
      trained = trials.train(job, step, [self.trial], checkpoints, description)
    if trained.variables[0] is None:
      raise errors.InputError(
        f'{self.description}: training diverged after '
        f'{trained.histories[0].diverged} steps: lower '
        '--config.pretrain.learning_rate, or raise warmup_epochs'
      )
    return trained


def _print_duration(
  job: trials.Job,
  step: train_step.Step,
  trial: train_step.Trial,
  description: str,
) -> None:
  """Measures a step; prints how long the training will take."""
  compile_seconds, step_seconds = timing.seconds_per_step(job, step, trial)
  config = job.train_config
  duration = units.duration(config.steps * step_seconds)
  print(
    f'{description}: the step compiled in {compile_seconds:.0f} s and takes '
    f'{step_seconds:.3g} s; {config.steps:,} steps of {config.batch_size:,} '
    f'images will take about {duration} (measuring comes on top)',
    flush=True,
  )


@dataclasses.dataclass(frozen=True)
class StepChoice:
  """Holds the number of steps that the training on train chose.

  Attributes:
    steps: the number that did best on val.
    value: of the metric then.
    curve: steps and value of each measurement.
  """

  steps: int
  value: float
  curve: tuple[tuple[int, float], ...]


@dataclasses.dataclass(frozen=True)
class PretrainingResult:
  """Holds the result of a pretraining.

  Attributes:
    network: with its variables, on the host.
    steps: of the training on train + val.
    choice: how their number was chosen; None where the config gave it.
    test: the metric on test.
    losses: mean loss of each window of the training on train + val.
    skipped: names of images that could not be decoded.
  """

  network: networks.Network
  steps: int
  choice: StepChoice | None
  test: metrics.Measurement
  losses: tuple[float, ...]
  skipped: tuple[str, ...]


def run(pretraining: Pretraining) -> PretrainingResult:
  """Chooses the number of steps, trains, and tests.

  Raises:
    InputError: an input cannot be used, or training diverged.
    Preempted: SIGTERM came; the same command resumes.
  """
  checked = corrupt_images.check(
    pretraining.dataset, pretraining.corrupt, pretraining.directory
  )
  pretraining = dataclasses.replace(pretraining, dataset=checked.dataset)
  train, val, test = (
    pretraining.dataset.splits[name] for name in dataset_lib.SPLIT_NAMES
  )
  predict = predictions.compile_predict(
    pretraining.build_network({}), pretraining.mesh
  )
  choice = None
  if pretraining.config.choose_steps_on_val:
    choice = _choose_steps(pretraining, predict, train, val)
  trainval = dataset_lib.concatenate('trainval', train, val)
  # With a choice, the learning rates are those of the training on train, step
  # by step.
  train_config = pretraining.build_train_config(
    len(train if choice else trainval)
  )
  if choice:
    train_config = dataclasses.replace(train_config, steps=choice.steps)
  job = pretraining.build_job(trainval, train_config)
  trained = pretraining.train(job, 'train and val')
  (variables,) = trained.variables
  pretraining.before_test()
  measurement = pretraining.measure(predict, variables, test)
  return PretrainingResult(
    pretraining.build_network(refit.without_auxiliary_head(variables)),
    train_config.steps,
    choice,
    measurement,
    tuple(trained.histories[0].losses),
    checked.skipped,
  )


def _choose_steps(
  pretraining: Pretraining,
  predict: predictions.Predict,
  train: datasets.Split,
  val: datasets.Split,
) -> StepChoice:
  """Returns the best number of steps on val, from disk or by training."""
  path = pretraining.directory / 'choice.json'
  choice = _read_choice(path, pretraining.identity)
  if choice is None:
    choice = _train_for_choice(pretraining, predict, train, val)
    if devices.is_leader():
      content = {
        'identity': pretraining.identity,
        **dataclasses.asdict(choice),
      }
      with files.atomic_write(path) as file:
        file.write(json.dumps(content).encode())
  print(
    f'{pretraining.description}: best on val after {choice.steps:,} steps, '
    f'{choice.value:.2%}; now train + val for as many',
    flush=True,
  )
  if choice.steps == choice.curve[-1][0]:
    logging.warning(
      '%s: the best step is the last: more epochs may do better',
      pretraining.description,
    )
  return choice


def _train_for_choice(
  pretraining: Pretraining,
  predict: predictions.Predict,
  train: datasets.Split,
  val: datasets.Split,
) -> StepChoice:
  """Trains on train; the step that did best on val, the first of equals."""
  train_config = pretraining.build_train_config(len(train))
  epochs = pretraining.config.evaluate_every_epochs
  job = dataclasses.replace(
    pretraining.build_job(train, train_config),
    measure=_ValMeasurement(pretraining, predict, val, train_config),
    measure_every=max(1, round(epochs * train_config.steps_per_epoch)),
  )
  (history,) = pretraining.train(job, 'train').histories
  curve = tuple((int(step), float(value)) for step, value in history.measured)
  steps, value = max(curve, key=lambda point: (point[1], -point[0]))
  return StepChoice(steps, value, curve)


def _read_choice(path: pathlib.Path, identity: str) -> StepChoice | None:
  """Reads an earlier choice; None if there is none of this pretraining."""
  try:
    data = json_lines.read_regular(path)
    if data is None:
      return None
    content = schemas.decode(data, _ChoiceFile, str(path))
  except errors.InputError as error:
    logging.warning('%s: chosen again', error)
    return None
  if content.identity != identity:
    return None
  return StepChoice(content.steps, content.value, content.curve)


class _ChoiceFile(msgspec.Struct):
  """The content of choice.json: a `StepChoice`, and of which pretraining."""

  identity: str
  steps: Annotated[int, msgspec.Meta(ge=1)]
  value: Annotated[float, msgspec.Meta(ge=0, le=1)]
  curve: Annotated[tuple[tuple[int, float], ...], msgspec.Meta(min_length=1)]


class _ValMeasurement:
  """Measures variables on val on the way, and prints the result."""

  def __init__(
    self,
    pretraining: Pretraining,
    predict: predictions.Predict,
    val: datasets.Split,
    train_config: pretrain_config.PretrainConfig,
  ):
    self._pretraining = pretraining
    self._predict = predict
    self._val = val
    self._train_config = train_config
    # The step and the time of the last measurement.
    self._last: tuple[int, float] | None = None

  def __call__(self, step: int, variables: Any) -> float:
    """Returns the metric on val.

    Args:
      step: steps that are done.
      variables: after them.
    """
    speed = ''
    if self._last:
      last_step, last_time = self._last
      images = (step - last_step) * self._train_config.batch_size
      speed = f', {images / (time.monotonic() - last_time):,.0f} images/s'
    value = self._pretraining.measure(self._predict, variables, self._val).value
    epochs = step / self._train_config.steps_per_epoch
    learning_rate = self._train_config.learning_rate(
      self._pretraining.trial.learning_rate, step - 1
    )
    print(
      f'  epoch {epochs:.2f} of {self._pretraining.config.epochs:g}, '
      f'step {step:,}: val {value:.2%}, learning rate '
      f'{float(learning_rate):.3g}{speed}',
      flush=True,
    )
    self._last = step, time.monotonic()
    return value


def build_recipe(
  pretraining: Pretraining, result: PretrainingResult
) -> recipe_lib.Recipe:
  """Describes in the weights file how the network was pretrained."""
  config = pretraining.config.to_dict()
  choice = None
  if result.choice:
    choice = {
      'steps': result.choice.steps,
      'value': result.choice.value,
      'curve': [list(point) for point in result.choice.curve],
    }
  return recipe_lib.Recipe(
    **pretrain_config.factors(pretraining.net.name, pretraining.config),
    trained_on=pretraining.dataset.name,
    details={
      # Where a network has no place for an auxiliary head, the factors alone
      # do not tell C4 from C5.
      'configuration': pretrain_config.configuration(
        pretraining.net.name, pretraining.config
      ),
      'identity': pretraining.identity,
      'splits_sha256': {
        name: split.hash for name, split in pretraining.dataset.splits.items()
      },
      'pretrain': {
        name: value
        for name, value in config.items()
        if name not in pretrain_config.OPERATIONAL
      },
      'learning_rate': pretraining.trial.learning_rate,
      'steps': result.steps,
      'choice': choice,
      'metric': pretraining.dataset.metric,
      'view': VIEW,
      'test': dataclasses.asdict(result.test),
      'skipped': [*pretraining.dataset.skipped, *result.skipped],
    },
  )
