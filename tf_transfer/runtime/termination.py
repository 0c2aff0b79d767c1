"""Ends a job in order when it is told to: by SIGTERM, or by Ctrl-C (SIGINT).

A thread takes the signal, even where the main thread is within a long
computation or an import, and says so at once. It then ends the process: all
that is finished is on disk, and a job may be killed at any moment. It waits for

- blocks under `uninterrupted`, which write a file: half of one would stay;
- a block under `deferred`, which asks whether a signal has come and ends by
  itself, as a training does after a checkpoint.

A second signal ends the process at once. No exception is raised out of nowhere:
within the import of an extension module it can crash the interpreter.
"""

import contextlib
import dataclasses
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

from tf_transfer.runtime import progress

# Schedulers mostly allow 30 s between SIGTERM and SIGKILL.
_GRACE_SECONDS = 25
# Exit codes by signal: EX_TEMPFAIL says "run it again".
_EXIT_CODES = {signal.SIGTERM: os.EX_TEMPFAIL, signal.SIGINT: 130}


@dataclasses.dataclass
class _Block:
  """A block that ends by itself.

  Attributes:
    ends_after: what it does first, for the user.
    last_asked: when it last asked for signals, by `time.monotonic`.
    longest_seconds: the longest time between two questions so far.
  """

  ends_after: str
  last_asked: float = dataclasses.field(default_factory=time.monotonic)
  longest_seconds: float = 0.0

  def note_question(self) -> None:
    """Measures the time since the last question."""
    now = time.monotonic()
    self.longest_seconds = max(self.longest_seconds, now - self.last_asked)
    self.last_asked = now

  def describe(self) -> str:
    """Says when the block will end."""
    text = f'stopping after {self.ends_after}'
    if self.longest_seconds >= 1:
      text += f', in up to {math.ceil(self.longest_seconds)} s'
    return text


class _Writing(threading.local):
  """Counts the blocks under `uninterrupted` that a thread is in."""

  depth = 0


class _Watcher:
  """Takes signals in a thread.

  Attributes:
    received: the first signal; None so far.
    block: the block under `deferred` that the main thread is in, if any.
  """

  def __init__(self) -> None:
    """Takes over the signals, except those that the parent has ignored."""
    self.received: signal.Signals | None = None
    self.block: _Block | None = None
    self._signals = [
      number
      for number in _EXIT_CODES
      if signal.getsignal(number) is not signal.SIG_IGN
    ]
    self._previous = {
      number: signal.getsignal(number) for number in self._signals
    }
    self.take_signals()
    # The interpreter writes the number of each signal there, wherever it is.
    self._reader, self._writer = os.pipe()
    os.set_blocking(self._writer, False)
    self._previous_wakeup = signal.set_wakeup_fd(
      self._writer, warn_on_full_buffer=False
    )
    self._thread = threading.Thread(
      target=self._watch, name='termination', daemon=True
    )
    self._thread.start()

  def take_signals(self) -> None:
    """Installs handlers, without which the number would not be written."""
    for number in self._signals:
      signal.signal(number, lambda *_: None)

  def close(self) -> None:
    """Gives the signals back."""
    for number, handler in self._previous.items():
      signal.signal(number, handler)
    signal.set_wakeup_fd(self._previous_wakeup)
    os.close(self._writer)
    self._thread.join()
    os.close(self._reader)

  def _watch(self) -> None:
    """Runs in the thread until `close`."""
    while numbers := os.read(self._reader, 1):
      if numbers[0] not in self._signals:
        continue
      if self.received is not None:
        _exit('a second signal: stopped at once', _EXIT_CODES[self.received])
      self.received = signal.Signals(numbers[0])
      block = self.block
      if block is not None:
        _say(f'{self.received.name} received: {block.describe()}')
      else:
        # In a thread of its own, so that this one takes the second signal.
        threading.Thread(target=self.end, daemon=True).start()

  def end(self) -> None:
    """Ends the process once no file is half-written."""
    with _writers:
      global _is_ending
      _is_ending = True
      name, code = self.received.name, _EXIT_CODES[self.received]
      if _num_writers:
        _say(f'{name} received: stopping once a file is written')
        _writers.wait_for(lambda: not _num_writers, _GRACE_SECONDS)
        _exit('stopped; the same command goes on', code)
      _exit(
        f'{name} received: stopped; what is finished is kept, and the same '
        'command goes on from it',
        code,
      )


# Of the program that runs; None where the package is used as a library.
_watcher: _Watcher | None = None
# Notified when a block under `uninterrupted` ends; guards the next two.
_writers = threading.Condition()
_num_writers = 0
_is_ending = False
_writing = _Writing()


@contextlib.contextmanager
def handled() -> Iterator[None]:
  """Handles SIGTERM and SIGINT within the block, in the main thread."""
  global _watcher
  _watcher = _Watcher()
  try:
    yield
  finally:
    _watcher.close()
    _watcher = None


def take_signals() -> None:
  """Takes the signals again after a library has installed its handlers."""
  if _watcher is not None:
    _watcher.take_signals()


def received() -> signal.Signals:
  """Returns the signal that ends the program; SIGTERM if none was noted."""
  noted = _watcher.received if _watcher is not None else None
  return noted or signal.SIGTERM


def is_ending() -> bool:
  """Returns whether a signal has come."""
  return _watcher is not None and _watcher.received is not None


def exit_code() -> int:
  """Returns the exit code of a program that a signal ends."""
  return _EXIT_CODES[received()]


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
  """Lets a block end before a signal ends the process.

  The block writes a file, and is short.
  """
  global _num_writers
  with _writers:
    # A process that is ending begins no other file.
    _writers.wait_for(lambda: not _is_ending or _writing.depth)
    _num_writers += 1
    _writing.depth += 1
  try:
    yield
  finally:
    with _writers:
      _num_writers -= 1
      _writing.depth -= 1
      _writers.notify_all()


@contextlib.contextmanager
def deferred(ends_after: str) -> Iterator[Callable[[], bool]]:
  """Keeps the first signal from ending the process; the block ends by itself.

  Args:
    ends_after: what the block does before it ends, for the user.

  Yields:
    A function that returns whether the block should end. It is called often.
  """
  watcher = _watcher
  if watcher is None:
    with _caught_sigterm() as is_received:
      yield is_received
    return
  outer, block = watcher.block, _Block(ends_after)

  def should_end() -> bool:
    block.note_question()
    return watcher.received is not None

  watcher.block = block
  try:
    yield should_end
  finally:
    watcher.block = outer
  if watcher.received is not None and outer is None:
    watcher.end()  # The block has ended without having asked.


@contextlib.contextmanager
def _caught_sigterm() -> Iterator[Callable[[], bool]]:
  """Notes SIGTERM within the block, for programs that are not ours."""
  if threading.current_thread() is not threading.main_thread():
    yield lambda: False  # Signals belong to the main thread.
    return
  is_received = threading.Event()
  previous = signal.signal(signal.SIGTERM, lambda *_: is_received.set())
  try:
    yield is_received.is_set
  finally:
    signal.signal(signal.SIGTERM, previous)


def _exit(text: str, code: int) -> None:
  """Ends the process without the main thread, which may be busy."""
  _say(text)
  _within_a_second(sys.stdout.flush)
  os._exit(code)


def _say(text: str) -> None:
  """Prints a line on stderr, if that is possible within a second."""
  _within_a_second(lambda: progress.print_line(text))


def _within_a_second(function: Callable[[], None]) -> None:
  """Calls a function in a thread, and waits for at most a second.

  The main thread may hold the lock of a stream that nobody reads.
  """
  thread = threading.Thread(target=function, daemon=True)
  thread.start()
  thread.join(1)
