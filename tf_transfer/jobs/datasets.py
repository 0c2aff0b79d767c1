"""Examines the paper's datasets and ImageNet: which are found, and complete.

On request it decodes every image, and writes or checks a manifest with the
SHA-256 of every file.
"""

import os
import pathlib

import ml_collections

from tf_transfer import config_fields
from tf_transfer.datasets import doctor, manifest
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
  rows = doctor.select_rows(config.datasets)
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
  if examination.faulty:
    raise InputError(
      f'{", ".join(examination.faulty)}: there are problems, see above'
    )
