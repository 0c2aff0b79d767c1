"""Signals: said at once, no file half-written, training ends by itself."""

import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

from tf_transfer.runtime import termination

ROOT = pathlib.Path(__file__).parents[2]


class Job:
  """A program that prints 'ready' and goes on until it is told to end."""

  def __init__(self, body):
    script = (
      'import pathlib, sys, time\n'
      'from tf_transfer.runtime import files, termination\n'
      'def ready():\n'
      "  print('ready', flush=True)\n"
      'with termination.handled():\n'
    ) + ''.join(f'  {line}\n' for line in body.splitlines())
    self._process = subprocess.Popen(
      [sys.executable, '-c', script],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      cwd=ROOT,
    )
    assert self._process.stdout.readline() == 'ready\n'

  def signal(self, number):
    self._process.send_signal(number)

  def stderr_line(self):
    return self._process.stderr.readline()

  def end(self, text=''):
    """Returns the exit code, and the rest of stderr."""
    try:
      _, stderr = self._process.communicate(text, timeout=20)
    finally:
      self._process.kill()
    return self._process.returncode, stderr


@pytest.mark.parametrize(
  ('number', 'code'), [(signal.SIGTERM, 75), (signal.SIGINT, 130)]
)
def test_a_computation_that_holds_the_main_thread(number, code):
  """The main thread never gets to Python's handlers here."""
  job = Job(
    "import hashlib\nready()\nhashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"
  )
  job.signal(number)
  assert job.end() == (
    code,
    f'{number.name} received: stopped; what is finished is kept, and the same '
    'command goes on from it\n',
  )


def test_a_file_is_written_to_its_end(tmp_path):
  path = tmp_path / 'file'
  job = Job(
    f'with files.atomic_write({str(path)!r}) as file:\n'
    "  file.write(b'half')\n"
    '  ready()\n'
    '  sys.stdin.readline()\n'
    "  file.write(b' and half')\n"
    f'pathlib.Path({str(tmp_path / "next")!r}).touch()\n'
    f'with files.atomic_write({str(tmp_path / "other")!r}) as file:\n'
    "  file.write(b'never')\n"
    'time.sleep(60)\n'
  )
  job.signal(signal.SIGTERM)
  assert 'stopping once a file is written' in job.stderr_line()
  assert job.end('\n')[0] == 75
  assert path.read_bytes() == b'half and half'
  assert set(os.listdir(tmp_path)) <= {'file', 'next'}


def test_a_second_signal_ends_at_once(tmp_path):
  job = Job(
    f'with files.atomic_write({str(tmp_path / "file")!r}) as file:\n'
    '  ready()\n'
    '  time.sleep(60)\n'
  )
  job.signal(signal.SIGTERM)
  job.stderr_line()
  job.signal(signal.SIGTERM)
  code, stderr = job.end()
  assert (code, stderr) == (75, 'a second signal: stopped at once\n')


def test_a_block_that_ends_by_itself():
  job = Job(
    "with termination.deferred('this step') as should_end:\n"
    '  should_end()\n'
    '  time.sleep(1.2)\n'
    '  should_end()\n'
    '  ready()\n'
    '  while not should_end():\n'
    '    time.sleep(0.01)\n'
    '  sys.stdin.readline()\n'
    '  sys.exit(7)\n'
  )
  job.signal(signal.SIGTERM)
  assert 'SIGTERM received: stopping after this step, in up to 2 s' in (
    job.stderr_line()
  )
  assert job.end('\n') == (7, '')


def test_a_block_that_ends_without_having_asked():
  job = Job(
    "with termination.deferred('this step'):\n"
    '  ready()\n'
    '  sys.stdin.readline()\n'
    'sys.exit(7)\n'
  )
  job.signal(signal.SIGTERM)
  job.stderr_line()
  assert job.end('\n')[0] == 75


def test_a_signal_that_the_parent_ignores():
  """As SIGINT of a job in the background of a shell."""
  previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
  try:
    job = Job('ready()\nsys.stdin.readline()\nsys.exit(7)')
  finally:
    signal.signal(signal.SIGINT, previous)
  job.signal(signal.SIGINT)
  assert job.end('\n') == (7, '')


def test_handlers_are_given_back():
  before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
  with termination.handled():
    assert signal.getsignal(signal.SIGTERM) is not before[0]
    assert not termination.is_ending()
  after = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
  assert after == before


def test_sigterm_in_a_program_that_is_not_ours():
  with termination.deferred('this step') as should_end:
    assert not should_end()
    os.kill(os.getpid(), signal.SIGTERM)
    assert should_end()


def test_training_in_a_thread_of_a_program_that_is_not_ours():
  answers = []

  def train():
    with termination.deferred('this step') as should_end:
      answers.append(should_end())

  thread = threading.Thread(target=train)
  thread.start()
  thread.join()
  assert answers == [False]
