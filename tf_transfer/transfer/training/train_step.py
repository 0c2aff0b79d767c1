"""Training a network: its state, one step, and what it predicts.

Section 5 of the protocol: SGD with Nesterov momentum, a cosine from the
learning rate to zero, weight decay divided by the learning rate, no colors.
Learning rate and weight decay are arguments of the compiled step: one program
serves every trial of a search.

Under `jit` a batch that is sharded over the devices is still one batch: means
over it, those of batch norm too, are over all devices of all processes.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from tf_transfer import errors, networks
from tf_transfer.networks import classifier
from tf_transfer.runtime import devices
from tf_transfer.transfer.training import color

MOMENTUM = 0.9
# Of the auxiliary head's loss (Szegedy et al., 2016).
AUXILIARY_WEIGHT = 0.4
# What the matrix products and convolutions of a step are computed in.
PRECISIONS = ('float32', 'bfloat16')

# SGD but for the learning rate and weight decay, which trials differ in.
_NESTEROV = optax.trace(decay=MOMENTUM, nesterov=True)


@dataclasses.dataclass(frozen=True)
class Recipe:
  """What all trials of a search share.

  Attributes:
    steps: updates of the parameters.
    batch_size: examples of each update, on all devices of all processes.
    gradient_accumulation_steps: parts in which a batch passes through, one
      after the other, for devices that cannot hold all of it.
    precision: one of PRECISIONS; parameters and statistics are float32.
    label_smoothing: share of the target that is spread over all classes.
    dropout: share of the features that is dropped ahead of the head.
    auxiliary_head: whether there is one, where the network has a place.
    ema_decay: of the moving average of parameters and statistics, which
      is then what is evaluated; 0 is none.
    seed: of initial values, dropout and batches.
  """

  steps: int
  batch_size: int
  gradient_accumulation_steps: int = 1
  precision: str = 'float32'
  label_smoothing: float = 0.0
  dropout: float = 0.0
  auxiliary_head: bool = False
  ema_decay: float = 0.0
  seed: int = 0

  def __post_init__(self):
    for name in ('steps', 'batch_size', 'gradient_accumulation_steps'):
      if getattr(self, name) < 1:
        raise errors.InputError(
          f'{name}: expected 1 or more, found {getattr(self, name)}'
        )
    if self.batch_size % self.gradient_accumulation_steps:
      raise errors.InputError(
        f'gradient_accumulation_steps: a batch of {self.batch_size} cannot be '
        f'cut into {self.gradient_accumulation_steps} equal parts'
      )
    for name in ('label_smoothing', 'dropout', 'ema_decay'):
      if not 0 <= getattr(self, name) < 1:
        raise errors.InputError(
          f'{name}: expected 0 to below 1, found {getattr(self, name)}'
        )
    if self.precision not in PRECISIONS:
      raise errors.unknown_name('precision', self.precision, PRECISIONS)

  def rate(self, initial: Any, step: Any) -> jax.Array:
    """The learning rate of a step, 0 to steps − 1, of a trial's own."""
    return learning_rate(initial, step, self.steps)

  def kept(self, step: Any) -> Any:
    """Share of the old moving average that a step keeps."""
    del step
    return self.ema_decay


@dataclasses.dataclass(frozen=True)
class Trial:
  """What one trial of a search has of its own.

  Attributes:
    learning_rate: at the first step.
    weight_decay: that acts at the first step: the update is
      p ← p − η_t (g + p × weight_decay / learning_rate).
  """

  learning_rate: float
  weight_decay: float

  def __post_init__(self):
    if not (0 < self.learning_rate < np.inf and 0 <= self.weight_decay < 1):
      raise errors.InputError(
        'expected a learning rate above 0 and a weight decay from 0 to below '
        f'1, found {self.learning_rate} and {self.weight_decay}'
      )


@flax.struct.dataclass
class State:
  """All that a step changes; every field is the same on all devices.

  Attributes:
    step: int32, updates so far.
    params: float32, by the network's own paths.
    batch_stats: float32, batch norm's moving statistics.
    optimizer: the momentum.
    average: moving average of params and batch_stats, or None.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  optimizer: Any
  average: Any

  @property
  def variables(self) -> dict[str, Any]:
    """What is evaluated: {'params': ..., 'batch_stats': ...}."""
    if self.average is not None:
      return self.average
    return {'params': self.params, 'batch_stats': self.batch_stats}


def host_state(variables: Mapping[str, Any], recipe: Recipe) -> State:
  """The state before the first step, on the host as `variables` are."""
  params = variables['params']
  batch_stats = variables.get('batch_stats', {})
  average = {'params': params, 'batch_stats': batch_stats}
  return State(
    step=np.zeros((), np.int32),
    params=params,
    batch_stats=batch_stats,
    optimizer=_NESTEROV.init(jax.tree.map(np.zeros_like, params)),
    average=average if recipe.ema_decay else None,
  )


def new_state(
  variables: Mapping[str, Any], recipe: Recipe, mesh: jax.sharding.Mesh
) -> State:
  """The state before the first step, on the devices."""
  # Copies: a step takes its state's memory, and others may start from these.
  return jax.device_put(
    jax.tree.map(np.array, host_state(variables, recipe)),
    devices.sharding(mesh, devices.REPLICATED),
  )


def batch_norm_momentum(steps_per_epoch: float) -> float:
  """Share of the old statistics that a step keeps: max(1 − 10/s, 0.9)."""
  return max(1 - 10 / steps_per_epoch, 0.9)


def learning_rate(initial: Any, step: Any, steps: int) -> jax.Array:
  """The rate of a step, 0 to steps − 1: a cosine that would be 0 at `steps`."""
  return initial * 0.5 * (1 + jnp.cos(jnp.pi * step / steps))


def softmax_losses(
  logits: jax.Array, labels: jax.Array, smoothing: float
) -> jax.Array:
  """Cross-entropy of each example [B].

  Args:
    logits: [B, C].
    labels: int [B].
    smoothing: share of the target that is spread over all C classes alike.
  """
  targets = jax.nn.one_hot(labels, logits.shape[-1])
  targets = targets * (1 - smoothing) + smoothing / logits.shape[-1]
  return -jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1)


def sigmoid_losses(
  logits: jax.Array, labels: jax.Array, smoothing: float
) -> jax.Array:
  """Binary cross-entropies of each example, summed over its classes [B].

  Args:
    logits: [B, C].
    labels: int [B, C]: 1 present, 0 absent, -1 counts neither way.
    smoothing: share of each target that is spread over present and absent.
  """
  targets = (labels == 1) * (1 - smoothing) + smoothing / 2
  losses = optax.sigmoid_binary_cross_entropy(logits, targets)
  return jnp.sum(jnp.where(labels == -1, 0, losses), axis=-1)


def correct(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Whether each example is right [B]; of several labels, the share that is.

  Args:
    logits: [B, C].
    labels: int [B], or [B, C] as for `sigmoid_losses`.
  """
  if labels.ndim == 1:
    return (logits.argmax(axis=-1) == labels).astype(jnp.float32)
  right = (logits > 0) == (labels == 1)
  counting = labels != -1
  return (right & counting).sum(-1) / jnp.maximum(counting.sum(-1), 1)


def build_model(
  net: networks.Network, num_classes: int, examples: int, recipe: Recipe
) -> classifier.Classifier:
  """A network's architecture for a dataset.

  Args:
    net: the network, with the options of its weights.
    num_classes: of the dataset.
    examples: of the split that is trained on: they say how fast batch norm's
      statistics move.
    recipe: of the training.
  """
  options = dict(net.header.options)
  options['momentum'] = batch_norm_momentum(examples / recipe.batch_size)
  return networks.build(
    net.name,
    num_classes=num_classes,
    dropout=recipe.dropout,
    auxiliary_head=recipe.auxiliary_head,
    **options,
  )


def initial_variables(
  model: classifier.Classifier,
  image_size: int,
  seed: int,
  pretrained: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
  """The values that training begins with, on the host.

  Args:
    model: the network.
    image_size: S, its input's.
    seed: of the fresh values.
    pretrained: a network's variables, whose backbone is taken; the head is
      fresh. None: all is fresh.
  """
  image = jnp.zeros((1, image_size, image_size, 3))
  fresh = jax.device_get(jax.jit(model.init)(jax.random.key(seed), image))
  if pretrained is None:
    return fresh
  kept = jax.device_get(dict(pretrained))
  return {
    kind: {**values, **{k: v for k, v in kept[kind].items() if k == 'backbone'}}
    for kind, values in fresh.items()
  }


Step = Callable[
  [State, Mapping[str, Any], Mapping[str, jax.Array]],
  tuple[State, dict[str, jax.Array]],
]


@functools.lru_cache(maxsize=2)
def compile_step(
  model: classifier.Classifier,
  scale: Callable[[jax.Array], jax.Array],
  recipe: Recipe,
  mesh: jax.sharding.Mesh,
) -> Step:
  """The compiled step; the same again for the same arguments.

  Args:
    model: the network.
    scale: maps pixels [B, S, S, 3] to its input, as `contract.scale`.
    recipe: of the training.
    mesh: the devices.

  Returns:
    (state, trial, batch) -> (state, metrics). The state's memory is taken.
    `trial` is a `Trial` as a dict; `batch` is that of
    `pipeline.training_batches`, sharded over the mesh, whose colors are
    distorted if it says how; and the metrics are loss, accuracy (of the
    images as they were trained on), learning_rate and
    gradient_norm, scalars.

  Raises:
    InputError: the batch cannot be spread over the devices.
  """
  if recipe.batch_size % (mesh.size * recipe.gradient_accumulation_steps):
    raise errors.InputError(
      f'batch_size: expected a multiple of {mesh.size} devices × '
      f'{recipe.gradient_accumulation_steps} parts, found {recipe.batch_size}'
    )
  return jax.jit(
    functools.partial(_step, model, scale, recipe, mesh),
    compiler_options=devices.compiler_options(),
    donate_argnums=0,
    out_shardings=devices.sharding(mesh, devices.REPLICATED),
  )


def _step(
  model: classifier.Classifier,
  scale: Callable[[jax.Array], jax.Array],
  recipe: Recipe,
  mesh: jax.sharding.Mesh,
  state: State,
  trial: Mapping[str, jax.Array],
  batch: Mapping[str, jax.Array],
) -> tuple[State, dict[str, jax.Array]]:
  batch = {name: values for name, values in batch.items() if name != 'index'}
  count = jnp.maximum(batch['mask'].sum(), 1)
  key = jax.random.fold_in(jax.random.key(recipe.seed), state.step)

  def gradients(part, number):
    return jax.value_and_grad(_loss, argnums=3, has_aux=True)(
      model,
      scale,
      recipe,
      state.params,
      state.batch_stats,
      part,
      count,
      jax.random.fold_in(key, number),
    )

  (loss, found), grads = _accumulated(gradients, batch, recipe, mesh)
  batch_stats = found['batch_stats']
  decay = trial['weight_decay'] / trial['learning_rate']
  # Kernels: neither biases nor batch norm's scale.
  decayed = jax.tree.map(
    lambda g, p: g + decay * p if p.ndim > 1 else g, grads, state.params
  )
  rate = recipe.rate(trial['learning_rate'], state.step)
  updates, optimizer = _NESTEROV.update(decayed, state.optimizer)
  params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
  average = state.average
  if average is not None:
    keep = recipe.kept(state.step)
    average = jax.tree.map(
      lambda a, v: keep * a + (1 - keep) * v,
      average,
      {'params': params, 'batch_stats': batch_stats},
    )
  metrics = {
    'loss': loss,
    'accuracy': found['accuracy'],
    'learning_rate': rate,
    'gradient_norm': optax.tree.norm(grads),
  }
  state = State(state.step + 1, params, batch_stats, optimizer, average)
  return state, metrics


def _loss(
  model: classifier.Classifier,
  scale: Callable[[jax.Array], jax.Array],
  recipe: Recipe,
  params: Any,
  batch_stats: Any,
  part: Mapping[str, jax.Array],
  count: jax.Array,
  key: jax.Array,
) -> tuple[jax.Array, dict[str, Any]]:
  """The share of a part of a batch in the mean loss, and what comes with it.

  Args:
    count: of the examples of the whole batch that count.

  Returns:
    The loss; and `batch_stats`, the new ones, and `accuracy`, the part's share
    in the batch's.
  """
  image = part['image']
  if 'color' in part:
    image = color.distort(image, part['color'])
  image = scale(image)
  if recipe.precision == 'bfloat16':
    image, params = jax.tree.map(
      lambda x: x.astype(jnp.bfloat16), (image, params)
    )
  # GPU and TPU would round float32 inputs of products otherwise.
  with jax.default_matmul_precision(
    'highest' if recipe.precision == 'float32' else 'default'
  ):
    (logits, auxiliary), updated = model.apply(
      {'params': params, 'batch_stats': batch_stats},
      image,
      method='training_logits',
      mutable=['batch_stats'],
      rngs={'dropout': key},
    )
  losses_of = sigmoid_losses if part['label'].ndim == 2 else softmax_losses

  def mean(values):
    return jnp.sum(jnp.where(part['mask'], values, 0)) / count

  def mean_loss(logits):
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return mean(losses_of(logits, part['label'], recipe.label_smoothing))

  loss = mean_loss(logits)
  if auxiliary is not None:
    loss += AUXILIARY_WEIGHT * mean_loss(auxiliary)
  return loss, {
    'batch_stats': updated.get('batch_stats', batch_stats),
    'accuracy': mean(correct(logits, part['label'])),
  }


def _accumulated(gradients, batch, recipe: Recipe, mesh):
  """Sums the parts' losses and gradients; means of their statistics.

  Each part updates the statistics of before the step, so that the step moves
  them once: the mean of the parts' means is that of the whole batch. Their
  variances leave out what lies between parts, and each part is normalized by
  its own statistics: only without batch norm are k parts the same as one.
  """
  parts = recipe.gradient_accumulation_steps
  if parts == 1:
    return gradients(batch, 0)
  # Every k-th example: what a device holds stays there.
  batch = jax.tree.map(
    lambda x: jax.lax.with_sharding_constraint(
      x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1),
      devices.sharding(mesh, devices.PART_OF_BATCH),
    ),
    batch,
  )

  def add(total, numbered):
    number, part = numbered
    return jax.tree.map(jnp.add, total, gradients(part, number)), None

  first = jax.tree.map(lambda x: x[0], batch)
  zeros = jax.tree.map(
    lambda x: jnp.zeros(x.shape, x.dtype),
    jax.eval_shape(gradients, first, jnp.int32(0)),
  )
  # On CPUs, what is in a loop gets neither threads nor the fast convolutions: a
  # step of Inception v3 in two parts took eleven times as long as in one.
  on_cpu = mesh.devices.flat[0].platform == 'cpu'
  total, _ = jax.lax.scan(
    add, zeros, (jnp.arange(parts), batch), unroll=parts if on_cpu else 1
  )
  (loss, found), grads = total
  found['batch_stats'] = jax.tree.map(lambda x: x / parts, found['batch_stats'])
  return (loss, found), grads
