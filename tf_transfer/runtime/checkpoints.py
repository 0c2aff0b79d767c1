"""Saves and restores checkpoints, so that a job resumes after being killed.

Orbax writes them in the background. A checkpoint is valid once a file with the
SHA-256 of all its other files is written, which happens last: Orbax itself
does not detect every damage. If a checkpoint is damaged or incomplete, the one
before it is restored. The last two are kept, and of those that are saved with
a score the best.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
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

_NUM_KEPT = 2
_SUMS = 'sums.json'
# How TensorStore, which writes the arrays, reports the system's error.
_SYSTEM_ERROR = re.compile(r"os_error_code='(\d+)'")


class Checkpoints:
  """The checkpoints of one job, in a directory of their own."""

  def __init__(self, directory: pathlib.Path, identity: str):
    """Opens a directory and removes incomplete checkpoints from it.

    Args:
      directory: of this job alone; made if need be.
      identity: a hash of everything that determines the job's numbers.

    Raises:
      InputError: the directory cannot be made or written.
    """
    self._directory = directory.absolute()
    self._identity = identity
    self._thread = futures.ThreadPoolExecutor(1, 'checkpoint')
    self._pending: futures.Future | None = None
    # By step; only of checkpoints that were saved with a score.
    self._scores: dict[int, float] = {}
    with _write_errors(self._directory):
      _remove_incomplete(self._directory)
      self._manager = ocp.CheckpointManager(
        self._directory,
        options=ocp.CheckpointManagerOptions(
          preservation_policy=checkpoint_managers.AnyPreservationPolicy(
            [checkpoint_managers.LatestN(n=_NUM_KEPT), _Best(self._scores)]
          ),
        ),
      )
    for step in self.steps():
      score = _score(self._directory / str(step))
      if score is not None:
        self._scores[step] = score

  @property
  def directory(self) -> pathlib.Path:
    """The directory of the checkpoints."""
    return self._directory

  def __enter__(self) -> 'Checkpoints':
    """Returns this object; the block's end closes it."""
    return self

  def __exit__(self, *_: object) -> None:
    """Waits until the last checkpoint is on disk, and closes the directory."""
    try:
      self.wait()
    finally:
      self._thread.shutdown()
      with _write_errors(self._directory):
        self._manager.close()

  def save(
    self,
    step: int,
    state: Any,
    notes: Mapping[str, Any],
    score: float | None = None,
  ) -> None:
    """Starts to write a checkpoint in the background.

    The caller may change or donate the arrays afterwards.

    Args:
      step: number of steps done; greater than those of earlier checkpoints.
      state: tree of arrays, the same in every process.
      notes: values that JSON can hold.
      score: the checkpoint with the greatest score is kept, the first of equal
        ones. None: this one does not compete.

    Raises:
      InputError: this checkpoint, or the previous one, could not be written.
    """
    self.wait()
    if score is not None:
      self._scores[step] = float(score)
    with _write_errors(self._directory):
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
    self._pending = self._thread.submit(self._finish, step)

  def wait(self) -> None:
    """Waits until the last checkpoint is on disk.

    Raises:
      InputError: it could not be written.
    """
    if self._pending is not None:
      self._pending.result()

  def steps(self) -> list[int]:
    """Returns the steps of all checkpoints, valid or not."""
    return sorted(self._manager.all_steps())

  def latest(
    self, like: Callable[[Mapping[str, Any]], Any]
  ) -> tuple[int, Any, dict[str, Any]] | None:
    """Restores the last valid checkpoint.

    Args:
      like: notes -> the tree that was saved, as `jax.ShapeDtypeStruct`s with
        the sharding to restore to.

    Returns:
      Step, state and notes; None if there is no valid checkpoint.

    Raises:
      InputError: the directory holds checkpoints of another job.
    """
    for step in reversed(self.steps()):
      problem = _problem(self._directory / str(step))
      if problem is None:
        return self._restore(step, like)
      logging.warning(
        '%s: the checkpoint of step %d %s: going on from the one before it',
        self._directory,
        step,
        problem,
      )
      # Orbax would not write this step again while it exists.
      self._manager.delete(step)
      self._scores.pop(step, None)
    return None

  def best(
    self, like: Callable[[Mapping[str, Any]], Any]
  ) -> tuple[int, Any, dict[str, Any]] | None:
    """Restores the valid checkpoint with the greatest score.

    Arguments, result and errors are those of `latest`. Checkpoints without a
    score do not count.
    """
    for step in sorted(self._scores, key=lambda s: (-self._scores[s], s)):
      problem = _problem(self._directory / str(step))
      if problem is None:
        return self._restore(step, like)
      logging.warning(
        '%s: the best checkpoint, of step %d, %s: taking another',
        self._directory,
        step,
        problem,
      )
    return None

  def _restore(
    self, step: int, like: Callable[[Mapping[str, Any]], Any]
  ) -> tuple[int, Any, dict[str, Any]]:
    """Restores the checkpoint of a step, as `latest` does."""
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
    """Waits until a checkpoint is written, and marks it as valid."""
    with _write_errors(self._directory):
      self._manager.wait_until_finished()
    if devices.is_leader():
      directory = self._directory / str(step)
      content = {'score': self._scores.get(step), 'sums': _sums(directory)}
      with files.atomic_write(directory / _SUMS) as file:
        file.write(json.dumps(content).encode())


def _remove_incomplete(directory: pathlib.Path) -> None:
  """Removes checkpoints that a killed job has not finished.

  Orbax can do this in the background. That may still run when the directory is
  closed and opened again, and fail on files that the next one removes.
  """
  if directory.is_dir() and devices.is_leader():
    for path in directory.glob(f'*{ocp.utils.TMP_DIR_SUFFIX}*'):
      shutil.rmtree(path)


@contextlib.contextmanager
def _write_errors(path: pathlib.Path) -> Iterator[None]:
  """Turns errors of writing into InputErrors that name the path.

  TensorStore reports a full disk by exceptions of several types, whose text
  has the number of the system's error.
  """
  try:
    yield
  except OSError as error:
    raise files.write_error(path, error) from error
  except Exception as error:
    match = _SYSTEM_ERROR.search(str(error))
    if match is None:
      raise
    number = int(match[1])
    os_error = OSError(number, os.strerror(number))
    raise files.write_error(path, os_error) from error


@dataclasses.dataclass
class _Best(checkpoint_managers.PreservationPolicy):
  """Keeps the checkpoint with the greatest score, the first of equal ones.

  Orbax's own policy reads scores from files, and raises if one is damaged.
  """

  scores: Mapping[int, float]

  def should_preserve(
    self,
    checkpoints: Sequence[Any],
    *,
    context: checkpoint_managers.PreservationContext,
  ) -> list[bool]:
    """Returns for each checkpoint whether it is kept."""
    del context
    steps = [checkpoint.step for checkpoint in checkpoints]
    scored = [step for step in steps if step in self.scores]
    best = max(scored, key=lambda s: (self.scores[s], -s), default=None)
    return [step == best for step in steps]


def _score(directory: pathlib.Path) -> float | None:
  """Reads the score that a checkpoint was saved with; None if that fails."""
  try:
    return json.loads((directory / _SUMS).read_bytes())['score']
  except (OSError, ValueError, LookupError, TypeError):
    return None  # `_problem` reports the damage.


def _problem(directory: pathlib.Path) -> str | None:
  """Describes what is wrong with a checkpoint; None if it is valid."""
  try:
    expected = json.loads((directory / _SUMS).read_bytes())['sums']
  except FileNotFoundError:
    return 'is half-written'
  except (ValueError, LookupError, TypeError) as error:
    return f'is damaged ({_SUMS}: {error})'
  sums = _sums(directory)
  if sums == expected:
    return None
  changed = sorted(dict(sums.items() ^ expected.items()))
  return f'is damaged ({", ".join(changed)})'


def _sums(directory: pathlib.Path) -> dict[str, str]:
  """Computes the SHA-256 of all files of a checkpoint, by path."""
  return {
    str(path.relative_to(directory)): files.sha256(path)
    for path in directory.rglob('*')
    if path.is_file() and not path.name.startswith(('.', _SUMS))
  }


def _numbered(leaves: Sequence[Any]) -> dict[str, Any]:
  """Names the leaves of a tree by their position."""
  return {f'{number:06d}': leaf for number, leaf in enumerate(leaves)}


@contextlib.contextmanager
def catch_sigterm() -> Iterator[Callable[[], bool]]:
  """Keeps SIGTERM from ending the process within the block.

  Yields:
    A function that returns whether SIGTERM has been received.
  """
  received = threading.Event()
  previous = signal.signal(signal.SIGTERM, lambda *_: received.set())
  try:
    yield received.is_set
  finally:
    signal.signal(signal.SIGTERM, previous)
