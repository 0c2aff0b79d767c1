"""Convolution, batch norm and activation, as every backbone uses them.

On CPU, XLA runs a depthwise convolution 25 to 50 times slower than need be
and leaves speed behind in 1×1 ones. Both have an exact other form: a sum of
shifted products, and a matrix product. Which form runs is decided where the
program is lowered, so GPU and TPU keep their native convolutions.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

Array = jax.Array
Padding = str | Sequence[tuple[int, int]]


def relu6(x: Array) -> Array:
  """ReLU bounded at 6."""
  return jnp.clip(x, 0, 6)


def _explicit_padding(
  x: Array, kernel: Array, strides: int, padding: Padding
) -> list[tuple[int, int]]:
  """Rows before and after, columns before and after, as numbers."""
  if isinstance(padding, str):
    return lax.padtype_to_pads(
      x.shape[1:3], kernel.shape[:2], (strides, strides), padding
    )
  return list(padding)


def native_convolution(
  x: Array,
  kernel: Array,
  *,
  strides: int = 1,
  padding: Padding = 'SAME',
  groups: int = 1,
) -> Array:
  """XLA's own convolution; arguments as those of `convolution`."""
  return lax.conv_general_dilated(
    x,
    kernel,
    window_strides=(strides, strides),
    padding=padding,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=groups,
  )


def _shifted_products(
  x: Array, kernel: Array, *, strides: int, padding: Padding
) -> Array:
  """Depthwise convolution as a sum of shifted, scaled copies of the input.

  Args:
    x: [B, H, W, C].
    kernel: [K, L, 1, C].
    strides: of both spatial axes.
    padding: as for `convolution`.

  Returns:
    [B, H', W', C].
  """
  height, width = kernel.shape[:2]
  pads = _explicit_padding(x, kernel, strides, padding)
  x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  rows = (x.shape[1] - height) // strides + 1
  columns = (x.shape[2] - width) // strides + 1
  total = None
  for i in range(height):
    for j in range(width):
      window = lax.slice(
        x,
        (0, i, j, 0),
        (
          x.shape[0],
          i + (rows - 1) * strides + 1,
          j + (columns - 1) * strides + 1,
          x.shape[3],
        ),
        (1, strides, strides, 1),
      )
      product = window * kernel[i, j, 0]
      total = product if total is None else total + product
  return total


def _matrix_product(x: Array, kernel: Array) -> Array:
  """1×1 convolution of stride 1: x [B, H, W, C], kernel [1, 1, C, D]."""
  return lax.dot_general(x, kernel[0, 0], (((3,), (0,)), ((), ())))


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
    return native_convolution(
      x, kernel, strides=strides, padding=padding, groups=groups
    )

  channels = x.shape[-1]
  if 1 < groups == channels == kernel.shape[-1]:

    def on_cpu(x, kernel):
      return _shifted_products(x, kernel, strides=strides, padding=padding)
  elif kernel.shape[:2] == (1, 1) and strides == 1 and groups == 1:

    def on_cpu(x, kernel):
      return _matrix_product(x, kernel)
  else:
    return native(x, kernel)
  return lax.platform_dependent(x, kernel, cpu=on_cpu, default=native)


class Conv(nn.Module):
  """Convolution without bias; its one parameter is `kernel`."""

  features: int
  kernel_size: tuple[int, int] = (1, 1)
  strides: int = 1
  padding: Padding = 'SAME'
  groups: int = 1

  @nn.compact
  def __call__(self, x: Array) -> Array:
    shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
    kernel = self.param(
      'kernel',
      # He et al. (2015), over the fan-out as in the networks' own code.
      nn.initializers.variance_scaling(2.0, 'fan_out', 'normal'),
      shape,
    )
    return convolution(
      x,
      kernel,
      strides=self.strides,
      padding=self.padding,
      groups=self.groups,
    )


class ConvBN(nn.Module):
  """Convolution, batch norm and, if given, an activation.

  Attributes:
    features: number of output channels.
    kernel_size: rows and columns.
    strides: of both spatial axes.
    padding: as for `convolution`.
    depthwise: one filter for each channel; `features` must be the input's.
    activation: applied last; None for a linear layer.
    epsilon: batch norm's, added to the variance.
    momentum: share of the old moving statistics that an update keeps.
    use_scale: whether batch norm has a scale (gamma).
  """

  features: int
  kernel_size: tuple[int, int] = (1, 1)
  strides: int = 1
  padding: Padding = 'SAME'
  depthwise: bool = False
  activation: Callable[[Array], Array] | None = nn.relu
  epsilon: float = 1e-3
  momentum: float = 0.9
  use_scale: bool = True

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
    x = nn.BatchNorm(
      use_running_average=not train,
      momentum=self.momentum,
      epsilon=self.epsilon,
      use_scale=self.use_scale,
      name='bn',
    )(x)
    return x if self.activation is None else self.activation(x)
