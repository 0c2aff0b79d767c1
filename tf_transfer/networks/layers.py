"""Convolution, batch norm, activation and pooling, as the backbones use them.

On CPU, XLA runs a depthwise convolution 25 to 50 times slower than need be
and leaves speed behind in 1×1 and 3×3 ones, on the smallest images and in
pooling. All have an exact other form: a sum (or maximum) of shifted copies, a
matrix product or a sum of some, and fewer products of sums (Winograd's). Which
form runs is decided where the program is lowered, so GPU and TPU keep their
native operations.
"""

import dataclasses
import functools
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

Array = jax.Array
Padding = str | Sequence[tuple[int, int]]


def relu6(x: Array) -> Array:
  """ReLU bounded at 6."""
  return jnp.clip(x, 0, 6)


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


def _explicit_padding(
  x: Array, window: Sequence[int], strides: int, padding: Padding
) -> list[tuple[int, int]]:
  """Rows before and after, columns before and after, as numbers."""
  if isinstance(padding, str):
    return lax.padtype_to_pads(
      x.shape[1:3], window, (strides, strides), padding
    )
  return list(padding)


def _shifted_copies(
  x: Array,
  window: Sequence[int],
  *,
  strides: int,
  padding: Padding,
  fill: float = 0.0,
) -> Iterator[Array]:
  """What each cell of a window sees as it slides: rows * columns arrays.

  Args:
    x: [B, H, W, C].
    window: its rows and columns.
    strides: of both spatial axes.
    padding: as for `convolution`.
    fill: what the padding holds.

  Yields:
    [B, H', W', C], the window's cells row by row.
  """
  height, width = window
  pads = _explicit_padding(x, window, strides, padding)
  x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
  rows = (x.shape[1] - height) // strides + 1
  columns = (x.shape[2] - width) // strides + 1
  for i in range(height):
    for j in range(width):
      yield lax.slice(
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


# Networks repeat their shapes: one trace serves all layers of a shape.
@functools.partial(jax.jit, static_argnames=('strides', 'padding'))
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
  cells = kernel.reshape(-1, kernel.shape[-1])
  copies = _shifted_copies(
    x, kernel.shape[:2], strides=strides, padding=padding
  )
  return functools.reduce(
    operator.add, (copy * cells[i] for i, copy in enumerate(copies))
  )


def _matrix_product(x: Array, kernel: Array, strides: int) -> Array:
  """1×1 convolution without padding: x [B, H, W, C], kernel [1, 1, C, D]."""
  return _product(x[:, ::strides, ::strides], kernel[0, 0])


def _product(x: Array, matrix: Array) -> Array:
  """x [..., C] times a matrix [C, D].

  Two axes and no more: the gradient of the matrix is then a product of what is
  there, of which XLA would otherwise write a transposed copy, slowly. Those
  copies were a third of a step of ResNet-50.
  """
  product = x.reshape(-1, x.shape[-1]) @ matrix
  return product.reshape(*x.shape[:-1], matrix.shape[-1])


@functools.partial(jax.jit, static_argnames=('strides', 'padding'))
def _sum_of_products(
  x: Array, kernel: Array, *, strides: int, padding: Padding
) -> Array:
  """Convolution as a sum of matrix products of shifted copies of the input."""
  copies = _shifted_copies(
    x, kernel.shape[:2], strides=strides, padding=padding
  )
  matrices = kernel.reshape(-1, *kernel.shape[2:])
  return functools.reduce(
    operator.add, (_product(copy, matrices[i]) for i, copy in enumerate(copies))
  )


# Winograd's F(2×2, 3×3) as Lavin and Gray (2016) give it.
_TO_TILE = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
_TO_KERNEL = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
_FROM_PRODUCTS = ((1, 1, 1, 0), (0, 1, -1, -1))

# Values of input and output per image, and channels of either, up to and from
# which the products that Winograd's form saves outweigh the sums it adds.
_WINOGRAD_VALUES = 330_000
_WINOGRAD_CHANNELS = 32


def _transformed(
  matrix: Sequence[Sequence[float]], grid: Sequence[Sequence[Array]]
) -> list[list[Array]]:
  """matrix · grid · matrixᵀ, of a grid of arrays of one shape."""

  def combined(arrays):
    return [
      sum(factor * x for factor, x in zip(row, arrays, strict=True) if factor)
      for row in matrix
    ]

  columns = [combined(column) for column in zip(*grid, strict=True)]
  return [combined(row) for row in zip(*columns, strict=True)]


@functools.partial(jax.jit, static_argnames='padding')
def _winograd(x: Array, kernel: Array, *, padding: Padding) -> Array:
  """3×3 convolution of stride 1, with 16 products for 4 outputs and not 36.

  Its sums round off three to four times more than those of a convolution do:
  the largest error is a few parts in ten million of the largest output.

  Args:
    x: [B, H, W, C].
    kernel: [3, 3, C, D].
    padding: as for `convolution`.

  Returns:
    [B, H', W', D].
  """
  batch, *size, _ = x.shape
  pads = _explicit_padding(x, (3, 3), 1, padding)
  height, width = (n + sum(pad) - 2 for n, pad in zip(size, pads, strict=True))
  # An odd row or column is computed too, and cut off at the end.
  even = [
    (before, after + n % 2)
    for (before, after), n in zip(pads, (height, width), strict=True)
  ]
  cells = list(_shifted_copies(x, (4, 4), strides=2, padding=even))
  tiles = _transformed(_TO_TILE, [cells[4 * i : 4 * i + 4] for i in range(4)])
  kernels = _transformed(_TO_KERNEL, kernel)
  products = [
    [_product(a, b) for a, b in zip(*pair, strict=True)]
    for pair in zip(tiles, kernels, strict=True)
  ]
  found = _transformed(_FROM_PRODUCTS, products)
  rows = [jnp.stack(row, axis=3) for row in found]  # [B, H' / 2, W' / 2, 2, D]
  x = jnp.stack(rows, axis=2)
  x = x.reshape(batch, 2 * x.shape[1], 2 * x.shape[3], -1)
  return x[:, :height, :width]


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
    return native_convolution(
      x, kernel, strides=strides, padding=padding, groups=groups
    )

  channels = x.shape[-1]
  if 1 < groups == channels == kernel.shape[-1]:

    def on_cpu(x, kernel):
      return _shifted_products(x, kernel, strides=strides, padding=padding)
  elif kernel.shape[:2] == (1, 1) and groups == 1 and isinstance(padding, str):

    def on_cpu(x, kernel):
      return _matrix_product(x, kernel, strides)
  elif groups == 1 and _is_small(x, kernel, strides):

    def on_cpu(x, kernel):
      return _sum_of_products(x, kernel, strides=strides, padding=padding)
  elif strides == groups == 1 and _suits_winograd(x, kernel):

    def on_cpu(x, kernel):
      return _winograd(x, kernel, padding=padding)
  else:
    return native(x, kernel)
  return lax.platform_dependent(x, kernel, cpu=on_cpu, default=native)


@functools.partial(
  jax.jit, static_argnames=('window', 'strides', 'padding', 'fill')
)
def _shifted_maximum(
  x: Array, *, window: int, strides: int, padding: Padding, fill: float
) -> Array:
  """The maximum over square windows; arguments as for `max_pool`."""
  copies = _shifted_copies(
    x, (window, window), strides=strides, padding=padding, fill=fill
  )
  return functools.reduce(jnp.maximum, copies)


@functools.partial(jax.jit, static_argnames=('window', 'strides', 'padding'))
def _shifted_sum(
  x: Array, *, window: int, strides: int, padding: Padding
) -> Array:
  """The sum over square windows; arguments as for `average_pool`."""
  copies = _shifted_copies(
    x, (window, window), strides=strides, padding=padding
  )
  return functools.reduce(operator.add, copies)


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
  pads = tuple(_explicit_padding(x, (window, window), strides, padding))

  def on_cpu(x):
    return _shifted_maximum(
      x, window=window, strides=strides, padding=pads, fill=float(fill)
    )

  def native(x):
    if fill != -np.inf:
      x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    inner = pads if fill == -np.inf else 'VALID'
    return nn.max_pool(x, (window, window), (strides, strides), inner)

  return lax.platform_dependent(x, cpu=on_cpu, default=native)


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
  pads = tuple(_explicit_padding(x, shape, strides, padding))

  def on_cpu(x):
    sum_windows = functools.partial(
      _shifted_sum, window=window, strides=strides, padding=pads
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

  def batch_norm(self, train: bool, name: str) -> nn.BatchNorm:
    """Batch norm, by the batch's statistics in training."""
    return nn.BatchNorm(
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
