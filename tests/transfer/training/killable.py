"""Trains two tiny trials on digits; may end itself by a signal on the way.

  python -m tests.transfer.killable DIRECTORY [STEP SIGNAL [CHECKPOINT]]

Prints how many steps were done before its first one, and the SHA-256 of all
parameters and statistics once it is through. It ends itself when STEP are done
and, where that is given, the checkpoint of so many is whole.

  python -m tests.transfer.killable lives DIRECTORY COUNT SEED

Trains once undisturbed, then kills (SIGKILL) so many lives of the same job at
random moments and lets the last one live. All are forks of a process that has
imported what they need, and so begin at once. Prints as JSON the digests of
both ends, and the step that each life that was killed had a checkpoint of.
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

import jax
import numpy as np

from tests.transfer.training import small
from tf_transfer import contract, datasets, errors
from tf_transfer.runtime import checkpoints, devices
from tf_transfer.transfer.training import train_step, trials

TRIALS = (train_step.Trial(0.1, 1e-3), train_step.Trial(0.01, 0.0))
CONTRACT = contract.Contract(small.SIZE, (128.0,) * 3, (128.0,) * 3)


def job(**change) -> trials.Job:
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
      **change,
    }
  )


def digest(values) -> str:
  found = hashlib.sha256()
  for leaf in jax.tree.leaves(jax.device_get(values)):
    found.update(np.ascontiguousarray(leaf))
  return found.hexdigest()


def train(given: trials.Job, directory: pathlib.Path) -> trials.TrainedTrials:
  with checkpoints.Checkpoints(directory, 'tiny') as kept:
    return trials.train(given, given.compile(), TRIALS, kept, 'tiny')


def watch_steps(
  directory: pathlib.Path, at: str = '-1', number: str = '0', whole: str = ''
) -> None:
  """Has training say where it begins, and end itself by a signal."""
  advance, begun = trials._advance, []

  def advance_and_signal(step, state, *rest):
    if not begun:
      begun.append(state.step)
      print(f'from step {state.step}', flush=True)
    found = advance(step, state, *rest)
    if state.step == int(at):
      while whole and not (directory / whole / 'sums.json').exists():
        time.sleep(0.01)
      os.kill(os.getpid(), int(number))
    return found

  trials._advance = advance_and_signal


def main(directory: str, *ending: str) -> None:
  path = pathlib.Path(directory)
  watch_steps(path, *ending)
  try:
    print(digest(train(job(), path).variables))
  except errors.Preempted as preempted:
    print(preempted)


def live(directory: pathlib.Path, kill_after: float | None) -> None:
  """A life of the job, in a fork; killed after so many seconds.

  The first notes in `begun` after how many seconds it began to train.
  """
  started = time.time()
  child = os.fork()
  if child == 0:
    # Slow enough to be hit while it trains, and while it writes.
    advance = trials._advance

    def slowly(*given):
      if not (directory / 'begun').exists():
        (directory / 'begun').write_text(str(time.time() - started))
      time.sleep(0.02)
      return advance(*given)

    trials._advance = slowly
    config = dataclasses.replace(job().train_config, steps=80)
    given = job(checkpoint_every=2, train_config=config)
    with checkpoints.Checkpoints(directory, 'tiny') as kept:
      found = trials.train(given, given.compile(), TRIALS, kept, 'tiny')
    (directory / 'digest').write_text(digest(found.variables))
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
    live(root / name, None)
    duration = time.monotonic() - started
  begun = float((root / 'undisturbed' / 'begun').read_text())
  # While it starts or while it trains; a life comes a fifth of the way.
  latest = begun + (duration - begun) / 5
  moments, steps = random.Random(int(seed)), []
  for _ in range(int(count)):
    live(root / 'killed', moments.uniform(0.7 * begun, latest))
    there = (root / 'killed').glob('[0-9]*/sums.json')
    steps.append(max((int(p.parent.name) for p in there), default=0))
  finished_early = (root / 'killed' / 'digest').exists()
  live(root / 'killed', None)
  ends = [(root / n / 'digest').read_text() for n in ('undisturbed', 'killed')]
  print(json.dumps([*ends, steps, finished_early]))


if __name__ == '__main__':
  if sys.argv[1] == 'lives':
    lives(*sys.argv[2:])
  else:
    main(*sys.argv[1:])
