"""Measures images per second of feature extraction, beside Keras and timm.

  python -m benchmarks.throughput --networks=resnet50,mobilenet_v1

All candidates have the same architecture, images and precision, and random
weights, which do not change the time. They take turns, and each one's best turn
counts. keras.applications runs compiled on TensorFlow, on CPU only. timm
(torchvision for GoogLeNet) runs where PyTorch is installed, channels-last, with
torch.compile on a GPU.
"""

import functools
import importlib.util
import os
from collections.abc import Callable, Sequence

import numpy as np
from absl import app, flags

from benchmarks import peers, turns
from tf_transfer.runtime import memory

_NETWORKS = flags.DEFINE_list('networks', [], 'Names of the table; empty: all.')
_BATCH_SIZE = flags.DEFINE_integer('batch_size', 16, 'Images at once.')
_PRECISION = flags.DEFINE_enum(
  'precision', 'float32', ['float32', 'bfloat16'], 'Of weights and arithmetic.'
)
_TURNS = flags.DEFINE_integer('turns', 5, 'Times that each candidate runs.')
_SECONDS = flags.DEFINE_float('seconds', 1.0, 'How long a turn lasts.')


def _images(batch_size: int, size: int) -> np.ndarray:
  """Draws images [B, size, size, 3] in -1 to 1."""
  rng = np.random.default_rng(0)
  return rng.uniform(-1, 1, (batch_size, size, size, 3)).astype(np.float32)


def ours(name: str, batch_size: int, precision: str) -> Callable[[], object]:
  """Prepares the features of our network, as the library computes them."""
  import jax
  import jax.numpy as jnp

  from tf_transfer import contract, networks
  from tf_transfer.networks import weights
  from tf_transfer.runtime import devices

  size = networks.row(name).image_size
  model = networks.build(name)
  rng = np.random.default_rng(0)
  variables = {
    path: jnp.asarray(
      np.abs(rng.normal(size=v.shape, scale=0.05)), jnp.dtype(precision)
    )
    for path, v in networks.expected_variables(model, size).items()
  }
  net = networks.Network(
    weights.Header(name, {}, contract.Contract(size, (0,) * 3, (1,) * 3)),
    model,
    weights.unflatten(variables),
    sha256='',
  )
  x = jax.device_put(_images(batch_size, size).astype(jnp.dtype(precision)))
  features = jax.jit(
    net.apply_features, compiler_options=devices.compiler_options()
  )
  return lambda: jax.block_until_ready(features(net.variables, x))


def keras(
  name: str, batch_size: int, precision: str
) -> Callable[[], object] | None:
  """Prepares keras.applications on TensorFlow, compiled to a graph."""
  application = peers.PEERS.get(name, (None, None))[0]
  if application is None or precision != 'float32':
    return None
  os.environ['TF_CPP_MIN_LOG_LEVEL'] = '2'
  os.environ['KERAS_BACKEND'] = 'tensorflow'
  import keras as keras_lib
  import tensorflow as tf

  from tf_transfer import networks

  options = {}
  if isinstance(application, tuple):
    application, options['alpha'] = application
  size = networks.row(name).image_size
  model = getattr(keras_lib.applications, application)(
    weights=None,
    include_top=False,
    pooling='avg',
    input_shape=(size, size, 3),
    **options,
  )
  x = tf.constant(_images(batch_size, size))
  compiled = tf.function(functools.partial(model, training=False))
  return lambda: compiled(x).numpy()


def timm(
  name: str, batch_size: int, precision: str
) -> Callable[[], object] | None:
  """Prepares timm or torchvision on PyTorch, channels-last."""
  model_name = peers.PEERS.get(name, (None, None))[1]
  if model_name is None or not importlib.util.find_spec('timm'):
    return None
  import torch

  from tf_transfer import networks

  size = networks.row(name).image_size
  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  torch.set_num_threads(os.cpu_count())
  package, _, model_name = model_name.rpartition(':')
  if package:
    from torchvision import models

    model = getattr(models, model_name)(
      weights=None, init_weights=False, aux_logits=False
    )
    model.fc = torch.nn.Identity()
  else:
    import timm as timm_lib

    model = timm_lib.create_model(model_name, num_classes=0)
  to = {'device': device, 'dtype': getattr(torch, precision)}
  model = model.eval().to(memory_format=torch.channels_last, **to)
  x = torch.from_numpy(_images(batch_size, size)).permute(0, 3, 1, 2).to(**to)
  run = torch.compile(model) if device == 'cuda' else model

  def call() -> object:
    with torch.inference_mode():
      return run(x).float().cpu()

  return call


def names(chosen: Sequence[str]) -> list[str]:
  """Returns the networks to time: the chosen ones, or the whole table.

  Raises:
    InputError: one is not in the table.
  """
  from tf_transfer import networks

  for name in chosen:
    networks.row(name)
  return list(chosen or networks.TABLE)


def main(argv: list[str]) -> None:
  """Prints a line for each network: images per second of each candidate."""
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  chosen = names(_NETWORKS.value)
  print(
    f'{os.cpu_count()} cores, {_PRECISION.value}, batch {_BATCH_SIZE.value}; '
    'images per second'
  )
  print(f'{"network":<22}{"ours":>8}{"keras":>8}{"timm":>8}  ours ÷ the faster')
  for name in chosen:
    arguments = (name, _BATCH_SIZE.value, _PRECISION.value)
    times = turns.time_candidates(
      {
        'ours': (ours, arguments),
        'keras': (keras, arguments),
        'timm': (timm, arguments),
      },
      _TURNS.value,
      _SECONDS.value,
      {'ours': memory.large_pages()},
    )
    rates = {
      label: _BATCH_SIZE.value / min(measured.seconds)
      for label, measured in times.items()
    }
    cells = ''.join(
      f'{rates[label]:>8.1f}' if label in rates else f'{"-":>8}'
      for label in ('ours', 'keras', 'timm')
    )
    others = [rate for label, rate in rates.items() if label != 'ours']
    ratio = f'{rates["ours"] / max(others):.2f}' if others else 'no peer'
    print(f'{name:<22}{cells}  {ratio}', flush=True)


if __name__ == '__main__':
  app.run(main)
