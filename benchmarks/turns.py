"""Candidates that take turns, each in a process of its own.

What else the machine does falls on all of them alike, no library's threads or
memory are in another's way, and each may have its own environment.
"""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

# Prepares a candidate: returns what is timed, or None where it cannot run.
Prepare = Callable[..., Callable[[], object] | None]


def _serve(connection: Connection, prepare: Prepare, arguments: tuple) -> None:
  """Prepares once, then times a call for each number of calls received."""
  call = prepare(*arguments)
  if call is None:
    connection.send(False)
    return
  call()  # What is compiled at the first call is not timed.
  connection.send(True)
  while calls := connection.recv():
    started = time.perf_counter()
    for _ in range(calls):
      call()
    connection.send((time.perf_counter() - started) / calls)


def seconds_per_call(
  candidates: Mapping[str, tuple[Prepare, tuple[Any, ...]]],
  turns: int,
  turn_seconds: float,
) -> dict[str, list[float]]:
  """Times candidates against each other.

  Args:
    candidates: for each name a function of a module, and its arguments; both
      are sent to the candidate's process.
    turns: how often each has its turn.
    turn_seconds: how long a turn lasts at least, in calls of the candidate.

  Returns:
    The mean seconds of a call in each turn, for the candidates that can run.
  """
  context = multiprocessing.get_context('spawn')
  workers = {}
  try:
    for name, (prepare, arguments) in candidates.items():
      ours, theirs = context.Pipe()
      process = context.Process(
        target=_serve, args=(theirs, prepare, arguments), daemon=True
      )
      process.start()
      theirs.close()
      # One after the other: two that compile at once need twice the memory.
      if ours.recv():
        workers[name] = (process, ours)
    times = {name: [] for name in workers}
    calls = dict.fromkeys(workers, 1)
    for turn in range(-1, turns):  # The first only tells how many calls.
      for name, (_, connection) in workers.items():
        connection.send(calls[name])
        seconds = connection.recv()
        if turn < 0:
          calls[name] = max(1, round(turn_seconds / seconds))
        else:
          times[name].append(seconds)
    return times
  finally:
    for process, connection in workers.values():
      connection.send(0)
      process.join(10)
      process.kill()
