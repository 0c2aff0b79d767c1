"""What there is to check and to time on a GPU or TPU, in one command.

  python -m benchmarks.accelerator --minutes=25 | tee accelerator.txt

First that the networks are exact there too: golden outputs of one source of
each (float32; rounded inputs of products would show as 1e-3). Then speed:
features in bfloat16 beside timm, as many networks as fit in the time. Needs
JAX, Flax, NumPy and safetensors; PyTorch and timm for the comparison. On CPU
it runs as well, in float32, to see that it works.
"""

import functools
import os
import subprocess
import sys
import time

import jax
import numpy as np
from absl import app, flags

from tests.golden import rule
from tf_transfer import networks
from tf_transfer.networks import weights
from tf_transfer.runtime import devices
from tools import convert_weights
from tools.convert_weights import rules

_MINUTES = flags.DEFINE_float('minutes', 25, 'Nothing is begun after these.')
_NETWORKS = flags.DEFINE_list('networks', [], 'Names of the table; empty: all.')


# The processes that are timed need the memory too.
os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')


def difference(source_name: str, network: str) -> float:
  """The largest difference from golden features, over the largest of them."""
  source = convert_weights.source_of(network, source_name)
  suffix, gain = list(rule.gains(source_name, network).items())[-1]
  tensors = rule.checkpoint(source_name, network, gain)
  arrays, _ = rules.apply_rules(tensors, source.rules)
  net = networks.Network(
    weights.Header(
      network, source.options, source.contract, source.num_classes
    ),
    networks.build(network, num_classes=source.num_classes, **source.options),
    jax.tree.map(jax.numpy.asarray, weights.unflatten(arrays)),
    sha256='',
  )
  size = networks.row(network).image_size
  generator = np.random.Generator(np.random.PCG64(0))
  x = generator.uniform(-1, 1, (2, size, size, 3)).astype(np.float32)
  with np.load(rule.FOLDER / source_name / f'{network}.npz') as golden:
    wanted = golden[f'features{suffix}']
  found = np.asarray(net.features(x))
  return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  started = time.monotonic()
  say = functools.partial(print, flush=True)
  say(f'{devices.describe()}, jax {jax.__version__}')
  chosen = _NETWORKS.value or list(networks.TABLE)
  sources = {network: source for source, network in rule.pairs()}
  worst = 0.0
  for network in chosen:
    if network in sources:
      found = difference(sources[network], network)
      worst = max(worst, found)
      say(f'golden   {network:<22}{sources[network]:<18}{found:.1e}')
  say(f'golden   the largest: {worst:.1e} (the limit is 1e-5)')
  precision = 'float32' if jax.default_backend() == 'cpu' else 'bfloat16'
  for network in chosen:
    if time.monotonic() - started > 60 * _MINUTES.value:
      say(f'out of time ahead of {network}')
      break
    command = [sys.executable, '-m', 'benchmarks.throughput']
    command += [f'--networks={network}', f'--precision={precision}']
    command += [f'--batch_size={16 if precision == "float32" else 256}']
    result = subprocess.run(command, capture_output=True, text=True)
    lines = result.stdout.splitlines() or result.stderr.splitlines()[-1:]
    say(f'speed    {lines[-1] if lines else "nothing was printed"}')
  if worst >= 1e-5:
    sys.exit('error: not exact on this device')


if __name__ == '__main__':
  app.run(main)
