"""Prepares training steps, ours and others', for `benchmarks.turns`.

All use SGD with Nesterov momentum and weight decay of kernels alone, not of
biases or batch norm. Weights are random; batch, classes and image size are the
same; all is float32, or parameters are float32 and arithmetic is bfloat16.
"""

import dataclasses
import importlib.util
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import peers, turns

if TYPE_CHECKING:
  import torch

# Processes that take turns on a GPU all need some of its memory.
os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')

CLASSES = 100
_RATE, _MOMENTUM, _DECAY = 1e-3, 0.9, 1e-4

Call = Callable[[], object]


# The fields of `train_step.TrainConfig` that each candidate changes.
OPTIONS = {
  'float32': {},
  'bfloat16': {'precision': 'bfloat16'},
  'two parts': {'gradient_accumulation_steps': 2},
  'regularized': {
    'label_smoothing': 0.1,
    'dropout': 0.2,
    'ema_decay': 0.999,
  },
}
PRETRAINING = {
  'none': {},
  'auxiliary': {'auxiliary_head': True},
  'two parts': {'gradient_accumulation_steps': 2},
  'average': {'ema_decay': 0.9999},
  'all three': {
    'auxiliary_head': True,
    'gradient_accumulation_steps': 2,
    'ema_decay': 0.9999,
  },
}


def candidates(name: str, pretraining: bool) -> dict[str, dict[str, object]]:
  """Returns the fields that each candidate changes, if the network can."""
  from tf_transfer import networks

  return {
    label: changes
    for label, changes in (PRETRAINING if pretraining else OPTIONS).items()
    if networks.has_auxiliary(name) or 'auxiliary_head' not in changes
  }


def ready_batch(batch_size: int, size: int) -> dict[str, np.ndarray]:
  """Returns a batch of noise in the form of `pipeline.training_batches`."""
  rng = np.random.default_rng(0)
  shape = (batch_size, size, size, 3)
  return {
    'image': rng.integers(0, 256, shape).astype(np.uint8),
    'label': rng.integers(0, CLASSES, batch_size).astype(np.int32),
    'mask': np.ones(batch_size, bool),
  }


def ours(
  name: str, batch_size: int, size: int, changes: dict[str, object]
) -> Call:
  """Prepares our step on all devices.

  Args:
    name: of the network.
    batch_size: images of a step.
    size: of the images in pixels.
    changes: fields of `train_step.TrainConfig` that differ from the defaults.
  """
  import jax

  from tf_transfer import networks
  from tf_transfer.runtime import devices
  from tf_transfer.transfer.training import train_step

  net = networks.untrained(name)
  config = train_step.TrainConfig(
    steps=100_000, batch_size=batch_size, **changes
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

  def call() -> turns.PendingCall:
    state, metrics = step(states.pop(), trial, batch)
    states.append(state)
    return turns.PendingCall(lambda: jax.block_until_ready(metrics))

  return call


def keras(name: str, batch_size: int, size: int, precision: str) -> Call | None:
  """Prepares the compiled Keras step of keras.applications' network.

  Keras runs on TensorFlow; on a GPU, which TensorFlow's wheels for CPU do not
  see, on JAX.

  Returns:
    None where Keras is missing or does not have the network.
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
  """Prepares the channels-last step of timm's or torchvision's network.

  On a GPU it is compiled by torch.compile; bfloat16 is by autocast.

  Returns:
    None where a package is missing or does not have the network.
  """
  model_name = peers.PEERS.get(name, (None, None))[1]
  if model_name is None or not importlib.util.find_spec('torch'):
    return None
  package = model_name.partition(':')[0] if ':' in model_name else 'timm'
  if not importlib.util.find_spec(package):
    return None
  # OpenMP's threads spin while they wait, and would take the others' time.
  os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
  import torch

  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  torch.set_num_threads(os.cpu_count())
  # As in ours, float32 is not rounded on its way into a product.
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

  def call() -> turns.PendingCall:
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(device, torch.bfloat16, precision == 'bfloat16'):
      logits = run(image)
    loss = torch.nn.functional.cross_entropy(logits.float(), label)
    loss.backward()
    optimizer.step()
    return turns.PendingCall(loss.item)

  return call


def _pytorch_model(name: str) -> 'torch.nn.Module':
  """Builds a network of timm, or of torchvision after 'torchvision:'."""
  package, _, name = name.rpartition(':')
  if package:
    from torchvision import models

    return getattr(models, name)(
      weights=None, num_classes=CLASSES, init_weights=False, aux_logits=False
    )
  import timm

  return timm.create_model(name, num_classes=CLASSES)
