"""Checkpoints: where a job stands, so that it goes on after being killed.

Orbax writes them beside the work. A checkpoint counts once the SHA-256 of all
its files stand beside them, which is last: Orbax itself does not see every
damage. One that is damaged or half-written gives way to the one before it.
Beside the last ones the best is kept, where they are saved with scores.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any

import jax
import orbax.checkpoint as ocp
from absl import logging
from orbax.checkpoint import checkpoint_managers

from tf_transfer import errors
from tf_transfer.runtime import devices, files

_KEPT = 2
_SUMS = 'sums.json'
# How TensorStore, which writes the arrays, names what the system said.
_SYSTEM_ERROR = re.compile(r"os_error_code='(\d+)'")


class Checkpoints:
  """The checkpoints of one job, in a directory of their own."""

  def __init__(self, directory: pathlib.Path, identity: str):
    """Opens a directory; what a killed job left half-written there goes.

    Args:
      directory: of this job alone; made if need be.
      identity: of all that determines what the job computes.

    Raises:
      InputError: it cannot be made or written.
    """
    self._directory = directory.absolute()
    self._identity = identity
    self._thread = futures.ThreadPoolExecutor(1, 'checkpoint')
    self._finishing: futures.Future | None = None
    # By step; of those that were written without one there is none.
    self._scores: dict[int, float] = {}
    with _writing(self._directory):
      self._manager = ocp.CheckpointManager(
        self._directory,
        options=ocp.CheckpointManagerOptions(
          preservation_policy=checkpoint_managers.AnyPreservationPolicy(
            [checkpoint_managers.LatestN(n=_KEPT), _Best(self._scores)]
          ),
          cleanup_tmp_directories=True,
        ),
      )
    for step in self.steps():
      score = _score(self._directory / str(step))
      if score is not None:
        self._scores[step] = score

  @property
  def directory(self) -> pathlib.Path:
    return self._directory

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, *_) -> None:
    try:
      self.wait()
    finally:
      self._thread.shutdown()
      with _writing(self._directory):
        self._manager.close()

  def save(
    self,
    step: int,
    state: Any,
    notes: Mapping[str, Any],
    score: float | None = None,
  ) -> None:
    """Begins to write a checkpoint; the arrays may be changed after this.

    Args:
      step: how many steps are done; a later one than all before.
      state: tree of arrays, the same in every process.
      notes: what JSON can hold.
      score: that of the greatest stays, the first of equals; None: this one
        is not in question for that.

    Raises:
      InputError: it, or the one before it, could not be written.
    """
    self.wait()
    if score is not None:
      self._scores[step] = float(score)
    with _writing(self._directory):
      self._manager.save(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(_numbered(jax.tree.leaves(state))),
          notes=ocp.args.JsonSave(
            {'identity': self._identity, 'notes': dict(notes)}
          ),
        ),
        force=True,
      )
    self._finishing = self._thread.submit(self._finish, step)

  def wait(self) -> None:
    """Returns when what was begun is on disk.

    Raises:
      InputError: it could not be written.
    """
    if self._finishing is not None:
      self._finishing.result()

  def steps(self) -> list[int]:
    """The steps that there are checkpoints of, whole or not."""
    return sorted(self._manager.all_steps())

  def latest(
    self, like: Callable[[Mapping[str, Any]], Any]
  ) -> tuple[int, Any, dict[str, Any]] | None:
    """The last checkpoint that is whole, or None where there is none.

    Args:
      like: notes -> the tree that was saved, as `jax.ShapeDtypeStruct`s with
        the sharding that they are wanted in.

    Returns:
      step, state and notes.

    Raises:
      InputError: the directory holds checkpoints of another job.
    """
    for step in reversed(self.steps()):
      problem = _problem(self._directory / str(step))
      if problem is None:
        return self._restored(step, like)
      logging.warning(
        '%s: the checkpoint of step %d %s: going on from the one before it',
        self._directory,
        step,
        problem,
      )
      # It would stand in the way of the one that is written in its place.
      self._manager.delete(step)
      self._scores.pop(step, None)
    return None

  def best(
    self, like: Callable[[Mapping[str, Any]], Any]
  ) -> tuple[int, Any, dict[str, Any]] | None:
    """As `latest`, but the one that was saved with the greatest score.

    Where it is damaged, the best of the others that were saved with one.
    """
    for step in sorted(self._scores, key=lambda s: (-self._scores[s], s)):
      problem = _problem(self._directory / str(step))
      if problem is None:
        return self._restored(step, like)
      logging.warning(
        '%s: the best checkpoint, of step %d, %s: taking another',
        self._directory,
        step,
        problem,
      )
    return None

  def _restored(self, step, like):
    written = self._manager.restore(
      step, args=ocp.args.Composite(notes=ocp.args.JsonRestore())
    ).notes
    if written['identity'] != self._identity:
      raise errors.InputError(
        f'{self._directory} holds checkpoints of another job: name another '
        'directory, or remove it'
      )
    leaves, structure = jax.tree.flatten(like(written['notes']))
    restored = self._manager.restore(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardRestore(_numbered(leaves))
      ),
    ).state
    leaves = [restored[name] for name in sorted(restored)]
    return step, jax.tree.unflatten(structure, leaves), written['notes']

  def _finish(self, step: int) -> None:
    """Says of a checkpoint, once it is written, that it is whole."""
    with _writing(self._directory):
      self._manager.wait_until_finished()
    if devices.leading():
      directory = self._directory / str(step)
      content = {'score': self._scores.get(step), 'sums': _sums(directory)}
      with files.atomic_write(directory / _SUMS) as file:
        file.write(json.dumps(content).encode())


@contextlib.contextmanager
def _writing(path: pathlib.Path) -> Iterator[None]:
  """Makes one clear error of a disk that is full, however that is said.

  TensorStore says it by errors of several types, with the system's number.
  """
  try:
    yield
  except OSError as error:
    raise files.write_problem(path, error) from error
  except Exception as error:
    found = _SYSTEM_ERROR.search(str(error))
    if found is None:
      raise
    number = int(found[1])
    problem = OSError(number, os.strerror(number))
    raise files.write_problem(path, problem) from error


@dataclasses.dataclass
class _Best(checkpoint_managers.PreservationPolicy):
  """Keeps the checkpoint of the greatest score, the first of equals.

  Orbax's own reads scores from files, and ends the job where one is damaged.
  """

  scores: Mapping[int, float]

  def should_preserve(self, checkpoints, *, context):
    del context
    steps = [checkpoint.step for checkpoint in checkpoints]
    scored = [step for step in steps if step in self.scores]
    best = max(scored, key=lambda s: (self.scores[s], -s), default=None)
    return [step == best for step in steps]


def _score(directory: pathlib.Path) -> float | None:
  """What a checkpoint was saved with, as far as that can be read."""
  try:
    return json.loads((directory / _SUMS).read_bytes())['score']
  except (OSError, ValueError, LookupError, TypeError):
    return None  # `_problem` says what is wrong with it.


def _problem(directory: pathlib.Path) -> str | None:
  """What is wrong with a checkpoint, in words."""
  try:
    expected = json.loads((directory / _SUMS).read_bytes())['sums']
  except FileNotFoundError:
    return 'is half-written'
  except (ValueError, LookupError, TypeError) as error:
    return f'is damaged ({_SUMS}: {error})'
  found = _sums(directory)
  if found == expected:
    return None
  changed = sorted(dict(found.items() ^ expected.items()))
  return f'is damaged ({", ".join(changed)})'


def _sums(directory: pathlib.Path) -> dict[str, str]:
  """The SHA-256 of all files of a checkpoint, by path."""
  return {
    str(path.relative_to(directory)): files.sha256(path)
    for path in directory.rglob('*')
    if path.is_file() and not path.name.startswith(('.', _SUMS))
  }


def _numbered(leaves: Sequence[Any]) -> dict[str, Any]:
  return {f'{number:06d}': leaf for number, leaf in enumerate(leaves)}


@contextlib.contextmanager
def termination() -> Iterator[Callable[[], bool]]:
  """Turns SIGTERM into a question: has it come?"""
  come = threading.Event()
  before = signal.signal(signal.SIGTERM, lambda *_: come.set())
  try:
    yield come.is_set
  finally:
    signal.signal(signal.SIGTERM, before)
