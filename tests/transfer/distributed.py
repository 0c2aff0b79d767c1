"""Trains two tiny trials on digits on all devices of all processes.

  python -m tests.transfer.distributed DIRECTORY

Where JAX_COORDINATOR_ADDRESS is set this is one process of several. The first
writes DIRECTORY/found.npz: the parameters and statistics, and what the first
trial makes of the test split.
"""

import pathlib
import sys

import jax
import numpy as np

from tests.transfer import killable
from tf_transfer import datasets, networks
from tf_transfer.networks import weights
from tf_transfer.runtime import devices
from tf_transfer.transfer import trials


def main(directory: str) -> None:
  devices.connect()
  mesh = devices.data_mesh()
  job = killable.job(mesh=mesh)
  trained = killable.train(job, pathlib.Path(directory) / 'checkpoints')
  header = weights.Header('tiny', {}, job.contract, num_classes=10)
  net = networks.Network(header, job.model, job.variables, sha256='')
  (logits,), kept = trials.predictions(
    trials.compile_predict(net, mesh),
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
      devices=jax.device_count(),
      processes=jax.process_count(),
    )


if __name__ == '__main__':
  main(*sys.argv[1:])
