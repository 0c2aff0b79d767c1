"""Limits of a process: too little is one clear error, before it aborts."""

import resource
import threading

import pytest

from tf_transfer import errors
from tf_transfer.runtime import limits, units

UNLIMITED = resource.RLIM_INFINITY


@pytest.fixture
def set_limits(monkeypatch):
  """A function that lets the system report soft and hard limits by name."""
  changed = {}

  def set_limits(**soft_and_hard):
    monkeypatch.setattr(
      resource,
      'getrlimit',
      lambda number: next(
        (
          pair
          for name, pair in soft_and_hard.items()
          if getattr(resource, name) == number
        ),
        (UNLIMITED, UNLIMITED),
      ),
    )
    monkeypatch.setattr(resource, 'setrlimit', changed.__setitem__)
    return changed

  return set_limits


def test_no_limits(set_limits):
  assert not set_limits()
  assert limits.check() is None


@pytest.mark.parametrize(
  ('name', 'gib', 'least'),
  [
    ('RLIMIT_AS', 0.5, 3),
    ('RLIMIT_AS', 1, 3),
    ('RLIMIT_AS', 2, 3),
    ('RLIMIT_DATA', 0.5, 1),
  ],
)
def test_too_little_memory(set_limits, name, gib, least):
  # Another limit, which would do, hides none that would not.
  others = {'RLIMIT_AS', 'RLIMIT_DATA'} - {name}
  set_limits(
    **{name: (int(gib * units.GIB), UNLIMITED)},
    **dict.fromkeys(others, (4 * units.GIB, UNLIMITED)),
  )
  message = rf'limited to {gib} GiB.*take {least} GiB'
  with pytest.raises(errors.InputError, match=message):
    limits.check()


def test_memory_that_may_not_suffice_is_said(set_limits):
  set_limits(RLIMIT_AS=(8 * units.GIB, UNLIMITED))
  assert 'limited to 8 GiB (ulimit -v)' in limits.check()
  set_limits(RLIMIT_AS=(64 * units.GIB, UNLIMITED))
  assert limits.check() is None


def test_the_limit_on_open_files_is_raised(set_limits):
  changed = set_limits(RLIMIT_NOFILE=(64, 1024))
  limits.check()
  assert changed == {resource.RLIMIT_NOFILE: (1024, 1024)}
  changed.clear()
  set_limits(RLIMIT_NOFILE=(1024, UNLIMITED))
  limits.check()
  assert changed == {resource.RLIMIT_NOFILE: (4096, UNLIMITED)}


def test_too_few_open_files(set_limits):
  set_limits(RLIMIT_NOFILE=(32, 64))
  with pytest.raises(errors.InputError, match='only 64 files.*ulimit -n'):
    limits.check()


def test_too_few_threads(monkeypatch):
  """As with `ulimit -u`, which does not bind root."""
  start, before = threading.Thread.start, threading.active_count()

  def start_few(thread):
    if threading.active_count() >= before + 5:
      raise RuntimeError("can't start new thread")
    start(thread)

  monkeypatch.setattr(threading.Thread, 'start', start_few)
  with pytest.raises(errors.InputError, match='only 5 threads.*ulimit -u'):
    limits.check()
  assert threading.active_count() == before
