"""Tries the networks of a choice, the cheapest first."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence

import ml_collections
import numpy as np

from tf_transfer import errors, networks
from tf_transfer.images import decoding
from tf_transfer.runtime import progress, units
from tf_transfer.study import cost_model, duration_check, weights_files
from tf_transfer.study.choice import (
  candidates,
  learning_curve,
  types,
)
from tf_transfer.transfer.fixed_features import (
  corrupt_images,
  extractors,
  feature_cache,
  features,
  pixel_groups,
)

# Networks in memory at once, which share decoded images.
_MAX_LOADED = 4


def check_duration(
  sources: Sequence[candidates.Source],
  task: candidates.Task,
  job: ml_collections.ConfigDict,
) -> None:
  """Refuses a choice that is estimated beyond a day, unless it is allowed.

  Networks that were tried before do not count. With a budget only the first
  network does, which is always tried.

  Args:
    sources: from the cheapest to the most expensive.
    task: what they are tried on.
    job: the config of the job.

  Raises:
    InputError: it is too long; one line that says how to shorten it.
  """
  by_accuracy = job.by == 'accuracy'
  if by_accuracy:
    sources = [
      source for source in sources if candidates.read(task, source) is None
    ]
    if job.budget:
      sources = sources[:1]
  if not sources:
    return
  sizes = [
    (source.parameters, source.contract.image_size) for source in sources
  ]
  seconds = cost_model.extraction_seconds(
    sizes, len(task.images), cost_model.operations_per_second()
  )
  advice = ['fewer or cheaper config.networks', 'a smaller config.image_size']
  if by_accuracy and not job.budget:
    advice.append('--config.budget=2h')
  duration_check.check(seconds, job, advice)


def check_test(
  sources: Sequence[candidates.Source], task: candidates.Task
) -> None:
  """Finds the corrupt images of test before any network is tried.

  The features of test are computed for the cheapest network that can be loaded.

  Args:
    sources: from the cheapest to the most expensive.
    task: what they are tried on.

  Raises:
    CorruptImage: there are some, and they are not to be left out.
    CannotWrite: features cannot be cached.
  """
  if task.dataset.folds:
    return  # All images are for the choice.
  for source in sources:
    try:
      extract = _extractor(_load(source, task), task)
      corrupt = task.config.data.corrupt
      corrupt_images.check_test(extract, task.dataset, corrupt)
      return
    except (decoding.CorruptImage, errors.CannotWrite):
      raise
    except errors.InputError:
      continue  # `try_all` says what is wrong with the network.


@dataclasses.dataclass
class Tried:
  """The networks of a choice that were tried, and the others.

  Attributes:
    kept: the candidates.
    skipped: the others.
  """

  kept: list[candidates.Kept]
  skipped: list[types.Skipped]


def try_all(
  sources: Sequence[candidates.Source],
  task: candidates.Task,
  job: ml_collections.ConfigDict,
  started: float,
) -> Tried:
  """Tries networks; one that fails stops no other.

  Args:
    sources: from the cheapest to the most expensive.
    task: what they are tried on.
    job: the config of the job.
    started: when the job began, by `time.monotonic`.

  Raises:
    InputError: none could be tried.
  """
  tried = Tried([], [])
  missing = []
  for source in sources:
    kept = candidates.read(task, source)
    if kept is None:
      missing.append(source)
    else:
      print(f'{source.network}: tried before')
      tried.kept.append(kept)
  options = features.Options.from_config(task.config.features)
  for group in _groups(missing, options, bool(job.budget)):
    reason = _over_budget(group[0], tried.kept, sources, job, started)
    if reason:
      for source in group:
        print(f'{source.network}: skipped: {reason}')
        tried.skipped.append(types.Skipped(source.network, reason))
      continue
    _try_group(group, task, tried)
  if not tried.kept:
    reasons = dict.fromkeys(network.reason for network in tried.skipped)
    raise errors.InputError('\n'.join(reasons))
  return tried


def _groups(
  sources: Sequence[candidates.Source],
  options: features.Options,
  alone: bool,
) -> Iterator[list[candidates.Source]]:
  """Groups networks that are shown the same pixels.

  Args:
    sources: from the cheapest to the most expensive.
    options: of the features.
    alone: whether each is a group of its own, in this order.
  """
  if alone:
    yield from ([source] for source in sources)
    return
  for group in pixel_groups.group(sources, lambda s: s.contract, options):
    for start in range(0, len(group), _MAX_LOADED):
      yield group[start : start + _MAX_LOADED]


def _over_budget(
  source: candidates.Source,
  kept: Sequence[candidates.Kept],
  sources: Sequence[candidates.Source],
  job: ml_collections.ConfigDict,
  started: float,
) -> str:
  """Says why a network is estimated to end too late; '' if it is not.

  It is taken to need as many seconds for an operation as the most expensive
  network before it did. The first is always tried.
  """
  if not job.budget or not kept:
    return ''
  budget = units.parse_duration(job.budget)
  left = budget - (time.monotonic() - started)
  operations = {other.network: other.operations for other in sources}
  last = max(
    (each.candidate for each in kept),
    key=lambda candidate: operations[candidate.network],
  )
  estimated = last.cost.seconds * source.operations / operations[last.network]
  if estimated <= left:
    return ''
  remains = units.duration(left) if left > 0 else 'nothing'
  return (
    f'it is estimated to take {units.duration(estimated)}, and {remains} is '
    f'left of {job.budget}'
  )


def _try_group(
  group: Sequence[candidates.Source], task: candidates.Task, tried: Tried
) -> None:
  """Tries networks that are shown the same pixels, decoded once for all."""
  loaded: dict[str, tuple[networks.Network, features.Extractor, float]] = {}
  for source in group:
    started = time.monotonic()

    def load(source: candidates.Source = source) -> None:
      net = _load(source, task)
      loaded[source.network] = net, _extractor(net, task), 0.0

    if _succeeds(source, load, tried):
      net, extract, _ = loaded[source.network]
      loaded[source.network] = net, extract, time.monotonic() - started
  present = [source for source in group if source.network in loaded]
  shared = _prefetch([loaded[source.network][1] for source in present], task)
  total = sum(source.operations for source in present)
  for source in present:
    net, extract, seconds = loaded.pop(source.network)
    seconds += shared * source.operations / total

    def attempt(
      source: candidates.Source = source,
      net: networks.Network = net,
      extract: features.Extractor = extract,
      seconds: float = seconds,
    ) -> None:
      kept = candidates.try_network(source, net, extract, task, seconds)
      tried.kept.append(kept)
      _report(kept.candidate)

    _succeeds(source, attempt, tried)


def _succeeds(
  source: candidates.Source, function: Callable[[], None], tried: Tried
) -> bool:
  """Calls a function; a network that fails is skipped, with the reason."""
  try:
    function()
  except errors.CannotWrite:
    raise
  except errors.InputError as error:
    print(f'{source.network}: FAILED: {errors.printable(str(error))}')
    tried.skipped.append(types.Skipped(source.network, str(error)))
    return False
  return True


def _load(source: candidates.Source, task: candidates.Task) -> networks.Network:
  """Loads a network."""
  located = weights_files.locate(source.weights)
  return weights_files.load(located, task.config, task.workdir)


def _extractor(
  net: networks.Network, task: candidates.Task
) -> features.Extractor:
  """Builds the feature extractor of a network."""
  config = task.config
  return extractors.build(
    net,
    feature_cache.from_config(config.features, task.workdir),
    features.Options.from_config(config.features),
    batch_size=config.features.batch_size,
    corrupt=config.data.corrupt,
  )


def _prefetch(
  extractors: Sequence[features.Extractor], task: candidates.Task
) -> float:
  """Computes several networks' features from one reading of the images.

  Returns:
    The seconds that it took.
  """
  started = time.monotonic()
  if len(extractors) > 1:
    for part in task.parts:
      label = f'{task.dataset.name} {part.name}'
      try:
        features.prefetch(extractors, part, label)
      except errors.CannotWrite:
        raise
      except errors.InputError as error:
        print(f'{label}: {error}; one network after another')
        break
  return time.monotonic() - started


def _report(candidate: types.Candidate) -> None:
  """Prints what a network reached."""
  accuracy = candidate.accuracy
  print(
    f'{candidate.network}: {accuracy.value:.1%} [{accuracy.low:.1%}, '
    f'{accuracy.high:.1%}], '
    f'{units.duration(candidate.cost.seconds, precise=True)}',
    flush=True,
  )


def rank(
  sources: Sequence[candidates.Source], task: candidates.Task, estimator: str
) -> dict[str, types.Estimate]:
  """Estimates how well each network transfers, without fitting classifiers.

  Args:
    sources: the networks.
    task: what they are tried on.
    estimator: the name of the estimator.
  """
  estimates = {}
  for source in sources:
    try:
      net = _load(source, task)
      examples = candidates.extract_examples(_extractor(net, task), task)
      estimates[source.network] = candidates.estimate(
        net, examples, task, (estimator,)
      )[estimator]
    except errors.CannotWrite:
      raise
    except errors.InputError as error:
      estimates[source.network] = types.Estimate(np.nan, 0.0, str(error))
  return estimates


def curve(
  source: candidates.Source,
  candidate: types.Candidate,
  task: candidates.Task,
) -> types.LearningCurve:
  """Computes the learning curve of a network that was tried.

  Args:
    source: the network.
    candidate: the same, as it was tried.
    task: what it was tried on.

  Raises:
    InputError: its weights or features cannot be read.
  """
  net = _load(source, task)
  examples = candidates.extract_examples(_extractor(net, task), task)
  positions = examples.positions
  folds, held_out = task.folds[positions], None
  if not task.folds.any():
    # Val is predicted by classifiers on parts of train.
    folds, held_out = (positions >= len(task.parts[0])).astype(int), [1]
  num_folds = 1 if held_out else len(np.unique(folds))
  images = task.images
  with progress.bar(
    total=learning_curve.num_fits(num_folds),
    desc=f'{source.network}: learning curve',
  ) as bar:
    return learning_curve.compute(
      network=source.network,
      values=examples.values,
      labels=examples.labels,
      digests=images.digests[positions],
      groups=None if images.groups is None else images.groups[positions],
      folds=folds,
      num_classes=len(task.dataset.classes),
      metric=task.dataset.metric,
      setting=task.setting,
      hyperparameter=next(iter(candidate.chosen.values()), 0.0),
      config=candidates.setting_fields(task),
      held_out=held_out,
      seed=task.config.data.split_seed,
      progress=lambda num_done: bar.update(num_done - bar.n),
    )
