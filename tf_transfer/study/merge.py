"""Merges ledgers by the identities of their records.

Shards of a study are merged within its workdir; other workdirs are merged with
their predictions. Where two ledgers have different results for one cell, both
are shown and the first is kept, unless the config says which one is right.
"""

import collections
import dataclasses
import pathlib
import shutil
from collections.abc import Collection, Sequence
from typing import Any

from tf_transfer import errors
from tf_transfer.runtime import files
from tf_transfer.runtime.units import counted
from tf_transfer.study import failures as failures_lib
from tf_transfer.study import heads, shards
from tf_transfer.study import ledger as ledger_lib
from tf_transfer.study import predictions as predictions_lib
from tf_transfer.study.analysis import accuracy_table
from tf_transfer.study.schema import Record


@dataclasses.dataclass(frozen=True)
class Conflict:
  """Two records of one identity with different results.

  Attributes:
    kept: the record that the ledger held, and keeps.
    path: the ledger's path.
    other: the record that was to be merged.
    source: the path of the ledger that it is in.
  """

  kept: Record
  path: pathlib.Path
  other: Record
  source: pathlib.Path

  def __str__(self) -> str:
    unequal = '; '.join(ledger_lib.differences(self.kept, self.other))
    return (
      f'{ledger_lib.describe(self.kept)}: {unequal}\n'
      f'    first  {self.path}{_circumstances(self.kept)}\n'
      f'    second {self.source}{_circumstances(self.other)}'
    )


def _circumstances(record: Record) -> str:
  """Says where and when a record was made."""
  return ''.join(
    f', {name} {record[name]}'
    for name in ('device', 'finished')
    if name in record
  )


def merge(
  source: ledger_lib.Ledger,
  into: ledger_lib.Ledger,
  *,
  replace: bool = False,
) -> tuple[int, list[Conflict]]:
  """Adds the records of one ledger to another.

  Args:
    source: the ledger to read.
    into: the ledger to add to, with the predictions in its workdir.
    replace: whether the source is right where results differ.

  Returns:
    The number of new records, and the conflicts.

  Raises:
    InputError: predictions are missing or of another cell, or something cannot
      be written.
  """
  present = into.read()
  new, conflicts = {}, []
  for name, record in source.read().items():
    if name not in present:
      new[name] = record
    elif ledger_lib.differences(present[name], record):
      conflicts.append(Conflict(present[name], into.path, record, source.path))
      if replace:
        new[name] = record
  if source.workdir.resolve() != into.workdir.resolve():
    new = {
      name: _copy_predictions(record, source.workdir, into.workdir)
      for name, record in new.items()
    }
  if new:
    into.put(new)
  return len(new), conflicts


def _copy_predictions(
  record: Record, source: pathlib.Path, into: pathlib.Path
) -> dict[str, Any]:
  """Copies the predictions and the head of a record to another workdir.

  Returns:
    The record, which names the file in the other workdir.

  Raises:
    InputError: they are missing or not the record's, or cannot be written.
  """
  predictions_lib.read(record, source)
  copied = {**record, 'predictions': f'predictions/{record["identity"]}.npz'}
  path = predictions_lib.path_of(copied, into)
  files.make_directory(path.parent)
  with (
    open(predictions_lib.path_of(record, source), 'rb') as source_file,
    files.atomic_write(path) as file,
  ):
    shutil.copyfileobj(source_file, file)
  if 'head' in record:
    head = heads.read(record, source)
    copied['head'] = heads.describe(record['identity'], head)
    heads.write(copied, into, head)
  return copied


def absorb_shards(workdir: pathlib.Path) -> list[Conflict]:
  """Merges the ledgers and failures of a study's shards into the study's own.

  The shards' files stay: some shards may still be running.

  Returns:
    Where shards have different results for one cell; the first is kept.
  """
  into, conflicts = ledger_lib.Ledger(workdir), []
  found_shards = shards.find_shards(workdir)
  for shard in found_shards:
    _, new_conflicts = merge(ledger_lib.Ledger(workdir, shard), into)
    conflicts += new_conflicts
  if found_shards:
    merge_failures(
      [failures_lib.Failures(workdir, shard) for shard in found_shards], into
    )
  return conflicts


def _finished(records: Collection[Record]) -> set[failures_lib.Key]:
  """Returns the names by which plans may have called cells with a record.

  A plan calls a network by its name alone where it has no other network of this
  name, whatever others the ledger has. A cell of that name is finished once all
  of those networks have a record there: which one was meant is not known.
  """
  cells = {
    (r['network'], r['weights_sha256'], r['dataset'], r['setting'])
    for r in records
  }
  weights = collections.defaultdict(set)
  for name, sha256, _, _ in cells:
    weights[name].add(sha256)
  tags = {
    (r['network'], r['weights_sha256']): r.get('weights_tag', '')
    for r in records
  }
  finished = set()
  for name, sha256, *rest in cells:
    for tag in ('', tags[name, sha256]):
      label = accuracy_table.label_among_others(name, sha256, tag)
      finished.add((label, *rest))
    if all((name, other, *rest) in cells for other in weights[name]):
      finished.add((name, *rest))
  return finished


def merge_failures(
  sources: Sequence[failures_lib.Failures], into: ledger_lib.Ledger
) -> None:
  """Adds the failures of cells that have no record to those of a ledger."""
  own = failures_lib.Failures(into.workdir)
  finished = _finished(into.read().values())
  latest = {failures_lib.key(f): f for f in own.read()}
  for failure in (f for source in sources for f in source.read()):
    name = failures_lib.key(failure)
    if name not in latest or latest[name]['time'] < failure['time']:
      latest[name] = failure
  own.keep(set())
  own.put([f for name, f in latest.items() if name not in finished])


def print_conflict(conflict: Conflict, *, replaced: bool = False) -> None:
  """Prints a conflict, and which of the two records the ledger has now."""
  kept = 'second' if replaced else 'first, which was there'
  print(f'  conflict: {conflict}\n    kept: the {kept}', flush=True)


def raise_conflicts(conflicts: Sequence[Conflict]) -> None:
  """Raises an InputError if conflicts are left that nobody has settled."""
  if conflicts:
    have = 'has' if len(conflicts) == 1 else 'have'
    raise errors.InputError(
      f'{counted(len(conflicts), "cell")} {have} different results in '
      'different ledgers, see above; all others are merged. Remove the line of '
      'the wrong one, or have configs/merge.py --config.prefer=DIR say whose '
      'is right'
    )
