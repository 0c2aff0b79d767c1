"""A study of the smallest networks; may be killed on the way.

  python -m tests.study.tiny WORKDIR [EVENT NUMBER]

EVENT is what it kills itself at: 'shard', the NUMBER-th time that features are
kept; 'record', that a record is; 'checkpoint', that one is begun.
"""

import os
import pathlib
import signal
import sys

import ml_collections

from tests.transfer.training import killable, small
from tf_transfer import networks
from tf_transfer.configs import base
from tf_transfer.jobs import study
from tf_transfer.networks import weights
from tf_transfer.runtime import checkpoints
from tf_transfer.study import ledger
from tf_transfer.transfer.fixed_features import feature_cache
from tf_transfer.transfer.training import train_step

ROW = networks.Row(small.TinyBackbone, small.SIZE, 6, 174)
# By file; the last two are of one architecture.
FILES = {'tiny': 1, 'tinier': 2, 'other': 3}


def write_weights(directory: pathlib.Path) -> None:
  """NAME.safetensors of three networks; those in the table go by name."""
  directory.mkdir(parents=True, exist_ok=True)
  for number, (name, seed) in enumerate(FILES.items()):
    of = 'tiny' if name == 'tiny' else 'tinier'
    model = networks.build(of, num_classes=3)
    header = weights.Header(
      of,
      {},
      killable.CONTRACT,
      num_classes=3,
      imagenet_top1=0.7 + number / 100,
    )
    weights.save(
      directory / f'{name}.safetensors',
      header,
      train_step.initial_variables(model, small.SIZE, seed=seed),
    )


def config(directory: pathlib.Path) -> ml_collections.ConfigDict:
  """All weights in a directory × digits × two classifiers."""
  made = base.get_config()
  made.networks = ('all',)
  made.datasets = ('digits',)
  made.settings = ('logistic_regression', 'ridge')
  made.weights_dir = str(directory)
  made.logistic_regression.num_penalties = 2
  made.logistic_regression.penalty_min = 1e-1
  made.logistic_regression.penalty_max = 1e1
  made.ridge.num_penalties = 2
  made.fine_tuned = base.fine_tuned_fields()
  made.fine_tuned.update(
    {
      'num_learning_rates': 1,
      'learning_rate_min': 0.1,
      'num_weight_decays': 1,
      'weight_decay_max': 1e-6,
      'include_zero_weight_decay': False,
      'steps': 20,
      'batch_size': 32,
      'checkpoint_every': 5,
    }
  )
  # Without the packages that may be installed here.
  made.leave_out = (('efficientnet*', '*', '*'),)
  made.tensorboard = False
  made.report = False
  return made.lock()


def kill_at(owner: type, method: str, number: int) -> None:
  """Has the process killed when a method returns for the number-th time."""
  given, count = getattr(owner, method), [0]

  def counting(*arguments, **options):
    result = given(*arguments, **options)
    count[0] += 1
    if count[0] == number:
      os.kill(os.getpid(), signal.SIGKILL)
    return result

  setattr(owner, method, counting)


def main(workdir: str, event: str = '', number: str = '0') -> None:
  networks.TABLE.update(tiny=ROW, tinier=ROW)
  if event:
    owner, method = {
      'shard': (feature_cache.Entry, 'write'),
      'record': (ledger.Ledger, 'add'),
      'checkpoint': (checkpoints.Checkpoints, 'save'),
    }[event]
    kill_at(owner, method, int(number))
  directory = pathlib.Path(workdir) / 'given'
  if not directory.exists():
    write_weights(directory)
  given = config(directory)
  given.settings = ('logistic_regression', 'fine_tuned')
  given.leave_out = (*given.leave_out, ('*other*', '*', 'fine_tuned'))
  study.run(given, pathlib.Path(workdir))


if __name__ == '__main__':
  main(*sys.argv[1:])
