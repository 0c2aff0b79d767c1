"""EfficientNet-Lite (Tan and Le, 2019, without squeeze-and-excitation).

The Lite networks have ReLU6 in place of swish. The width multiplier does not
change their first and last convolutions.
"""

import dataclasses
import functools
import math

import jax
from flax import linen as nn

from tf_transfer.networks import layers

# kernel size, blocks, output channels, expansion, strides of the first block
_STAGES = (
  (3, 1, 16, 1, 1),
  (3, 2, 24, 6, 2),
  (5, 2, 40, 6, 2),
  (3, 3, 80, 6, 2),
  (5, 3, 112, 6, 1),
  (5, 4, 192, 6, 2),
  (3, 1, 320, 6, 1),
)


@dataclasses.dataclass(frozen=True)
class Block:
  """Describes an inverted residual block."""

  name: str
  features: int
  kernel_size: int
  strides: int
  expansion: int


def blocks(width: float, depth: float) -> tuple[Block, ...]:
  """Returns all blocks of a network in order, for its multipliers."""
  rows = []
  for stage, row in enumerate(_STAGES, start=1):
    kernel_size, repeats, channels, expansion, strides = row
    if stage not in (1, len(_STAGES)):
      repeats = math.ceil(repeats * depth)
    rows += [
      Block(
        f'stage{stage}_block{block}',
        layers.scaled_width(channels, width),
        kernel_size,
        strides if block == 1 else 1,
        expansion,
      )
      for block in range(1, repeats + 1)
    ]
  return tuple(rows)


class InvertedResidual(layers.Normalized):
  """An inverted residual block: 1×1 to expand, depthwise, 1×1 to project.

  The input is added where the shapes agree.

  Attributes:
    features: number of output channels.
    kernel_size: of the depthwise convolution.
    strides: of the depthwise convolution.
    expansion: multiplier of the channels between the 1×1s.
  """

  features: int
  kernel_size: int
  strides: int
  expansion: int

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    conv_bn = functools.partial(self.conv_bn, activation=layers.relu6)
    inputs = x
    width = x.shape[-1] * self.expansion
    if self.expansion != 1:
      x = conv_bn(width, name='expand')(x, train)
    x = conv_bn(
      width,
      (self.kernel_size, self.kernel_size),
      self.strides,
      depthwise=True,
      name='depthwise',
    )(x, train)
    x = conv_bn(self.features, activation=None, name='project')(x, train)
    if self.strides == 1 and inputs.shape[-1] == self.features:
      x = x + inputs
    return x


class EfficientNetLite(layers.Normalized):
  """Backbone: [B, H, W, 3] -> features [B, 1280].

  Attributes:
    width: multiplier of the channels of all stages.
    depth: multiplier of the blocks of all stages but the first and last.
  """

  width: float = 1.0
  depth: float = 1.0
  momentum: float = 0.99

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    conv_bn = functools.partial(self.conv_bn, activation=layers.relu6)
    x = conv_bn(32, (3, 3), strides=2, name='stem')(x, train)
    for block in blocks(self.width, self.depth):
      x = InvertedResidual(
        block.features,
        block.kernel_size,
        block.strides,
        block.expansion,
        name=block.name,
        **self.shared(layers.Normalized),
      )(x, train)
    x = conv_bn(1280, name='top')(x, train)
    return x.mean(axis=(1, 2))
