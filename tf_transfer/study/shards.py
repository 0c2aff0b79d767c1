"""Assigns the cells of a study to machines that share its workdir.

`--config.part=3/16` runs the third of sixteen shards of a study. Assignments
are written to the workdir, so that no two shards run the same cell, even if one
starts later and finds other networks or datasets.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence

from tf_transfer import errors
from tf_transfer.runtime import files
from tf_transfer.transfer.setting import Cell


@dataclasses.dataclass(frozen=True)
class Shard:
  """One of several shards of a study, which run beside each other.

  Attributes:
    number: which one, from 1.
    count: number of shards.
  """

  number: int
  count: int

  @classmethod
  def from_config(cls, part: str) -> 'Shard | None':
    """Parses `config.part`.

    Args:
      part: '3/16' for the third of sixteen; '' for the whole study.

    Returns:
      The shard; None for the whole study.

    Raises:
      InputError: it is neither.
    """
    if not part:
      return None
    number, _, count = part.partition('/')
    if not (number.isdecimal() and count.isdecimal()) or not (
      1 <= int(number) <= int(count)
    ):
      raise errors.InputError(
        f"config.part: expected '3/16' for the third of sixteen, found {part!r}"
      )
    return cls(int(number), int(count))

  def __str__(self) -> str:
    return f'{self.number}-of-{self.count}'


def path_of(
  workdir: pathlib.Path, stem: str, shard: Shard | None
) -> pathlib.Path:
  """Returns STEM.jsonl of a study, or STEM.3-of-16.jsonl of a shard."""
  return workdir / (f'{stem}.{shard}.jsonl' if shard else f'{stem}.jsonl')


def find_shards(workdir: pathlib.Path) -> list[Shard]:
  """Returns the shards that have written a ledger in a workdir."""
  shards = []
  for path in sorted(workdir.glob('results.*-of-*.jsonl')):
    number, _, count = path.name.split('.')[1].partition('-of-')
    shards.append(Shard(int(number), int(count)))
  return shards


def select_cells(
  cells: Sequence[Cell],
  costs: Mapping[str, float],
  workdir: pathlib.Path,
  shard: Shard | None,
) -> list[Cell]:
  """Returns the cells that a shard runs; all cells without a shard.

  Args:
    cells: of the study.
    costs: operations of each cell, by identity.
    workdir: which the shards share.
    shard: whose cells are wanted.

  Raises:
    InputError: the workdir cannot be written, or the file with the assignments
      is damaged.
  """
  if shard is None:
    return list(cells)
  path = workdir / f'parts.{shard.count}.json'
  with files.locked(workdir / '.parts.lock'):
    assigned = _read_assignments(path)
    new = [cell for cell in cells if cell.identity not in assigned]
    if new:
      assigned |= _assign_shards(new, costs, shard.count)
      with files.atomic_write(path) as file:
        file.write(json.dumps(assigned).encode())
  return [cell for cell in cells if assigned[cell.identity] == shard.number]


def _read_assignments(path: pathlib.Path) -> dict[str, int]:
  """Reads the number of each cell's shard, by the cell's identity."""
  try:
    return json.loads(path.read_bytes())
  except FileNotFoundError:
    return {}
  except ValueError as error:
    raise errors.InputError(
      f'{path} is damaged ({error}): end all parts, remove it, and start again'
    ) from error


def _assign_shards(
  cells: Sequence[Cell], costs: Mapping[str, float], count: int
) -> dict[str, int]:
  """Assigns cells to shards, the costliest first, to the one with the least.

  All cells that share the features of a network on a dataset get one shard.

  Returns:
    The number of each cell's shard, by the cell's identity.
  """
  groups: dict[tuple[str, str, str], list[Cell]] = {}
  for cell in cells:
    own = cell.identity if cell.setting.trains else ''
    groups.setdefault((cell.label, cell.dataset.name, own), []).append(cell)
  group_costs = {
    name: sum(costs[cell.identity] for cell in group)
    for name, group in groups.items()
  }
  assigned, loads = {}, [0.0] * count
  for name in sorted(groups, key=lambda name: (-group_costs[name], name)):
    least = min(range(count), key=lambda number: loads[number])
    loads[least] += group_costs[name]
    for cell in groups[name]:
      assigned[cell.identity] = least + 1
  return assigned
