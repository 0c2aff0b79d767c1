"""Runs the job of configs/merge.py: several ledgers become one."""

import pathlib

import ml_collections

from tf_transfer import config_fields, errors
from tf_transfer.runtime import files
from tf_transfer.runtime.units import counted
from tf_transfer.study import failures as failures_lib
from tf_transfer.study import ledger as ledger_lib
from tf_transfer.study import merge, shards


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Merges the ledgers of other workdirs into that of a workdir.

  Args:
    config: of the job, as `configs/merge.py` documents.
    workdir: whose ledger the others are added to; created if it is missing.

  Raises:
    InputError: a source has no ledger; or results differ, after all that
      agrees was merged.
  """
  config_fields.check_job(config, 'merge')
  sources = [
    files.local_path(source, 'config.sources') for source in config.sources
  ]
  for source in sources:
    if not shards.has_ledger(source):
      raise errors.InputError(
        f'config.sources: no results.jsonl in {source}; expected the workdir '
        'of a study'
      )
  prefer = (
    config.prefer and files.local_path(config.prefer, 'config.prefer').resolve()
  )
  if prefer and prefer not in [source.resolve() for source in sources]:
    raise errors.InputError(
      f'config.prefer: {config.prefer} is none of config.sources'
    )
  workdir = files.make_directory(workdir)
  conflicts = [(c, False) for c in merge.absorb_shards(workdir)]
  into = ledger_lib.Ledger(workdir)
  for source in sources:
    for shard in (None, *shards.find_shards(source)):
      replace = source.resolve() == prefer
      ledger = ledger_lib.Ledger(source, shard)
      count, new_conflicts = merge.merge(ledger, into, replace=replace)
      conflicts += [(conflict, replace) for conflict in new_conflicts]
      if ledger.path.exists():
        were = 'was' if count == 1 else 'were'
        print(f'{ledger.path}: {counted(count, "record")} {were} new')
      merge.merge_failures([failures_lib.Failures(source, shard)], into)
  print(f'{into.path}: {counted(len(into.read()), "record")}')
  for conflict, replaced in conflicts:
    merge.print_conflict(conflict, replaced=replaced)
  merge.raise_conflicts(
    [conflict for conflict, replaced in conflicts if not replaced]
  )
