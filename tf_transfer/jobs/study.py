"""Runs a study: its missing cells are run, and all are shown.

Config -> plan -> features, network by network, and what is fitted on them;
then what is trained -> a record for each cell in the ledger, or the reason why
there is none -> table, figures and report. A study remembers nothing but its
records: it can be killed at any moment, and the same command goes on.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from tf_transfer import config_fields, errors
from tf_transfer.runtime import devices
from tf_transfer.runtime.units import counted
from tf_transfer.study import attempts as attempts_lib
from tf_transfer.study import cells as cells_lib
from tf_transfer.study import check, cost_model, duration_check, merge, shards
from tf_transfer.study import conclude as conclude_lib
from tf_transfer.study import failures as failures_lib
from tf_transfer.study import ledger as ledger_lib
from tf_transfer.study import plan as plan_lib
from tf_transfer.study import runner as runner_lib
from tf_transfer.transfer import settings
from tf_transfer.transfer.setting import Cell


def run(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  attempts: attempts_lib.Attempts | None = None,
  *,
  concludes: bool = True,
) -> list[dict[str, Any]]:
  """Runs the missing cells of a study and shows all of them.

  Args:
    config: of the study, as `configs/base.py` documents.
    workdir: where everything is written.
    attempts: of a caller that goes on if a figure or page cannot be made; None:
      that is an error at the end.
    concludes: whether table, figures and report are made; a caller that runs
      several studies in one workdir makes its own.

  Returns:
    The records of the cells that this config plans, and of no others in the
    ledger. Empty in a process that is not the leader, which may be ahead of it.

  Raises:
    InputError: an input cannot be used, or cells failed, in which case all
      others were run, or a figure or page could not be made. What is finished
      stays finished.
  """
  config_fields.check_job(config, 'study')
  devices.connect()
  check.check_config(config)
  shard = shards.Shard.from_config(config.part)
  if any(settings.row(name).trains for name in config.settings):
    devices.enable_compilation_cache(workdir / 'compiled')
  cells, obstacles = cells_lib.list_cells(config, workdir)
  conflicts = _absorb_shards(workdir) if shard is None else []
  recorded = ledger_lib.read_all(workdir)
  ledger_lib.remove_stale_locks(workdir, recorded)
  costs = cost_model.cell_operations(cells, config) if shard else {}
  selected = shards.select_cells(cells, costs, workdir, shard)
  pending = [cell for cell in selected if cell.identity not in recorded]
  plan = plan_lib.make(cells, obstacles, pending, recorded, config)
  plan_lib.show(plan)
  if config.only_plan:
    return []
  check.check_export(config, selected, recorded, workdir)
  duration_check.check_cells(pending, sum(plan.estimates.values()), config)
  runner = runner_lib.Runner(config, workdir, shard, plan.estimates)
  runner.run(plan, pending)
  records, own_attempts = [], attempts or attempts_lib.Attempts()
  if devices.is_leader():
    records = _records_of(cells if shard is None else selected, workdir)
    if concludes:
      conclude_lib.conclude(records, config, workdir, own_attempts)
  _say_elsewhere(runner.num_elsewhere)
  failures_path = failures_lib.Failures(workdir, shard).path
  _raise_failures(runner.failures, failures_path)
  merge.raise_conflicts(conflicts)
  if attempts is None:
    own_attempts.raise_failures()
  return records


def _absorb_shards(workdir: pathlib.Path) -> list[merge.Conflict]:
  """Joins the parts in a workdir; prints and returns their conflicts."""
  if not devices.is_leader():
    return []
  conflicts = merge.absorb_shards(workdir)
  for conflict in conflicts:
    merge.print_conflict(conflict)
  return conflicts


def _records_of(
  cells: Sequence[Cell], workdir: pathlib.Path
) -> list[dict[str, Any]]:
  """Reads the records of cells, where there are any."""
  recorded = ledger_lib.read_all(workdir)
  return [
    recorded[cell.identity] for cell in cells if cell.identity in recorded
  ]


def _say_elsewhere(count: int) -> None:
  """Says how many cells other processes are running."""
  if count:
    are = 'is' if count == 1 else 'are'
    print(f'{counted(count, "cell")} {are} being run by other processes')


def _raise_failures(
  failures: Mapping[failures_lib.Key, str], path: pathlib.Path
) -> None:
  """Raises an InputError if cells failed."""
  if not failures:
    return
  reasons = failures_lib.render(failures)
  if len(set(failures.values())) > 1:
    verb = 'has' if len(failures) == 1 else 'have'
    print(f'\nfailed:\n{errors.printable(reasons)}', flush=True)
    raise errors.InputError(
      f'{counted(len(failures), "cell")} {verb} no record; the reasons are '
      f'above and in {path}'
    )
  raise errors.InputError(reasons.strip())
