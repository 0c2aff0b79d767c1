"""Ledgers into one, by the identity of their records.

Those of the parts of a study in its workdir, and those of other workdirs with
their predictions. Where two hold different results of one cell, both are
shown and none is taken, unless the config says whose.
"""

import collections
import dataclasses
import pathlib
import shutil
from collections.abc import Collection, Sequence

import ml_collections

from tf_transfer import errors
from tf_transfer.runtime import files
from tf_transfer.study import failures as failures_lib
from tf_transfer.study import ledger as ledger_lib
from tf_transfer.study.analysis import accuracy_table


@dataclasses.dataclass(frozen=True)
class Conflict:
  """Two records of one identity with different results.

  Attributes:
    kept: what the ledger held; it stays there.
    path: of that ledger.
    other: what was to be merged.
    source: the ledger that it is in.
  """

  kept: ledger_lib.Record
  path: pathlib.Path
  other: ledger_lib.Record
  source: pathlib.Path

  def __str__(self) -> str:
    unlike = '; '.join(ledger_lib.differences(self.kept, self.other))
    return (
      f'{ledger_lib.described(self.kept)}: {unlike}\n'
      f'    first  {self.path}{_circumstances(self.kept)}\n'
      f'    second {self.source}{_circumstances(self.other)}'
    )


def _circumstances(record: ledger_lib.Record) -> str:
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
  """Puts into a ledger what another has beyond it.

  Args:
    source: is only read.
    into: another, with the predictions of its own workdir.
    replace: whether the source is right where results differ.

  Returns:
    How many records were new, and where the two differ.

  Raises:
    InputError: predictions are missing, or something cannot be written.
  """
  there = into.read()
  new, conflicts = {}, []
  for name, record in source.read().items():
    if name not in there:
      new[name] = record
    elif ledger_lib.differences(there[name], record):
      conflicts.append(Conflict(there[name], into.path, record, source.path))
      if replace:
        new[name] = record
  if source.workdir.resolve() != into.workdir.resolve():
    for record in new.values():
      _copy_predictions(record, source.workdir, into.workdir)
  if new:
    into.put(new)
  return len(new), conflicts


def _copy_predictions(
  record: ledger_lib.Record, source: pathlib.Path, into: pathlib.Path
) -> None:
  files.make_directory((into / record['predictions']).parent)
  try:
    with (
      open(source / record['predictions'], 'rb') as given,
      files.atomic_write(into / record['predictions']) as file,
    ):
      shutil.copyfileobj(given, file)
  except FileNotFoundError as error:
    raise errors.InputError(
      f'{source / record["predictions"]} is missing, the predictions of '
      f'{ledger_lib.described(record)}: remove its line from the ledger there, '
      'or find the file'
    ) from error


def absorb_parts(workdir: pathlib.Path) -> list[Conflict]:
  """Merges the ledgers and failures of a study's parts into its own.

  The parts' files stay: some may still be running.

  Returns:
    Where parts have different results of one cell; what came first is kept.
  """
  into, conflicts = ledger_lib.Ledger(workdir), []
  found = ledger_lib.parts(workdir)
  for part in found:
    _, unlike = merge(ledger_lib.Ledger(workdir, part), into)
    conflicts += unlike
  if found:
    _merge_failures(
      [failures_lib.Failures(workdir, part) for part in found], into
    )
  return conflicts


def _done(records: Collection[ledger_lib.Record]) -> set[failures_lib.Key]:
  """What plans may have called the cells that have a record.

  A plan calls a network by its name alone where it has no other of this name,
  whatever others there are in the ledger. That name is done with once the cell
  is there of all of them: which was meant is not known.
  """
  cells = {
    (r['network'], r['weights_sha256'], r['dataset'], r['setting'])
    for r in records
  }
  weights = collections.defaultdict(set)
  for name, sha256, _, _ in cells:
    weights[name].add(sha256)
  done = set()
  for name, sha256, *where in cells:
    done.add((accuracy_table.label_among_others(name, sha256), *where))
    if all((name, other, *where) in cells for other in weights[name]):
      done.add((name, *where))
  return done


def _merge_failures(
  sources: Sequence[failures_lib.Failures], into: ledger_lib.Ledger
) -> None:
  """Takes over failures of cells that have no record."""
  own = failures_lib.Failures(into.workdir)
  done = _done(into.read().values())
  latest = {failures_lib.key(f): f for f in own.read()}
  for failure in (f for source in sources for f in source.read()):
    name = failures_lib.key(failure)
    if name not in latest or latest[name]['time'] < failure['time']:
      latest[name] = failure
  own.keep(set())
  own.put([f for name, f in latest.items() if name not in done])


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Merges ledgers into that of the workdir.

  Args:
    config: of the job, as `configs/merge.py` documents.
    workdir: whose ledger takes the others in; made if need be.

  Raises:
    InputError: a source has no ledger; or results differ, after all that
      agrees was merged.
  """
  sources = [pathlib.Path(source).expanduser() for source in config.sources]
  for source in sources:
    if not any(source.glob('results*.jsonl')):
      raise errors.InputError(
        f'config.sources: no results.jsonl in {source}; expected the workdir '
        'of a study'
      )
  prefer = config.prefer and pathlib.Path(config.prefer).expanduser().resolve()
  if prefer and prefer not in [source.resolve() for source in sources]:
    raise errors.InputError(
      f'config.prefer: {config.prefer} is none of config.sources'
    )
  workdir = files.make_directory(workdir)
  conflicts = [(c, False) for c in absorb_parts(workdir)]
  into = ledger_lib.Ledger(workdir)
  for source in sources:
    for part in (None, *ledger_lib.parts(source)):
      replace = source.resolve() == prefer
      book = ledger_lib.Ledger(source, part)
      count, unlike = merge(book, into, replace=replace)
      conflicts += [(conflict, replace) for conflict in unlike]
      if book.path.exists():
        print(f'{book.path}: {count} records were new')
      _merge_failures([failures_lib.Failures(source, part)], into)
  print(f'{into.path}: {len(into.read())} records')
  for conflict, replaced in conflicts:
    tell(conflict, replaced=replaced)
  refuse([conflict for conflict, replaced in conflicts if not replaced])


def tell(conflict: Conflict, *, replaced: bool = False) -> None:
  """Prints a conflict, and which of the two is in the ledger now."""
  taken = 'second' if replaced else 'first, which was there'
  print(f'  conflict: {conflict}\n    taken: the {taken}', flush=True)


def refuse(conflicts: Sequence[Conflict]) -> None:
  """Makes conflicts that nobody has settled an error.

  Raises:
    InputError: there are some.
  """
  if conflicts:
    raise errors.InputError(
      f'{len(conflicts)} cells have different results in different ledgers, '
      'see above; all others are merged. Remove the line of the wrong one, or '
      'have configs/merge.py --config.prefer=DIR say whose is right'
    )
