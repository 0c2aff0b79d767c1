"""Measures what a network costs whoever uses it: operations and speed."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping

import jax
import jax.extend.core
import numpy as np

from tf_transfer import networks
from tf_transfer.networks import custom_function
from tf_transfer.runtime import devices
from tf_transfer.transfer.fixed_features import features

# Images that pass through a network together.
BATCH_SIZES = (1, 32)
# Of the repeats of one batch: seconds, and their number.
_MAX_SECONDS = 1.0
_MIN_REPEATS, _MAX_REPEATS = 3, 50


@dataclasses.dataclass(frozen=True)
class Speed:
  """Holds what one pass of images through a network takes.

  Attributes:
    flops: floating-point operations of an image, a multiplication and an
      addition counting as two.
    images_per_second: by batch size.
  """

  flops: float
  images_per_second: Mapping[int, float]


def measure(extract: features.Extractor, net: networks.Network) -> Speed:
  """Measures a network on this machine's devices.

  Pixels are in memory, as uint8; scaling them counts, decoding and resizing do
  not. A single image goes through one device.

  Args:
    extract: of the network's features; if its batch size is the larger of
      `BATCH_SIZES`, nothing is compiled for that.
    net: the network.
  """
  size = net.contract.image_size
  pixels = np.random.default_rng(0).integers(
    0, 256, (max(BATCH_SIZES), size, size, 3), np.uint8
  )
  if isinstance(net, custom_function.FunctionNetwork):
    return _measure_function(net, pixels)
  traced = trace_single(net, pixels[:1])
  flops = count_flops(traced.jaxpr.jaxpr)
  single = traced.lower().compile(compiler_options=devices.compiler_options())
  num_devices = jax.device_count()
  large = -(-max(BATCH_SIZES) // num_devices) * num_devices
  batch = extract.to_devices(np.resize(pixels, (large, size, size, 3)))
  variables = jax.device_put(net.variables, jax.devices()[0])
  image = jax.device_put(pixels[:1], jax.devices()[0])
  return Speed(
    flops,
    {
      BATCH_SIZES[0]: 1 / _fastest_seconds(lambda: single(variables, image)),
      BATCH_SIZES[1]: large / _fastest_seconds(lambda: extract.apply(batch)),
    },
  )


def _measure_function(
  net: custom_function.FunctionNetwork, pixels: np.ndarray
) -> Speed:
  """Measures a function of the user's, whose operations are not known."""
  return Speed(
    math.nan,
    {
      size: size
      / _fastest_seconds(
        lambda size=size: net.features_of_pixels({}, pixels[:size])
      )
      for size in BATCH_SIZES
    },
  )


def trace_single(
  net: networks.Network, pixels: np.ndarray
) -> jax.stages.Traced:
  """Traces a network for one image: uint8 [1, S, S, 3] to features [1, D]."""

  def forward(variables: Mapping, images: jax.Array) -> jax.Array:
    with jax.default_matmul_precision('highest'):
      return net.model.apply(
        variables, net.contract.scale(images), method='features'
      )

  return jax.jit(forward).trace(net.variables, pixels)


def count_flops(jaxpr: jax.extend.core.Jaxpr) -> float:
  """Returns the operations of a program's convolutions and matrix products.

  Platforms compute them in forms of their own, some with fewer operations: what
  is counted is the form of a platform without one. Zeros of padding count, as
  in the numbers that papers state.
  """
  total = 0.0
  for equation in jaxpr.eqns:
    name, parameters = equation.primitive.name, equation.params
    if name == 'conv_general_dilated':
      kernel = equation.invars[1].aval
      outputs = parameters['dimension_numbers'].rhs_spec[0]
      taps = kernel.size / kernel.shape[outputs]
      total += 2 * equation.outvars[0].aval.size * taps
    elif name == 'dot_general':
      (contracted, _), _ = parameters['dimension_numbers']
      shape = equation.invars[0].aval.shape
      depth = math.prod(shape[axis] for axis in contracted)
      total += 2 * equation.outvars[0].aval.size * depth
    elif name == 'cond':  # The last branch is the default's.
      total += count_flops(parameters['branches'][-1].jaxpr)
    else:
      repeats = parameters.get('length', 1) if name == 'scan' else 1
      for inner in parameters.values():
        if hasattr(inner, 'jaxpr') or hasattr(inner, 'eqns'):
          total += repeats * count_flops(getattr(inner, 'jaxpr', inner))
  return total


def _fastest_seconds(function: Callable[[], jax.Array]) -> float:
  """Returns the time of the fastest call of a function that returns an array.

  Other programs only make a call slower: the fastest depends on them least.
  """
  jax.block_until_ready(function())  # Compiled by now, and memory is there.
  seconds: list[float] = []
  while len(seconds) < _MAX_REPEATS and (
    len(seconds) < _MIN_REPEATS or sum(seconds) < _MAX_SECONDS
  ):
    started = time.perf_counter()
    jax.block_until_ready(function())
    seconds.append(time.perf_counter() - started)
  return min(seconds)


def count_parameters(net: networks.Network) -> int:
  """Counts a network's parameters, without those of its head.

  Of a function they are those that it states; 0 if it states none.
  """
  if isinstance(net, custom_function.FunctionNetwork):
    return net.stated_parameters
  return sum(
    x.size for x in jax.tree.leaves(net.variables['params']['backbone'])
  )
