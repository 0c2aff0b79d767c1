"""Convolution, batch norm, activation and pooling, as the backbones use them.

Which form of an operation runs, XLA's own or one of `forms`, is decided where
the program is lowered, for each platform by what was measured on it: on CPU
most are of `forms`, on NVIDIA's GPUs two, elsewhere none.
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

from tf_transfer.networks import ops

Array = jax.Array
Padding = ops.Padding


@jax.custom_jvp
def relu6(x: Array) -> Array:
  """ReLU bounded at 6, whose derivative at both bounds is 0.

  As that of TensorFlow and PyTorch. JAX's own is one half there.
  """
  return jnp.clip(x, 0, 6)


@relu6.defjvp
def _relu6_derivative(primals, tangents):
  (x,), (tangent,) = primals, tangents
  return relu6(x), jnp.where((x > 0) & (x < 6), tangent, 0)


def scaled_width(channels: int, multiplier: float, least: float = 0.9) -> int:
  """Channels × multiplier, to a multiple of 8, never below `least` of it."""
  scaled = channels * multiplier
  rounded = max(8, int(scaled + 4) // 8 * 8)
  return rounded + 8 if rounded < least * scaled else rounded


def symmetric(kernel_size: int) -> Padding:
  """As many rows and columns before as after: PyTorch's usual padding.

  'SAME' adds the odd row after when the strides are 2, so the two differ.
  """
  pad = (kernel_size - 1) // 2
  return ((pad, pad), (pad, pad))


def padding_of(name: str, kernel_size: int) -> Padding:
  """The padding that an option names: 'same', 'symmetric' or 'valid'."""
  return symmetric(kernel_size) if name == 'symmetric' else name.upper()


def check_option(name: str, value: str, allowed: Sequence[str]) -> None:
  """Raises a ValueError unless an option has one of the allowed values."""
  if value not in allowed:
    raise ValueError(f'{name}: expected one of {allowed}, got {value!r}')


# Values of input and output per image, and channels of either, up to and from
# which the products that Winograd's form saves outweigh the sums it adds.
_WINOGRAD_VALUES = 330_000
_WINOGRAD_CHANNELS = 32


def _suits_winograd(x: Array, kernel: Array) -> bool:
  """Whether Winograd's form of a convolution of stride 1 is the faster."""
  _, height, width, channels = x.shape
  features = kernel.shape[-1]
  return (
    kernel.shape[:2] == (3, 3)
    and min(channels, features) >= _WINOGRAD_CHANNELS
    and height * width * (channels + features) <= _WINOGRAD_VALUES
    and min(height, width) >= 7
  )


def _is_small(x: Array, kernel: Array, strides: int) -> bool:
  """Whether there are no more outputs, or about as many, as kernel cells.

  XLA takes a kernel that is larger than the image for the image, in gradients
  too, and has but a plain loop for what comes of that: for 3×3 on 2×2 pixels
  80 times slower than need be.
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
  """Two-dimensional convolution in the form that suits the platform.

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

  def native(x, kernel):
    return ops.native_convolution(
      x, kernel, strides=strides, padding=padding, groups=groups
    )

  on_cpu = on_cuda = native
  channels = x.shape[-1]
  if 1 < groups == channels == kernel.shape[-1]:

    def on_cpu(x, kernel):
      return ops.depthwise(x, kernel, strides=strides, padding=padding)
  elif kernel.shape[:2] == (1, 1) and groups == 1 and isinstance(padding, str):

    def on_cpu(x, kernel):
      return ops.matrix_product(x, kernel, strides)
  elif groups == 1 and _is_small(x, kernel, strides):

    def on_cpu(x, kernel):
      return ops.sum_of_products(x, kernel, strides=strides, padding=padding)
  elif strides == groups == 1 and _suits_winograd(x, kernel):

    def on_cpu(x, kernel):
      return ops.winograd(x, kernel, padding=padding)
  elif groups == 1 and strides == 2 and channels == 3:  # Of the images.

    def on_cuda(x, kernel):
      return ops.in_blocks(x, kernel, padding=padding, channels=4)
  else:
    return native(x, kernel)
  return lax.platform_dependent(
    x, kernel, cpu=on_cpu, cuda=on_cuda, default=native
  )


def max_pool(
  x: Array, window: int, strides: int, padding: Padding, fill: float = -np.inf
) -> Array:
  """Maximum over square windows.

  Args:
    x: [B, H, W, C].
    window: rows and columns.
    strides: of both spatial axes.
    padding: as for `convolution`.
    fill: what the padding holds: by default it never is the maximum.

  Returns:
    [B, H', W', C].
  """
  pads = ops.explicit_padding(x, (window, window), strides, padding)

  def shifted(x):
    return ops.maximum(
      x, window=window, strides=strides, pads=pads, fill=float(fill)
    )

  def native(x):
    if fill != -np.inf:
      x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    inner = pads if fill == -np.inf else 'VALID'
    return nn.max_pool(x, (window, window), (strides, strides), inner)

  return lax.platform_dependent(x, cpu=shifted, cuda=shifted, default=native)


def average_pool(
  x: Array,
  window: int,
  strides: int,
  padding: Padding,
  count_padding: bool = False,
) -> Array:
  """Mean over square windows.

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
  pads = ops.explicit_padding(x, shape, strides, padding)

  def on_cpu(x):
    sum_windows = functools.partial(
      ops.window_sum, window=window, strides=strides, pads=pads
    )
    if count_padding or pads == ((0, 0), (0, 0)):
      return sum_windows(x) / window**2
    # Folded to a constant when compiled: the shape is all that it depends on.
    ones = jnp.ones((1, *x.shape[1:3], 1), x.dtype)
    return sum_windows(x) / sum_windows(ones)

  def native(x):
    y = nn.avg_pool(
      x, shape, (strides, strides), pads, count_include_pad=count_padding
    )
    # It divides by a NumPy integer: float64, where JAX is let to have that.
    return y.astype(x.dtype)

  return lax.platform_dependent(x, cpu=on_cpu, default=native)


class Conv(nn.Module):
  """Convolution; its parameters are `kernel` and, if wanted, `bias`."""

  features: int
  kernel_size: tuple[int, int] = (1, 1)
  strides: int = 1
  padding: Padding = 'SAME'
  groups: int = 1
  use_bias: bool = False

  @nn.compact
  def __call__(self, x: Array) -> Array:
    shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
    kernel = self.param(
      'kernel',
      # He et al. (2015), over the fan-out as in the networks' own code. A
      # group's: JAX counts the outputs of all groups together.
      nn.initializers.variance_scaling(2.0 * self.groups, 'fan_out', 'normal'),
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
def _normalized(
  epsilon: float, x: Array, scale: Array, bias: Array
) -> tuple[Array, Array, Array]:
  """x as it is after batch norm, and its mean and variance.

  The gradient is written out, over what mean and variance are in it: two sums
  and one pass over x. What JAX makes of it passes over x, and over copies that
  it keeps, about twice as often. Mean and variance themselves have none.

  Args:
    epsilon: added to the variance.
    x: [B, H, W, C].
    scale: [C].
    bias: [C].

  Returns:
    [B, H, W, C] as x, and [C] and [C], at least float32.
  """
  precise = x.astype(jnp.promote_types(x.dtype, jnp.float32))
  axes = tuple(range(x.ndim - 1))
  mean = precise.mean(axes)
  # Rounding may leave less than nothing.
  variance = jnp.maximum((precise**2).mean(axes) - mean**2, 0)
  factor = lax.rsqrt(variance + epsilon) * scale
  y = (precise - mean) * factor + bias
  return y.astype(x.dtype), mean, variance


def _normalized_kept(epsilon, x, scale, bias):
  found = _normalized(epsilon, x, scale, bias)
  return found, (x, scale, bias, *found[1:])


def _normalized_gradients(epsilon, kept, gradients):
  """Ioffe and Szegedy (2015), section 3, with their sums in closed form."""
  x, scale, bias, mean, variance = kept
  axes = tuple(range(x.ndim - 1))
  precise = x.astype(mean.dtype)
  sent = gradients[0].astype(mean.dtype)
  inverse = lax.rsqrt(variance + epsilon)
  of_bias = sent.sum(axes)
  of_scale = ((sent * precise).sum(axes) - mean * of_bias) * inverse
  count = x.size // x.shape[-1]
  factor = inverse * scale
  along = factor * inverse * of_scale / count
  of_x = (
    sent * factor - precise * along - (factor * of_bias / count - mean * along)
  )
  return (
    of_x.astype(x.dtype),
    of_scale.astype(scale.dtype),
    of_bias.astype(bias.dtype),
  )


_normalized.defvjp(_normalized_kept, _normalized_gradients)


class BatchNorm(nn.Module):
  """Batch norm over all axes but the last; Flax's, with a faster gradient.

  Its parameters are `bias` and, if wanted, `scale`, its statistics `mean` and
  `var`, moving averages.

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
    y, mean, variance = _normalized(self.epsilon, x, scale, bias)
    if not self.is_initializing():
      for old, new in ((old_mean, mean), (old_var, variance)):
        old.value = self.momentum * old.value + (1 - self.momentum) * new
    return y


class Normalized(nn.Module, kw_only=True):
  """A module with batch norm in it: its parts all share these fields.

  Attributes:
    epsilon: added to the variance.
    momentum: share of the old moving statistics that an update keeps.
    use_scale: whether batch norm has a scale (gamma).
  """

  epsilon: float = 1e-3
  momentum: float = 0.9
  use_scale: bool = True

  def shared(self, base: type[nn.Module]) -> dict[str, Any]:
    """The values of a base class's fields, to build a part of this with."""
    return {
      field.name: getattr(self, field.name)
      for field in dataclasses.fields(base)
      if field.name not in ('parent', 'name')
    }

  def conv_bn(self, *args: Any, **fields: Any) -> 'ConvBN':
    """Convolution and batch norm; the arguments are the fields of ConvBN."""
    return ConvBN(*args, **fields, **self.shared(Normalized))

  def batch_norm(self, train: bool, name: str) -> BatchNorm:
    """Batch norm, by the batch's statistics in training."""
    return BatchNorm(
      use_running_average=not train, name=name, **self.shared(Normalized)
    )


class ConvBN(Normalized):
  """Convolution, batch norm and, if given, an activation.

  Attributes:
    features: number of output channels.
    kernel_size: rows and columns.
    strides: of both spatial axes.
    padding: as for `convolution`.
    depthwise: one filter for each channel; `features` must be the input's.
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
