"""Pretraining: where the networks that are transferred come from.

A network of the table with fresh values, the four factors (section 3 of the
protocol) and a dataset
-> trained on train, measured on val on the way
-> the step that did best
-> fresh values again, trained on train + val for that many steps
-> the moving average, measured on test once
-> a weights file that says how it came to be.

Both runs write checkpoints; what the first one found is kept on disk.
"""

import dataclasses
import json
import math
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from absl import logging

from tf_transfer import datasets, errors, networks
from tf_transfer.datasets import dataset as dataset_lib
from tf_transfer.datasets.images import image_cache
from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.networks import weights
from tf_transfer.runtime import checkpoints as checkpoints_lib
from tf_transfer.runtime import devices, files
from tf_transfer.transfer import metrics
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.training import search, train_step, trials

# The learning rate of a config is for this many images of an update.
RATED_BATCH = 4096
# On which everything is measured: the central 87.5 %.
VIEW = 'central'
# Fields of the config that change where and when, but no result.
OPERATIONAL = ('checkpoint_every', 'image_cache_gib')

_GIGABYTE = 2**30
# Images that are measured at once; it changes no result.
_MEASURED = 256


@dataclasses.dataclass(frozen=True)
class Recipe(train_step.Recipe):
  """As for the other settings, but for the schedule and the average.

  Attributes:
    steps_per_epoch: of the schedule.
    warmup_epochs: in which the rate grows linearly to that of the trial.
    decay_per_epoch: what the rate is multiplied with after each later epoch.
    ema_warmup: whether the average forgets faster at first, as TF-Slim's:
      after n steps it keeps no more than (1 + n) / (10 + n).
  """

  steps_per_epoch: float = 1.0
  warmup_epochs: float = 0.0
  decay_per_epoch: float = 1.0
  ema_warmup: bool = False

  def __post_init__(self):
    super().__post_init__()
    if not (self.warmup_epochs >= 0 and 0 < self.decay_per_epoch <= 1):
      raise errors.InputError(
        'expected warmup_epochs of 0 or more and decay_per_epoch above 0 and '
        f'up to 1, found {self.warmup_epochs} and {self.decay_per_epoch}'
      )

  def rate(self, initial: Any, step: Any) -> jax.Array:
    """The learning rate of a step: the first one's is above 0."""
    warm = self.warmup_epochs * self.steps_per_epoch
    growing = (step + 1) / max(warm, 1)
    epochs = jnp.floor(jnp.maximum(step - warm, 0) / self.steps_per_epoch)
    return initial * jnp.minimum(growing, self.decay_per_epoch**epochs)

  def kept(self, step: Any) -> Any:
    if not self.ema_warmup:
      return self.ema_decay
    done = step + 1
    return jnp.minimum(self.ema_decay, (1 + done) / (10 + done))


def recipe(config: ml_collections.ConfigDict, examples: int) -> Recipe:
  """What a config says, for a split of so many examples.

  Raises:
    InputError: a field is out of range.
  """
  per_epoch = examples / config.batch_size
  given = {
    field.name: config[field.name]
    for field in dataclasses.fields(Recipe)
    if field.name in config
  }
  return Recipe(
    **given,
    steps=math.ceil(config.epochs * per_epoch),
    steps_per_epoch=per_epoch,
  )


def trial(config: ml_collections.ConfigDict) -> train_step.Trial:
  """Learning rate, in proportion to the batch, and weight decay."""
  rate = config.learning_rate * config.batch_size / RATED_BATCH
  # A trial's decay is that of the first step of a cosine.
  return train_step.Trial(rate, config.weight_decay * rate)


def check(name: str, config: ml_collections.ConfigDict) -> None:
  """Finds what is wrong with a config before anything slow begins.

  Args:
    name: of the network.
    config: `pretrain` of a job's.

  Raises:
    InputError: a field is out of range, or the network has no place for an
      auxiliary head.
  """
  networks.build(
    name, auxiliary_head=config.auxiliary_head, use_scale=config.bn_scale
  )
  for field in ('epochs', 'evaluate_every_epochs', 'checkpoint_every'):
    if not config[field] > 0:
      raise errors.InputError(
        f'config.pretrain.{field}: expected more than 0, found {config[field]}'
      )
  try:
    recipe(config, examples=config.batch_size)
    trial(config)
  except errors.InputError as error:
    raise errors.InputError(f'config.pretrain: {error}') from error


def factors(config: ml_collections.ConfigDict) -> dict[str, bool]:
  """Which of the four factors are on."""
  return {
    'bn_scale': config.bn_scale,
    'label_smoothing': config.label_smoothing > 0,
    'dropout': config.dropout > 0,
    'auxiliary_head': config.auxiliary_head,
  }


def _configurations(
  name: str, config: ml_collections.ConfigDict
) -> tuple[str, ...]:
  """Those of 'C1' to 'C5' that this is, a head that cannot be left aside."""
  counted = set(recipe_lib.FACTORS)
  if not networks.has_auxiliary(name):
    counted.remove('auxiliary_head')
  own = factors(config)
  return tuple(
    name
    for name, wanted in recipe_lib.CONFIGURATIONS.items()
    if all(own[factor] == wanted[factor] for factor in counted)
  )


def configuration_of(
  name: str, config: ml_collections.ConfigDict
) -> str | None:
  """'C1' to 'C5', or None; C5 also where a network has no auxiliary head.

  Args:
    name: of the network.
    config: `pretrain` of a job's.
  """
  return next(reversed(_configurations(name, config)), None)


def without_auxiliary_head(name: str, config: ml_collections.ConfigDict) -> str:
  """Says that a network has no place for the head that others have here.

  Args:
    name: of the network.
    config: `pretrain` of a job's.

  Returns:
    A line; '' where there is such a place, or no configuration is meant.
  """
  found = _configurations(name, config)
  if networks.has_auxiliary(name) or not found:
    return ''
  meaning = 'is trained without one'
  if len(found) > 1:
    meaning = 'are the same'
  return (
    f'{name} has no place for an auxiliary head: '
    f'{" and ".join(found)} {meaning}'
  )


def fresh(
  name: str, image_size: int, config: ml_collections.ConfigDict
) -> networks.Network:
  """The network that is trained, without values yet.

  Args:
    name: in the table.
    image_size: pixels; 0 is the network's own.
    config: `pretrain` of a job's.
  """
  options = {} if config.bn_scale else {'use_scale': False}
  net = networks.untrained(name, image_size)
  header = weights.Header(name, options, net.contract)
  return dataclasses.replace(net, header=header)


@dataclasses.dataclass(frozen=True)
class Pretraining:
  """What is trained, on what.

  Attributes:
    net: what `fresh` gave.
    dataset: what it is trained on.
    config: `pretrain` of a job's.
    corrupt: 'error', or 'skip' for images that cannot be decoded.
    directory: for what a killed job goes on from.
    identity: of all that determines the result.
    mesh: the devices.
  """

  net: networks.Network
  dataset: datasets.Dataset
  config: ml_collections.ConfigDict
  corrupt: str
  directory: pathlib.Path
  identity: str
  mesh: jax.sharding.Mesh

  @property
  def description(self) -> str:
    return f'{self.net.name} on {self.dataset.name}'

  def job(self, split: datasets.Split, given: Recipe) -> trials.Job:
    """Training on a split, from fresh values."""
    if given.batch_size > len(split):
      raise errors.InputError(
        f'{self.dataset.name}: a batch of {given.batch_size} is larger than '
        f'{split.name}, which has {len(split)} images: set a smaller '
        '--config.pretrain.batch_size'
      )
    model = train_step.build_model(
      self.net, len(self.dataset.classes), len(split), given
    )
    return trials.Job(
      model,
      self.net.contract,
      given,
      image_cache.cache_images(
        split, int(self.config.image_cache_gib * _GIGABYTE)
      ),
      train_step.initial_variables(
        model, self.net.contract.image_size, given.seed
      ),
      self.mesh,
      self.corrupt,
      self.config.checkpoint_every,
      color=self.config.color_distortion,
    )

  def network(self, variables: Mapping[str, Any]) -> networks.Network:
    """The network for inference, with these variables."""
    model = networks.build(
      self.net.name,
      num_classes=len(self.dataset.classes),
      **self.net.header.options,
    )
    return dataclasses.replace(self.net, model=model, variables=variables)

  def measure(
    self, predict: trials.Predict, variables: Any, split: datasets.Split
  ) -> metrics.Measurement:
    """The dataset's metric of variables, on a split."""
    (logits,), kept = trials.predictions(
      predict,
      self.net.contract,
      [variables],
      split,
      VIEW,
      self.mesh,
      batch_size=_MEASURED,
      corrupt=self.corrupt,
      description=f'{self.description}: {split.name}',
    )
    predicted = result_lib.predictions(self.dataset, logits)
    return metrics.measure(self.dataset.metric, split.labels[kept], predicted)

  def trained(self, job: trials.Job, name: str) -> trials.Trained:
    """Runs one training, from where it was killed."""
    step = job.compile()
    own = trial(self.config)
    with checkpoints_lib.Checkpoints(
      self.directory / name, f'{self.identity} {name}'
    ) as kept:
      text = f'{self.description}: {name}'
      _say_how_long(job, step, own, text)
      found = trials.train(job, step, [own], kept, text)
    if found.variables[0] is None:
      raise errors.InputError(
        f'{self.description}: training diverged after '
        f'{found.courses[0].diverged} steps: lower '
        '--config.pretrain.learning_rate, or raise warmup_epochs'
      )
    return found


def _say_how_long(
  job: trials.Job, step: train_step.Step, own: train_step.Trial, text: str
) -> None:
  compiling, seconds = search.seconds_per_step(job, step, own)
  total = job.recipe.steps * seconds
  print(
    f'{text}: the step compiled in {compiling:.0f} s and takes {seconds:.3g} '
    f's; {job.recipe.steps:,} steps of {job.recipe.batch_size:,} images will '
    f'take about {search.in_words(total)} and what measuring takes',
    flush=True,
  )


@dataclasses.dataclass(frozen=True)
class Choice:
  """What the run on train says.

  Attributes:
    steps: how many did best on val.
    value: of the metric then.
    curve: steps and value of each measurement.
  """

  steps: int
  value: float
  curve: tuple[tuple[int, float], ...]


@dataclasses.dataclass(frozen=True)
class Result:
  """What came of it.

  Attributes:
    network: with its weights, on the host.
    steps: of the run on train + val.
    choice: how their number was found; None where it was given.
    test: the metric on test.
    losses: mean loss of each window of the run on train + val.
    skipped: names of images that could not be decoded.
  """

  network: networks.Network
  steps: int
  choice: Choice | None
  test: metrics.Measurement
  losses: tuple[float, ...]
  skipped: tuple[str, ...]


def run(given: Pretraining) -> Result:
  """Chooses the number of steps, trains, and tests.

  Raises:
    InputError: something given cannot be used, or training diverged.
    Preempted: SIGTERM came; the same command goes on.
  """
  train, val, test = (
    given.dataset.splits[name] for name in dataset_lib.SPLIT_NAMES
  )
  predict = trials.compile_predict(given.network({}), given.mesh)
  choice = None
  if given.config.choose_steps_on_val:
    choice = _chosen(given, predict, train, val)
  everything = dataset_lib.concatenate('trainval', train, val)
  made = recipe(given.config, len(train if choice else everything))
  if choice:
    # The rates of the run on train, step by step.
    made = dataclasses.replace(made, steps=choice.steps)
  job = given.job(everything, made)
  found = given.trained(job, 'train and val')
  (variables,) = found.variables
  measured = given.measure(predict, variables, test)
  return Result(
    given.network(search.for_inference(variables)),
    made.steps,
    choice,
    measured,
    tuple(found.courses[0].losses),
    tuple(job.split.describe(i) for i in found.skipped),
  )


def _chosen(
  given: Pretraining,
  predict: trials.Predict,
  train: datasets.Split,
  val: datasets.Split,
) -> Choice:
  """The best number of steps on val, found on disk or by training."""
  path = given.directory / 'choice.json'
  choice = _read(path, given.identity)
  if choice is None:
    made = recipe(given.config, len(train))
    every = max(
      1, round(given.config.evaluate_every_epochs * made.steps_per_epoch)
    )
    job = dataclasses.replace(
      given.job(train, made),
      measure=_Measure(given, predict, val, made),
      measure_every=every,
    )
    (course,) = given.trained(job, 'train').courses
    curve = tuple((int(step), float(value)) for step, value in course.measured)
    steps, value = max(curve, key=lambda point: (point[1], -point[0]))
    choice = Choice(steps, value, curve)
    if devices.leading():
      content = {'identity': given.identity, **dataclasses.asdict(choice)}
      with files.atomic_write(path) as file:
        file.write(json.dumps(content).encode())
  print(
    f'{given.description}: best on val after {choice.steps:,} steps, '
    f'{choice.value:.2%}; now train + val for as many',
    flush=True,
  )
  if choice.steps == choice.curve[-1][0]:
    logging.warning(
      '%s: the best step is the last: more epochs may do better',
      given.description,
    )
  return choice


def _read(path: pathlib.Path, identity: str) -> Choice | None:
  try:
    content = json.loads(path.read_bytes())
  except FileNotFoundError:
    return None
  except (ValueError, OSError) as error:
    logging.warning('%s is damaged (%s): chosen again', path, error)
    return None
  if content.pop('identity') != identity:
    return None
  curve = tuple(tuple(point) for point in content.pop('curve'))
  return Choice(**content, curve=curve)


class _Measure:
  """Measures on val on the way, and says what it found."""

  def __init__(self, given, predict, val, made: Recipe):
    self._given, self._predict, self._val = given, predict, val
    self._recipe = made
    self._last: tuple[int, float] | None = None

  def __call__(self, step: int, variables: Any) -> float:
    speed = ''
    if self._last:
      done, since = self._last
      images = (step - done) * self._recipe.batch_size
      speed = f', {images / (time.monotonic() - since):,.0f} images/s'
    value = self._given.measure(self._predict, variables, self._val).value
    epochs = step / self._recipe.steps_per_epoch
    learning_rate = self._recipe.rate(
      trial(self._given.config).learning_rate, step - 1
    )
    print(
      f'  epoch {epochs:.2f} of {self._given.config.epochs:g}, step {step:,}: '
      f'val {value:.2%}, learning rate {float(learning_rate):.3g}{speed}',
      flush=True,
    )
    self._last = step, time.monotonic()
    return value


def recipe_of(given: Pretraining, result: Result) -> recipe_lib.Recipe:
  """What the weights file says of how it came to be."""
  config = given.config.to_dict()
  return recipe_lib.Recipe(
    **factors(given.config),
    trained_on=given.dataset.name,
    details={
      # The factors alone do not tell, of a network without auxiliary head.
      'configuration': configuration_of(given.net.name, given.config),
      'identity': given.identity,
      'splits_sha256': {
        name: split.hash for name, split in given.dataset.splits.items()
      },
      'pretrain': {k: v for k, v in config.items() if k not in OPERATIONAL},
      'learning_rate': trial(given.config).learning_rate,
      'steps': result.steps,
      'choice': result.choice
      and {
        'steps': result.choice.steps,
        'value': result.choice.value,
        'curve': [list(point) for point in result.choice.curve],
      },
      'metric': given.dataset.metric,
      'view': VIEW,
      'test': dataclasses.asdict(result.test),
      'skipped': list(result.skipped),
    },
  )
