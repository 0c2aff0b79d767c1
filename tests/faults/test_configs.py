"""Configs with values of a wrong type or range, and files with errors."""

import pathlib

import pytest

from tests.faults import programs

pytestmark = pytest.mark.slow

# Field of a study -> bad values of it, as on the command line.
_FIELDS = {
  'image_size': ('1', '-8', '100000'),
  'networks': ('()', "('no_such',)", "('tiny','tiny')"),
  'datasets': ('()', "('no_such',)", "('folder:nowhere',)"),
  'settings': ('()', "('no_such',)"),
  'leave_out': ("('a',)", "(('a','b'),)"),
  'part': ('0/3', '4/3', '1/0', 'x', '-1/3', '1/1000000000'),
  'weights_dir': ('gs://bucket/weights',),
  'data.dir': ('s3://bucket/data',),
  'data.corrupt': ('ignore', '1'),
  'data.split_seed': ('1e30', 'x'),
  'data.val_fraction': ('0', '1', '-0.1', 'nan', '1e9'),
  'data.test_fraction': ('0', '1', 'inf'),
  'data.examples_per_class': ('-1', '100000000'),
  'features.batch_size': ('0', '-1', '1000000000'),
  'features.cache_gib': ('-1', 'nan'),
  'features.cache_dir': ('gs://bucket/features',),
  'features.resize': ('stretch',),
  'features.layer': ('no_such_layer',),
  'features.pyramid': ('()', '(0,)', '(1,1000000)'),
  'logistic_regression.num_penalties': ('0', '-3', '1000000000'),
  'logistic_regression.penalty_min': ('0', '-1', 'nan', '1e9'),
  'logistic_regression.penalty_max': ('inf', '1e-9'),
  'logistic_regression.tolerance': ('0', '-1', 'nan', '2'),
  'logistic_regression.refit_tolerance': ('0', 'nan'),
  'logistic_regression.max_evaluations': ('0', '-5'),
}
_TRAINED_FIELDS = {
  'steps': ('-1', '1000000000000'),
  'batch_size': ('0', '1000000000'),
  'min_epochs': ('-1', '1000000000'),
  'num_learning_rates': ('0', '100000000'),
  'learning_rate_min': ('0', 'nan', '-1', '5'),
  'learning_rate_max': ('inf', '1e-9'),
  'num_weight_decays': ('0', '100000000'),
  'weight_decay_min': ('-1', 'nan'),
  'search': ('random',),
  'halving_first': ('0', '2', 'nan'),
  'halving_keep': ('0', '1', '1.5'),
  'evaluate_every': ('-1',),
  'label_smoothing': ('1', '-0.1', 'nan'),
  'dropout': ('1', '-0.1', 'nan'),
  'ema_decay': ('1', '-0.1', 'nan'),
  'precision': ('float8',),
  'gradient_accumulation_steps': ('0', '3', '1000000'),
  'concurrent_trials': ('-1', '1000000000'),
  'checkpoint_every': ('0', '-1'),
  'image_cache_gib': ('nan', '-1'),
  'log_every': ('0', '-1'),
  'profile_steps': ('-1',),
  'seed': ('-1',),
}


def _pairs(fields: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
  """Returns each field with each of its values."""
  return [(field, value) for field in fields for value in fields[field]]


@pytest.mark.parametrize(('field', 'value'), _pairs(_FIELDS))
def test_study(program, copy, field, value):
  copy('photos', 'weights')
  outcome = program.study(f'--config.{field}={value}', seconds=60)
  programs.judge_refused(outcome, _last(field))
  assert outcome.peak_bytes < 1.5 * 2**30
  assert not program.records()


@pytest.mark.parametrize(('field', 'value'), _pairs(_TRAINED_FIELDS))
def test_training(program, copy, field, value):
  copy('photos', 'weights')
  outcome = program.study(
    f'--config.fine_tuned.{field}={value}', setting='fine_tuned', seconds=60
  )
  programs.judge_refused(outcome, _last(field))
  assert outcome.peak_bytes < 1.5 * 2**30
  assert not program.records()


def _last(field: str) -> str:
  """Returns the last name of a field's path, which a message must have."""
  return f'{field.rpartition(".")[2]}|no_such|nowhere'


@pytest.mark.parametrize(
  'argument',
  [
    '--config.features.batch_size=many',
    '--config.features.batch_size=1e3',
    '--config.features.batch_size=',
    '--config.tensorboard=perhaps',
    '--config.data.val_fraction=a_fifth',
    '--config.features.pyramid=(1,2',
    '--config.features.pyramid=x',
    '--config.no_such_field=1',
    '--config.features.no_such_field=1',
    '--config.features=1',
    '--no_such_flag=1',
  ],
)
def test_words_that_are_no_values(program, copy, argument):
  copy('photos', 'weights')
  outcome = program.study(argument)
  assert outcome.code == 1 or 'Usage' in outcome.output, outcome.output
  assert 'Traceback' not in outcome.output
  assert len(outcome.output.splitlines()) <= 6, outcome.output
  assert not program.records()


_FILES = {
  'syntax': ('import ml_collections\ndef get_config(:\n', 'line 2'),
  'exception': ('def get_config():\n  return 1 / 0\n', 'line 2.*Zero'),
  'exception_at_import': ('x = 1\ny = x.z\n', 'line 2.*z'),
  'missing_import': ('import no_such_module\n', 'line 1.*no_such_module'),
  'no_job': (
    'import ml_collections\n'
    'def get_config():\n'
    '  return ml_collections.ConfigDict()\n',
    'job',
  ),
  'unknown_job': (
    'import ml_collections\n'
    'def get_config():\n'
    "  return ml_collections.ConfigDict({'job': 'stduy'})\n",
    'stduy.*study',
  ),
  'job_number': (
    'import ml_collections\n'
    'def get_config():\n'
    "  return ml_collections.ConfigDict({'job': 3})\n",
    'job',
  ),
  'no_get_config': ('x = 1\n', 'get_config'),
  'not_a_config': ('def get_config():\n  return {}\n', 'ConfigDict'),
  'no_fields': (
    'import ml_collections\n'
    'def get_config():\n'
    "  return ml_collections.ConfigDict({'job': 'study'})\n",
    'field|missing',
  ),
  'unknown_field': (
    'from tf_transfer.configs import base\n'
    'def get_config():\n'
    '  config = base.get_config()\n'
    '  config.fine_tuned.stps = 3\n'
    '  return config\n',
    'stps.*steps',
  ),
  'empty': ('', 'get_config'),
}


@pytest.mark.parametrize('fault', _FILES)
def test_files(program, tmp_path, fault):
  text, message = _FILES[fault]
  (tmp_path / 'mine.py').write_text(text)
  outcome = program.run('--config=mine.py', '--workdir=runs')
  programs.judge_refused(outcome, rf'mine\.py.*{message}|{message}.*')


def test_file_that_is_no_text(program, tmp_path):
  (tmp_path / 'mine.py').write_bytes(b'\xff\xfe\x00x = 1')
  outcome = program.run('--config=mine.py', '--workdir=runs')
  programs.judge_refused(outcome, r'mine\.py')


@pytest.mark.parametrize(
  'argument',
  [
    'few_examples:tiny,digits',
    'few_examples:tiny,digits,many',
    'few_examples:tiny,digits,-3',
    'accuracy_vs_examples:tiny',
    'accuracy_vs_steps:tiny,digits,3',
    'curves:tiny',
    'three_settings:tiny',
    'three_settings:tiny,digits,3',
    'fine_tuned:,',
    'logistic_regression:tiny',
    'pretrain:tiny,C9',
    'pretrain:tiny',
    'leaks:x',
    'regularizers:x,y,z,z,z',
    'no_such_config',
    '/nowhere/mine.py',
  ],
)
def test_arguments(program, argument):
  outcome = program.run(f'--config={argument}', '--workdir=runs')
  programs.judge_refused(outcome, 'expected|known')


def test_no_workdir(program):
  programs.judge_refused(program.run('--config=quickstart'), 'workdir')


@pytest.mark.parametrize('workdir', ['gs://bucket/run', 's3://bucket', 'file'])
def test_workdirs(program, copy, workdir):
  root: pathlib.Path = copy('photos', 'weights')
  (root / 'file').write_text('')
  outcome = program.study(workdir=workdir)
  programs.judge_refused(outcome, workdir)
  assert not (root / 'gs:').exists()
