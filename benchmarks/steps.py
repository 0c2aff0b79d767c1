"""Training steps, ours and others', as candidates of `benchmarks.turns`.

SGD with Nesterov momentum and weight decay in all: of kernels alone, neither
of biases nor of batch norm. Random weights, the same batch, classes and image
size; float32 throughout, or float32 parameters with arithmetic in bfloat16.
"""

import dataclasses
import importlib.util
import os
from collections.abc import Callable

import numpy as np

from benchmarks import peers, turns

# Processes that take turns on a GPU all need some of its memory.
os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')

CLASSES = 100
_RATE, _MOMENTUM, _DECAY = 1e-3, 0.9, 1e-4

Call = Callable[[], object]


def ready_batch(batch_size: int, size: int) -> dict[str, np.ndarray]:
  """A batch of noise, as `pipeline.training_batches` gives it."""
  rng = np.random.default_rng(0)
  shape = (batch_size, size, size, 3)
  return {
    'image': rng.integers(0, 256, shape).astype(np.uint8),
    'label': rng.integers(0, CLASSES, batch_size).astype(np.int32),
    'mask': np.ones(batch_size, bool),
  }


def ours(
  name: str, batch_size: int, size: int, change: dict[str, object]
) -> Call:
  """A step of ours, on all devices; `change`: what of the recipe differs."""
  import jax

  from tf_transfer import networks
  from tf_transfer.runtime import devices
  from tf_transfer.transfer.training import train_step

  net = networks.untrained(name)
  config = train_step.TrainConfig(
    steps=100_000, batch_size=batch_size, **change
  )
  mesh = devices.data_mesh()
  model = train_step.build_model(net, CLASSES, 100 * batch_size, config)
  variables = train_step.initial_variables(model, size, seed=0)
  states = [train_step.new_state(variables, config, mesh)]
  step = train_step.compile_step(model, net.contract.scale, config, mesh)
  sharding = devices.sharding(mesh, devices.BATCH)
  (batch,) = devices.prefetch_to_devices(
    [ready_batch(batch_size, size)], sharding
  )
  trial = dataclasses.asdict(train_step.Trial(_RATE, _RATE * _DECAY))

  def call():
    state, metrics = step(states.pop(), trial, batch)
    states.append(state)
    return turns.Begun(lambda: jax.block_until_ready(metrics))

  return call


def keras(name: str, batch_size: int, size: int, precision: str) -> Call | None:
  """A step of keras.applications' network by Keras, compiled.

  On TensorFlow; on a GPU, which TensorFlow's wheels for CPU do not see, on JAX.
  """
  application = peers.PEERS.get(name, (None, None))[0]
  if application is None or not importlib.util.find_spec('keras'):
    return None
  import jax

  on_cpu = jax.default_backend() == 'cpu'
  os.environ['TF_CPP_MIN_LOG_LEVEL'] = '2'
  os.environ['KERAS_BACKEND'] = 'tensorflow' if on_cpu else 'jax'
  import keras as keras_lib

  if precision == 'bfloat16':
    keras_lib.mixed_precision.set_global_policy('mixed_bfloat16')
  options = {}
  if isinstance(application, tuple):
    application, options['alpha'] = application
  if application.startswith('EfficientNet'):
    options['include_preprocessing'] = False
  model = getattr(keras_lib.applications, application)(
    weights=None,
    classes=CLASSES,
    input_shape=(size, size, 3),
    classifier_activation=None,
    **options,
  )
  optimizer = keras_lib.optimizers.SGD(
    _RATE, momentum=_MOMENTUM, nesterov=True, weight_decay=_DECAY
  )
  optimizer.exclude_from_weight_decay(
    [v for v in model.trainable_variables if len(v.shape) == 1]
  )
  loss = keras_lib.losses.SparseCategoricalCrossentropy(from_logits=True)
  model.compile(optimizer, loss)
  batch = ready_batch(batch_size, size)
  image = keras_lib.ops.convert_to_tensor(
    batch['image'].astype(np.float32) / 127.5 - 1
  )
  label = keras_lib.ops.convert_to_tensor(batch['label'])
  return lambda: model.train_on_batch(image, label)


def pytorch(
  name: str, batch_size: int, size: int, precision: str
) -> Call | None:
  """A step of timm's or torchvision's network, channels-last.

  On a GPU compiled by torch.compile; bfloat16 by autocast.
  """
  model_name = peers.PEERS.get(name, (None, None))[1]
  if model_name is None or not importlib.util.find_spec('torch'):
    return None
  package = model_name.partition(':')[0] if ':' in model_name else 'timm'
  if not importlib.util.find_spec(package):
    return None
  # OpenMP's threads spin while they wait, which a busy machine makes long.
  os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
  import torch

  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  torch.set_num_threads(os.cpu_count())
  # As ours: float32 is not to be rounded on its way into a product.
  torch.backends.cudnn.allow_tf32 = False
  torch.backends.cudnn.benchmark = True
  model = _pytorch_model(model_name).train()
  model = model.to(device, memory_format=torch.channels_last)
  kernels, others = [], []
  for parameter in model.parameters():
    (kernels if parameter.ndim > 1 else others).append(parameter)
  optimizer = torch.optim.SGD(
    [{'params': kernels, 'weight_decay': _DECAY}, {'params': others}],
    lr=_RATE,
    momentum=_MOMENTUM,
    nesterov=True,
  )
  batch = ready_batch(batch_size, size)
  image = torch.from_numpy(batch['image'].astype(np.float32) / 127.5 - 1)
  image = image.permute(0, 3, 1, 2).to(
    device, memory_format=torch.channels_last
  )
  label = torch.from_numpy(batch['label']).long().to(device)
  run = torch.compile(model) if device == 'cuda' else model

  def call():
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(device, torch.bfloat16, precision == 'bfloat16'):
      logits = run(image)
    loss = torch.nn.functional.cross_entropy(logits.float(), label)
    loss.backward()
    optimizer.step()
    return turns.Begun(loss.item)

  return call


def _pytorch_model(name: str):
  package, _, name = name.rpartition(':')
  if package:
    from torchvision import models

    return getattr(models, name)(
      weights=None, num_classes=CLASSES, init_weights=False, aux_logits=False
    )
  import timm

  return timm.create_model(name, num_classes=CLASSES)
