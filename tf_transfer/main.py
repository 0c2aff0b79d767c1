"""Runs the job that a config names.

python -m tf_transfer.main --config=configs/quickstart.py --workdir=DIR

Each file in configs/ opens with its command and what to expect of it; any of
its fields can be set as --config.FIELD=VALUE.
"""

import importlib
import logging as python_logging
import pathlib
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from tf_transfer import errors

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The config, as configs/quickstart.py.', lock_config=True
)
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Where everything is written.', required=True
)

# Modules, imported only when their job runs: --help waits for none of them.
_JOBS = {'study': 'tf_transfer.study.runs'}


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {" ".join(argv[1:])}')
  python_logging.getLogger('jax').setLevel(python_logging.WARNING)
  logging.set_verbosity(logging.WARNING)
  config = _CONFIG.value
  try:
    if config.job not in _JOBS:
      raise errors.unknown_name('job', config.job, _JOBS)
    job = importlib.import_module(_JOBS[config.job])
    job.run(config, pathlib.Path(_WORKDIR.value).expanduser())
  except errors.InputError as error:
    sys.exit(f'error: {error}')
  except KeyboardInterrupt:
    print('\nstopped; the same command goes on from here', file=sys.stderr)
    sys.exit(130)


if __name__ == '__main__':
  flags.mark_flag_as_required('config')
  app.run(main)
