"""Examines datasets: the paper's and ImageNet's files, and your folders.

It tells which of the paper's are found and complete, and reports what is in a
folder of images as jobs would split it.
On request it decodes every image, and writes or checks a manifest with the
SHA-256 of every file.
"""

import os
import pathlib
from collections.abc import Sequence

import ml_collections

from tf_transfer import config_fields, datasets, errors
from tf_transfer.datasets import doctor, folder_report, manifest, table
from tf_transfer.datasets.sources import official
from tf_transfer.errors import InputError
from tf_transfer.runtime import progress


def run(
  config: ml_collections.ConfigDict, workdir: pathlib.Path | None
) -> None:
  """Examines the datasets that a config names.

  Args:
    config: as configs/datasets.py documents.
    workdir: where to keep digests of images if the config does not say; None:
      nowhere.

  Raises:
    InputError: a dataset has a problem, or files differ from the manifest.
      All datasets are examined first.
  """
  config_fields.check_job(config, 'datasets')
  folders = [x for x in config.datasets if x.startswith(table.FOLDER.name)]
  names = [name for name in config.datasets if name not in folders]
  if folders and config.manifest:
    raise InputError(
      "config.manifest: it is of the files of the paper's datasets: leave "
      f'{errors.printable(folders[0])} out'
    )
  rows = doctor.select_rows(names) if names or not folders else []
  faulty = [name for name in folders if not _report(name, config, workdir)]
  if rows:
    faulty += _examine(rows, config, workdir)
  if faulty:
    raise InputError(f'{", ".join(faulty)}: there are problems, see above')


def _report(
  name: str, config: ml_collections.ConfigDict, workdir: pathlib.Path | None
) -> bool:
  """Reports on a folder; returns whether jobs can use it."""
  try:
    report = datasets.report_folder(
      name, config.data, workdir and workdir / 'digests'
    )
  except InputError as error:
    print(f'{errors.printable(name)}: PROBLEM: {error}')
    return False
  folder_report.show(report, workdir)
  return not report.stops


def _examine(
  rows: Sequence[table.Row],
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path | None,
) -> tuple[str, ...]:
  """Examines datasets with official splits; returns those with problems.

  Raises:
    InputError: files differ from the manifest.
  """
  options = official.Options(
    data_dir=config.data.dir or None,
    seed=config.data.split_seed,
    cache_dir=(
      os.path.expanduser(config.data.cache_dir)
      or (workdir and workdir / 'digests')
    ),
    prepare=config.data.prepare,
    cut_banner=config.data.cut_banner,
    progress=progress.bar,
  )
  examination = doctor.examine(
    rows, options, explain=bool(config.datasets), decode=config.decode
  )
  directories = examination.directories
  print(f'\n{len(directories)} of {len(rows)} found')
  if len(directories) < len(rows) and not config.datasets:
    print('how to get a missing one: --config=configs/datasets.py:NAME')
  if config.manifest:
    names = [row.name for row in rows]
    manifest.write_or_check(config.manifest, names, directories, progress.bar)
  return examination.faulty
