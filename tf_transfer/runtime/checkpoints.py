"""Saves and restores checkpoints, so that a job resumes after being killed.

Orbax writes them in the background. A checkpoint is valid once a file with its
step and the SHA-256 of all its other files is written, which happens last:
Orbax itself does not detect every damage, nor that a checkpoint is under
another's name. If one is damaged or incomplete, the one before it is restored.
The last two are kept, and of those that are saved with a score the best.
"""

import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any

import jax
import msgspec
import orbax.checkpoint as ocp
from absl import logging
from orbax.checkpoint import checkpoint_managers

from tf_transfer import errors
from tf_transfer.runtime import devices, files, json_lines, schemas

_NUM_KEPT = 2
_SUMS = 'sums.json'
_DESCRIPTION = '_CHECKPOINT_METADATA'
# How TensorStore, which writes the arrays, reports the system's error.
_SYSTEM_ERROR = re.compile(r"os_error_code='(\d+)'")


class _Seal(msgspec.Struct):
  """What is written last into a checkpoint.

  Attributes:
    sums: SHA-256 of each file, by its path in the checkpoint.
    score: that it was saved with, if any.
    step: of the checkpoint; None in those of earlier versions.
  """

  sums: dict[str, str]
  score: float | None = None
  step: int | None = None


class _Notes(msgspec.Struct):
  """What a checkpoint holds beside its arrays."""

  identity: str
  notes: dict[str, Any]


class _OfAnotherJob(errors.InputError):
  """The directory is another job's."""


class _Damaged(Exception):
  """A checkpoint cannot be used; the message says why: 'is damaged (...)'."""


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
      _remove_descriptions(self._directory)
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
    self,
    like: Callable[[Mapping[str, Any]], Any],
    step_of: Callable[[Any], int] | None = None,
  ) -> tuple[int, Any, dict[str, Any]] | None:
    """Restores the last valid checkpoint.

    Args:
      like: notes -> the tree that was saved, as `jax.ShapeDtypeStruct`s with
        the sharding to restore to. It raises an InputError if the notes are
        none that it can use.
      step_of: tree -> the number of steps that it says were done.

    Returns:
      Step, state and notes; None if there is no valid checkpoint.

    Raises:
      InputError: the directory holds checkpoints of another job.
    """
    for step in reversed(self.steps()):
      try:
        return self._restore(step, like, step_of)
      except _Damaged as damage:
        earlier = any(other < step for other in self.steps())
        logging.warning(
          '%s: the checkpoint of step %d %s: %s',
          self._directory,
          step,
          damage,
          'going on from the one before it' if earlier else 'starting anew',
        )
      # Orbax would not write this step again while it exists.
      self._manager.delete(step)
      self._scores.pop(step, None)
    return None

  def best(
    self,
    like: Callable[[Mapping[str, Any]], Any],
    step_of: Callable[[Any], int] | None = None,
  ) -> tuple[int, Any, dict[str, Any]] | None:
    """Restores the valid checkpoint with the greatest score.

    Arguments, result and errors are those of `latest`. Checkpoints without a
    score do not count.
    """
    for step in sorted(self._scores, key=lambda s: (-self._scores[s], s)):
      try:
        return self._restore(step, like, step_of)
      except _Damaged as damage:
        logging.warning(
          '%s: the best checkpoint, of step %d, %s: taking another',
          self._directory,
          step,
          damage,
        )
    return None

  def _restore(
    self,
    step: int,
    like: Callable[[Mapping[str, Any]], Any],
    step_of: Callable[[Any], int] | None,
  ) -> tuple[int, Any, dict[str, Any]]:
    """Restores the checkpoint of a step, as `latest` does.

    Raises:
      _Damaged: it is not valid.
      InputError: it is of another job.
    """
    _check(self._directory / str(step), step)
    written = self._manager.restore(
      step, args=ocp.args.Composite(notes=ocp.args.JsonRestore())
    ).notes
    try:
      written = schemas.convert(written, _Notes, 'notes')
      if written.identity != self._identity:
        raise _OfAnotherJob(
          f'{self._directory} holds checkpoints of another job: name another '
          'directory, or remove it'
        )
      leaves, structure = jax.tree.flatten(like(written.notes))
    except _OfAnotherJob:
      raise
    except errors.InputError as error:
      raise _Damaged(f'is damaged ({error})') from error
    restored = self._manager.restore(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardRestore(_numbered(leaves))
      ),
    ).state
    leaves = [restored[name] for name in sorted(restored)]
    tree = jax.tree.unflatten(structure, leaves)
    if step_of is not None and step_of(tree) != step:
      raise _Damaged(f'is damaged (it is that of step {step_of(tree)})')
    return step, tree, written.notes

  def _finish(self, step: int) -> None:
    """Waits until a checkpoint is written, and marks it as valid."""
    with _write_errors(self._directory):
      self._manager.wait_until_finished()
    if devices.is_leader():
      directory = self._directory / str(step)
      seal = _Seal(_sums(directory), self._scores.get(step), step)
      with files.atomic_write(directory / _SUMS) as file:
        file.write(msgspec.json.encode(seal))


def _remove_incomplete(directory: pathlib.Path) -> None:
  """Removes checkpoints that a killed job has not finished.

  Orbax can do this in the background. That may still run when the directory is
  closed and opened again, and fail on files that the next one removes.
  """
  if directory.is_dir() and devices.is_leader():
    for path in directory.glob(f'*{ocp.utils.TMP_DIR_SUFFIX}*'):
      if path.is_dir():
        shutil.rmtree(path)


def _remove_descriptions(directory: pathlib.Path) -> None:
  """Removes what describes a checkpoint to Orbax where it is damaged.

  Orbax lists no checkpoint if one is described by something else. It can do
  without; that the file is gone is then found as any other damage.
  """
  if not directory.is_dir() or not devices.is_leader():
    return
  for path in directory.glob(f'*/{_DESCRIPTION}'):
    expected = None
    with contextlib.suppress(_Damaged):
      expected = _read_seal(path.parent).sums.get(_DESCRIPTION)
    if path.is_dir():
      shutil.rmtree(path)
    elif not path.is_file() or files.sha256(path) != expected:
      path.unlink()


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


def _read_seal(directory: pathlib.Path) -> _Seal:
  """Reads what was written last into a checkpoint.

  Raises:
    _Damaged: it is not there, or cannot be used.
  """
  try:
    data = json_lines.read_regular(directory / _SUMS)
    if data is not None:
      return schemas.decode(data, _Seal, _SUMS)
  except errors.InputError as error:
    raise _Damaged(f'is damaged ({error})') from error
  raise _Damaged('is half-written')


def _score(directory: pathlib.Path) -> float | None:
  """Reads the score that a checkpoint was saved with; None if that fails."""
  try:
    return _read_seal(directory).score
  except _Damaged:
    return None  # `_check` reports the damage.


def _check(directory: pathlib.Path, step: int) -> None:
  """Checks the files of a checkpoint; files of others among them are ignored.

  Raises:
    _Damaged: it is not valid.
  """
  seal = _read_seal(directory)
  if seal.step not in (None, step):
    raise _Damaged(f'is damaged (it is that of step {seal.step})')
  try:
    sums = _sums(directory)
  except OSError as error:
    raise _Damaged(f'is damaged ({error})') from error
  changed = [p for p in sorted(seal.sums) if sums.get(p) != seal.sums[p]]
  if changed or not seal.sums:
    raise _Damaged(f'is damaged ({", ".join(changed) or "no files"})')


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
