"""Times candidates that take turns, each in a process of its own.

Whatever else the machine does falls on all of them alike, no library's threads
or memory disturb another's, and each may have its own environment.
"""

import dataclasses
import multiprocessing
import os
import statistics
import time
import types
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any
from unittest import mock

# Prepares a candidate: returns what is timed, or None where it cannot run.
Prepare = Callable[..., Callable[[], object] | None]


@dataclasses.dataclass
class PendingCall:
  """Is returned by a call that leaves a device at work.

  The next call starts before this one ends, as in a training loop.

  Attributes:
    wait: returns when the work is done.
    seconds_waited: seconds of the call in which it waited for data.
  """

  wait: Callable[[], object]
  seconds_waited: float = 0.0


@dataclasses.dataclass
class Timing:
  """Holds the times of a candidate.

  Attributes:
    first: seconds of its first call, compiling included.
    seconds: the mean seconds of a call in each turn.
    waited: the mean seconds of a call that it waited for data, in each turn.
  """

  first: float
  seconds: list[float] = dataclasses.field(default_factory=list)
  waited: list[float] = dataclasses.field(default_factory=list)

  @property
  def median(self) -> float:
    """The median seconds of a call over the turns."""
    return statistics.median(self.seconds)

  @property
  def compiling(self) -> float:
    """Seconds that the first call took beyond a later one."""
    return max(0.0, self.first - self.median)


def time_candidates(
  candidates: Mapping[str, tuple[Prepare, tuple[Any, ...]]],
  turns: int,
  turn_seconds: float,
  environments: Mapping[str, Mapping[str, str]] = types.MappingProxyType({}),
) -> dict[str, Timing]:
  """Times candidates against each other.

  Args:
    candidates: for each name a function of a module, and its arguments; both
      are sent to the candidate's process.
    turns: how often each has its turn.
    turn_seconds: how long a turn lasts at least, in calls of the candidate.
    environments: by name of a candidate, variables that its process is started
      with, beside those of this process.

  Returns:
    The times of the candidates that can run. One that fails, as where memory
    is short, says why on the standard error and is left out.
  """
  workers, timings = {}, {}
  try:
    for name, (prepare, arguments) in candidates.items():
      workers[name] = _start(prepare, arguments, environments.get(name, {}))
      # One after the other: two that compile at once need twice the memory.
      first = _receive(workers[name][1])
      if first is not None:
        timings[name] = Timing(first)
    num_calls = dict.fromkeys(timings, 1)
    for turn in range(-1, turns):  # The first only tells how many calls fit.
      for name in list(timings):
        answer = _ask(workers[name][1], num_calls[name])
        if answer is None:
          del timings[name]
          continue
        seconds, waited = answer
        if turn < 0:
          num_calls[name] = max(1, round(turn_seconds / seconds))
        else:
          timings[name].seconds.append(seconds)
          timings[name].waited.append(waited)
    return timings
  finally:
    for process, connection in workers.values():
      _ask(connection, 0, is_answered=False)
      process.join(10)
      process.kill()


def _start(
  prepare: Prepare,
  arguments: tuple[Any, ...],
  environment: Mapping[str, str],
) -> tuple[BaseProcess, Connection]:
  """Starts the process of a candidate; returns it and the connection to it."""
  context = multiprocessing.get_context('spawn')
  connection, remote = context.Pipe()
  process = context.Process(
    target=_serve, args=(remote, prepare, arguments), daemon=True
  )
  with mock.patch.dict(os.environ, environment):
    process.start()
  remote.close()
  return process, connection


def _serve(
  connection: Connection, prepare: Prepare, arguments: tuple[Any, ...]
) -> None:
  """Prepares once, then times a call for each number of calls received."""
  call = prepare(*arguments)
  if call is None:
    connection.send(None)
    return
  connection.send(_time_calls(call, 1)[0])
  while num_calls := connection.recv():
    connection.send(_time_calls(call, num_calls))


def _time_calls(
  call: Callable[[], object], num_calls: int
) -> tuple[float, float]:
  """Returns the mean seconds of a call, and of its waiting for data."""
  started = time.perf_counter()
  seconds_waited, last = 0.0, None
  for _ in range(num_calls):
    pending = call()
    if isinstance(last, PendingCall):
      last.wait()
    last = pending
    if isinstance(pending, PendingCall):
      seconds_waited += pending.seconds_waited
  if isinstance(last, PendingCall):
    last.wait()
  seconds = time.perf_counter() - started
  return seconds / num_calls, seconds_waited / num_calls


def _receive(connection: Connection) -> Any:
  """Returns a candidate's message; None if its process has ended."""
  try:
    return connection.recv()
  except (EOFError, OSError):
    return None


def _ask(
  connection: Connection, num_calls: int, is_answered: bool = True
) -> Any:
  """Returns a candidate's answer; None if its process has ended."""
  try:
    connection.send(num_calls)
  except OSError:
    return None
  return _receive(connection) if is_answered else None
