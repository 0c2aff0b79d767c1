"""Convolution, batch norm, activation and pooling, as the backbones use them.

An operation runs in XLA's own form or in one of `ops`. Which one is decided
when the program is lowered for a platform, by measurements on it: on CPU most
operations run in forms of `ops`, on NVIDIA's GPUs two do, elsewhere none.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from tf_transfer.networks import ops, windows

Array = jax.Array
Padding = windows.Padding


@jax.custom_jvp
def relu6(x: Array) -> Array:
  """Computes min(max(x, 0), 6), with a derivative of 0 at both bounds.

  TensorFlow and PyTorch have the same derivative; JAX's own is one half there.
  """
  return jnp.clip(x, 0, 6)


@relu6.defjvp
def _relu6_jvp(
  primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
  """Returns the value and its derivative along the tangent."""
  (x,), (tangent,) = primals, tangents
  return relu6(x), jnp.where((x > 0) & (x < 6), tangent, 0)


def scaled_width(channels: int, multiplier: float, least: float = 0.9) -> int:
  """Scales a number of channels and rounds it to a multiple of 8.

  Args:
    channels: to scale.
    multiplier: of the channels.
    least: where rounding leaves less than this share of the product, it rounds
      up.
  """
  scaled = channels * multiplier
  rounded = max(8, int(scaled + 4) // 8 * 8)
  return rounded + 8 if rounded < least * scaled else rounded


def symmetric(kernel_size: int) -> Padding:
  """Returns PyTorch's usual padding: as many rows and columns before as after.

  'SAME' differs at strides of 2: it adds an odd row after the image.
  """
  pad = (kernel_size - 1) // 2
  return ((pad, pad), (pad, pad))


def get_padding(name: str, kernel_size: int) -> Padding:
  """Returns the padding of an option: 'same', 'symmetric' or 'valid'."""
  return symmetric(kernel_size) if name == 'symmetric' else name.upper()


def check_option(name: str, value: str, allowed: Sequence[str]) -> None:
  """Raises a ValueError unless an option has one of the allowed values."""
  if value not in allowed:
    raise ValueError(f'{name}: expected one of {allowed}, got {value!r}')


# Winograd's form is faster up to this many values of input and output per image
# and from this many channels of either on: then it saves more time in products
# than it adds in sums.
_WINOGRAD_VALUES = 330_000
_WINOGRAD_CHANNELS = 32


def _suits_winograd(x: Array, kernel: Array) -> bool:
  """Says whether Winograd's form of a convolution of stride 1 is faster."""
  _, height, width, channels = x.shape
  features = kernel.shape[-1]
  return (
    kernel.shape[:2] == (3, 3)
    and min(channels, features) >= _WINOGRAD_CHANNELS
    and height * width * (channels + features) <= _WINOGRAD_VALUES
    and min(height, width) >= 7
  )


def _is_small(x: Array, kernel: Array, strides: int) -> bool:
  """Says whether a convolution has no more outputs than its kernel has cells.

  XLA exchanges the roles of image and kernel where the kernel is the larger, in
  gradients too, and runs a plain loop then: for 3×3 on 2×2 pixels it is 80
  times slower than it could be.
  """
  outputs = math.prod(-(-n // strides) for n in x.shape[1:3])
  return outputs <= math.prod(kernel.shape[:2])


def convolution(
  x: Array,
  kernel: Array,
  *,
  strides: int = 1,
  padding: Padding = 'SAME',
  groups: int = 1,
) -> Array:
  """Computes a two-dimensional convolution in the platform's fastest form.

  Args:
    x: [B, H, W, C] float.
    kernel: [K, L, C / groups, D].
    strides: of both spatial axes.
    padding: 'SAME' (TensorFlow's rule), 'VALID', or the numbers of rows and of
      columns to add before and after, ((top, bottom), (left, right)).
    groups: C for a depthwise convolution, which then needs D = C.

  Returns:
    [B, H', W', D].
  """
  kernel = kernel.astype(x.dtype)

  def native(x: Array, kernel: Array) -> Array:
    return ops.native_convolution(
      x, kernel, strides=strides, padding=padding, groups=groups
    )

  on_cpu = on_cuda = native
  channels = x.shape[-1]
  if 1 < groups == channels == kernel.shape[-1]:

    def on_cpu(x: Array, kernel: Array) -> Array:
      return ops.depthwise(x, kernel, strides=strides, padding=padding)
  elif kernel.shape[:2] == (1, 1) and groups == 1 and isinstance(padding, str):

    def on_cpu(x: Array, kernel: Array) -> Array:
      return ops.matrix_product(x, kernel, strides)
  elif groups == 1 and _is_small(x, kernel, strides):

    def on_cpu(x: Array, kernel: Array) -> Array:
      return ops.sum_of_products(x, kernel, strides=strides, padding=padding)
  elif strides == groups == 1 and _suits_winograd(x, kernel):

    def on_cpu(x: Array, kernel: Array) -> Array:
      return ops.winograd(x, kernel, padding=padding)
  elif groups == 1 and strides == 2 and channels == 3:  # of an RGB image

    def on_cuda(x: Array, kernel: Array) -> Array:
      return ops.in_blocks(x, kernel, padding=padding, channels=4)
  else:
    return native(x, kernel)
  return lax.platform_dependent(
    x, kernel, cpu=on_cpu, cuda=on_cuda, default=native
  )


def max_pool(
  x: Array, window: int, strides: int, padding: Padding, fill: float = -np.inf
) -> Array:
  """Computes the maximum over square windows.

  Args:
    x: [B, H, W, C].
    window: rows and columns.
    strides: of both spatial axes.
    padding: as for `convolution`.
    fill: value of the padding; by default it is never the maximum.

  Returns:
    [B, H', W', C].
  """
  pads = windows.explicit_padding(x, (window, window), strides, padding)

  def in_shifts(x: Array) -> Array:
    return ops.maximum(
      x, window=window, strides=strides, pads=pads, fill=float(fill)
    )

  def native(x: Array) -> Array:
    if fill != -np.inf:
      x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    inner = pads if fill == -np.inf else 'VALID'
    return nn.max_pool(x, (window, window), (strides, strides), inner)

  return lax.platform_dependent(
    x, cpu=in_shifts, cuda=in_shifts, default=native
  )


def average_pool(
  x: Array,
  window: int,
  strides: int,
  padding: Padding,
  count_padding: bool = False,
) -> Array:
  """Computes the mean over square windows.

  Args:
    x: [B, H, W, C].
    window: rows and columns.
    strides: of both spatial axes.
    padding: as for `convolution`.
    count_padding: whether the zeros of the padding count in the mean.

  Returns:
    [B, H', W', C].
  """
  shape = (window, window)
  pads = windows.explicit_padding(x, shape, strides, padding)

  def on_cpu(x: Array) -> Array:
    sum_windows = functools.partial(
      ops.window_sum, window=window, strides=strides, pads=pads
    )
    if count_padding or pads == ((0, 0), (0, 0)):
      return sum_windows(x) / window**2
    # Depends on the shape alone: compiling folds it to a constant.
    ones = jnp.ones((1, *x.shape[1:3], 1), x.dtype)
    return sum_windows(x) / sum_windows(ones)

  def native(x: Array) -> Array:
    y = nn.avg_pool(
      x, shape, (strides, strides), pads, count_include_pad=count_padding
    )
    # It divides by a NumPy integer, which makes float64 where JAX has that.
    return y.astype(x.dtype)

  return lax.platform_dependent(x, cpu=on_cpu, default=native)


class Conv(nn.Module):
  """Convolution; its parameters are `kernel` and, if it has one, `bias`.

  Attributes:
    features: number of output channels.
    kernel_size: rows and columns.
    strides: of both spatial axes.
    padding: as for `convolution`.
    groups: as for `convolution`.
    use_bias: whether there is a bias.
    kernel_init: draws the kernel; None for He et al. (2015), over the fan-out,
      as in the networks' own code.
  """

  features: int
  kernel_size: tuple[int, int] = (1, 1)
  strides: int = 1
  padding: Padding = 'SAME'
  groups: int = 1
  use_bias: bool = False
  kernel_init: Callable[..., Array] | None = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
    kernel = self.param(
      'kernel',
      self.kernel_init
      # The fan-out of one group: JAX counts the outputs of all groups together.
      or nn.initializers.variance_scaling(
        2.0 * self.groups, 'fan_out', 'normal'
      ),
      shape,
    )
    x = convolution(
      x,
      kernel,
      strides=self.strides,
      padding=self.padding,
      groups=self.groups,
    )
    if self.use_bias:
      x = x + self.param('bias', nn.initializers.zeros, (self.features,))
    return x


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _normalize(
  epsilon: float, x: Array, scale: Array, bias: Array
) -> tuple[Array, Array, Array]:
  """Applies batch norm to x; returns its mean and variance too.

  The gradient is written out, through mean and variance: it takes two sums and
  one pass over x. JAX's own passes over x, and over copies that it keeps, about
  twice as often. The returned mean and variance have no gradient.

  Args:
    epsilon: added to the variance.
    x: [B, H, W, C].
    scale: [C].
    bias: [C].

  Returns:
    [B, H, W, C] in the type of x; mean and variance [C], at least float32.
  """
  precise = x.astype(jnp.promote_types(x.dtype, jnp.float32))
  axes = tuple(range(x.ndim - 1))
  mean = precise.mean(axes)
  # Rounding may make it negative.
  variance = jnp.maximum((precise**2).mean(axes) - mean**2, 0)
  factor = lax.rsqrt(variance + epsilon) * scale
  y = (precise - mean) * factor + bias
  return y.astype(x.dtype), mean, variance


def _normalize_forward(
  epsilon: float, x: Array, scale: Array, bias: Array
) -> tuple[tuple[Array, Array, Array], tuple[Array, ...]]:
  """Returns the values and what the gradients need."""
  y, mean, variance = _normalize(epsilon, x, scale, bias)
  return (y, mean, variance), (x, scale, bias, mean, variance)


def _normalize_backward(
  epsilon: float,
  residuals: tuple[Array, ...],
  gradients: tuple[Array, Array, Array],
) -> tuple[Array, Array, Array]:
  """Returns the gradients of x, scale and bias.

  Ioffe and Szegedy (2015), section 3, with the sums in closed form.
  """
  x, scale, bias, mean, variance = residuals
  axes = tuple(range(x.ndim - 1))
  precise = x.astype(mean.dtype)
  y_gradient = gradients[0].astype(mean.dtype)
  inverse = lax.rsqrt(variance + epsilon)
  bias_gradient = y_gradient.sum(axes)
  scale_gradient = (
    (y_gradient * precise).sum(axes) - mean * bias_gradient
  ) * inverse
  count = x.size // x.shape[-1]
  factor = inverse * scale
  slope = factor * inverse * scale_gradient / count
  x_gradient = (
    y_gradient * factor
    - precise * slope
    - (factor * bias_gradient / count - mean * slope)
  )
  return (
    x_gradient.astype(x.dtype),
    scale_gradient.astype(scale.dtype),
    bias_gradient.astype(bias.dtype),
  )


_normalize.defvjp(_normalize_forward, _normalize_backward)


class BatchNorm(nn.Module):
  """Batch norm over all axes but the last: Flax's, with a faster gradient.

  Its parameters are `bias` and, if it has one, `scale`; its statistics are the
  moving averages `mean` and `var`.

  Attributes:
    use_running_average: whether to normalize by the statistics and not by the
      mean and variance of the batch, which then update them.
    momentum: share of the old statistics that an update keeps.
    epsilon: added to the variance.
    use_scale: whether there is a scale (gamma).
  """

  use_running_average: bool
  momentum: float
  epsilon: float
  use_scale: bool = True

  @nn.compact
  def __call__(self, x: Array) -> Array:
    channels = x.shape[-1:]
    old_mean = self.variable(
      'batch_stats', 'mean', jnp.zeros, channels, jnp.float32
    )
    old_var = self.variable(
      'batch_stats', 'var', jnp.ones, channels, jnp.float32
    )
    scale = jnp.ones(channels, x.dtype)
    if self.use_scale:
      scale = self.param('scale', nn.initializers.ones, channels, jnp.float32)
    bias = self.param('bias', nn.initializers.zeros, channels, jnp.float32)
    if self.use_running_average:
      factor = lax.rsqrt(old_var.value + self.epsilon) * scale
      return ((x - old_mean.value) * factor + bias).astype(x.dtype)
    y, mean, variance = _normalize(self.epsilon, x, scale, bias)
    if not self.is_initializing():
      for old, new in ((old_mean, mean), (old_var, variance)):
        old.value = self.momentum * old.value + (1 - self.momentum) * new
    return y


class Normalized(nn.Module, kw_only=True):
  """Base class of modules with batch norm, with the fields of all of it.

  Attributes:
    epsilon: added to the variance.
    momentum: share of the old moving statistics that an update keeps.
    use_scale: whether batch norm has a scale (gamma).
  """

  epsilon: float = 1e-3
  momentum: float = 0.9
  use_scale: bool = True

  def shared(self, base: type[nn.Module]) -> dict[str, Any]:
    """Returns the fields of a base class, to build a submodule with."""
    return {
      field.name: getattr(self, field.name)
      for field in dataclasses.fields(base)
      if field.name not in ('parent', 'name')
    }

  def conv_bn(self, *args: Any, **fields: Any) -> 'ConvBN':
    """Makes convolution and batch norm; the arguments are ConvBN's fields."""
    return ConvBN(*args, **fields, **self.shared(Normalized))

  def batch_norm(self, train: bool, name: str) -> BatchNorm:
    """Makes batch norm; in training it uses the batch's statistics."""
    return BatchNorm(
      use_running_average=not train, name=name, **self.shared(Normalized)
    )


class ConvBN(Normalized):
  """Convolution, batch norm and an activation.

  Attributes:
    features: number of output channels.
    kernel_size: rows and columns.
    strides: of both spatial axes.
    padding: as for `convolution`.
    depthwise: whether each channel has its own filter; `features` must then be
      the number of input channels.
    activation: applied last; None for a linear layer.
  """

  features: int
  kernel_size: tuple[int, int] = (1, 1)
  strides: int = 1
  padding: Padding = 'SAME'
  depthwise: bool = False
  activation: Callable[[Array], Array] | None = nn.relu

  @nn.compact
  def __call__(self, x: Array, train: bool = False) -> Array:
    x = Conv(
      self.features,
      self.kernel_size,
      self.strides,
      self.padding,
      groups=self.features if self.depthwise else 1,
      name='conv',
    )(x)
    x = self.batch_norm(train, 'bn')(x)
    return x if self.activation is None else self.activation(x)


class DropPath(nn.Module):
  """Stochastic depth (Huang et al., 2016): training drops whole examples.

  It is applied to what a block adds to its input. The examples that stay are
  scaled by 1 / (1 - rate). It draws from the stream 'dropout', as nn.Dropout.

  Attributes:
    rate: share of the examples that are dropped; at 0, nothing is drawn.
  """

  rate: float

  @nn.compact
  def __call__(self, x: Array, train: bool = False) -> Array:
    drop = nn.Dropout(self.rate, broadcast_dims=tuple(range(1, x.ndim)))
    return drop(x, deterministic=not train)
