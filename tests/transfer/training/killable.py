"""Trains two tiny trials on digits; may end itself by a signal on the way.

  python -m tests.transfer.training.killable DIRECTORY
      [STEP SIGNAL [CHECKPOINT]]

Prints the steps that were done before its first one, and the SHA-256 of all
parameters and statistics at the end. It ends itself when STEP steps are done
and, if CHECKPOINT is given, the checkpoint of that step is complete.

  python -m tests.transfer.training.killable lives DIRECTORY COUNT SEED

Trains once undisturbed, then kills (SIGKILL) COUNT runs of the same job at
random moments and lets one more finish. All are forks of a process that has
imported what they need, and so start at once. Prints as JSON the digests of
both ends, and the step of which each killed run had a checkpoint.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import random
import signal
import sys
import time
from typing import Any

import jax
import numpy as np

from tests.transfer.training import small
from tf_transfer import contract, datasets, errors
from tf_transfer.runtime import checkpoints, devices
from tf_transfer.transfer.training import train_step, trials

TRIALS = (train_step.Trial(0.1, 1e-3), train_step.Trial(0.01, 0.0))
CONTRACT = contract.Contract(small.SIZE, (128.0,) * 3, (128.0,) * 3)


def job(**changes: Any) -> trials.Job:
  """Builds the job, on one device unless changed."""
  model = small.tiny(dropout=0.2)
  model = dataclasses.replace(model, num_classes=10)
  return trials.Job(
    **{
      'model': model,
      'contract': CONTRACT,
      'train_config': train_step.TrainConfig(
        steps=40, batch_size=16, dropout=0.2, ema_decay=0.9
      ),
      'split': datasets.open('digits').splits['train'],
      'variables': train_step.initial_variables(model, small.SIZE, seed=0),
      'mesh': devices.data_mesh(jax.devices()[:1]),
      'corrupt': 'error',
      'checkpoint_every': 7,
      **changes,
    }
  )


def digest(values: Any) -> str:
  """Returns the SHA-256 of a tree of arrays."""
  sha256 = hashlib.sha256()
  for leaf in jax.tree.leaves(jax.device_get(values)):
    sha256.update(np.ascontiguousarray(leaf))
  return sha256.hexdigest()


def train(job: trials.Job, directory: pathlib.Path) -> trials.TrainedTrials:
  """Trains both trials, from the checkpoints in a directory on."""
  with checkpoints.Checkpoints(directory, 'tiny') as kept:
    return trials.train(job, job.compile(), TRIALS, kept, 'tiny')


def signal_at(
  directory: pathlib.Path,
  step: str = '-1',
  number: str = '0',
  checkpoint: str = '',
) -> None:
  """Has training print where it starts, and end itself by a signal.

  Args:
    directory: of the checkpoints.
    step: after which the signal is sent.
    number: of the signal.
    checkpoint: the step whose checkpoint must be complete by then.
  """
  advance, is_started = trials._advance, []

  def advance_and_signal(compiled_step, state, *rest):
    if not is_started:
      is_started.append(True)
      print(f'from step {state.step}', flush=True)
    metrics = advance(compiled_step, state, *rest)
    if state.step == int(step):
      sums = directory / checkpoint / 'sums.json'
      while checkpoint and not sums.exists():
        time.sleep(0.01)
      os.kill(os.getpid(), int(number))
    return metrics

  trials._advance = advance_and_signal


def main(directory: str, *ending: str) -> None:
  path = pathlib.Path(directory)
  signal_at(path, *ending)
  try:
    print(digest(train(job(), path).variables))
  except errors.Preempted as preempted:
    print(preempted)


def run_in_fork(directory: pathlib.Path, kill_after: float | None) -> None:
  """Runs the job in a fork; kills it after so many seconds.

  The first run in a directory notes in `begun` when it began to train.
  """
  started = time.time()
  child = os.fork()
  if child == 0:
    # Slow enough to be hit while it trains, and while it writes.
    advance = trials._advance

    def advance_slowly(*arguments):
      if not (directory / 'begun').exists():
        (directory / 'begun').write_text(str(time.time() - started))
      time.sleep(0.02)
      return advance(*arguments)

    trials._advance = advance_slowly
    config = dataclasses.replace(job().train_config, steps=80)
    trained = train(job(checkpoint_every=2, train_config=config), directory)
    (directory / 'digest').write_text(digest(trained.variables))
    os._exit(0)
  if kill_after is not None:
    time.sleep(kill_after)
    os.kill(child, signal.SIGKILL)
  os.waitpid(child, 0)


def lives(directory: str, count: str, seed: str) -> None:
  root = pathlib.Path(directory)
  # Once to fill the cache of compiled programs, once to see how long it takes.
  for name in ('first', 'undisturbed'):
    started = time.monotonic()
    run_in_fork(root / name, None)
    duration = time.monotonic() - started
  begun = float((root / 'undisturbed' / 'begun').read_text())
  # While it starts or while it trains; a run comes a fifth of the way.
  latest = begun + (duration - begun) / 5
  moments, steps = random.Random(int(seed)), []
  for _ in range(int(count)):
    run_in_fork(root / 'killed', moments.uniform(0.7 * begun, latest))
    complete = (root / 'killed').glob('[0-9]*/sums.json')
    steps.append(max((int(p.parent.name) for p in complete), default=0))
  finished_early = (root / 'killed' / 'digest').exists()
  run_in_fork(root / 'killed', None)
  ends = [(root / n / 'digest').read_text() for n in ('undisturbed', 'killed')]
  print(json.dumps([*ends, steps, finished_early]))


if __name__ == '__main__':
  if sys.argv[1] == 'lives':
    lives(*sys.argv[2:])
  else:
    main(*sys.argv[1:])
