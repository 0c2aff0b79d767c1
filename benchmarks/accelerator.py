"""Checks and times everything on a GPU or TPU, in one command.

  python -m benchmarks.accelerator --minutes=25 | tee accelerator.txt

First it checks that the networks are exact there too, by the golden outputs of
one source of each (in float32; rounded inputs of products would show as 1e-3).
Then it times, in bfloat16, features and the training step of one network after
the other beside its peers, one of each family first, as many as fit in the
time. After the first network it times the training step fed from JPEGs, and
trials that share them.

It needs JAX, Flax, NumPy, safetensors and ml-collections; for the comparison
PyTorch, timm and torchvision, and Keras; for JPEGs TensorFlow, scikit-learn and
Pillow. On CPU it runs in float32 and with small batches, to see that it works.
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
from tf_transfer import convert_weights, networks
from tf_transfer.convert_weights import rules
from tf_transfer.networks import weights
from tf_transfer.runtime import devices

_MINUTES = flags.DEFINE_float('minutes', 25, 'Nothing is started after these.')
_NETWORKS = flags.DEFINE_list('networks', [], 'Names of the table; empty: all.')

# One of each family, before the others.
_FIRST = (
  *('resnet50', 'mobilenet_v1', 'densenet121', 'inception_v3'),
  *('efficientnet_v2_s', 'nasnet_large', 'inception_resnet_v2'),
)
# Seconds beyond the time that a benchmark which started in time may take.
_EXTRA_SECONDS = 240

# The processes that are timed need the memory too.
os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')


def difference(source_name: str, network: str) -> float:
  """Returns the largest difference from golden features, relative to them."""
  source = convert_weights.get_source(network, source_name)
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
    expected = golden[f'features{suffix}']
  features = np.asarray(net.features(x))
  return float(np.abs(features - expected).max() / np.abs(expected).max())


def benchmarks(names: list[str]) -> list[tuple[str, list[str]]]:
  """Returns the benchmarks in order: a module and its arguments.

  Args:
    names: of networks.
  """
  on_cpu = jax.default_backend() == 'cpu'
  common = [f'--precision={"float32" if on_cpu else "bfloat16"}']
  features = [*common, f'--batch_size={16 if on_cpu else 256}']
  training = [*common, f'--batch_size={16 if on_cpu else 128}', '--turns=3']
  if on_cpu:
    training += ['--image_size=96', '--seconds=0.5']
  result = []
  for network in [
    *[name for name in _FIRST if name in names],
    *[name for name in names if name not in _FIRST],
  ]:
    one = f'--networks={network}'
    result.append(('throughput', [one, *features]))
    result.append(('training', [one, *training]))
  result[2:2] = [
    ('training', ['--data', *result[1][1]]),
    ('training', ['--shared', *common, '--batch_size=64']),
  ]
  return result


def run_benchmark(
  module: str, arguments: list[str], seconds: float
) -> list[str]:
  """Returns the lines of a benchmark's results, or why it failed.

  Args:
    module: of `benchmarks`.
    arguments: its flags.
    seconds: after which it is ended.
  """
  command = [sys.executable, '-m', f'benchmarks.{module}', *arguments]
  try:
    result = subprocess.run(
      command, capture_output=True, text=True, timeout=max(seconds, 1)
    )
  except subprocess.TimeoutExpired:
    return [f'did not end in time: {" ".join(arguments)}']
  if result.returncode:
    return result.stderr.splitlines()[-1:] or ['nothing was printed']
  # Without the line that describes the machine, which is above already.
  return result.stdout.splitlines()[1:]


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  started = time.monotonic()
  say = functools.partial(print, flush=True)

  def seconds_left() -> float:
    return started + 60 * _MINUTES.value - time.monotonic()

  say(f'{devices.describe()}, jax {jax.__version__}')
  names = _NETWORKS.value or list(networks.TABLE)
  sources = {network: source for source, network in rule.pairs()}
  worst = 0.0
  for network in names:
    if network in sources:
      error = difference(sources[network], network)
      worst = max(worst, error)
      say(f'golden   {network:<22}{sources[network]:<18}{error:.1e}')
  say(f'golden   the largest: {worst:.1e} (the limit is 1e-5)')
  for module, arguments in benchmarks(names):
    if seconds_left() < 0:
      say(f'out of time before {module}: {" ".join(arguments)}')
      break
    seconds = seconds_left() + _EXTRA_SECONDS
    for line in run_benchmark(module, arguments, seconds):
      say(f'{module:<9}{line}')
  if worst >= 1e-5:
    sys.exit('error: not exact on this device')


if __name__ == '__main__':
  app.run(main)
