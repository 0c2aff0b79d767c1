"""The program as its users start it: kills, bad input, what it imports.

Where a process of its own proves nothing more, main runs in the test's.
"""

import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import types
from typing import NamedTuple

import pytest
from absl import logging
from absl.testing import flagsaver

from tests.networks import drawn
from tf_transfer import contract, errors, main, networks
from tf_transfer.networks import weights

ROOT = pathlib.Path(__file__).parents[1]
PROGRAM = (sys.executable, '-m', 'tf_transfer.main')


class Result(NamedTuple):
  returncode: int
  stdout: str
  stderr: str


def arguments(weights, workdir, *more, dataset='digits'):
  return [
    f'--config=logistic_regression:{weights},{dataset}',
    f'--workdir={workdir}',
    '--config.tensorboard=False',
    '--config.report=False',
    '--config.logistic_regression.num_penalties=5',
    *more,
  ]


def run_process(command, **options):
  return subprocess.run(
    command,
    capture_output=True,
    text=True,
    check=False,
    **{'cwd': ROOT, **options},
  )


@pytest.fixture(scope='module')
def tiny_weights(tmp_path_factory):
  """A weights file of the smallest network, with random values."""
  network = networks.build('inception_small')
  variables = drawn.variables(network, 32)
  scaling = contract.Contract(32, (127.5,) * 3, (127.5,) * 3)
  path = tmp_path_factory.mktemp('tiny') / 'tiny.safetensors'
  weights.save(path, weights.Header('inception_small', {}, scaling), variables)
  return path


@pytest.fixture
def replace_study(monkeypatch):
  """A function that puts another function in the place of the job study."""

  def replace(run):
    monkeypatch.setitem(main._JOBS, 'study', 'job_of_a_test')
    module = types.SimpleNamespace(run=run)
    monkeypatch.setitem(sys.modules, 'job_of_a_test', module)

  return replace


@pytest.fixture
def run(monkeypatch, capsys):
  """A function that runs main in this process with the given arguments."""

  def run_main(*argv):
    monkeypatch.setattr(sys, 'argv', ['main', *argv])
    verbosity = logging.get_verbosity()
    code = 0
    with flagsaver.flagsaver():
      try:
        main.main(main._parse_flags(sys.argv))
      except SystemExit as ended:
        code = ended.code
        if isinstance(code, str):  # As Python ends a process.
          print(code, file=sys.stderr)
          code = 1
      finally:
        logging.set_verbosity(verbosity)
    return Result(code, *capsys.readouterr())

  return run_main


def assert_one_clear_line(result, *words):
  assert result.returncode == 1
  assert 'Traceback' not in result.stderr
  last = result.stderr.strip().splitlines()[-1]
  assert last.startswith('error: '), result.stderr
  for word in words:
    assert word in last


def comparable(workdir):
  """Records without what may differ between two runs of the same."""
  records = []
  for line in (workdir / 'results.jsonl').read_text().splitlines():
    record = json.loads(line)
    for key in ('seconds', 'finished'):
      del record[key]
    records.append(record)
  return records


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path, tiny_weights, run):
  """SIGKILL and SIGTERM: the same records, and nothing left behind."""
  undisturbed = tmp_path / 'undisturbed'
  # The second time nothing is compiled: that is how long the work takes.
  for workdir in (tmp_path / 'first', undisturbed):
    started = time.monotonic()
    result = run(*arguments(tiny_weights, workdir))
    assert result.returncode == 0, result.stderr
  duration = time.monotonic() - started

  killed = tmp_path / 'killed'
  moments = random.Random(0)
  for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
    process = subprocess.Popen(
      [*PROGRAM, *arguments(tiny_weights, killed)],
      cwd=ROOT,
      env={**os.environ, 'PYTHONUNBUFFERED': '1'},
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    process.stdout.readline()  # The imports are done and the work begins.
    with contextlib.suppress(subprocess.TimeoutExpired):
      process.wait(moments.uniform(0.0, 1.0) * duration)
    process.send_signal(number)
    _, stderr = process.communicate()
    if process.returncode:  # It may have ended before.
      is_killed = number == signal.SIGKILL
      assert process.returncode == (-9 if is_killed else os.EX_TEMPFAIL)
      assert is_killed or 'SIGTERM received: stopped' in stderr
  result = run(*arguments(tiny_weights, killed))
  assert result.returncode == 0, result.stderr
  assert comparable(killed) == comparable(undisturbed)
  (record,) = comparable(killed)
  first, second = (d / record['predictions'] for d in (killed, undisturbed))
  assert first.read_bytes() == second.read_bytes()
  left = {p.relative_to(killed) for p in killed.rglob('*')}
  assert left == {p.relative_to(undisturbed) for p in undisturbed.rglob('*')}


@pytest.mark.slow
def test_surroundings_that_are_hostile(tmp_path, tiny_weights):
  """Nobody reads, nothing but ASCII, no home, and each warning an error."""
  workdir = tmp_path / 'Käfer'
  (workdir / 'predictions').mkdir(parents=True)
  leftover = workdir / 'predictions' / '.a.npz.abcd1234.partial'
  leftover.write_text('half')
  environment = {
    **os.environ,
    'HOME': '~',
    'LC_ALL': 'C',
    'PYTHONCOERCECLOCALE': '0',
    'PYTHONIOENCODING': 'ascii',
    'PYTHONUTF8': '0',
    'PYTHONWARNINGS': 'error',
    'TMPDIR': str(tmp_path / 'none'),
  }
  process = subprocess.Popen(
    [*PROGRAM, *arguments(tiny_weights, workdir)],
    cwd=ROOT,
    env=environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  process.stdout.close()
  stderr = process.stderr.read()
  process.stderr.close()
  assert process.wait() == os.EX_IOERR, stderr
  assert 'warning: stdout cannot be written (Broken pipe)' in stderr
  assert 'Traceback' not in stderr
  # No prefix of a log, no noise of C++: each line is ours.
  assert all(x.startswith('warning: ') for x in stderr.splitlines()), stderr
  assert len(comparable(workdir)) == 1
  assert not leftover.exists()


@pytest.mark.parametrize('gib', [0.5, 1, 2])
def test_memory_in_which_xla_would_abort(tmp_path, tiny_weights, gib):
  shell = f'ulimit -v {int(gib * 2**20)} && exec "$@"'
  command = ['sh', '-c', shell, 'sh', *PROGRAM]
  result = run_process([*command, *arguments(tiny_weights, tmp_path)])
  assert_one_clear_line(result, f'limited to {gib} GiB (ulimit -v)')
  assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_platform_without_a_device(tmp_path, tiny_weights):
  result = run_process(
    [*PROGRAM, *arguments(tiny_weights, tmp_path)],
    env={**os.environ, 'JAX_PLATFORMS': 'cuda'},
  )
  assert_one_clear_line(result, 'JAX_PLATFORMS=cuda', 'unset JAX_PLATFORMS')
  assert len(result.stderr.splitlines()) == 1


def test_disk_that_is_full(tmp_path, tiny_weights, run):
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
  result = run_process(
    [
      *(sys.executable, '-c', limited),
      *(*PROGRAM, *arguments(tiny_weights, workdir)),
    ],
    env=environment,
  )
  assert_one_clear_line(result, 'cannot write', '.shard', 'File too large')
  left = [p for p in workdir.rglob('*') if p.is_file()]
  # The cache's own; nothing of the shard that did not fit.
  assert {p.name for p in left} == {'key.json', 'lock', 'in_use'}
  # With room again, the same command finishes.
  result = run(*arguments(tiny_weights, workdir))
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
  result = run_process([sys.executable, '-c', code])
  assert '--workdir' in result.stdout
  assert 'imported []' in result.stdout


def test_tensorflow_stays_out_where_nothing_needs_it(tmp_path, tiny_weights):
  code = (
    'import sys\n'
    'from tf_transfer import main\n'
    'sys.argv[0] = "main"\n'
    'main.main(main._parse_flags(sys.argv))\n'
    "print('imported', 'tensorflow' in sys.modules)\n"
  )
  result = run_process(
    [sys.executable, '-c', code, *arguments(tiny_weights, tmp_path)]
  )
  assert 'imported False' in result.stdout, result.stderr


def test_from_any_folder(tmp_path):
  """A config is found by name where there is no folder configs/."""
  result = run_process([*PROGRAM, '--config=quickstart'], cwd=tmp_path)
  assert_one_clear_line(result, '--workdir is missing')
  assert not list(tmp_path.iterdir())


def test_console_command(tmp_path):
  """What the script `tf-transfer` does: it imports this function."""
  code = (
    'import sys\n'
    "sys.argv[0] = '/bin/tf-transfer'\n"
    'from tf_transfer.main import run\n'
    'run()\n'
  )
  command = [sys.executable, '-c', code]
  result = run_process([*command, '--config=quickstrt'], cwd=tmp_path)
  assert_one_clear_line(result, 'did you mean quickstart?')
  text = run_process([*command, '--help'], cwd=tmp_path).stdout
  assert main.__doc__.strip().splitlines()[-1] in text
  assert '--workdir' in text
  assert '--config:' in text


@pytest.mark.parametrize(
  ('more', 'words'),
  [
    (
      ['--config.featurs.batch_size=3'],
      ["'featurs.batch_size'", 'mean features.batch_size'],
    ),
    (['--config.data.corupt=skip'], ["'data.corupt'", 'mean data.corrupt?']),
    (['--config.xyzzy=3'], ['xyzzy', 'configs/base.py']),
  ],
)
def test_config_field_that_does_not_exist(run, tmp_path, more, words):
  result = run(*arguments('efficientnet_lite0', tmp_path / 'work', *more))
  assert_one_clear_line(result, 'no field', *words)
  assert not (tmp_path / 'work').exists()


def test_all_ways_to_set_a_field(run, replace_study, tmp_path):
  """Those of absl and ml_collections work on a config found by name."""
  configs = []
  replace_study(lambda config, workdir: configs.append(config.to_dict()))
  flags_file = tmp_path / 'flags'
  flags_file.write_text('--config.fine_tuned.steps=9\n')
  result = run(
    *('-config', 'smoke', '--workdir', str(tmp_path)),
    *('--noconfig.tensorboard', '--config.only_plan'),
    *('-config.data.dir', 'images', '--config.features.pyramid=(1, 2)'),
    '--config.features.layer=stage3',
    *("--config.networks=('a', 'b')", f'--flagfile={flags_file}'),
  )
  assert result.returncode == 0, result.stderr
  (config,) = configs
  assert config['tensorboard'] is False
  assert config['only_plan'] is True
  assert config['data']['dir'] == 'images'
  assert config['features']['pyramid'] == (1, 2)
  assert config['networks'] == ('a', 'b')
  assert config['fine_tuned']['steps'] == 9
  assert config['random_init']['steps'] == 10  # Of the preset.


def test_a_study_needs_a_workdir(run):
  """The doctor does not: see its own tests."""
  result = run('--config=configs/quickstart.py')
  assert_one_clear_line(result, '--workdir is missing')


def test_config_file_that_does_not_exist(run, tmp_path):
  result = run('--config=configs/quikstart.py', f'--workdir={tmp_path}/work')
  assert_one_clear_line(
    result, 'no file configs/quikstart.py', 'did you mean quickstart?'
  )


def test_job_that_does_not_exist(run, tmp_path):
  result = run('--config=study', '--config.job=stdy')
  assert_one_clear_line(result, "unknown job 'stdy': did you mean study?")
  result = run('--config=study', '--config.job=settings_study')
  assert_one_clear_line(result, 'is now named regularizers')


@pytest.mark.parametrize('job', ['3', 'None', '("study",)', '{"a": 1}'])
def test_job_that_is_no_name(run, tmp_path, job):
  path = tmp_path / 'mine.py'
  path.write_text(
    'import ml_collections\n'
    f'def get_config():\n  return ml_collections.ConfigDict({{"job": {job}}})\n'
  )
  result = run(f'--config={path}', f'--workdir={tmp_path}/work')
  assert_one_clear_line(
    result, 'config.job: expected one of study, choose, curves, datasets'
  )
  assert len(result.stderr.splitlines()) == 1


def test_without_a_config(tmp_path):
  result = run_process(PROGRAM, cwd=tmp_path)
  assert_one_clear_line(result, '--config is missing', '--config=quickstart')
  assert len(result.stderr.splitlines()) == 1


def test_arguments_that_are_no_flags(run, tmp_path):
  result = run('--config=study', f'--workdir={tmp_path}/work', 'word')
  assert_one_clear_line(result, 'unexpected arguments: word')


def test_weights_file_cut_short(tmp_path, small_weights, run):
  path = tmp_path / 'cut.safetensors'
  path.write_bytes(small_weights.read_bytes()[:-1000])
  result = run(*arguments(path, tmp_path / 'work'))
  assert_one_clear_line(result, str(path), 'cut short')
  assert not (tmp_path / 'work').exists()


def test_weights_of_another_network_under_a_name(tmp_path, small_weights, run):
  directory = tmp_path / 'weights'
  directory.mkdir()
  path = directory / 'efficientnet_lite1.safetensors'
  path.write_bytes(small_weights.read_bytes())
  result = run(
    *arguments(
      'efficientnet_lite1',
      tmp_path / 'work',
      f'--config.weights_dir={directory}',
    )
  )
  assert_one_clear_line(
    result, str(path), 'efficientnet_lite0', 'not of efficientnet_lite1'
  )


def test_folder_with_one_class(tmp_path, small_weights, run):
  from PIL import Image

  (tmp_path / 'images' / 'only').mkdir(parents=True)
  Image.new('RGB', (9, 9)).save(tmp_path / 'images' / 'only' / 'a.png')
  folder = f'folder:{tmp_path / "images"}'
  result = run(*arguments(small_weights, tmp_path / 'work', dataset=folder))
  assert_one_clear_line(result, str(tmp_path / 'images'), 'class')


def test_ci_runs_the_line_of_the_readme():
  readme = (ROOT / 'README.md').read_text()
  (line,) = [x for x in readme.splitlines() if 'pytest' in x and '.venv' in x]
  assert line.strip() in (ROOT / '.ci' / 'run').read_text().splitlines()


def test_exit_code_after_sigterm(run, replace_study, tmp_path):
  def preempted(config, workdir):
    raise errors.Preempted('5 of 40 steps')

  replace_study(preempted)
  result = run('--config=quickstart', f'--workdir={tmp_path}')
  assert result.returncode == 75
  assert '5 of 40 steps' in result.stderr


def test_what_killed_jobs_left_is_swept(tmp_path):
  kept = tmp_path / 'predictions' / 'a.npz'
  for name in ('', 'predictions', 'weights', 'pretrained'):
    (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / name / '.results.jsonl.x1y2z3_4.partial').write_text('half')
  kept.write_text('')
  main._sweep(tmp_path)
  assert [p for p in tmp_path.rglob('*') if p.is_file()] == [kept]
  main._sweep(tmp_path / 'none')
  assert not (tmp_path / 'none').exists()
