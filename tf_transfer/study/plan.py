"""Plans a study: which cells are done, to be run, or cannot be run."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import ml_collections

from tf_transfer.runtime import devices, units
from tf_transfer.runtime.units import counted
from tf_transfer.study import cells as cells_lib
from tf_transfer.study import cost_model, failures, names
from tf_transfer.study.report import text_table
from tf_transfer.transfer.setting import Cell


@dataclasses.dataclass(frozen=True)
class Plan:
  """All cells of a study.

  Attributes:
    cells: those that can be run, or are done.
    obstacles: those that cannot.
    recorded: identities of the cells that are done.
    estimates: seconds of the cells that are to be run here, by identity.
  """

  cells: tuple[Cell, ...]
  obstacles: tuple[cells_lib.Obstacle, ...]
  recorded: frozenset[str]
  estimates: Mapping[str, float]


def make(
  cells: Sequence[Cell],
  obstacles: Sequence[cells_lib.Obstacle],
  pending: Sequence[Cell],
  recorded: Collection[str],
  config: ml_collections.ConfigDict,
) -> Plan:
  """Makes the plan.

  Args:
    cells: all cells that can be run.
    obstacles: cells that cannot be run.
    pending: the cells to be run here.
    recorded: identities of the cells that are done.
    config: of the study.
  """
  return Plan(
    tuple(cells),
    tuple(obstacles),
    frozenset(recorded),
    cost_model.cell_seconds(pending, config),
  )


def render(plan: Plan) -> str:
  """Renders a table for each setting: networks × datasets."""
  entries = {obstacle.key: 'CANNOT' for obstacle in plan.obstacles}
  for cell in plan.cells:
    if cell.identity in plan.recorded:
      entries[cell.key] = 'done'
    elif cell.identity in plan.estimates:
      seconds = plan.estimates[cell.identity]
      entries[cell.key] = units.duration(seconds)
    else:
      entries[cell.key] = 'other part'
  tables = []
  for name in dict.fromkeys(key[2] for key in entries):
    keys = [key for key in entries if key[2] == name]
    columns = list(dict.fromkeys(key[1] for key in keys))
    headers = (name, *(names.display_name(column) for column in columns))
    rows = [
      (
        network,
        *(entries.get((network, column, name), '-') for column in columns),
      )
      for network in dict.fromkeys(key[0] for key in keys)
    ]
    tables.append(text_table.aligned(rows, headers))
  return '\n\n'.join(tables)


def summarize(plan: Plan) -> str:
  """Says in a line how many cells are done, to be run, and impossible."""
  done = sum(cell.identity in plan.recorded for cell in plan.cells)
  pending = len(plan.estimates)
  count = len(plan.cells) + len(plan.obstacles)
  text = (
    f'{counted(count, "cell")}: {done} found in the ledger, {pending} to run'
  )
  others = len(plan.cells) - done - pending
  if others:
    text += f' here and {others} in other parts'
  if plan.obstacles:
    text += f', {len(plan.obstacles)} cannot be run'
  text += f', on {devices.describe()}'
  if plan.estimates:
    total = units.duration(sum(plan.estimates.values()))
    text += f': about {total}, give or take a factor of three'
  return text


def show(plan: Plan) -> None:
  """Prints the plan, and why cells cannot be run."""
  print(f'\n{render(plan)}\n')
  print(summarize(plan), flush=True)
  if plan.obstacles:
    reasons = {obstacle.key: obstacle.reason for obstacle in plan.obstacles}
    print(f'cannot be run:\n{failures.render(reasons)}', flush=True)
