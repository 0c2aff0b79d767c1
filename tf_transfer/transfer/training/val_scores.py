"""Keeps the scores on val of the best trial so far, in one file.

They are computed while trials are evaluated, when it is not known yet which
will be chosen, and the variables of most trials are gone at the end.
"""

from collections.abc import Mapping

import numpy as np
from absl import logging

from tf_transfer import datasets
from tf_transfer.runtime import devices, files
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.training.search_results import Choice
from tf_transfer.transfer.training.search_spec import Search

# Bytes of an .npz file that are not the arrays on val.
_HEADERS = 65_536


class ValScores:
  """Keeps the scores of the best candidate, by the order of the choice."""

  def __init__(self, search: Search):
    """Reads what an interrupted search has kept."""
    self._path = search.directory / 'val_scores.npz'
    self._identity = search.identity
    self._description = search.description
    self._best: Choice | None = None
    self._arrays: dict[str, np.ndarray] = {}
    # The leader alone writes the file, and what becomes of it.
    if devices.is_leader():
      self._read(_max_bytes(search.dataset))

  def offer(
    self, candidate: Choice, labels: np.ndarray, logits: np.ndarray
  ) -> None:
    """Keeps the scores of a candidate if it is better than those before.

    Args:
      candidate: a trial after a step, in a view.
      labels: int [V] or [V, C] of val.
      logits: float [V, C] of val.
    """
    if not devices.is_leader() or not np.isfinite(logits).all():
      return
    if self._best is None or candidate.rank_key > self._best.rank_key:
      self._best = candidate
      self._arrays = result_lib.on_val(labels, logits)
      self._write()

  def of_choice(self, choice: Choice) -> Mapping[str, np.ndarray]:
    """Returns val_label and val_scores of the choice.

    They are empty, which is printed, where the file is of another candidate: a
    better one diverged afterwards or was left behind by halving, or the search
    was begun by a version that kept none.
    """
    if not devices.is_leader():
      return {}
    if self._best is not None and _key(self._best) == _key(choice):
      return self._arrays
    print(
      f'  {self._description}: the scores on val of trial {choice.number + 1} '
      'were not kept, so that there is no calibration of them',
      flush=True,
    )
    return {}

  def _read(self, max_bytes: int) -> None:
    """Reads the file, if it is there and of this cell."""
    try:
      arrays = files.load_arrays(self._path, max_bytes)
      if str(arrays['identity']) != self._identity:
        return
      best = Choice(
        int(arrays['number']),
        int(arrays['step']),
        str(arrays['view']),
        {'value': float(arrays['value'])},
      )
      self._arrays = {k: arrays[k] for k in ('val_label', 'val_scores')}
      self._best = best
    except FileNotFoundError:
      return
    except (ValueError, KeyError, TypeError) as error:
      logging.warning('%s: %s: not used', self._path, error)

  def _write(self) -> None:
    """Writes the file."""
    number, step, view, value = _key(self._best)
    with files.atomic_write(self._path) as file:
      np.savez_compressed(
        file,
        identity=self._identity,
        number=number,
        step=step,
        view=view,
        value=value,
        **self._arrays,
      )


def _key(choice: Choice) -> tuple[int, int, str, float]:
  """Returns what tells a candidate from all others."""
  return choice.number, choice.step, choice.view, choice.measurement['value']


def _max_bytes(dataset: datasets.Dataset) -> int:
  """Returns how many bytes the file unpacks to at most."""
  num_classes = len(dataset.classes)
  width = num_classes if dataset.multi_label else 1
  per_example = 8 * width + 8 * num_classes
  return len(dataset.splits['val']) * per_example + _HEADERS
