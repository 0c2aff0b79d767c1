"""Trains two tiny trials on digits on all devices of all processes.

  python -m tests.transfer.distributed DIRECTORY [STEP SIGNAL [CHECKPOINT]]

Where JAX_COORDINATOR_ADDRESS is set this is one process of several; it ends
itself as `killable` does. The first writes DIRECTORY/found.npz: the parameters
and statistics, what the first trial makes of the test split, and which of the
damaged images were skipped.
"""

import dataclasses
import pathlib
import sys

import jax
import numpy as np

from tests.transfer.training import killable
from tf_transfer import datasets, networks
from tf_transfer.datasets.images import decoding
from tf_transfer.networks import weights
from tf_transfer.runtime import devices
from tf_transfer.transfer.training import predictions

# Positions in train whose images cannot be decoded.
DAMAGED = (3, 200, 201, 777)


def damaged_split() -> datasets.Split:
  split = datasets.open('digits').splits['train']

  def read(i):
    if i in DAMAGED:
      raise decoding.CorruptImage(f'{i} is damaged')
    return split.read(i)

  return dataclasses.replace(split, read=read)


def main(directory: str, *ending: str) -> None:
  devices.connect()
  mesh = devices.data_mesh()
  job = killable.job(mesh=mesh, split=damaged_split(), corrupt='skip')
  checkpoints = pathlib.Path(directory) / 'checkpoints'
  killable.watch_steps(checkpoints, *ending)
  trained = killable.train(job, checkpoints)
  header = weights.Header('tiny', {}, job.contract, num_classes=10)
  net = networks.Network(header, job.model, job.variables, sha256='')
  (logits,), kept = predictions.predict_logits(
    predictions.compile_predict(net, mesh),
    job.contract,
    trained.variables[:1],
    datasets.open('digits').splits['test'],
    'central',
    mesh,
    batch_size=60,
    corrupt='error',
    description='test',
  )
  if jax.process_index() == 0:
    leaves = jax.device_get(jax.tree.leaves(trained.variables))
    np.savez(
      pathlib.Path(directory) / 'found.npz',
      *leaves,
      logits=logits,
      kept=kept,
      skipped=trained.skipped,
      devices=jax.device_count(),
      processes=jax.process_count(),
    )


if __name__ == '__main__':
  main(*sys.argv[1:])
