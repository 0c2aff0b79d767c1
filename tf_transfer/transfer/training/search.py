"""The paper's other settings: fine-tuning and training from random values.

The grid of learning rates and weight decays, trained on train -> the trial
and the view of the images that do best on val -> one run on train + val ->
tested once. (Section 5 of the protocol.) Trials train together, as many as
memory is to hold, on the same batches; what they came to is kept on disk, so
that a search that was killed goes on from the last checkpoint. Successive
halving, which leaves out most of the steps of most of the trials, is an option.
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
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from absl import logging
from jax.experimental import multihost_utils

from tf_transfer import datasets, errors, networks
from tf_transfer.datasets.images import image_cache
from tf_transfer.runtime import checkpoints as checkpoints_lib
from tf_transfer.runtime import devices, files
from tf_transfer.transfer import metrics
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.training import (
  device_memory,
  halving,
  monitor,
  train_step,
  trials,
)

SETTINGS = ('fine_tuned', 'random_init')
# What stands in records for how images were made the networks' input.
PREPROCESSING = 'random_crop_and_flip'
# Fields of the config that change where and when, but no result.
OPERATIONAL = (
  'concurrent_trials',
  'checkpoint_every',
  'image_cache_gib',
  'log_every',
  'profile_steps',
)
# Which trials go through all of the steps: every one, those that halving
# leaves, or every one, and it is said what halving would have left.
SEARCHES = ('exhaustive', 'halving', 'both')

_TIMED_STEPS = 3
_GIGABYTE = 2**30


def grid(config: ml_collections.ConfigDict) -> list[train_step.Trial]:
  """The trials of a search, by learning rate and then by weight decay."""
  rates, decays = (
    np.logspace(np.log10(low), np.log10(high), count)
    for low, high, count in (
      (
        config.learning_rate_min,
        config.learning_rate_max,
        config.num_learning_rates,
      ),
      (
        config.weight_decay_min,
        config.weight_decay_max,
        config.num_weight_decays,
      ),
    )
  )
  if config.include_zero_weight_decay:
    decays = np.concatenate([[0.0], decays])
  return [
    train_step.Trial(float(rate), float(decay))
    for rate in rates
    for decay in decays
  ]


def recipe(
  config: ml_collections.ConfigDict, examples: int
) -> train_step.Recipe:
  """What all trials share, for a split of so many examples."""
  epochs = math.ceil(config.min_epochs * examples / config.batch_size)
  names = {field.name for field in dataclasses.fields(train_step.Recipe)}
  given = {name: config[name] for name in names}
  return train_step.Recipe(**{**given, 'steps': max(config.steps, epochs)})


def stops(config: ml_collections.ConfigDict, steps: int) -> tuple[int, ...]:
  """The steps at which trials of so many stop, some of them for good."""
  if config.search != 'halving':
    return (steps,)
  return halving.rungs(steps, config.halving_first, config.halving_keep)


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
  for field, least in {
    'num_learning_rates': 1,
    'num_weight_decays': 1,
    'concurrent_trials': 0,
    'checkpoint_every': 1,
    'log_every': 1,
    'evaluate_every': 0,
    'profile_steps': 0,
  }.items():
    if config[field] < least:
      raise errors.InputError(
        f'config.{name}.{field}: expected {least} or more, found '
        f'{config[field]}'
      )
  if config.search not in SEARCHES:
    raise errors.unknown_name(f'config.{name}.search', config.search, SEARCHES)
  for field in ('halving_first', 'halving_keep'):
    if not 0 < config[field] < 1:
      raise errors.InputError(
        f'config.{name}.{field}: expected above 0 and below 1, found '
        f'{config[field]}'
      )
  if config.early_stopping and not config.evaluate_every:
    raise errors.InputError(
      f'config.{name}.early_stopping: the steps to choose from are those after '
      'which trials are evaluated: set evaluate_every'
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
    watched: where event files and a profile go; None: nowhere.
    curves: whether event files are written.
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
  watched: pathlib.Path | None = None
  curves: bool = False

  @property
  def setting(self) -> str:
    """Its name."""
    return SETTINGS[0] if self.pretrained else SETTINGS[1]

  @property
  def trained_on_val(self) -> bool:
    """Whether the network that is tested is trained on val too."""
    return self.config.refit_on_trainval and self.dataset.val_is_trained_on

  @functools.cached_property
  def steps(self) -> int:
    """Of the trials."""
    return recipe(self.config, len(self.dataset.splits['train'])).steps

  @functools.cached_property
  def rungs(self) -> tuple[int, ...]:
    """The steps after which halving chooses, and at last all of them."""
    if self.config.search == 'exhaustive':
      return (self.steps,)
    first, keep = self.config.halving_first, self.config.halving_keep
    return halving.rungs(self.steps, first, keep)

  @property
  def stops(self) -> tuple[int, ...]:
    """The rungs at which trials do stop."""
    return stops(self.config, self.steps)

  @functools.cached_property
  def watcher(self) -> monitor.Watcher:
    return monitor.Watcher(
      directory=self.watched,
      curves=self.curves,
      every=self.config.log_every,
      profile_steps=self.config.profile_steps,
    )

  def part(
    self, stop: int, begin: Callable[[], trials.Trained] | None
  ) -> trials.Segment:
    """A part of the steps of trials, with what is evaluated on the way."""
    every = self.config.evaluate_every or self.steps
    at = {*range(every, self.steps, every), *self.rungs}
    # Without a final run the best trial is tested as it was when it was best.
    best_of = at if self.config.early_stopping else {self.steps}
    return trials.Segment(
      stop=stop,
      begin=begin,
      evaluate=functools.partial(_measured, self),
      evaluate_at=at,
      best_of=() if self.config.refit_on_trainval else best_of,
    )

  def job(self, split: datasets.Split) -> trials.Job:
    """Training on a split."""
    given = recipe(self.config, len(split))
    # A few examples of each class that were asked for may come several times.
    whole = self.dataset.val_is_trained_on
    if whole and given.batch_size > len(split):
      raise errors.InputError(
        f'{self.dataset.name}: a batch of {given.batch_size} is larger than '
        f'{split.name}, which has {len(split)} images: set a smaller batch_size'
      )
    model = train_step.build_model(
      self.net, len(self.dataset.classes), len(split), given
    )
    variables = train_step.initial_variables(
      model,
      self.net.contract.image_size,
      given.seed,
      self.net.variables if self.pretrained else None,
    )
    return trials.Job(
      model,
      self.net.contract,
      given,
      image_cache.cache_images(
        split, int(self.config.image_cache_gib * _GIGABYTE)
      ),
      variables,
      self.mesh,
      self.corrupt,
      self.config.checkpoint_every,
    )

  def memory_advice(self) -> str:
    """What to change where the devices' memory does not hold a step."""
    given = self.job(self.dataset.splits['train'])
    parts, size = given.recipe.gradient_accumulation_steps, self.mesh.size

    def measure(images: int) -> int:
      batch_size = images * size * parts
      job = dataclasses.replace(
        given,
        recipe=dataclasses.replace(given.recipe, batch_size=batch_size),
      )
      return device_memory.of_compiled(compiled_step(job))

    # Much smaller batches would be compiled to another kind of program.
    images = max(1, given.recipe.batch_size // (4 * size * parts))
    need = device_memory.Need.of(measure, images)
    # An image of every part is on a device at once.
    need = dataclasses.replace(need, per_image=need.per_image / parts)
    return device_memory.advice(
      need,
      device_memory.device_limit(),
      given.recipe.batch_size,
      size,
      self.concurrent_trials,
    )

  @functools.cached_property
  def concurrent_trials(self) -> int:
    """Trials at once: so many as the config says, or as memory holds."""
    if self.config.concurrent_trials:
      return self.config.concurrent_trials
    limit = device_memory.device_limit()
    if limit is None:
      return device_memory.trials_at_once(0, 1, None)
    job = self.job(self.dataset.splits['train'])
    state = train_step.host_state(job.variables, job.recipe)
    found = device_memory.trials_at_once(
      device_memory.of_compiled(compiled_step(job)),
      sum(x.nbytes for x in jax.tree.leaves(state)),
      limit,
    )
    # Processes go through the same trials, and what is free may differ.
    return int(np.min(multihost_utils.process_allgather(np.array(found))))

  def checkpoints(self, name: str) -> checkpoints_lib.Checkpoints:
    """The checkpoints of a part of the search."""
    return checkpoints_lib.Checkpoints(
      self.checkpoints_directory(name), f'{self.identity} {name}'
    )

  def checkpoints_directory(self, name: str) -> pathlib.Path:
    digest = hashlib.sha256(f'{self.identity} {name}'.encode()).hexdigest()
    return self.directory / 'checkpoints' / digest[:16]

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
    found = [result_lib.predictions(self.dataset, x) for x in logits]
    return found, kept


@dataclasses.dataclass(frozen=True)
class _Choice:
  """What did best on val: a trial, after so many steps, in one view."""

  number: int
  step: int
  view: str
  measurement: Mapping[str, Any]


def run(search: Search) -> tuple[result_lib.CellResult, networks.Network]:
  """Runs a cell: the search, the final run and the test.

  Returns:
    What came of it, and the network of the final run.

  Raises:
    InputError: something given cannot be used, or every trial diverged.
    Preempted: SIGTERM came; the same command goes on.
  """
  given = grid(search.config)
  results = _Results(search)
  with device_memory.explained(search.description, search.memory_advice):
    _search(search, given, results)
    choice = _chosen(search, results)
    if choice is None:
      raise errors.InputError(
        f'{search.description}: all {len(given)} trials diverged; lower '
        'learning_rate_max and learning_rate_min'
      )
    if search.config.search == 'both':
      print(f'  {halving_report(search, results)}', flush=True)
    final = _final_run if search.config.refit_on_trainval else _kept_trial
    trained, job, steps = final(search, given, results, choice)
    outcome = _tested(search, trained, results, choice, job, steps)
  return outcome, search.network(for_inference(trained.variables[0]))


def _candidates(search: Search, results: '_Results') -> Iterable[_Choice]:
  """What may be chosen: of trials that went through all of the steps.

  Their ends; or with `early_stopping` wherever they were evaluated.
  """
  for number, result in results.items():
    if result['diverged'] is not None or result['steps'] < search.steps:
      continue
    for evaluation in result['evaluations']:
      step = evaluation['step']
      if step == search.steps or search.config.early_stopping:
        for view, found in evaluation['views'].items():
          yield _Choice(number, step, view, found)


def _chosen(search: Search, results: '_Results') -> _Choice | None:
  """The best on val; of equals the fewest steps, the first trial and view."""
  return max(
    _candidates(search, results),
    key=lambda c: (c.measurement['value'], -c.step, -c.number),
    default=None,
  )


def halving_report(search: Search, results: '_Results') -> str:
  """What halving would have saved and lost, of a grid that is known whole."""
  scores = {n: halving.scores(r['evaluations']) for n, r in results.items()}
  found = halving.replay(scores, search.rungs, search.config.halving_keep)
  chosen = results[found.chosen] if found.chosen is not None else None
  text = f'successive halving would have taken {found.cost:.0%} of the steps '
  if chosen is None:
    return text + 'and kept none but trials that diverge'
  return text + (
    f'and chosen learning_rate {chosen["learning_rate"]:.3g}, weight_decay '
    f'{chosen["weight_decay"]:.3g}: {found.score:.2%} on val where the whole '
    f'grid has {found.best:.2%}, a loss of '
    f'{100 * (found.best - found.score):.2f} points'
  )


def _final_run(search, given, results, choice):
  """One run on train + val with what did best on val."""
  job = search.job(search.dataset.trainval)
  # Where epochs are counted, train + val has more steps than train.
  steps = math.ceil(choice.step * job.recipe.steps / search.steps)
  trial = given[choice.number]
  watch = search.watcher.trials(
    ('refit_on_trainval',), (_hparams(search, trial),), job.recipe.batch_size
  )
  with search.checkpoints('final') as kept, watch:
    trained = trials.train(
      job,
      job.compile(),  # The program of the trials, if it is the same.
      [trial],
      kept,
      f'{search.description}: final run',
      trials.Segment(stop=steps),
      watch,
    )
  if trained.states[0] is None:
    raise errors.InputError(
      f'{search.description}: the final run on train + val diverged with '
      f'{trial}, which was the best on val; lower learning_rate_max'
    )
  return trained, job, steps


def _kept_trial(search, given, results, choice):
  """The trial that did best on val, as it was then."""
  job = search.job(search.dataset.splits['train'])
  numbers = results[choice.number]['group']
  with search.checkpoints(_group_name(numbers, search.steps)) as kept:
    found = trials.best(job, kept)
  if found is None or found[0] != choice.step:
    raise errors.InputError(
      f'{search.description}: the best checkpoint, of trial '
      f'{choice.number + 1} after {choice.step} steps, is gone or damaged: '
      f'remove {search.directory} to search again, or set '
      'refit_on_trainval=True'
    )
  at = numbers.index(choice.number)
  states, courses = [found[1].states[at]], [found[1].courses[at]]
  return trials.Trained(states, courses, found[1].skipped), job, choice.step


def _hparams(search: Search, trial: train_step.Trial) -> dict[str, Any]:
  return {
    'network': search.net.name,
    'dataset': search.dataset.name,
    'pretrained': search.pretrained,
    **dataclasses.asdict(trial),
    'batch_size': search.config.batch_size,
    'steps': search.steps,
  }


def for_inference(variables: Mapping[str, Any]) -> dict[str, Any]:
  """Without the auxiliary head, on the host."""
  return {
    kind: {k: v for k, v in values.items() if k != 'auxiliary'}
    for kind, values in jax.device_get(dict(variables)).items()
  }


def _tested(search, trained, results, choice, job, steps):
  """Reads test, for the first time."""
  test = search.dataset.splits['test']
  (predicted,), kept = search.predictions(trained.variables, test, choice.view)
  labels = test.labels[kept]
  best = results[choice.number]
  records = [results.record(number) for number in range(len(results))]
  return result_lib.CellResult(
    validation=metrics.Measurement(**choice.measurement),
    test=metrics.measure(search.dataset.metric, labels, predicted),
    curve=np.array(
      [
        max((v['value'] for v in r['validation'].values()), default=np.nan)
        for r in records
      ]
    ),
    chosen={
      'learning_rate': best['learning_rate'],
      'weight_decay': best['weight_decay'],
      'view': choice.view,
      'steps': steps,
    },
    solver={},
    predictions=result_lib.per_example(test, kept, labels, predicted),
    skipped=(
      *(job.split.describe(i) for i in trained.skipped),
      *(test.describe(i) for i in np.setdiff1d(np.arange(len(test)), kept)),
    ),
    trials=tuple(records),
    losses=tuple(trained.courses[0].losses),
  )


class _Results(dict):
  """What came of the trials so far, by number; kept on disk.

  Of each: learning_rate, weight_decay, steps gone through, diverged, losses,
  evaluations, and group, the numbers that it trained together with.
  """

  def __init__(self, search: Search):
    self._search = search
    self._path = search.directory / 'trials.json'
    found = _read(self._path, search.identity)
    super().__init__({int(n): result for n, result in found.items()})

  def write(self) -> None:
    if devices.leading():
      with files.atomic_write(self._path) as file:
        content = {'identity': self._search.identity, 'trials': self}
        file.write(json.dumps(content).encode())

  def are_through(self, number: int, stop: int) -> bool:
    """Whether a trial has come to a step, or ended on the way."""
    if number not in self:
      return False
    result = self[number]
    return result['diverged'] is not None or result['steps'] >= stop

  def record(self, number: int) -> dict[str, Any]:
    """What a record says of a trial.

    `validation` is how it did at the end; nothing where it did not come there.
    """
    result = {k: v for k, v in self[number].items() if k != 'group'}
    last = result['evaluations'][-1:]
    whole = result['diverged'] is None and result['steps'] == self._search.steps
    return {**result, 'validation': last[0]['views'] if whole else {}}


def _search(
  search: Search, given: Sequence[train_step.Trial], results: _Results
) -> None:
  """Trains all trials that are not on disk yet, rung by rung."""
  going, job, estimate, before = list(range(len(given))), None, None, 0
  for stop in search.stops:
    missing = [n for n in going if not results.are_through(n, stop)]
    if missing and job is None:
      job = search.job(search.dataset.splits['train'])
      step = job.compile()
      left = halving.steps_taken(
        len(missing), search.stops, search.config.halving_keep, before
      )
      estimate = _Estimate(search, job, step, given, left)
      search.watcher.progress = estimate.advance
    size = search.concurrent_trials if missing else 1
    for start in range(0, len(missing), size):
      numbers = missing[start : start + size]
      begin = functools.partial(_rung_before, search, job, numbers, before)
      part = search.part(stop, begin if before else None)
      _train_together(search, job, step, given, numbers, part, results)
      _clear(search, results, numbers, going, stop)
      estimate.say(len(missing) - start - len(numbers))
    if stop < search.steps:
      going = halving.survivors(
        {n: halving.scores(results[n]['evaluations']) for n in going},
        stop,
        search.config.halving_keep,
      )
      print(
        f'  after {stop:,} steps {len(going)} of {len(given)} trials go on',
        flush=True,
      )
    before = stop


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


def _group_name(numbers: Sequence[int], stop: int) -> str:
  return f'{" ".join(map(str, numbers))} to {stop}'


def _rung_before(search, job, numbers, before):
  """Where trials stood at the rung before."""
  states, courses, skipped = [], [], set()
  for number in numbers:
    with search.checkpoints(f'rung of {number}') as kept:
      found = trials.saved(job, kept)
    if found is None:
      raise errors.InputError(
        f'{search.description}: where trial {number + 1} stood after {before} '
        f'steps is gone or damaged: remove {search.directory} to search again'
      )
    states += found.states
    courses += found.courses
    skipped.update(found.skipped)
  return trials.Trained(states, courses, sorted(skipped))


def _train_together(search, job, step, given, numbers, part, results):
  """Trains some of the trials up to a rung, and notes what came of them."""
  chosen = [given[number] for number in numbers]
  text = f'{search.description}: trials {numbers[0] + 1} to {numbers[-1] + 1}'
  watch = search.watcher.trials(
    [f'trial_{number + 1:02d}' for number in numbers],
    [_hparams(search, trial) for trial in chosen],
    job.recipe.batch_size,
  )
  with search.checkpoints(_group_name(numbers, part.stop)) as kept, watch:
    trained = trials.train(
      *(job, step, chosen, kept, f'{text} of {len(given)}', part, watch)
    )
  for at, number in enumerate(numbers):
    course = trained.courses[at]
    if part.stop < search.steps and trained.states[at] is not None:
      with search.checkpoints(f'rung of {number}') as kept:
        alone = trials.Trained([trained.states[at]], [course], trained.skipped)
        trials.save(kept, alone)
    results[number] = {
      **dataclasses.asdict(given[number]),
      'steps': part.stop if course.diverged is None else course.diverged,
      'diverged': course.diverged,
      'losses': [x if math.isfinite(x) else None for x in course.losses],
      'evaluations': course.evaluations,
      'group': numbers,
    }
  results.write()


def _clear(search, results, numbers, going, stop):
  """Removes what is of no more use of where trials were on the way."""
  unused = []
  if stop < search.steps:
    unused.append(_group_name(numbers, stop))
    # Those that cannot be among the ones that go on: their places are taken.
    found = [n for n in going if results.are_through(n, stop)]
    scores = {n: halving.scores(results[n]['evaluations']) for n in found}
    places = math.ceil(len(going) * search.config.halving_keep)
    best = halving.ranked(scores, stop)[:places]
    unused += [f'rung of {n}' for n in found if n not in best]
  else:
    if search.config.search == 'halving':
      unused += [f'rung of {n}' for n in numbers]
    choice = _chosen(search, results)
    groups = {tuple(result['group']) for result in results.values()}
    if choice and not search.config.refit_on_trainval:
      groups -= {tuple(results[choice.number]['group'])}
    unused += [_group_name(group, stop) for group in groups]
  if devices.leading():
    for name in unused:
      shutil.rmtree(search.checkpoints_directory(name), ignore_errors=True)


def _measured(search, variables) -> list[dict[str, Any]]:
  """The metric on val of each trial by view; none where it diverged.

  Raises:
    InputError: the metric is not defined there.
  """
  val = search.dataset.splits['val']
  results = [{} for _ in variables]
  going = [n for n, values in enumerate(variables) if values is not None]
  for view in trials.VIEWS if going else ():
    found, kept = search.predictions([variables[n] for n in going], val, view)
    for number, predicted in zip(going, found, strict=True):
      measured = metrics.measure(
        search.dataset.metric, val.labels[kept], predicted
      )
      if math.isnan(measured.value):
        raise errors.InputError(
          f'{search.dataset.name}: {search.dataset.metric} on val is not '
          'defined; a class without an example there does that to some metrics'
        )
      results[number][view] = dataclasses.asdict(measured)
  return results


class _Estimate:
  """Says how long a search will take, before its first step and on the way."""

  def __init__(self, search, job, step, given, steps: int):
    """Measures a step, and says what comes of it.

    Args:
      steps: of all trials together that are ahead.
    """
    compiling, seconds = seconds_per_step(job, step, given[0])
    self._total = steps + search.config.refit_on_trainval * job.recipe.steps
    self._done, self._started = 0, time.monotonic()
    evaluations = 'evaluation on val comes on top'
    print(
      f'{search.description}: the step compiled in {compiling:.0f} s and takes '
      f'{seconds:.3g} s; {len(given)} trials and the final run, of '
      f'{job.recipe.steps:,} steps of {job.recipe.batch_size} images each, '
      f'will take about {in_words(self._total * seconds)} '
      f'({evaluations})',
      flush=True,
    )

  def advance(self, steps: int) -> str:
    """Takes steps that were done; says how long the rest will take."""
    self._done += steps
    return f'{self.words()} left in all'

  def words(self) -> str:
    # With what else takes time: decoding, evaluation, checkpoints.
    each = (time.monotonic() - self._started) / max(self._done, 1)
    return in_words(each * max(self._total - self._done, 0))

  def say(self, trials_left: int) -> None:
    if trials_left and self._done:
      print(f'  {trials_left} trials left: about {self.words()}', flush=True)


def in_words(seconds: float) -> str:
  """A duration: '2 days, 3:04:05'."""
  return str(datetime.timedelta(seconds=math.ceil(seconds)))


def seconds_per_step(
  job: trials.Job, step: train_step.Step, trial: train_step.Trial
) -> tuple[float, float]:
  """How long compiling took, and a step takes, on a state that is thrown away.

  The batches of a step come ready: where decoding is slower it takes longer.
  """
  (batch,) = devices.on_devices(
    [_ready_batch(job)], devices.sharding(job.mesh, devices.BATCH)
  )
  state = train_step.new_state(job.variables, job.recipe, job.mesh)
  times = [time.monotonic()]
  for _ in range(1 + _TIMED_STEPS):
    state, found = step(state, dataclasses.asdict(trial), batch)
    jax.block_until_ready(found)
    times.append(time.monotonic())
  seconds = (times[-1] - times[1]) / _TIMED_STEPS
  return times[1] - times[0] - seconds, seconds


def _ready_batch(job: trials.Job) -> dict[str, np.ndarray]:
  """A batch of this process, of black images."""
  size, count = job.contract.image_size, jax.process_count()
  rows = job.recipe.batch_size // count
  batch = {
    'image': np.zeros((rows, size, size, 3), np.uint8),
    'label': np.zeros((rows, *job.split.labels.shape[1:]), np.int32),
    'mask': np.ones(rows, bool),
    'index': np.zeros(rows, np.int32),
  }
  if job.color:
    batch['color'] = np.zeros((rows, 5), np.float32)
  return batch


def compiled_step(job: trials.Job) -> jax.stages.Compiled:
  """The program of a job's step; nothing is put on the devices for it."""

  def described(values, spec):
    sharding = devices.sharding(job.mesh, spec)
    return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(
        np.shape(x), np.asarray(x).dtype, sharding=sharding
      ),
      values,
    )

  batch = _ready_batch(job)
  whole = {
    name: jax.ShapeDtypeStruct(
      (job.recipe.batch_size, *x.shape[1:]),
      x.dtype,
      sharding=devices.sharding(job.mesh, devices.BATCH),
    )
    for name, x in batch.items()
  }
  state = described(
    train_step.host_state(job.variables, job.recipe), devices.REPLICATED
  )
  trial = dataclasses.asdict(train_step.Trial(1e-3, 0.0))
  return job.compile().lower(state, trial, whole).compile()
