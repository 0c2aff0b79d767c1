"""Checks the times of candidates that take turns."""

import os

import pytest

from benchmarks import turns


def test_calls_overlap_with_the_work_of_the_last(monkeypatch):
  """Each call takes 1 s, waits 0.25 s of it, and leaves work for 2 s."""
  now, done_at = [0.0], []
  monkeypatch.setattr(turns.time, 'perf_counter', lambda: now[0])

  def call():
    now[0] += 1.0
    done = now[0] + 2.0
    done_at.append(done)

    def wait():
      now[0] = max(now[0], done)

    return turns.PendingCall(wait, 0.25)

  # They start at 0, 1 and 3 s.
  seconds, waited = turns._time_calls(call, 3)
  assert done_at == [3.0, 4.0, 6.0]
  assert seconds == pytest.approx(6 / 3)
  assert waited == pytest.approx(0.25)


def test_timing():
  timing = turns.Timing(5.0, [1.0, 3.0, 2.0], [0.0] * 3)
  assert timing.median == 2.0
  assert timing.compiling == 3.0


def prepare(factor):
  """Prepares a candidate that needs a variable of its own."""
  assert os.environ['CANDIDATE'] == str(factor)
  return lambda: sum(range(100 * factor))


def prepare_nothing():
  """Says that a candidate cannot run."""


def prepare_failure():
  """Ends a candidate's process."""
  os._exit(3)


def test_candidates_in_processes():
  """Those that cannot run, and those that fail, are left out."""
  timings = turns.time_candidates(
    {
      'one': (prepare, (1,)),
      'none': (prepare_nothing, ()),
      'failing': (prepare_failure, ()),
      'two': (prepare, (2,)),
    },
    turns=2,
    turn_seconds=0.01,
    environments={'one': {'CANDIDATE': '1'}, 'two': {'CANDIDATE': '2'}},
  )
  assert timings.keys() == {'one', 'two'}
  for timing in timings.values():
    assert len(timing.seconds) == len(timing.waited) == 2
    assert 0 < timing.median < 1
