"""Candidates that take turns, each in a process of its own.

What else the machine does falls on all of them alike, no library's threads or
memory are in another's way, and each may have its own environment.
"""

import dataclasses
import multiprocessing
import os
import statistics
import time
import types
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any
from unittest import mock

# Prepares a candidate: returns what is timed, or None where it cannot run.
Prepare = Callable[..., Callable[[], object] | None]


@dataclasses.dataclass
class Begun:
  """What a call may return that leaves a device at work.

  The call after it begins ahead of its end, as in a loop that trains.

  Attributes:
    wait: returns when the work is done.
    waited: seconds of the call that it waited for data.
  """

  wait: Callable[[], object]
  waited: float = 0.0


@dataclasses.dataclass
class Measured:
  """What was measured of a candidate.

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
    return statistics.median(self.seconds)

  @property
  def compiling(self) -> float:
    """Seconds that the first call took beyond a later one."""
    return max(0.0, self.first - self.median)


def _serve(connection: Connection, prepare: Prepare, arguments: tuple) -> None:
  """Prepares once, then times a call for each number of calls received."""
  call = prepare(*arguments)
  if call is None:
    connection.send(None)
    return
  connection.send(_timed(call, 1)[0])
  while calls := connection.recv():
    connection.send(_timed(call, calls))


def _timed(call: Callable[[], object], calls: int) -> tuple[float, float]:
  """Mean seconds of a call, and of it those that it waited for data."""
  started = time.perf_counter()
  waited, last = 0.0, None
  for _ in range(calls):
    found = call()
    if isinstance(last, Begun):
      last.wait()
    last = found
    waited += found.waited if isinstance(found, Begun) else 0.0
  if isinstance(last, Begun):
    last.wait()
  return (time.perf_counter() - started) / calls, waited / calls


def measured(
  candidates: Mapping[str, tuple[Prepare, tuple[Any, ...]]],
  turns: int,
  turn_seconds: float,
  environments: Mapping[str, Mapping[str, str]] = types.MappingProxyType({}),
) -> dict[str, Measured]:
  """Times candidates against each other.

  Args:
    candidates: for each name a function of a module, and its arguments; both
      are sent to the candidate's process.
    turns: how often each has its turn.
    turn_seconds: how long a turn lasts at least, in calls of the candidate.
    environments: for names of candidates the variables that their processes
      begin with, beside those that are there.

  Returns:
    What was measured of the candidates that can run. One that fails, as where
    memory is short, says why on the standard error and is left out.
  """
  context = multiprocessing.get_context('spawn')
  workers, found = {}, {}
  try:
    for name, (prepare, arguments) in candidates.items():
      ours, theirs = context.Pipe()
      process = context.Process(
        target=_serve, args=(theirs, prepare, arguments), daemon=True
      )
      with mock.patch.dict(os.environ, environments.get(name, {})):
        process.start()
      theirs.close()
      workers[name] = (process, ours)
      # One after the other: two that compile at once need twice the memory.
      first = _received(ours)
      if first is not None:
        found[name] = Measured(first)
    calls = dict.fromkeys(found, 1)
    for turn in range(-1, turns):  # The first only tells how many calls.
      for name in list(found):
        answer = _asked(workers[name][1], calls[name])
        if answer is None:
          del found[name]
          continue
        seconds, waited = answer
        if turn < 0:
          calls[name] = max(1, round(turn_seconds / seconds))
        else:
          found[name].seconds.append(seconds)
          found[name].waited.append(waited)
    return found
  finally:
    for process, connection in workers.values():
      _asked(connection, 0, answered=False)
      process.join(10)
      process.kill()


def _received(connection: Connection) -> Any:
  """What a candidate sent; None where it has ended."""
  try:
    return connection.recv()
  except (EOFError, OSError):
    return None


def _asked(connection: Connection, calls: int, answered: bool = True) -> Any:
  """What a candidate answers; None where it has ended."""
  try:
    connection.send(calls)
  except OSError:
    return None
  return _received(connection) if answered else None
