"""Images per second of feature extraction, beside the plain forms and timm.

  python -m benchmarks.throughput --networks=efficientnet_lite0 --batch_size=64

In one process, the candidates taking turns, so that what else the machine
does falls on all of them alike: `ours`; `one batch`, the same without chunks;
`native`, XLA's own convolutions throughout; and, where PyTorch and timm are
installed, timm's network of the same architecture. Weights are random: they
do not change the time. Prints the best of the turns and the ratios.
"""

import functools
import importlib.util
import os
import time
from collections.abc import Callable

import jax
import numpy as np
from absl import app, flags

from tf_transfer import networks
from tf_transfer.networks import layers

_NETWORKS = flags.DEFINE_list(
  'networks', list(networks.TABLE), 'Names of the table.'
)
_BATCH_SIZE = flags.DEFINE_integer('batch_size', 64, 'Images at once.')
_TURNS = flags.DEFINE_integer('turns', 3, 'Times that each candidate runs.')

_TIMM_NAMES = {
  f'efficientnet_lite{i}': f'tf_efficientnet_lite{i}' for i in range(3)
}


def _flax(name: str, x: np.ndarray, chunks: bool) -> Callable[[], object]:
  """A compiled call of the network on the batch x."""
  model = networks.build(name)
  variables = jax.jit(model.init)(jax.random.key(0), x[:1])
  apply = functools.partial(model.apply, method='features')
  if chunks:
    function = jax.jit(
      lambda v, x: networks.map_chunks(functools.partial(apply, v), x)
    )
  else:
    function = jax.jit(apply)
  image = jax.device_put(x)
  compiled = function.lower(variables, image).compile()
  return lambda: jax.block_until_ready(compiled(variables, image))


def _native(name: str, x: np.ndarray) -> Callable[[], object]:
  """The same without the forms that suit a CPU."""
  ours = layers.convolution
  layers.convolution = layers.native_convolution
  try:
    return _flax(name, x, chunks=False)
  finally:
    layers.convolution = ours


def _timm(name: str, x: np.ndarray) -> Callable[[], object] | None:
  if name not in _TIMM_NAMES or not importlib.util.find_spec('timm'):
    return None
  import timm
  import torch

  torch.set_num_threads(os.cpu_count())
  model = timm.create_model(_TIMM_NAMES[name], num_classes=0).eval()
  model = model.to(memory_format=torch.channels_last)
  image = torch.from_numpy(x).permute(0, 3, 1, 2)

  def call():
    with torch.inference_mode():
      return model(image)

  return call


def measure(name: str, batch_size: int, turns: int) -> dict[str, float]:
  """Images per second of each candidate, the best of its turns."""
  size = networks.row(name).image_size
  rng = np.random.default_rng(0)
  x = rng.uniform(-1, 1, (batch_size, size, size, 3)).astype(np.float32)
  on_cpu = jax.default_backend() == 'cpu'
  candidates = {
    'ours': _flax(name, x, chunks=on_cpu),
    'one batch': _flax(name, x, chunks=False),
    'native': _native(name, x),
    'timm': _timm(name, x),
  }
  best = {}
  for turn in range(turns + 1):
    for label, call in candidates.items():
      if call is None:
        continue
      started = time.perf_counter()
      call()
      rate = batch_size / (time.perf_counter() - started)
      if turn:  # the first is a warm-up
        best[label] = max(best.get(label, 0.0), rate)
  return best


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  device = jax.devices()[0].device_kind
  print(f'{device}, {os.cpu_count()} cores, float32, batch {_BATCH_SIZE.value}')
  for name in _NETWORKS.value:
    rates = measure(name, _BATCH_SIZE.value, _TURNS.value)
    line = ', '.join(
      f'{label} {rate:.0f}/s'
      + ('' if label == 'ours' else f' (ours × {rates["ours"] / rate:.2f})')
      for label, rate in rates.items()
    )
    print(f'{name}: {line}', flush=True)


if __name__ == '__main__':
  app.run(main)
