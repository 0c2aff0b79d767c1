"""Runs the programs in processes of their own, without their start.

  python -m tests.faults.server

imports once what the programs import, and then forks a process for each
request, which is a line of JSON at stdin. So a case takes tenths of a second,
and the exit code, both streams and the peak memory are those of a process that
a user starts. Each answer is a line of JSON at stdout.

Of the networks' table the child also has `tiny` and `tinier`, whose programs
compile within a second.
"""

import dataclasses
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time
import traceback
from typing import Any, Self

# What the programs are started with.
_ENVIRONMENT = {
  # One device, as most users have.
  'XLA_FLAGS': '',
  # Without it a program on Linux restarts itself once.
  'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=0',
}
_KILLING = ('fsync', 'replace')


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What a program did.

  Attributes:
    code: exit code; negative: the signal that ended it; None: it was killed
      because it had not ended in time.
    output: what it wrote to stdout and stderr.
    peak_bytes: the most memory that it had.
    seconds: that it took.
  """

  code: int | None
  output: str
  peak_bytes: int
  seconds: float


class Server:
  """Starts the server, and passes it requests."""

  def __init__(self, directory: pathlib.Path):
    """Starts the server.

    Args:
      directory: for the output of the programs.
    """
    self._directory = directory
    self._count = 0
    self._process = subprocess.Popen(
      [sys.executable, '-m', 'tests.faults.server'],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
      cwd=pathlib.Path(__file__).parents[2],
      env={**os.environ, **_ENVIRONMENT},
    )

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *_: object) -> None:
    self._process.stdin.close()
    self._process.stdout.close()
    self._process.wait()

  def run(
    self,
    arguments: list[str],
    *,
    program: str = 'main',
    cwd: pathlib.Path | None = None,
    env: dict[str, str] | None = None,
    kill_at: int = 0,
    terminate_after: float = 0.0,
    limits: dict[str, int] | None = None,
    seconds: float = 120.0,
  ) -> Outcome:
    """Runs a program.

    Args:
      arguments: of the command line.
      program: 'main' or 'convert'.
      cwd: the directory that it is started in.
      env: variables that are set.
      kill_at: kills itself before the n-th time that a file is flushed to disk
        or renamed; 0: never.
      terminate_after: seconds after which it is sent SIGTERM, from when it has
        a handler for it; 0: never.
      limits: of resources, by the name in `resource`.
      seconds: after which it is killed.
    """
    self._count += 1
    output = self._directory / f'{self._count}.txt'
    request = {
      'arguments': [os.fspath(argument) for argument in arguments],
      'program': program,
      'cwd': os.fspath(cwd or self._directory),
      'env': env or {},
      'kill_at': kill_at,
      'terminate_after': terminate_after,
      'limits': limits or {},
      'seconds': seconds,
      'output': os.fspath(output),
    }
    self._process.stdin.write(json.dumps(request) + '\n')
    self._process.stdin.flush()
    answer = self._process.stdout.readline()
    if not answer:
      raise RuntimeError('the server has ended')
    text = output.read_bytes().decode(errors='backslashreplace')
    return Outcome(output=text, **json.loads(answer))


def _import_programs() -> None:
  """Imports what all programs need; starts no thread and no device."""
  import matplotlib as mpl

  mpl.use('agg')
  import matplotlib.pyplot as plt  # noqa: F401

  from tests.study import tiny
  from tf_transfer import (
    config_files,
    convert_weights,  # noqa: F401
    networks,
  )
  from tf_transfer.convert_weights import __main__ as convert  # noqa: F401
  from tf_transfer.jobs import (
    leaks,  # noqa: F401
    merge,  # noqa: F401
    pretrain,  # noqa: F401
    report,  # noqa: F401
    study,  # noqa: F401
  )

  networks.TABLE.update(tiny=tiny.ROW, tinier=tiny.ROW)
  config_files.package_configs()


def _kill_at(number: int) -> None:
  """Has this process killed before a file is flushed or renamed."""
  count = [0]

  def counted(function: Any) -> Any:
    def call(*arguments: Any, **options: Any) -> Any:
      count[0] += 1
      if count[0] == number:
        os.kill(os.getpid(), signal.SIGKILL)
      return function(*arguments, **options)

    return call

  for name in _KILLING:
    setattr(os, name, counted(getattr(os, name)))


def _run_child(request: dict[str, Any]) -> int:
  """Runs a program in the child; returns the exit code."""
  output = os.open(
    request['output'], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644
  )
  os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
  os.dup2(output, 1)
  os.dup2(output, 2)
  os.chdir(request['cwd'])
  os.environ.update(request['env'])
  for name, value in request['limits'].items():
    resource.setrlimit(getattr(resource, name), (value, value))
  if request['kill_at']:
    _kill_at(request['kill_at'])
  from tf_transfer import main
  from tf_transfer.convert_weights import __main__ as convert

  program = {'main': main, 'convert': convert}[request['program']]
  sys.argv = [program.__file__, *request['arguments']]
  try:
    program.run()
  except SystemExit as error:
    if isinstance(error.code, str):
      print(error.code, file=sys.stderr)
      return 1
    return error.code or 0
  return 0


def _takes_sigterm(pid: int) -> bool:
  """Returns whether a process on Linux has a handler of SIGTERM.

  While Python starts there is none, and a busy machine takes its time for that.
  """
  status = pathlib.Path(f'/proc/{pid}/status').read_text()
  caught = int(status.partition('SigCgt:')[2].split()[0], 16)
  return bool(caught >> (signal.SIGTERM - 1) & 1)


def _serve_one(request: dict[str, Any]) -> dict[str, Any]:
  """Forks a child for a request, and waits for it."""
  started = time.monotonic()
  pid = os.fork()
  if not pid:
    code = 1
    try:
      code = _run_child(request)
    except BaseException:  # noqa: BLE001 As the interpreter would.
      traceback.print_exc()
    finally:
      sys.stdout.flush()
      sys.stderr.flush()
      os._exit(code)
  terminated = not request['terminate_after']
  taken_since, late = None, False
  while True:
    done, status, usage = os.wait4(pid, os.WNOHANG)
    if done:
      break
    seconds = time.monotonic() - started
    if not terminated and taken_since is None and _takes_sigterm(pid):
      taken_since = seconds
    if (
      not terminated
      and taken_since is not None
      and seconds - taken_since > request['terminate_after']
    ):
      os.kill(pid, signal.SIGTERM)
      terminated = True
    if seconds > request['seconds'] and not late:
      os.kill(pid, signal.SIGKILL)
      late = True
    time.sleep(0.01)
  return {
    'code': None if late else os.waitstatus_to_exitcode(status),
    'peak_bytes': usage.ru_maxrss * 1024,
    'seconds': time.monotonic() - started,
  }


def _serve() -> None:
  """Answers requests until stdin is closed."""
  # What libraries print must not mix with the answers.
  answers = os.fdopen(os.dup(1), 'w')
  os.dup2(2, 1)
  _import_programs()
  for line in sys.stdin:
    print(json.dumps(_serve_one(json.loads(line))), file=answers, flush=True)


if __name__ == '__main__':
  _serve()
