"""Compiles one training step of a network, and holds the state it changes.

Section 5 of the paper's protocol: SGD with Nesterov momentum, a cosine from the
learning rate to zero, weight decay divided by the learning rate, no color
distortion. Learning rate and weight decay are arguments of the compiled step,
so one program serves every trial of a search.

Under `jit` a batch that is sharded over the devices is still one batch: its
means, those of batch norm included, are over all devices of all processes.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from tf_transfer import errors, networks
from tf_transfer.networks import classifier
from tf_transfer.runtime import devices
from tf_transfer.transfer.training import color, losses

MOMENTUM = 0.9
# Weight of the auxiliary head's loss (Szegedy et al., 2016).
AUXILIARY_WEIGHT = 0.4
# Types in which a step computes matrix products and convolutions.
PRECISIONS = ('float32', 'bfloat16')

# SGD without the learning rate and weight decay, in which trials differ.
_NESTEROV = optax.trace(decay=MOMENTUM, nesterov=True)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
  """Holds the hyperparameters that all trials of a search share.

  Attributes:
    steps: number of updates of the parameters.
    batch_size: examples of each update, on all devices of all processes.
    gradient_accumulation_steps: microbatches into which a batch is cut, for
      devices that cannot hold all of it.
    precision: one of PRECISIONS; parameters and statistics are float32.
    label_smoothing: share of the target that is spread over all classes.
    dropout: share of the features that is dropped before the head.
    auxiliary_head: whether there is one; the network must have a place for it.
    ema_decay: decay of the moving average of parameters and statistics, which
      is then what is evaluated; 0 keeps no average.
    seed: of initial values, dropout and batches.
    color_distortion: one of `color.MODES`.
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
  color_distortion: str = 'none'

  def __post_init__(self) -> None:
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

  def learning_rate(self, initial: Any, step: Any) -> jax.Array:
    """Returns the learning rate of a step, 0 to steps − 1.

    Args:
      initial: the trial's learning rate.
      step: steps that are done.
    """
    return cosine_learning_rate(initial, step, self.steps)

  def ema_decay_at(self, step: Any) -> Any:
    """Returns the share of the old moving average that a step keeps."""
    del step
    return self.ema_decay


@dataclasses.dataclass(frozen=True)
class Trial:
  """Holds the hyperparameters in which the trials of a search differ.

  Attributes:
    learning_rate: at the first step.
    weight_decay: that acts at the first step: the update is
      p ← p − η_t (g + p × weight_decay / learning_rate).
  """

  learning_rate: float
  weight_decay: float

  def __post_init__(self) -> None:
    if not (0 < self.learning_rate < np.inf and 0 <= self.weight_decay < 1):
      raise errors.InputError(
        'expected a learning rate above 0 and a weight decay from 0 to below '
        f'1, found {self.learning_rate} and {self.weight_decay}'
      )


@flax.struct.dataclass
class State:
  """Holds all that a step changes; every field is the same on all devices.

  Attributes:
    step: int32, updates so far.
    params: float32, by the network's variable paths.
    batch_stats: float32, batch norm's moving statistics; empty without any.
    opt_state: the momentum.
    ema: moving average of params and batch_stats, or None.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: Any
  ema: Any

  @property
  def variables(self) -> dict[str, Any]:
    """The variables to evaluate: {'params': ..., 'batch_stats': ...}."""
    if self.ema is not None:
      return self.ema
    return {'params': self.params, 'batch_stats': self.batch_stats}


def host_state(variables: Mapping[str, Any], config: TrainConfig) -> State:
  """Returns the state before the first step, on the host like `variables`."""
  params = variables['params']
  batch_stats = variables.get('batch_stats', {})
  ema = {'params': params, 'batch_stats': batch_stats}
  return State(
    step=np.zeros((), np.int32),
    params=params,
    batch_stats=batch_stats,
    opt_state=_NESTEROV.init(jax.tree.map(np.zeros_like, params)),
    ema=ema if config.ema_decay else None,
  )


def new_state(
  variables: Mapping[str, Any], config: TrainConfig, mesh: jax.sharding.Mesh
) -> State:
  """Returns the state before the first step, on the devices."""
  # Copies, because a step takes its state's memory, and other trials start
  # from the same variables.
  return jax.device_put(
    jax.tree.map(np.array, host_state(variables, config)),
    devices.sharding(mesh, devices.REPLICATED),
  )


def batch_norm_momentum(steps_per_epoch: float) -> float:
  """Returns the share of the old statistics that a step keeps.

  It is max(1 − 10 / s, 0.9) for s steps per epoch (section 5).
  """
  return max(1 - 10 / steps_per_epoch, 0.9)


def is_decayed(path: Sequence[Any]) -> bool:
  """Says whether weight decay acts on the parameter at a path of a tree.

  It acts on kernels alone, not on biases, scales, tokens and embeddings.
  """
  return path[-1].key == 'kernel'


def cosine_learning_rate(initial: Any, step: Any, steps: int) -> jax.Array:
  """Returns the learning rate of a step, 0 to steps − 1.

  It is a cosine that starts at `initial` and would be 0 at `steps`.
  """
  return initial * 0.5 * (1 + jnp.cos(jnp.pi * step / steps))


def build_model(
  net: networks.Network,
  num_classes: int,
  num_examples: int,
  config: TrainConfig,
) -> classifier.Classifier:
  """Builds a network's architecture for a dataset.

  Args:
    net: the network, with the options of its weights.
    num_classes: of the dataset.
    num_examples: of the split that is trained on; it determines how fast batch
      norm's statistics move.
    config: of the training.

  Raises:
    InputError: the network has no place for an auxiliary head, or the images
      are too small for it.
  """
  networks.check_image_size(
    net.name, net.contract.image_size, config.auxiliary_head
  )
  options = {}
  if net.name in networks.TABLE and networks.has_batch_norm(net.name):
    options['momentum'] = batch_norm_momentum(num_examples / config.batch_size)
  return networks.rebuild(
    net,
    num_classes=num_classes,
    dropout=config.dropout,
    auxiliary_head=config.auxiliary_head,
    **options,
  )


def initial_variables(
  model: classifier.Classifier,
  image_size: int,
  seed: int,
  pretrained: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
  """Returns the variables that training begins with, on the host.

  Args:
    model: the network.
    image_size: height and width of its input in pixels.
    seed: of the random values.
    pretrained: a network's variables. Their backbone is taken, and the head is
      random. None makes all variables random.
  """
  image = jnp.zeros((1, image_size, image_size, 3))
  fresh = jax.device_get(jax.jit(model.init)(jax.random.key(seed), image))
  if pretrained is None:
    return fresh
  pretrained = jax.device_get(dict(pretrained))
  return {
    collection: {
      **values,
      **{k: v for k, v in pretrained[collection].items() if k == 'backbone'},
    }
    for collection, values in fresh.items()
  }


Step = Callable[
  [State, Mapping[str, Any], Mapping[str, jax.Array]],
  tuple[State, dict[str, jax.Array]],
]


@functools.lru_cache(maxsize=2)
def compile_step(
  model: classifier.Classifier,
  scale: Callable[[jax.Array], jax.Array],
  config: TrainConfig,
  mesh: jax.sharding.Mesh,
) -> Step:
  """Compiles the training step; caches it for the same arguments.

  Args:
    model: the network.
    scale: maps pixels [B, S, S, 3] to its input, like `contract.scale`.
    config: of the training.
    mesh: the devices.

  Returns:
    (state, trial, batch) -> (state, metrics). The memory of the state that is
    passed in is reused for the new one. `trial` is a `Trial` as a dict. `batch`
    is that of `pipeline.training_batches`, sharded over the mesh; if it has
    `color`, its colors are distorted. The metrics are the scalars loss,
    accuracy (of the augmented images), learning_rate and gradient_norm.

  Raises:
    InputError: the batch cannot be spread over the devices.
  """
  if config.batch_size % (mesh.size * config.gradient_accumulation_steps):
    raise errors.InputError(
      f'batch_size: expected a multiple of {mesh.size} devices × '
      f'{config.gradient_accumulation_steps} parts, found {config.batch_size}'
    )
  return jax.jit(
    functools.partial(_step, model, scale, config, mesh),
    compiler_options=devices.compiler_options(),
    donate_argnums=0,
    out_shardings=devices.sharding(mesh, devices.REPLICATED),
  )


def _step(
  model: classifier.Classifier,
  scale: Callable[[jax.Array], jax.Array],
  config: TrainConfig,
  mesh: jax.sharding.Mesh,
  state: State,
  trial: Mapping[str, jax.Array],
  batch: Mapping[str, jax.Array],
) -> tuple[State, dict[str, jax.Array]]:
  """Computes the state after a step, and the step's metrics."""
  batch = {name: values for name, values in batch.items() if name != 'index'}
  num_counted = jnp.maximum(batch['mask'].sum(), 1)
  key = jax.random.fold_in(jax.random.key(config.seed), state.step)

  def gradients(
    microbatch: Mapping[str, jax.Array], number: Any
  ) -> tuple[tuple[jax.Array, dict[str, Any]], Any]:
    return jax.value_and_grad(_loss, argnums=3, has_aux=True)(
      model,
      scale,
      config,
      state.params,
      state.batch_stats,
      microbatch,
      num_counted,
      jax.random.fold_in(key, number),
    )

  (loss, aux), grads = _accumulate(gradients, batch, config, mesh)
  rate = config.learning_rate(trial['learning_rate'], state.step)
  new_state = _update(state, grads, aux['batch_stats'], rate, trial, config)
  return new_state, {
    'loss': loss,
    'accuracy': aux['accuracy'],
    'learning_rate': rate,
    'gradient_norm': optax.tree.norm(grads),
  }


def _update(
  state: State,
  grads: Any,
  batch_stats: Any,
  rate: jax.Array,
  trial: Mapping[str, jax.Array],
  config: TrainConfig,
) -> State:
  """Applies weight decay, momentum and the learning rate to the gradients."""
  decay = trial['weight_decay'] / trial['learning_rate']
  decayed = jax.tree_util.tree_map_with_path(
    lambda path, g, p: g + decay * p if is_decayed(path) else g,
    grads,
    state.params,
  )
  updates, opt_state = _NESTEROV.update(decayed, state.opt_state)
  params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
  ema = state.ema
  if ema is not None:
    keep = config.ema_decay_at(state.step)
    ema = jax.tree.map(
      lambda a, v: keep * a + (1 - keep) * v,
      ema,
      {'params': params, 'batch_stats': batch_stats},
    )
  return State(state.step + 1, params, batch_stats, opt_state, ema)


def _loss(
  model: classifier.Classifier,
  scale: Callable[[jax.Array], jax.Array],
  config: TrainConfig,
  params: Any,
  batch_stats: Any,
  microbatch: Mapping[str, jax.Array],
  num_counted: jax.Array,
  key: jax.Array,
) -> tuple[jax.Array, dict[str, Any]]:
  """Computes a microbatch's share in the mean loss of its batch.

  Args:
    num_counted: examples of the whole batch that the mask keeps.

  Returns:
    The loss; and a dict of `batch_stats`, the new ones, and `accuracy`, the
    microbatch's share in that of the batch.
  """
  (logits, auxiliary), updated = _training_logits(
    model, scale, config, params, batch_stats, microbatch, key
  )
  label, mask = microbatch['label'], microbatch['mask']
  losses_of = (
    losses.sigmoid_losses if label.ndim == 2 else losses.softmax_losses
  )

  def mean(values: jax.Array) -> jax.Array:
    return jnp.sum(jnp.where(mask, values, 0)) / num_counted

  def mean_loss(logits: jax.Array) -> jax.Array:
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return mean(losses_of(logits, label, config.label_smoothing))

  loss = mean_loss(logits)
  if auxiliary is not None:
    loss += AUXILIARY_WEIGHT * mean_loss(auxiliary)
  return loss, {
    'batch_stats': updated.get('batch_stats', batch_stats),
    'accuracy': mean(losses.accuracies(logits, label)),
  }


def _training_logits(
  model: classifier.Classifier,
  scale: Callable[[jax.Array], jax.Array],
  config: TrainConfig,
  params: Any,
  batch_stats: Any,
  microbatch: Mapping[str, jax.Array],
  key: jax.Array,
) -> tuple[tuple[jax.Array, jax.Array | None], Mapping[str, Any]]:
  """Computes a microbatch's logits, in the precision of the config.

  Returns:
    The logits [B, C], and those of the auxiliary head or None; and a dict of
    the new `batch_stats`, empty for a network without batch norm.
  """
  image = microbatch['image']
  if 'color' in microbatch:
    image = color.distort(image, microbatch['color'], config.color_distortion)
  image = scale(image)
  if config.precision == 'bfloat16':
    image, params = jax.tree.map(
      lambda x: x.astype(jnp.bfloat16), (image, params)
    )
  # GPU and TPU would otherwise round the float32 inputs of products.
  with jax.default_matmul_precision(
    'highest' if config.precision == 'float32' else 'default'
  ):
    return model.apply(
      {'params': params, 'batch_stats': batch_stats},
      image,
      method='training_logits',
      mutable=['batch_stats'],
      rngs={'dropout': key},
    )


def _accumulate(
  gradients: Callable[..., Any],
  batch: dict[str, jax.Array],
  config: TrainConfig,
  mesh: jax.sharding.Mesh,
) -> tuple[tuple[jax.Array, dict[str, Any]], Any]:
  """Sums losses and gradients over microbatches, and averages statistics.

  Every microbatch updates the statistics of before the step, so that the step
  moves them once: the mean of the microbatches' means is that of the whole
  batch. The mean of their variances leaves out what lies between microbatches,
  and each is normalized by its statistics alone: k microbatches are the same as
  one batch only without batch norm.
  """
  num_microbatches = config.gradient_accumulation_steps
  if num_microbatches == 1:
    return gradients(batch, 0)
  # Every k-th example: what a device holds stays there.
  batch = jax.tree.map(
    lambda x: jax.lax.with_sharding_constraint(
      x.reshape(-1, num_microbatches, *x.shape[1:]).swapaxes(0, 1),
      devices.sharding(mesh, devices.PART_OF_BATCH),
    ),
    batch,
  )

  def add(total: Any, numbered: tuple[jax.Array, Any]) -> tuple[Any, None]:
    number, microbatch = numbered
    return jax.tree.map(jnp.add, total, gradients(microbatch, number)), None

  first = jax.tree.map(lambda x: x[0], batch)
  zeros = jax.tree.map(
    lambda x: jnp.zeros(x.shape, x.dtype),
    jax.eval_shape(gradients, first, jnp.int32(0)),
  )
  # On CPUs, what is in a loop gets neither threads nor the fast convolutions: a
  # step of Inception v3 in two parts took eleven times as long as in one.
  on_cpu = mesh.devices.flat[0].platform == 'cpu'
  total, _ = jax.lax.scan(
    add,
    zeros,
    (jnp.arange(num_microbatches), batch),
    unroll=num_microbatches if on_cpu else 1,
  )
  (loss, aux), grads = total
  aux['batch_stats'] = jax.tree.map(
    lambda x: x / num_microbatches, aux['batch_stats']
  )
  return (loss, aux), grads
