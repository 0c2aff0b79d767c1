"""EfficientNet (Tan and Le, 2019) and EfficientNet-Lite.

The Lite networks have ReLU6 in place of swish, and do not squeeze and excite.
Their multipliers do not change the first and last convolutions, nor the number
of blocks in the first and the last stage.
"""

import dataclasses
import functools
import math

import jax
from flax import linen as nn

from tf_transfer.networks import inverted_residual, layers

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

# Multipliers of channels and of blocks, of B0 to B4.
MULTIPLIERS = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8))


@dataclasses.dataclass(frozen=True)
class Block:
  """Describes an inverted residual block."""

  name: str
  features: int
  kernel_size: int
  strides: int
  expansion: int


def blocks(
  width: float, depth: float, fixed_ends: bool = True
) -> tuple[Block, ...]:
  """Returns all blocks of a network in order.

  Args:
    width: multiplier of the channels.
    depth: multiplier of the blocks of a stage.
    fixed_ends: whether the first and the last stage keep their one block, as in
      the Lite networks.
  """
  rows = []
  for stage, row in enumerate(_STAGES, start=1):
    kernel_size, repeats, channels, expansion, strides = row
    if not fixed_ends or stage not in (1, len(_STAGES)):
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
      x = inverted_residual.InvertedResidual(
        block.features,
        x.shape[-1] * block.expansion,
        block.kernel_size,
        block.strides,
        activation=layers.relu6,
        name=block.name,
        **self.shared(layers.Normalized),
      )(x, train)
    x = conv_bn(1280, name='top')(x, train)
    return x.mean(axis=(1, 2))


class EfficientNet(layers.Normalized):
  """Backbone: [B, H, W, 3] -> features [B, 1280 × width].

  Attributes:
    width: multiplier of all channels.
    depth: multiplier of the blocks of all stages.
    padding: of the convolutions: 'same' (the authors, Keras, timm's `tf_`
      models), or 'symmetric' (timm's others, torchvision).
    epsilon: batch norm's: 1e-3, or 1e-5 with symmetric padding.
    drop_path: share of the examples for which training drops a block. It grows
      from 0 at the first block to this value; 0.2 in the paper.
  """

  width: float = 1.0
  depth: float = 1.0
  padding: str = 'same'
  momentum: float = 0.99
  drop_path: float = 0.0

  def __post_init__(self) -> None:
    layers.check_option('padding', self.padding, ('same', 'symmetric'))
    super().__post_init__()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    conv_bn = functools.partial(self.conv_bn, activation=nn.silu)
    stem, top = (layers.scaled_width(n, self.width) for n in (32, 1280))
    padding = layers.get_padding(self.padding, 3)
    x = conv_bn(stem, (3, 3), 2, padding, name='stem')(x, train)
    rows = blocks(self.width, self.depth, fixed_ends=False)
    for index, block in enumerate(rows):
      x = inverted_residual.InvertedResidual(
        block.features,
        x.shape[-1] * block.expansion,
        block.kernel_size,
        block.strides,
        self.padding,
        squeezed=x.shape[-1] // 4,
        drop_rate=self.drop_path * index / len(rows),
        name=block.name,
        **self.shared(layers.Normalized),
      )(x, train)
    return conv_bn(top, name='top')(x, train).mean(axis=(1, 2))
