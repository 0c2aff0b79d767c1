"""Runs the job that a config names.

python -m tf_transfer.main --config=configs/quickstart.py --workdir=DIR

Each file in configs/ opens with its command and what to expect of it; any of
its fields can be set as --config.FIELD=VALUE.
"""

import importlib
import logging as python_logging
import os
import pathlib
import re
import sys

import ml_collections
from absl import app, flags, logging
from ml_collections import config_flags

from tf_transfer import errors
from tf_transfer.runtime import memory

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The config, as configs/quickstart.py.', lock_config=True
)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Where everything is written.')

# Modules, imported only when their job runs: --help waits for none of them.
_JOBS = {
  'study': 'tf_transfer.jobs.study',
  'datasets': 'tf_transfer.jobs.datasets',
  'imagenet': 'tf_transfer.jobs.imagenet',
  'merge': 'tf_transfer.jobs.merge',
  'leaks': 'tf_transfer.jobs.leaks',
  'pretrain': 'tf_transfer.jobs.pretrain',
  'published': 'tf_transfer.jobs.published',
  'report': 'tf_transfer.jobs.report',
  'regularizers': 'tf_transfer.jobs.regularizers',
}
# Those that have nothing to write need no workdir.
_WITHOUT_WORKDIR = ('datasets',)


def _config() -> ml_collections.ConfigDict:
  """The config of --config, or an InputError where it names no file."""
  # What follows the colon is the argument of get_config.
  path = config_flags.get_config_filename(flags.FLAGS['config']).partition(':')[
    0
  ]
  if not pathlib.Path(path).is_file():
    there = sorted(str(p) for p in pathlib.Path('configs').glob('*.py'))
    raise errors.InputError(
      f'--config: no file {path}; here are {", ".join(there) or "none"}. '
      'Commands are run from the top of the checkout.'
    )
  return _CONFIG.value


def _workdir(job: str) -> pathlib.Path | None:
  if _WORKDIR.value:
    return pathlib.Path(_WORKDIR.value).expanduser()
  if job in _WITHOUT_WORKDIR:
    return None
  raise errors.InputError(
    '--workdir is missing: name the directory where everything is written'
  )


def _parse_flags(argv: list[str]) -> list[str]:
  """Parses the flags; a config field that is not there is one clear line."""
  try:
    return app.parse_flags_with_usage(argv)
  except errors.InputError as error:
    sys.exit(f'error: --config: {error}')
  except (AttributeError, KeyError) as error:
    # ml_collections' word on a field that a locked config lacks.
    names = re.search(r'Did you mean "(.*?)" instead of "(.*?)"', str(error))
    reason = (
      f'{names[2]!r}: did you mean {names[1]!r}?' if names else str(error)
    )
    sys.exit(
      f'error: --config has no field {reason} The fields are listed, with '
      'what they mean, in configs/logistic_regression.py.'
    )
  except OSError as error:
    sys.exit(f'error: --config: {" ".join(str(error).split())}')


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {" ".join(argv[1:])}')
  python_logging.getLogger('jax').setLevel(python_logging.WARNING)
  logging.set_verbosity(logging.WARNING)
  try:
    config = _config()
    if config.job not in _JOBS:
      raise errors.unknown_name('job', config.job, _JOBS)
    workdir = _workdir(config.job)
    importlib.import_module(_JOBS[config.job]).run(config, workdir)
  except errors.InputError as error:
    sys.exit(f'error: {error}')
  except errors.Preempted as preempted:
    print(
      f'\ntold to end; {preempted}. The same command goes on from here',
      file=sys.stderr,
    )
    sys.exit(os.EX_TEMPFAIL)
  except KeyboardInterrupt:
    print('\nstopped; the same command goes on from here', file=sys.stderr)
    sys.exit(130)


if __name__ == '__main__':
  memory.use_large_pages('tf_transfer.main')
  flags.mark_flag_as_required('config')
  app.run(main, flags_parser=_parse_flags)
