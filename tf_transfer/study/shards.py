"""Assigns the cells of a study to machines that share its workdir.

`--config.part=3/16` runs the third of sixteen shards of a study. Assignments
are written to the workdir, so that no two shards run the same cell, even if one
starts later and finds other networks or datasets.
"""

import dataclasses
import functools
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from absl import logging

from tf_transfer import errors
from tf_transfer.runtime import files, json_lines, schemas
from tf_transfer.study import record_types
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
    match = re.fullmatch(r'([0-9]{1,6})/([0-9]{1,6})', part)
    number, count = match.groups() if match else ('0', '0')
    if not 1 <= int(number) <= int(count):
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
  """Returns the shards that have written a ledger in a workdir.

  What is named like one and is none is left out with a warning.
  """
  shards = []
  for path in sorted(workdir.glob('results*-of-*')):
    shard = _shard_of(path.name)
    if shard is None:
      _warn_of_name(path)
    else:
      shards.append(shard)
  return shards


def has_ledger(workdir: pathlib.Path) -> bool:
  """Returns whether a study or a shard of one has written a ledger there."""
  return path_of(workdir, 'results', None).exists() or bool(
    find_shards(workdir)
  )


def _shard_of(name: str) -> Shard | None:
  """Returns the shard whose ledger has a name; None if it is no such name."""
  match = re.fullmatch(r'results\.([0-9]{1,6})-of-([0-9]{1,6})\.jsonl', name)
  if match is None:
    return None
  shard = Shard(int(match[1]), int(match[2]))
  is_shard = 1 <= shard.number <= shard.count
  # Without leading zeros, as they are written.
  return shard if is_shard and name == f'results.{shard}.jsonl' else None


@functools.cache
def _warn_of_name(path: pathlib.Path) -> None:
  """Logs once that a file is no ledger of a part."""
  logging.warning(
    '%s is ignored: ledgers of parts are named results.1-of-3.jsonl',
    errors.printable(str(path)),
  )


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
    assigned = _read_assignments(path, shard.count)
    new = [cell for cell in cells if cell.identity not in assigned]
    if new:
      assigned |= _assign_shards(new, costs, shard.count)
      with files.atomic_write(path) as file:
        file.write(json.dumps(assigned).encode())
  return [cell for cell in cells if assigned[cell.identity] == shard.number]


def _read_assignments(path: pathlib.Path, count: int) -> dict[str, int]:
  """Reads the number of each cell's shard, by the cell's identity.

  Args:
    path: of the file.
    count: number of shards.

  Raises:
    InputError: it is damaged.
  """
  number = Annotated[int, msgspec.Meta(ge=1, le=count)]
  data = json_lines.read_regular(path)
  if data is None:
    return {}
  try:
    return schemas.decode(
      data, dict[record_types.Identity, number], f'{path} is damaged'
    )
  except errors.InputError as error:
    raise errors.InputError(
      f'{error}: end all parts, remove it, and start again'
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
