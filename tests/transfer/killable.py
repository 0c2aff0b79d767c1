"""Trains two tiny trials on digits; may end itself by a signal on the way.

  python -m tests.transfer.killable DIRECTORY [STEP SIGNAL]

Prints the SHA-256 of all parameters and statistics once it is through.
"""

import dataclasses
import hashlib
import os
import pathlib
import sys

import jax
import numpy as np

from tests.transfer import small
from tf_transfer import contract, datasets, errors
from tf_transfer.runtime import checkpoints, devices
from tf_transfer.transfer import training, trials

TRIALS = (training.Trial(0.1, 1e-3), training.Trial(0.01, 0.0))
CONTRACT = contract.Contract(small.SIZE, (128.0,) * 3, (128.0,) * 3)


def job(**change) -> trials.Job:
  model = small.tiny(dropout=0.2)
  model = dataclasses.replace(model, num_classes=10)
  return trials.Job(
    **{
      'model': model,
      'contract': CONTRACT,
      'recipe': training.Recipe(
        steps=40, batch_size=16, dropout=0.2, average_decay=0.9
      ),
      'split': datasets.open('digits').splits['train'],
      'variables': training.initial_variables(model, small.SIZE, seed=0),
      'mesh': devices.data_mesh(jax.devices()[:1]),
      'corrupt': 'error',
      'checkpoint_every': 7,
      **change,
    }
  )


def digest(values) -> str:
  found = hashlib.sha256()
  for leaf in jax.tree.leaves(jax.device_get(values)):
    found.update(np.ascontiguousarray(leaf))
  return found.hexdigest()


def train(given: trials.Job, directory: pathlib.Path) -> trials.Trained:
  with checkpoints.Checkpoints(directory, 'tiny') as kept:
    return trials.train(given, given.compile(), TRIALS, kept, 'tiny')


def main(directory: str, at: str = '-1', number: str = '0') -> None:
  advance = trials._advance

  def advance_and_signal(step, standing, *rest):
    advance(step, standing, *rest)
    if standing.done == int(at):
      os.kill(os.getpid(), int(number))

  trials._advance = advance_and_signal
  try:
    print(digest(train(job(), pathlib.Path(directory)).variables))
  except errors.Preempted as preempted:
    print(preempted)


if __name__ == '__main__':
  main(*sys.argv[1:])
