"""Surroundings in which a program cannot work as usual."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.faults import programs

pytestmark = pytest.mark.slow

_MIB = 2**20


@pytest.mark.parametrize(
  ('argument', 'message'),
  [
    ({'JAX_PLATFORMS': 'cuda'}, 'JAX_PLATFORMS'),
    ({'JAX_PLATFORMS': 'no_such'}, 'JAX_PLATFORMS'),
    ({'JAX_COORDINATOR_ADDRESS': 'x:1'}, 'JAX_NUM_PROCESSES'),
  ],
)
def test_variables(good, tmp_path, argument, message):
  outcome = _start(good, tmp_path, env=argument)
  assert outcome.returncode == 1
  _judge_line(outcome.stderr, message)


def _arguments(good: pathlib.Path) -> list[str]:
  return [
    f'--config=base:{good}/weights/tiny.safetensors,folder:{good}/photos',
    '--workdir=runs',
    '--config.logistic_regression.num_penalties=2',
    '--config.tensorboard=False',
    '--config.report=False',
  ]


# The tests' network is in no table of a program that is started by itself.
_PROGRAM = """
from tests.study import tiny
from tf_transfer import main, networks
networks.TABLE.update(tiny=tiny.ROW, tinier=tiny.ROW)
main.run()
"""


def _start(
  good: pathlib.Path,
  cwd: pathlib.Path,
  *more: str,
  before: str = '',
  after: str = '',
  env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess:
  """Starts the program by itself, through a shell."""
  (cwd / 'program.py').write_text(_PROGRAM)
  words = [*_arguments(good), *more]
  quoted = ' '.join(f"'{word}'" for word in words)
  root = pathlib.Path(__file__).parents[2]
  return subprocess.run(
    ['bash', '-c', f'{before} {sys.executable} program.py {quoted} {after}'],
    cwd=cwd,
    env={**os.environ, 'PYTHONPATH': str(root), **(env or {})},
    capture_output=True,
    text=True,
    errors='backslashreplace',
    timeout=120,
    check=False,
  )


def _judge_line(text: str, message: str) -> None:
  assert 'Traceback' not in text, text
  assert message in text, text
  assert len(text.splitlines()) <= 6, text


def test_stdout_full(good, tmp_path):
  outcome = _start(good, tmp_path, after='> /dev/full')
  assert outcome.returncode
  _judge_line(outcome.stderr, 'No space left')


def test_stdout_closed_by_its_reader(good, tmp_path):
  outcome = _start(good, tmp_path, after='| head -c 10 > /dev/null')
  assert 'Traceback' not in outcome.stderr, outcome.stderr


def test_stdout_closed_at_the_start(good, tmp_path):
  outcome = _start(good, tmp_path, after='>&-')
  assert 'Traceback' not in outcome.stderr, outcome.stderr


def test_ascii(good, tmp_path):
  outcome = _start(
    good,
    tmp_path,
    env={'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONIOENCODING': 'ascii'},
  )
  assert outcome.returncode == 0, outcome.stderr
  assert 'Traceback' not in outcome.stderr


def test_warnings_are_errors(good, tmp_path):
  outcome = _start(good, tmp_path, env={'PYTHONWARNINGS': 'error'})
  assert outcome.returncode == 0, outcome.stderr


def test_unknown_user_without_home(good, tmp_path):
  os.chmod(tmp_path, 0o777)
  outcome = _start(
    good,
    tmp_path,
    env={'HOME': '', 'MPLCONFIGDIR': str(tmp_path), 'USER': '', 'LOGNAME': ''},
  )
  assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize('gib', [0.5, 1.0])
def test_little_memory(tmp_path, gib):
  command = f'{sys.executable} -m tf_transfer.main --config=base --workdir=runs'
  outcome = subprocess.run(
    ['bash', '-c', f'ulimit -v {int(gib * 1024 * 1024)}; exec {command}'],
    cwd=tmp_path,
    capture_output=True,
    text=True,
    timeout=60,
    check=False,
  )
  assert outcome.returncode == 1, (outcome.returncode, outcome.stderr)
  _judge_line(outcome.stderr, 'error: memory is limited')


def test_memory_that_hardly_suffices(good, tmp_path):
  outcome = _start(good, tmp_path, before='ulimit -v 2097152; exec')
  assert outcome.returncode in (0, 1), outcome.stderr
  assert 'Traceback' not in outcome.stderr, outcome.stderr
  again = _start(good, tmp_path)
  assert again.returncode == 0, again.stderr
  expected = (good / 'runs' / 'results.jsonl').read_text()
  assert '"value": 1.0' in expected
  assert '"value": 1.0' in (tmp_path / 'runs' / 'results.jsonl').read_text()


def test_files_that_may_not_grow(program, copy):
  copy('photos', 'weights')
  outcome = program.study(
    setting='fine_tuned', limits={'RLIMIT_FSIZE': 1000}, seconds=60
  )
  programs.judge_refused(outcome, 'cannot write|too large')


def test_few_open_files(program, copy):
  copy('photos', 'weights')
  outcome = program.study(limits={'RLIMIT_NOFILE': 12}, seconds=60)
  assert outcome.code == 1
  assert 'Traceback' not in outcome.output, outcome.output


def test_workdir_is_a_file(program, copy):
  root = copy('photos', 'weights')
  (root / 'runs').write_text('')
  programs.judge_refused(program.study(), 'runs')


@pytest.mark.parametrize('after', [0.05, 0.3, 0.8, 1.5, 2.5])
@pytest.mark.parametrize('setting', ['logistic_regression', 'fine_tuned'])
def test_sigterm(program, copy, setting, after):
  copy('photos', 'weights')
  outcome = program.study(setting=setting, terminate_after=after, seconds=60)
  assert 'Traceback' not in outcome.output, outcome.output
  if outcome.code == 0:
    return  # It had ended before.
  assert outcome.code == 75, outcome.output
  assert 'SIGTERM' in outcome.output
  again = program.study(setting=setting)
  assert again.code == 0, again.output
  assert len(program.records()) == 1


@pytest.mark.parametrize('job', ['report', 'merge:runs', 'published'])
def test_sigterm_in_other_jobs(program, copy, job):
  copy('runs')
  more = ['--config.ledger=runs'] if job == 'report' else []
  outcome = program.run(
    f'--config={job}', '--workdir=out', *more, terminate_after=0.2, seconds=60
  )
  assert outcome.code in (0, 75), outcome.output
  assert 'Traceback' not in outcome.output
