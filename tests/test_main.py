"""The program as its users start it: kills, bad input, what it imports."""

import importlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from tf_transfer import errors, main
from tf_transfer.configs import logistic_regression

ROOT = pathlib.Path(__file__).parents[1]
CONFIGS = sorted(path.stem for path in ROOT.glob('configs/*.py'))
CONFIG = '--config=configs/logistic_regression.py'


def arguments(weights, workdir, *more):
  return [
    *(sys.executable, '-m', 'tf_transfer.main'),
    f'{CONFIG}:{weights},digits',
    f'--workdir={workdir}',
    '--config.tensorboard=False',
    '--config.report=False',
    '--config.logistic_regression.num_penalties=5',
    *more,
  ]


def run(command, **options):
  return subprocess.run(
    command, capture_output=True, text=True, cwd=ROOT, check=False, **options
  )


def assert_one_clear_line(result, *words):
  assert result.returncode == 1
  assert 'Traceback' not in result.stderr
  last = result.stderr.strip().splitlines()[-1]
  assert last.startswith('error: '), result.stderr
  for word in words:
    assert word in last


def comparable(workdir):
  """Records without what may differ between two runs of the same."""
  found = []
  for line in (workdir / 'results.jsonl').read_text().splitlines():
    record = json.loads(line)
    for key in ('seconds', 'finished'):
      del record[key]
    found.append(record)
  return found


def test_killed_at_any_moment(tmp_path, small_weights):
  """SIGKILL again and again: the same records, and nothing left behind."""
  undisturbed = tmp_path / 'undisturbed'
  started = time.monotonic()
  result = run(arguments(small_weights, undisturbed))
  assert result.returncode == 0, result.stderr
  duration = time.monotonic() - started

  killed = tmp_path / 'killed'
  moments = random.Random(0)
  for _ in range(3):
    process = subprocess.Popen(
      arguments(small_weights, killed),
      cwd=ROOT,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    )
    time.sleep(moments.uniform(0.2, 1.0) * duration)
    process.send_signal(signal.SIGKILL)
    process.wait()
  result = run(arguments(small_weights, killed))
  assert result.returncode == 0, result.stderr
  assert comparable(killed) == comparable(undisturbed)
  (record,) = comparable(killed)
  first, second = (d / record['predictions'] for d in (killed, undisturbed))
  assert first.read_bytes() == second.read_bytes()
  shards = sorted(p.name for p in killed.glob('features/*/*.npz'))
  assert shards == sorted(p.name for p in undisturbed.glob('features/*/*.npz'))


def test_disk_that_is_full(tmp_path, small_weights):
  """No file may grow beyond 100 kB, as on a disk with that much left."""
  limited = (
    'import os, resource, sys\n'
    'resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n'
    'os.execv(sys.argv[1], sys.argv[1:])\n'
  )
  workdir = tmp_path / 'work'
  # JAX's own cache of programs is not what is under test.
  environment = {**os.environ}
  del environment['JAX_COMPILATION_CACHE_DIR']
  result = run(
    [sys.executable, '-c', limited, *arguments(small_weights, workdir)],
    env=environment,
  )
  assert_one_clear_line(result, 'cannot write', '.shard', 'File too large')
  left = [p for p in workdir.rglob('*') if p.is_file()]
  # The cache's own; nothing of the shard that did not fit.
  assert {p.name for p in left} == {'key.json', 'lock', 'in_use'}
  # With room again, the same command finishes.
  result = run(arguments(small_weights, workdir))
  assert result.returncode == 0, result.stderr
  assert len(comparable(workdir)) == 1


def test_help_waits_for_nothing():
  code = (
    'import sys, runpy\n'
    "sys.argv = ['main', '--help']\n"
    'try:\n'
    "  runpy.run_module('tf_transfer.main', run_name='__main__')\n"
    'except SystemExit:\n'
    '  pass\n'
    "heavy = {'jax', 'tensorflow', 'matplotlib', 'scipy'}\n"
    "print('imported', sorted(heavy & set(sys.modules)))\n"
  )
  result = run([sys.executable, '-c', code])
  assert '--workdir' in result.stdout
  assert 'imported []' in result.stdout


def test_tensorflow_stays_out_where_nothing_needs_it(tmp_path, small_weights):
  code = (
    'import sys, pathlib\n'
    'from configs import logistic_regression\n'
    'from tf_transfer.study import runs\n'
    f'config = logistic_regression.get_config({str(small_weights)!r})\n'
    'config.tensorboard = False\n'
    'config.logistic_regression.num_penalties = 2\n'
    f'runs.run(config, pathlib.Path({str(tmp_path)!r}))\n'
    "print('imported', 'tensorflow' in sys.modules)\n"
  )
  result = run([sys.executable, '-c', code])
  assert 'imported False' in result.stdout, result.stderr


@pytest.mark.parametrize(
  ('more', 'words'),
  [
    (['--config.featurs.batch_size=3'], ["'featurs'", "mean 'features'?"]),
    (['--config.data.corupt=skip'], ["'corupt'", "mean 'corrupt'?"]),
    (['--config.xyzzy=3'], ['xyzzy', 'configs/logistic_regression.py']),
  ],
)
def test_config_field_that_does_not_exist(tmp_path, more, words):
  result = run(arguments('efficientnet_lite0', tmp_path / 'work', *more))
  assert_one_clear_line(result, 'no field', *words)
  assert not (tmp_path / 'work').exists()


def test_a_study_needs_a_workdir():
  """The doctor does not: see its own tests."""
  command = [sys.executable, '-m', 'tf_transfer.main']
  result = run([*command, '--config=configs/quickstart.py'])
  assert_one_clear_line(result, '--workdir is missing')


@pytest.mark.parametrize(
  'path', sorted(ROOT.glob('configs/*.py')), ids=lambda p: p.stem
)
def test_every_config_names_a_job(path):
  config = importlib.import_module(f'configs.{path.stem}').get_config()
  assert callable(importlib.import_module(main._JOBS[config.job]).run)


def test_config_file_that_does_not_exist(tmp_path):
  command = [sys.executable, '-m', 'tf_transfer.main']
  command += ['--config=configs/quikstart.py', f'--workdir={tmp_path}/work']
  result = run(command)
  assert_one_clear_line(result, 'quikstart', 'configs/quickstart.py')


def test_weights_file_cut_short(tmp_path, small_weights):
  path = tmp_path / 'cut.safetensors'
  path.write_bytes(small_weights.read_bytes()[:-1000])
  result = run(arguments(path, tmp_path / 'work'))
  assert_one_clear_line(result, str(path), 'cut short')
  assert not (tmp_path / 'work').exists()


def test_weights_of_another_network_under_a_name(tmp_path, small_weights):
  directory = tmp_path / 'weights'
  directory.mkdir()
  path = directory / 'efficientnet_lite1.safetensors'
  path.write_bytes(small_weights.read_bytes())
  result = run(
    arguments(
      'efficientnet_lite1',
      tmp_path / 'work',
      f'--config.weights_dir={directory}',
    )
  )
  assert_one_clear_line(
    result, str(path), 'efficientnet_lite0', 'not of efficientnet_lite1'
  )


def test_folder_with_one_class(tmp_path, small_weights):
  from PIL import Image

  (tmp_path / 'images' / 'only').mkdir(parents=True)
  Image.new('RGB', (9, 9)).save(tmp_path / 'images' / 'only' / 'a.png')
  command = arguments(small_weights, tmp_path / 'work')
  command[3] = f'{CONFIG}:{small_weights},folder:{tmp_path / "images"}'
  result = run(command)
  assert_one_clear_line(result, str(tmp_path / 'images'), 'class')


def test_ci_runs_the_line_of_the_readme():
  readme = (ROOT / 'README.md').read_text()
  (line,) = [x for x in readme.splitlines() if 'pytest' in x and '.venv' in x]
  assert line.strip() in (ROOT / '.ci' / 'run').read_text().splitlines()


def test_exit_code_of_a_job_that_was_told_to_end(monkeypatch, tmp_path, capsys):
  def told(config, workdir):
    raise errors.Preempted('5 of 40 steps')

  monkeypatch.setattr(main.importlib, 'import_module', lambda _: main)
  monkeypatch.setattr(main, 'run', told, raising=False)
  monkeypatch.setattr(main, '_config', lambda: logistic_regression.get_config())
  monkeypatch.setattr(main, '_workdir', lambda job: tmp_path)
  with pytest.raises(SystemExit) as ended:
    main.main(['main'])
  assert ended.value.code == 75
  assert '5 of 40 steps' in capsys.readouterr().err
