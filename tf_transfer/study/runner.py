"""A study: its missing cells are run, and all are shown.

Config -> the plan -> features, network by network, and what is fitted on them;
then what is trained -> a record for each cell in the ledger, or why there is
none -> the table and the figures of all. The records are all that a study
remembers: it can be killed at any moment, and the same command goes on.
"""

import dataclasses
import datetime
import functools
import importlib.metadata
import pathlib
import platform
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import ml_collections
import numpy as np
from absl import logging

import tf_transfer
from tf_transfer import contract as contract_lib
from tf_transfer import datasets, errors, networks
from tf_transfer.datasets.images import decoding
from tf_transfer.runtime import devices, files, writers
from tf_transfer.study import cost_model, failures, merge, weights_files
from tf_transfer.study import ledger as ledger_lib
from tf_transfer.study import plan as plan_lib
from tf_transfer.study.analysis import accuracy_table, ties
from tf_transfer.study.figures import panels
from tf_transfer.study.paper import numbers
from tf_transfer.study.report import answer, page, text_table
from tf_transfer.transfer import result
from tf_transfer.transfer.fixed_features import (
  classifiers,
  feature_cache,
  features,
)
from tf_transfer.transfer.fixed_features import evaluate as evaluate_lib
from tf_transfer.transfer.training import export, grid, search

SETTINGS = (*classifiers.CLASSIFIERS, *search.SETTINGS)

_PACKAGES = ('jax', 'flax', 'numpy', 'pillow', 'scipy')

Cell = plan_lib.Cell
T = TypeVar('T')


def _check(config: ml_collections.ConfigDict) -> None:
  """Finds what is wrong with a config before anything slow begins."""
  for field in ('networks', 'datasets', 'settings'):
    values = config[field]
    if not values:
      raise errors.InputError(f'config.{field} is empty: name at least one')
    if len(set(values)) != len(values):
      raise errors.InputError(f'config.{field} names one twice: {values}')
  _check_settings(config)
  _check_names(config)
  _check_cells(config)
  if config.data.corrupt not in ('error', 'skip'):
    raise errors.InputError(
      "config.data.corrupt: expected 'error' or 'skip', "
      f'found {config.data.corrupt!r}'
    )
  if config.features.resize not in decoding.RESIZES:
    raise errors.unknown_name(
      'config.features.resize', config.features.resize, decoding.RESIZES
    )
  features.Options.of_config(config.features)
  feature_cache.of_config(config.features, pathlib.Path())
  if config.features.batch_size < 1:
    raise errors.InputError(
      'config.features.batch_size: expected 1 or more, not '
      f'{config.features.batch_size}'
    )


def _check_settings(config: ml_collections.ConfigDict) -> None:
  """That each setting is one, and its fields are there and in range."""
  for setting in config.settings:
    if setting not in SETTINGS:
      raise errors.unknown_name('setting', setting, SETTINGS)
    if setting not in config:
      raise errors.InputError(
        f'config.settings names {setting}, and the config has no field of '
        f'this name: see configs/{setting}.py'
      )
    if setting in search.SETTINGS:
      grid.check(setting, config[setting])
    elif jax.process_count() > 1:
      raise errors.InputError(
        f'config.settings: {setting} runs in one process, not in '
        f'{jax.process_count()}'
      )
    else:
      classifiers.check(setting, config[setting])


def _check_cells(config: ml_collections.ConfigDict) -> None:
  """What says which cells there are, and whose."""
  if ledger_lib.Shard.of_config(config.part) and jax.process_count() > 1:
    raise errors.InputError(
      'config.part: a part runs in one process; either cut the study or have '
      f'its {jax.process_count()} processes run each cell together'
    )
  for pattern in config.leave_out:
    if isinstance(pattern, str) or len(pattern) != 3:
      raise errors.InputError(
        "config.leave_out: expected (network, dataset, setting) each, '*' for "
        f'any, found {pattern!r}'
      )
  given = config.networks, config.datasets, config.settings
  one_cell = all(
    len(names) == 1 and plan_lib.ALL not in names for names in given
  )
  if config.export and not (one_cell and config.settings[0] in search.SETTINGS):
    raise errors.InputError(
      'config.export: one network is written, so there must be one network, '
      f'one dataset and one setting of {", ".join(search.SETTINGS)}'
    )


def _check_names(config: ml_collections.ConfigDict) -> None:
  """What is no name at all is a slip; what is not there is for the plan."""
  for name in config.networks:
    if name != plan_lib.ALL and not weights_files.is_path(name):
      networks.row(name)
  for name in config.datasets:
    if name != plan_lib.ALL:
      datasets.check_name(name)


def _determinants(
  net: networks.Network,
  dataset: datasets.Dataset,
  setting: str,
  config: ml_collections.ConfigDict,
) -> dict[str, Any]:
  """All that determines a record's numbers."""
  return {
    'network': net.name,
    'weights_sha256': net.sha256,
    'dataset': dataset.name,
    'splits_sha256': {
      name: split.hash for name, split in dataset.splits.items()
    },
    'setting': setting,
    'metric': dataset.metric,
    'preprocessing': (
      search.PREPROCESSING
      if setting in search.SETTINGS
      else config.features.resize
    ),
    'image_size': config.image_size,
    # Only where it is not as ever, so that all others keep their identities.
    **({} if dataset.val_is_trained_on else {'last_fit_on': 'train'}),
    'layer': config.features.layer,
    'pyramid': list(config.features.pyramid),
    'corrupt': config.data.corrupt,
    'search': {
      name: value
      for name, value in config[setting].to_dict().items()
      if setting not in search.SETTINGS or name not in grid.OPERATIONAL
    },
  }


def _record(
  cell: Cell,
  config: ml_collections.ConfigDict,
  outcome: result.CellResult,
  seconds: float,
) -> dict[str, Any]:
  header = cell.network.header
  return {
    'identity': cell.identity,
    'version': ledger_lib.VERSION,
    **_determinants(cell.network, cell.dataset, cell.setting, config),
    'num_classes': len(cell.dataset.classes),
    'split_seed': config.data.split_seed,
    'examples_per_class': config.data.examples_per_class,
    'subset_seed': config.data.subset_seed,
    'imagenet_top1': header.imagenet_top1,
    'imagenet_top1_source': header.imagenet_top1_source,
    'recipe': header.recipe.to_json(),
    'chosen': dict(outcome.chosen),
    'validation': dataclasses.asdict(outcome.validation),
    'validation_curve': [
      float(v) if np.isfinite(v) else None for v in outcome.curve
    ],
    'test': dataclasses.asdict(outcome.test),
    'solver': dict(outcome.solver),
    'trials': [dict(trial) for trial in outcome.trials],
    'losses': list(outcome.losses),
    'skipped': list(outcome.skipped),
    'notes': list(cell.dataset.notes),
    'predictions': f'predictions/{cell.identity}.npz',
    'versions': {
      'tf_transfer': tf_transfer.__version__,
      'python': platform.python_version(),
      **{name: importlib.metadata.version(name) for name in _PACKAGES},
    },
    'device': devices.describe(),
    'seconds': round(seconds, 2),
    'finished': datetime.datetime.now(datetime.UTC).isoformat(
      timespec='seconds'
    ),
  }


# What came of a cell that was run.
_Evaluate = Callable[[Cell], result.CellResult]


class _Runner:
  """Runs cells, one after another, whatever becomes of each.

  Attributes:
    failing: why there is no record, by the key of the cell.
    elsewhere: how many cells another process was found to be running.
  """

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    workdir: pathlib.Path,
    part: ledger_lib.Shard | None,
    estimates: Mapping[str, float],
  ):
    self._config = config
    self._workdir = workdir
    self._ledger = ledger_lib.Ledger(workdir, part)
    self._failures = failures.Failures(workdir, part)
    self._clock = _Clock(estimates)
    self.failing: dict[failures.Key, str] = {}
    self.elsewhere = 0

  def fail(self, key: failures.Key, reason: str) -> None:
    """Notes that a cell has no record, and why."""
    self.failing[key] = reason
    if devices.leading():
      self._failures.add(key, reason)

  def fixed(self, cells: Sequence[Cell]) -> None:
    """Runs cells on fixed features.

    Network by network as far as they are shown the same pixels: those share
    what is decoded, and each is compiled once for all datasets.
    """
    for group in _groups(cells, self._config):
      extractors = self._extractors(group)
      for dataset in _unique(cell.dataset for cell in group):
        own = [cell for cell in group if cell.dataset is dataset]
        own = [cell for cell in own if cell.label in extractors]
        seconds = self._fill(
          dataset, {cell.label: extractors[cell.label] for cell in own}
        )
        for cell in own:
          extract = extractors[cell.label]
          self._run(
            cell, functools.partial(self._fit, extract), seconds / len(own)
          )

  def trained(self, cells: Sequence[Cell]) -> None:
    """Runs cells that train."""
    for cell in cells:
      self._run(cell, self._train)

  def _extractors(self, cells: Sequence[Cell]) -> dict[str, features.Extractor]:
    """One for each network by its label, if it can be made."""
    found = {}
    for label in _unique(cell.label for cell in cells):
      own = [cell for cell in cells if cell.label == label]

      def make(own=own, label=label):
        found[label] = features.Extractor(
          own[0].network,
          feature_cache.of_config(self._config.features, self._workdir),
          features.Options.of_config(self._config.features),
          batch_size=self._config.features.batch_size,
          corrupt=self._config.data.corrupt,
        )

      reason = _reason_for_failing(make)
      if reason is not None:
        for cell in own:
          self.fail(cell.key, reason)
    return found

  def _fill(
    self,
    dataset: datasets.Dataset,
    extractors: Mapping[str, features.Extractor],
  ) -> float:
    """Has several networks' features computed together; how long that took.

    The features of test are there then before anything is chosen; they are
    looked at when they were before: last, and once.
    """
    started = time.monotonic()
    if len(extractors) > 1:
      print(
        f'{dataset.name}: features of {len(extractors)} networks, from one '
        'reading of the images',
        flush=True,
      )

      def fill():
        for name, split in dataset.splits.items():
          features.fill(
            list(extractors.values()), split, f'{dataset.name} {name}'
          )

      reason = _reason_for_failing(fill)
      if reason is not None:
        print(
          f'{dataset.name}: features of {len(extractors)} networks together: '
          f'{reason}; one by one',
          flush=True,
        )
    return time.monotonic() - started

  def _fit(self, extract: features.Extractor, cell: Cell) -> result.CellResult:
    settings = self._config[cell.setting]
    return evaluate_lib.evaluate(
      extract, cell.dataset, cell.setting, settings, cell.name
    )

  def _train(self, cell: Cell) -> result.CellResult:
    return _trained(cell, self._config, self._workdir)

  def _run(self, cell: Cell, evaluate: _Evaluate, before: float = 0.0) -> None:
    """Runs a cell, unless another process does or has.

    Args:
      cell: the cell.
      evaluate: gives what comes of it.
      before: seconds that were spent on it already.
    """
    print(f'{self._clock.heading()} {cell.name}, {cell.setting}', flush=True)
    # Processes of one job run each cell together, and wait for each other.
    if jax.process_count() > 1:
      self._recorded(cell, evaluate, before)
      self._clock.done(cell)
      return
    claim = plan_lib.claims(self._workdir) / cell.identity
    with files.locked(claim, wait=False) as held:
      if not held:
        print('  another process is running it: left to that')
        self.elsewhere += 1
      else:
        try:
          self._claimed(cell, evaluate, before)
        finally:
          # Who still waits for this file finds the record.
          claim.unlink(missing_ok=True)
    self._clock.done(cell)

  def _claimed(self, cell: Cell, evaluate: _Evaluate, before: float) -> None:
    """Runs a cell that no other process is running."""
    if cell.identity in plan_lib.recorded(self._workdir):
      print('  another process has run it meanwhile')
      return
    reason = _reason_for_failing(lambda: self._recorded(cell, evaluate, before))
    if reason is not None:
      print(f'  FAILED: {reason}', flush=True)
      self.fail(cell.key, reason)

  def _recorded(self, cell: Cell, evaluate: _Evaluate, before: float) -> None:
    """Runs a cell and writes its record."""
    started = time.monotonic()
    outcome = evaluate(cell)
    seconds = before + time.monotonic() - started
    record = _record(cell, self._config, outcome, seconds)
    if not devices.leading():
      return
    if self._config.tensorboard:
      _write_events(record, self._workdir)
    self._ledger.add(record, outcome.predictions)
    self._failures.discard(cell.key)
    if cell.trains:
      shutil.rmtree(_search_directory(cell, self._workdir), ignore_errors=True)
    _report(record)


def _reason_for_failing(function: Callable[[], None]) -> str | None:
  """Calls a function; why it failed, if it did.

  Where nothing can be written, and when the job is told to end, all ends.
  """
  try:
    function()
  except (errors.Preempted, errors.CannotWrite):
    raise
  except errors.InputError as error:
    return str(error)
  # Whatever it is (memory that ran out, a bug), it is this cell's.
  except Exception as error:  # noqa: BLE001
    logging.exception('not foreseen:')
    return f'{type(error).__name__}: {error}'
  return None


def _unique(values: Iterable[T]) -> list[T]:
  """Each once, in order."""
  return list(dict.fromkeys(values))


def _groups(
  cells: Sequence[Cell], config: ml_collections.ConfigDict
) -> list[list[Cell]]:
  """Cells whose networks are shown the same pixels, together."""
  groups: dict[contract_lib.Contract, list[Cell]] = {}
  for cell in cells:
    pixels = features.pixels(
      cell.network.contract, features.Options.of_config(config.features)
    )
    groups.setdefault(pixels, []).append(cell)
  return list(groups.values())


class _Clock:
  """Says how far a study is, and when it may be through."""

  def __init__(self, estimates: Mapping[str, float]):
    self._left = dict(estimates)
    self._count = len(estimates)
    self._passed = 0.0  # seconds that were estimated for what is done
    self._started = time.monotonic()

  def heading(self) -> str:
    """As '[3/12, about 20 min left]'."""
    number = self._count - len(self._left) + 1
    left = sum(self._left.values())
    if self._passed:
      left *= (time.monotonic() - self._started) / self._passed
    return f'[{number}/{self._count}, about {cost_model.in_words(left)} left]'

  def done(self, cell: Cell) -> None:
    self._passed += self._left.pop(cell.identity)


def _search_directory(cell: Cell, workdir: pathlib.Path) -> pathlib.Path:
  return workdir / 'searches' / cell.identity


def _trained(
  cell: Cell, config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> result.CellResult:
  """Runs a cell that trains; writes the network if that is wanted."""
  given = search.Search(
    net=cell.network,
    dataset=cell.dataset,
    config=config[cell.setting],
    setting=cell.setting,
    pretrained=cell.setting == 'fine_tuned',
    corrupt=config.data.corrupt,
    directory=files.make_directory(_search_directory(cell, workdir)),
    identity=cell.identity,
    description=f'{cell.name}, {cell.setting}',
    mesh=devices.data_mesh(),
    log_dir=workdir / 'tensorboard' / cell.identity,
    curves=config.tensorboard,
  )
  outcome, trained = search.run(given)
  if config.export and devices.leading():
    export.save(_export_path(config), given, trained, outcome)
    print(f'weights  {config.export}')
  return outcome


def _export_path(config: ml_collections.ConfigDict) -> pathlib.Path:
  return pathlib.Path(config.export).expanduser()


def _check_export(
  config: ml_collections.ConfigDict,
  cells: Sequence[Cell],
  recorded: Mapping[str, accuracy_table.Record],
  workdir: pathlib.Path,
) -> None:
  """That the network to be written is still to be trained, or written.

  Raises:
    InputError: it was trained, and nothing was kept of it.
  """
  for cell in cells if config.export else ():
    path = _export_path(config)
    if cell.identity not in recorded or export.holds(path, cell.identity):
      continue
    raise errors.InputError(
      f'config.export: {cell.name}, {cell.setting} is finished in {workdir}, '
      f'which keeps the record and not the network, and {path} is not its: '
      'name another --workdir, where it is trained again and written'
    )


def _write_events(record: dict[str, Any], workdir: pathlib.Path) -> None:
  directory = workdir / 'tensorboard' / record['identity']
  with writers.rewrite(directory) as writer:
    metric = record['metric']
    curve = record['validation_curve']
    writer.curve(
      f'validation/{metric}', [np.nan if v is None else v for v in curve]
    )
    writer.curve('loss/final_run', record['losses'])
    writer.curve(f'test/{metric}', [record['test']['value']])
    writer.summary(
      {
        'network': record['network'],
        'dataset': record['dataset'],
        'setting': record['setting'],
        **record['chosen'],
      },
      text_table.render([record]),
    )


def _report(record: dict[str, Any]) -> None:
  """Says what became of a cell, the unpleasant things too."""
  test = record['test']
  print(
    f'{record["network"]} on {record["dataset"]}: {test["value"]:.2%} '
    f'[{test["low"]:.2%}, {test["high"]:.2%}] on {test["examples"]:,} test '
    f'images, {text_table.chosen(record)}, {record["seconds"]:.0f} s'
  )
  if record['setting'] in search.SETTINGS:
    _report_trials(record)
  else:
    _report_solver(record)
  if record['skipped']:
    shown = ', '.join(record['skipped'][:5])
    print(f'  {len(record["skipped"])} corrupt images left out: {shown}')


def _report_trials(record: dict[str, Any]) -> None:
  diverged = [t for t in record['trials'] if t['diverged'] is not None]
  if diverged:
    print(f'  {len(diverged)} of {len(record["trials"])} trials diverged')
  for field in ('learning_rate', 'weight_decay'):
    values = {t[field] for t in record['trials']}
    ends = {min(values), max(values)} - {0.0}
    if len(values) > 2 and record['chosen'][field] in ends:
      logging.warning(
        'the chosen %s is at the end of the grid: widen it', field
      )


def _report_solver(record: dict[str, Any]) -> None:
  solver = record['solver']
  if not solver['converged']:
    logging.warning(
      '%s on %s: the final fit did NOT converge; raise '
      '--config.%s.max_evaluations',
      record['network'],
      record['dataset'],
      record['setting'],
    )
  if solver['unconverged_penalties']:
    logging.warning(
      '%s on %s: %d of the fits on train did not converge, at penalties %s',
      record['network'],
      record['dataset'],
      len(solver['unconverged_penalties']),
      ', '.join(f'{p:.0e}' for p in solver['unconverged_penalties']),
    )
  grid, penalty = record['search'], record['chosen'].get('penalty')
  if (
    penalty
    and np.isclose(penalty, [grid['penalty_min'], grid['penalty_max']]).any()
  ):
    logging.warning('the chosen penalty is at the end of the grid: widen it')


def run(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> list[dict[str, Any]]:
  """Runs the missing cells of a study and shows all of them.

  Args:
    config: of the job, as `configs/logistic_regression.py` documents.
    workdir: where everything is written.

  Returns:
    The records of the cells that this config plans, and of no others in the
    ledger; none in a process that does not lead, which may be ahead of it.

  Raises:
    InputError: something given cannot be used, or cells failed, in which case
      all others were run. What is finished stays finished.
  """
  devices.connect()
  _check(config)
  part = ledger_lib.Shard.of_config(config.part)
  if any(name in search.SETTINGS for name in config.settings):
    devices.keep_compiled(workdir / 'compiled')
  plan = plan_lib.make(config, workdir, _determinants)
  conflicts = []
  if part is None and devices.leading():
    conflicts = merge.absorb_parts(workdir)
    for conflict in conflicts:
      merge.tell(conflict)
  recorded = plan_lib.recorded(workdir)
  plan_lib.forget_claims(workdir, recorded)
  own = plan_lib.mine(plan.cells, config, workdir, part)
  todo = [cell for cell in own if cell.identity not in recorded]
  estimates = plan_lib.seconds(todo, config)
  print(f'\n{plan_lib.render(plan, recorded, estimates)}\n')
  print(plan_lib.describe(plan, recorded, estimates), flush=True)
  failing = {one.key: one.reason for one in plan.obstacles}
  if failing:
    print(f'cannot be run:\n{plan_lib.reasons(failing)}', flush=True)
  if config.only_plan:
    return []
  _check_export(config, own, recorded, workdir)
  runner = _Runner(config, workdir, part, estimates)
  if devices.leading():
    failures.Failures(workdir, part).keep({cell.key for cell in todo})
  for one in plan.obstacles:
    runner.fail(one.key, one.reason)
  runner.fixed([cell for cell in todo if not cell.trains])
  runner.trained([cell for cell in todo if cell.trains])
  records = []
  if devices.leading():
    records = _of_cells(plan.cells if part is None else own, workdir)
    _conclude(records, config, workdir)
  if runner.elsewhere:
    print(f'{runner.elsewhere} cells are being run by other processes')
  _raise_failures(runner.failing, failures.Failures(workdir, part).path)
  merge.refuse(conflicts)
  return records


def _of_cells(
  cells: Sequence[Cell], workdir: pathlib.Path
) -> list[dict[str, Any]]:
  """The records that there are of some cells."""
  found = plan_lib.recorded(workdir)
  return [found[cell.identity] for cell in cells if cell.identity in found]


def _raise_failures(
  failing: Mapping[failures.Key, str], path: pathlib.Path
) -> None:
  """Ends a study in which cells failed as one that failed."""
  if not failing:
    return
  if len(set(failing.values())) > 1:
    print(f'\nfailed:\n{plan_lib.reasons(failing)}', flush=True)
    raise errors.InputError(
      f'{len(failing)} cells have no record; why stands above and in {path}'
    )
  raise errors.InputError(plan_lib.reasons(failing).strip())


def _conclude(
  own: Sequence[accuracy_table.Record],
  config: ml_collections.ConfigDict,
  workdir,
) -> None:
  """Shows the records of a study: the table, the figures, the answer."""
  records = accuracy_table.distinct(own)
  if not records:
    return
  print(f'\n{text_table.render(records)}\n')
  part = ledger_lib.Shard.of_config(config.part)
  print(f'records  {ledger_lib.Ledger(workdir, part).path}')
  if part is not None:
    print('figures  once all parts are through: the same command without part')
  else:
    holm = config.correct_with_holm
    for path in _draw(records, workdir, correct_with_holm=holm):
      print(f'figure   {path}.png, {path}.pdf')
    if config.report:
      path = page.write(own, workdir, correct_with_holm=holm)
      print(f'report   {path}')
    for setting in _settings(records):
      said = answer.of(records, setting)
      print(f'\n{said.verdict}. {said.sentence}')
      for remark in said.remarks:
        print(f'  {remark}')
  if config.tensorboard:
    print(f'curves   tensorboard --logdir={workdir / "tensorboard"}')


def _settings(records: Sequence[accuracy_table.Record]) -> list[str]:
  """Those that there are records of, in the order of the protocol."""
  there = {record['setting'] for record in records}
  return [setting for setting in SETTINGS if setting in there]


def _draw(
  records: Sequence[accuracy_table.Record],
  workdir: pathlib.Path,
  *,
  correct_with_holm: bool,
) -> list[pathlib.Path]:
  """Draws the figures that the records are enough for; where they are."""
  settings, drawn = _settings(records), []
  for setting in settings:
    suffix = f'_{setting}' if len(settings) > 1 else ''
    path = workdir / f'accuracy_vs_imagenet{suffix}'
    own = [record for record in records if record['setting'] == setting]
    if panels.accuracy_vs_imagenet(own, path):
      drawn.append(path)
  known = [r for r in records if r['imagenet_top1'] is not None]
  if len({record['network'] for record in known}) > 1:
    series = {'ours': known}
    tied = ties.of(records, workdir, correct_with_holm=correct_with_holm)
    panels.averages_vs_imagenet(series, settings, workdir / 'figure_1')
    panels.datasets_vs_imagenet(series, settings, workdir / 'figure_2', tied)
    drawn += [workdir / 'figure_1', workdir / 'figure_2']
  return drawn + _draw_settings(records, workdir)


def _draw_settings(
  records: Sequence[accuracy_table.Record], workdir: pathlib.Path
) -> list[pathlib.Path]:
  """Draws the figures that compare settings; where they are."""
  cells: dict[str, set[tuple[str, str]]] = {}
  for record in records:
    own = cells.setdefault(record['setting'], set())
    own.add((record['network'], record['dataset']))
  drawn = []
  if len(cells.keys() & panels.STYLES.keys()) > 1:
    drawn.append(workdir / 'figure_6')
    best = numbers.previous_best()
    panels.settings_by_dataset(records, best, drawn[-1])
  if cells.get('fine_tuned', set()) & cells.get('random_init', set()):
    drawn.append(workdir / 'figure_7')
    panels.fine_tuned_vs_random({'ours': records}, drawn[-1])
  return drawn
