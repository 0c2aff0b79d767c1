"""Runs the job that a config names.

python -m tf_transfer.main --config=quickstart --workdir=DIR

--config is the path of a config file that exists, or else the name of a config
of the package, from configs/ or configs/presets/; configs/NAME.py is such a
name too. What follows a colon is the config's argument, as in
--config=fine_tuned:NETWORK,DATASET. Each config begins with its command and
what to expect of it. --config.FIELD=VALUE sets any of its fields.
"""

import importlib
import pathlib
import sys
from typing import Any

import ml_collections
from absl import flags

try:
  from tf_transfer import config_fields, config_files, config_flags, errors
  from tf_transfer.runtime import files, program
except ImportError as error:  # This is no system that it runs on.
  sys.exit(f'error: {error}')

_CONFIG = config_flags.define(
  'config', 'The config: NAME or PATH.py, with :ARGUMENT where it takes one.'
)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Where everything is written.')

# Modules, imported only when their job runs: --help waits for none of them.
_JOBS = {
  'study': 'tf_transfer.jobs.study',
  'choose': 'tf_transfer.jobs.choose',
  'curves': 'tf_transfer.jobs.curves',
  'datasets': 'tf_transfer.jobs.datasets',
  'export': 'tf_transfer.jobs.export',
  'features': 'tf_transfer.jobs.features',
  'fine_tune_quick': 'tf_transfer.jobs.fine_tune_quick',
  'imagenet': 'tf_transfer.jobs.imagenet',
  'merge': 'tf_transfer.jobs.merge',
  'predict': 'tf_transfer.jobs.predict',
  'leaks': 'tf_transfer.jobs.leaks',
  'pretrain': 'tf_transfer.jobs.pretrain',
  'published': 'tf_transfer.jobs.published',
  'public_recipes': 'tf_transfer.jobs.public_recipes',
  'report': 'tf_transfer.jobs.report',
  'regularizers': 'tf_transfer.jobs.regularizers',
  'timm_results': 'tf_transfer.jobs.timm_results',
}
# Jobs that write nothing need no workdir.
_WITHOUT_WORKDIR = ('datasets',)


def _workdir(job: str) -> pathlib.Path | None:
  """Returns the directory of --workdir; None where a job needs none.

  Raises:
    InputError: the job needs a workdir and none is named.
  """
  if _WORKDIR.value:
    return files.local_path(_WORKDIR.value, '--workdir')
  if job in _WITHOUT_WORKDIR:
    return None
  raise errors.InputError(
    '--workdir is missing: name the directory where everything is written'
  )


def _sweep(workdir: pathlib.Path) -> None:
  """Removes half-written files that killed jobs have left in a workdir.

  Jobs write to the workdir (results, figures), below it (predictions, digests,
  weights), and one level deeper (feature caches, searches, pretrainings).
  """
  for directory in (workdir, *workdir.glob('*/'), *workdir.glob('*/*/')):
    files.sweep(directory)


def _parse_flags(argv: list[str]) -> list[str]:
  """Parses the flags; whatever is wrong with one ends in one clear line."""
  try:
    return config_flags.parse(argv)
  except errors.InputError as error:
    sys.exit(f'error: {errors.printable(str(error))}')


def _module_of(job: Any) -> str:
  """Returns the module that runs a job.

  Raises:
    InputError: there is no such job.
  """
  if not isinstance(job, str):
    raise config_fields.wrong('config.job', f'one of {", ".join(_JOBS)}', job)
  if job in config_files.RENAMED_CONFIGS:
    raise errors.InputError(
      f'config.job: {job} is now named {config_files.RENAMED_CONFIGS[job]}'
    )
  if job not in _JOBS:
    raise errors.unknown_name('job', job, _JOBS)
  return _JOBS[job]


def main(argv: list[str]) -> None:
  """Runs the job; exits with 1 for bad input, 75 after SIGTERM."""
  if len(argv) > 1:
    sys.exit(
      f'error: unexpected arguments: {errors.printable(" ".join(argv[1:]))}; '
      'expected flags alone, such as --config.FIELD=VALUE'
    )
  with program.one_line_errors():
    config: ml_collections.ConfigDict = _CONFIG.value
    module = _module_of(config.get('job'))
    config_fields.check_job(config, config.job)
    workdir = _workdir(config.job)
    program.check_limits()
    if workdir is not None:
      _sweep(workdir)
    importlib.import_module(module).run(config, workdir)


def run() -> None:
  """Runs the program from the command line."""
  program.restart('tf_transfer.main', 'tf-transfer')
  flags.mark_flag_as_required('config')
  # --help prints the help of the main module and its flags. Where the console
  # command imports this module, it is not the main one.
  sys.modules['__main__'].__doc__ = __doc__
  for flag in (_CONFIG, _WORKDIR):
    flags.FLAGS.register_key_flag_for_module(
      sys.argv[0], flags.FLAGS[flag.name]
    )
  program.run(main, flags_parser=_parse_flags)


if __name__ == '__main__':
  run()
