"""Images per second of a training step, its options on and off.

  python -m benchmarks.training --networks=mobilenet_v1 --batch_size=32

The candidates take turns, each in a process of its own: float32, bfloat16, a
batch in two parts, with dropout, smoothing and a moving average; and Keras's
own training step (float32, on CPU only) where keras.applications has the
network. Random weights and ready batches: what decoding costs is measured by
benchmarks.pipeline. Of each candidate the median of its turns counts.

With --pretraining the candidates are what pretraining may have on or off: the
auxiliary head, a batch in two parts, the moving average; and all three.
"""

import dataclasses
import os
import statistics
from collections.abc import Callable

import numpy as np
from absl import app, flags

from benchmarks import peers, turns

_NETWORKS = flags.DEFINE_list(
  'networks', ['mobilenet_v1'], 'Names of the table.'
)
_BATCH_SIZE = flags.DEFINE_integer('batch_size', 32, 'Images of a step.')
_IMAGE_SIZE = flags.DEFINE_integer('image_size', 0, "0: the network's own.")
_TURNS = flags.DEFINE_integer('turns', 3, 'Times that each candidate runs.')
_PRETRAINING = flags.DEFINE_bool(
  'pretraining', False, 'What pretraining has on or off.'
)
_SECONDS = flags.DEFINE_float('seconds', 2.0, 'How long a turn lasts.')

_CLASSES = 100
# What of the recipe each candidate changes.
CANDIDATES = {
  'float32': {},
  'bfloat16': {'precision': 'bfloat16'},
  'two parts': {'accumulation': 2},
  'regularised': {
    'label_smoothing': 0.1,
    'dropout': 0.2,
    'average_decay': 0.999,
  },
}
PRETRAINING = {
  'none': {},
  'auxiliary': {'auxiliary_head': True},
  'two parts': {'accumulation': 2},
  'average': {'average_decay': 0.9999},
  'all three': {
    'auxiliary_head': True,
    'accumulation': 2,
    'average_decay': 0.9999,
  },
}


def candidates(name: str, pretraining: bool) -> dict[str, dict[str, object]]:
  """What of the recipe each candidate changes, for a network that can."""
  from tf_transfer import networks

  return {
    label: change
    for label, change in (PRETRAINING if pretraining else CANDIDATES).items()
    if networks.has_auxiliary(name) or 'auxiliary_head' not in change
  }


def _batch(batch_size: int, size: int) -> dict[str, np.ndarray]:
  rng = np.random.default_rng(0)
  shape = (batch_size, size, size, 3)
  return {
    'image': rng.integers(0, 256, shape).astype(np.uint8),
    'label': rng.integers(0, _CLASSES, batch_size).astype(np.int32),
    'mask': np.ones(batch_size, bool),
  }


def ours(
  name: str, batch_size: int, size: int, change: dict[str, object]
) -> Callable[[], object]:
  """A step of ours, on all devices."""
  import jax

  from tf_transfer import networks
  from tf_transfer.runtime import devices
  from tf_transfer.transfer import training

  net = networks.untrained(name)
  recipe = training.Recipe(steps=100_000, batch_size=batch_size, **change)
  mesh = devices.data_mesh()
  model = training.build_model(net, _CLASSES, 100 * batch_size, recipe)
  variables = training.initial_variables(model, size, seed=0)
  states = [training.new_state(variables, recipe, mesh)]
  step = training.compile_step(model, net.contract.scale, recipe, mesh)
  sharding = devices.sharding(mesh, devices.BATCH)
  (batch,) = devices.on_devices([_batch(batch_size, size)], sharding)
  trial = dataclasses.asdict(training.Trial(1e-3, 1e-5))

  def call():
    state, metrics = step(states.pop(), trial, batch)
    states.append(state)
    return jax.block_until_ready(metrics)

  return call


def keras(name: str, batch_size: int, size: int) -> Callable[[], object] | None:
  """A step of keras.applications' network by Keras, compiled to a graph."""
  application = peers.PEERS.get(name, (None, None))[0]
  if not isinstance(application, str):
    return None
  os.environ['TF_CPP_MIN_LOG_LEVEL'] = '2'
  os.environ['KERAS_BACKEND'] = 'tensorflow'
  import keras as keras_lib

  model = getattr(keras_lib.applications, application)(
    weights=None, classes=_CLASSES, input_shape=(size, size, 3)
  )
  model.compile(
    keras_lib.optimizers.SGD(1e-3, momentum=0.9, nesterov=True),
    'sparse_categorical_crossentropy',
  )
  batch = _batch(batch_size, size)
  image = batch['image'].astype(np.float32) / 127.5 - 1
  return lambda: model.train_on_batch(image, batch['label'])


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  from tf_transfer import networks

  print(f'{os.cpu_count()} cores, batch {_BATCH_SIZE.value}')
  for name in _NETWORKS.value:
    size = _IMAGE_SIZE.value or networks.row(name).image_size
    arguments = (name, _BATCH_SIZE.value, size)
    times = turns.seconds_per_call(
      {
        **{
          label: (ours, (*arguments, change))
          for label, change in candidates(name, _PRETRAINING.value).items()
        },
        'Keras': (keras, arguments),
      },
      _TURNS.value,
      _SECONDS.value,
    )
    print(f'{name}, {size} px: seconds a step, images per second')
    for label, found in times.items():
      seconds = statistics.median(found)
      rate = _BATCH_SIZE.value / seconds
      print(f'  {label:<12}{seconds:>9.3f}{rate:>9.1f}', flush=True)


if __name__ == '__main__':
  app.run(main)
