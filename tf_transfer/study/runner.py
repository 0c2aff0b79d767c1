"""Runs the cells of a study, one after another."""

import functools
import pathlib
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import jax
import ml_collections
from absl import logging

from tf_transfer import datasets, errors
from tf_transfer.datasets import test_reads
from tf_transfer.runtime import devices, files, units
from tf_transfer.runtime.units import counted
from tf_transfer.study import cell_reads, record
from tf_transfer.study import failures as failures_lib
from tf_transfer.study import ledger as ledger_lib
from tf_transfer.study.plan import Plan
from tf_transfer.study.shards import Shard
from tf_transfer.transfer import folds, settings
from tf_transfer.transfer.fixed_features import (
  extractors as extractors_lib,
)
from tf_transfer.transfer.fixed_features import (
  feature_cache,
  features,
  pixel_groups,
)
from tf_transfer.transfer.setting import Cell, RunContext

T = TypeVar('T')


class Runner:
  """Runs cells one after another; a cell that fails does not stop the others.

  Attributes:
    failures: why cells have no record, by key.
    num_elsewhere: how many cells another process was running.
  """

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    workdir: pathlib.Path,
    shard: Shard | None,
    estimates: Mapping[str, float],
  ):
    self._config = config
    self._workdir = workdir
    self._ledger = ledger_lib.Ledger(workdir, shard)
    self._failures_file = failures_lib.Failures(workdir, shard)
    self._test_reads = test_reads.Log.from_config(config.data)
    self._progress = _StudyProgress(estimates)
    self.failures: dict[failures_lib.Key, str] = {}
    self.num_elsewhere = 0

  def run(self, plan: Plan, pending: Sequence[Cell]) -> None:
    """Runs cells: first those on fixed features, then those that train.

    Args:
      plan: of the study; its obstacles are noted as failures.
      pending: the cells to run.
    """
    if devices.is_leader():
      self._failures_file.keep({cell.key for cell in pending})
    for obstacle in plan.obstacles:
      self._fail(obstacle.key, obstacle.reason)
    self._run_on_features(
      [cell for cell in pending if cell.setting.uses_features]
    )
    for cell in pending:
      if cell.setting.trains:
        self._run(cell, None)

  def _fail(self, key: failures_lib.Key, reason: str) -> None:
    """Notes that a cell has no record, and why."""
    self.failures[key] = reason
    if devices.is_leader():
      self._failures_file.add(key, reason)

  def _run_on_features(self, cells: Sequence[Cell]) -> None:
    """Runs cells on fixed features.

    Networks that are shown the same pixels share decoded images, and each
    network is compiled once for all datasets.
    """
    options = features.Options.from_config(self._config.features)
    for group in pixel_groups.group(
      cells, lambda cell: cell.network.contract, options
    ):
      extractors = self._build_extractors(group)
      for dataset in _unique(cell.dataset for cell in group):
        runnable = [
          cell
          for cell in group
          if cell.dataset is dataset and cell.label in extractors
        ]
        seconds = self._prefetch(
          dataset, {cell.label: extractors[cell.label] for cell in runnable}
        )
        for cell in runnable:
          self._run(cell, extractors[cell.label], seconds / len(runnable))

  def _build_extractors(
    self, cells: Sequence[Cell]
  ) -> dict[str, features.Extractor]:
    """Builds the feature extractor of each network, by its label."""
    extractors = {}
    for label in _unique(cell.label for cell in cells):
      same_network = [cell for cell in cells if cell.label == label]

      def build(
        label: str = label, same_network: list[Cell] = same_network
      ) -> None:
        extractors[label] = extractors_lib.build(
          same_network[0].network,
          feature_cache.from_config(self._config.features, self._workdir),
          features.Options.from_config(self._config.features),
          batch_size=self._config.features.batch_size,
          corrupt=self._config.data.corrupt,
        )

      reason = _failure_reason(build)
      if reason is not None:
        for cell in same_network:
          self._fail(cell.key, reason)
    return extractors

  def _prefetch(
    self,
    dataset: datasets.Dataset,
    extractors: Mapping[str, features.Extractor],
  ) -> float:
    """Computes several networks' features, each image decoded once for all.

    The features of test are computed here too, before anything is chosen. They
    are looked at where they always are: last, and once.

    Returns:
      The seconds that it took.
    """
    started = time.monotonic()
    extractors = {
      label: one for label, one in extractors.items() if one.sees_images
    }
    if len(extractors) > 1:
      print(
        f'{dataset.name}: features of {len(extractors)} networks, from one '
        'reading of the images',
        flush=True,
      )

      def prefetch() -> None:
        for name, split in dataset.splits.items():
          features.prefetch(
            list(extractors.values()), split, f'{dataset.name} {name}'
          )

      reason = _failure_reason(prefetch)
      if reason is not None:
        print(
          f'{dataset.name}: features of {len(extractors)} networks at once: '
          f'{reason}; one network after another',
          flush=True,
        )
    return time.monotonic() - started

  def _run(
    self,
    cell: Cell,
    extract: features.Extractor | None,
    seconds_before: float = 0.0,
  ) -> None:
    """Runs a cell, unless another process runs it or has run it.

    Args:
      cell: the cell.
      extract: the network's feature extractor; None for cells that train.
      seconds_before: seconds already spent on the cell.
    """
    heading = self._progress.heading()
    print(f'{heading} {cell.description}, {cell.setting.name}', flush=True)
    context = RunContext(
      self._config, self._workdir, extract, self._logs_test_read(cell)
    )
    # The processes of one job run each cell together, and wait for each other.
    if jax.process_count() > 1:
      self._record(cell, context, seconds_before)
    else:
      self._run_locked(cell, context, seconds_before)
    self._progress.advance(cell)

  def _logs_test_read(self, cell: Cell) -> Callable[[], None]:
    """Returns a function that logs the evaluation of a cell's test split.

    Settings call it before they evaluate; only the first call counts.
    """

    @functools.cache
    def log() -> None:
      if devices.is_leader():
        self._test_reads.add(
          cell.dataset.splits['test'].hash,
          cell_reads.of_cell(cell, self._config),
        )

    return log

  def _run_locked(
    self, cell: Cell, context: RunContext, seconds_before: float
  ) -> None:
    """Runs a cell that no other process is running."""
    lock = ledger_lib.cell_locks(self._workdir) / cell.identity
    with files.locked(lock, wait=False) as acquired:
      if not acquired:
        print('  another process is running it: left to that process')
        self.num_elsewhere += 1
        return
      try:
        if cell.identity in ledger_lib.read_all(self._workdir):
          print('  another process has run it meanwhile')
          return
        reason = _failure_reason(
          lambda: self._record(cell, context, seconds_before)
        )
        if reason is not None:
          print(f'  FAILED: {errors.printable(reason)}', flush=True)
          self._fail(cell.key, reason)
      finally:
        # A process that still waits for this lock finds the record.
        lock.unlink(missing_ok=True)

  def _record(
    self, cell: Cell, context: RunContext, seconds_before: float
  ) -> None:
    """Runs a cell and writes its record."""
    started = time.monotonic()
    result = folds.run(cell, context)
    # No result is recorded of a read that is not in the log, whatever the
    # setting calls.
    context.before_test()
    seconds = seconds_before + time.monotonic() - started
    finished = record.build(cell, self._config, result, seconds)
    if not devices.is_leader():
      return
    if self._config.tensorboard:
      record.write_events(finished, self._workdir)
    self._ledger.add(finished, result.predictions, result.head)
    self._failures_file.discard(cell.key)
    if cell.setting.trains:
      for part in folds.cells(cell):
        directory = settings.search_directory(part, self._workdir)
        shutil.rmtree(directory, ignore_errors=True)
    _report_cell(cell, finished)


def _report_cell(cell: Cell, finished: record.Record) -> None:
  """Prints what a cell reached, and what is notable about it."""
  print(record.describe_result(finished))
  summary = cell.setting.summarize(finished)
  for line in summary.lines:
    print(f'  {line}')
  for warning in summary.warnings:
    logging.warning('%s', warning)
  skipped = finished['skipped']
  if skipped:
    count = counted(len(skipped), 'corrupt image')
    print(f'  {count} left out: {", ".join(skipped[:5])}')


def _failure_reason(function: Callable[[], None]) -> str | None:
  """Calls a function; returns why it failed, None if it did not.

  Raises:
    CannotWrite: nothing can be written, so nothing else can be run.
    Preempted: the job is told to end.
  """
  try:
    function()
  except (errors.Preempted, errors.CannotWrite):
    raise
  except errors.InputError as error:
    return str(error)
  # Whatever it is (memory that ran out, a bug), it is a failure of this cell.
  except Exception as error:  # noqa: BLE001
    logging.exception('unexpected error:')
    return f'{type(error).__name__}: {error}'
  return None


def _unique(values: Iterable[T]) -> list[T]:
  """Returns each value once, in order."""
  return list(dict.fromkeys(values))


class _StudyProgress:
  """Says how far a study is, and how long the rest may take."""

  def __init__(self, estimates: Mapping[str, float]):
    self._left = dict(estimates)
    self._count = len(estimates)
    self._estimated_done = 0.0  # seconds that finished cells were to take
    self._started = time.monotonic()

  def heading(self) -> str:
    """Returns '[3/12, about 20 min left]'."""
    number = self._count - len(self._left) + 1
    left = sum(self._left.values())
    if self._estimated_done:
      left *= (time.monotonic() - self._started) / self._estimated_done
    left_text = units.duration(left)
    return f'[{number}/{self._count}, about {left_text} left]'

  def advance(self, cell: Cell) -> None:
    """Notes that a cell is finished, or left to another process."""
    self._estimated_done += self._left.pop(cell.identity)
