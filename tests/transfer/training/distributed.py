"""Trains two tiny trials on digits on all devices of all processes.

  python -m tests.transfer.training.distributed DIRECTORY
      [STEP SIGNAL [CHECKPOINT]]

Where JAX_COORDINATOR_ADDRESS or Slurm's variables are set this is one process
of several. It ends itself as `killable` does. The first process writes
DIRECTORY/result.npz: the parameters and statistics, the first trial's logits on
the test split, and which of the damaged images were skipped.
"""

import dataclasses
import pathlib
import sys

import jax
import numpy as np

from tests.transfer.training import killable
from tf_transfer import datasets, networks
from tf_transfer.images import decoding
from tf_transfer.networks import weights
from tf_transfer.runtime import devices
from tf_transfer.transfer.training import predictions

# Positions in train whose images cannot be decoded.
DAMAGED = (3, 200, 201, 777)


def damaged_split() -> datasets.Split:
  """Returns the train split of digits with damaged images."""
  split = datasets.open('digits').splits['train']

  def read(i: int) -> np.ndarray:
    if i in DAMAGED:
      raise decoding.CorruptImage(f'{i} is damaged')
    return split.read(i)

  return dataclasses.replace(split, read=read)


def train_and_predict(
  directory: pathlib.Path, mesh: jax.sharding.Mesh
) -> dict[str, np.ndarray]:
  """Trains on a mesh; returns what result.npz holds."""
  job = killable.job(mesh=mesh, split=damaged_split(), corrupt='skip')
  trained = killable.train(job, directory / 'checkpoints')
  header = weights.Header('tiny', {}, job.contract, num_classes=10)
  net = networks.Network(header, job.model, job.variables, sha256='')
  (logits,), positions = predictions.predict_logits(
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
  leaves = jax.device_get(jax.tree.leaves(trained.variables))
  return {
    **{f'leaf_{number}': leaf for number, leaf in enumerate(leaves)},
    'logits': logits,
    'positions': positions,
    'skipped': np.array(trained.skipped),
    'devices': np.array(mesh.size),
    'processes': np.array(jax.process_count()),
  }


def main(directory: str, *ending: str) -> None:
  devices.connect()
  path = pathlib.Path(directory)
  killable.signal_at(path / 'checkpoints', *ending)
  result = train_and_predict(path, devices.data_mesh())
  if jax.process_index() == 0:
    np.savez(path / 'result.npz', **result)


if __name__ == '__main__':
  main(*sys.argv[1:])
