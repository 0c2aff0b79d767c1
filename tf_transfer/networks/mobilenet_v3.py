"""MobileNet v3 large (Howard et al., 2019).

Where it is cheap, activations are ReLU; elsewhere hard-swish. Gates of
squeeze-and-excitation are hard sigmoids. The last convolution comes after the
global pooling: its outputs are the features.
"""

import dataclasses
import functools

import jax
from flax import linen as nn

from tf_transfer.networks import inverted_residual, layers


def hard_sigmoid(x: jax.Array) -> jax.Array:
  """Computes relu6(x + 3) / 6, a sigmoid of three straight pieces."""
  return layers.relu6(x + 3) / 6


def hard_swish(x: jax.Array) -> jax.Array:
  """Computes x · hard_sigmoid(x)."""
  return x * hard_sigmoid(x)


@dataclasses.dataclass(frozen=True)
class Block:
  """Describes an inverted residual block.

  Attributes:
    width: channels of its depthwise convolution.
    features: channels of its output.
    kernel_size: of its depthwise convolution.
    strides: of its depthwise convolution.
    squeezes: whether it squeezes and excites.
    hard_swish: whether its activations are that, and not ReLU.
  """

  width: int
  features: int
  kernel_size: int
  strides: int
  squeezes: bool
  hard_swish: bool


BLOCKS = (
  Block(16, 16, 3, 1, False, False),
  Block(64, 24, 3, 2, False, False),
  Block(72, 24, 3, 1, False, False),
  Block(72, 40, 5, 2, True, False),
  Block(120, 40, 5, 1, True, False),
  Block(120, 40, 5, 1, True, False),
  Block(240, 80, 3, 2, False, True),
  Block(200, 80, 3, 1, False, True),
  Block(184, 80, 3, 1, False, True),
  Block(184, 80, 3, 1, False, True),
  Block(480, 112, 3, 1, True, True),
  Block(672, 112, 3, 1, True, True),
  Block(672, 160, 5, 2, True, True),
  Block(960, 160, 5, 1, True, True),
  Block(960, 160, 5, 1, True, True),
)


class MobileNetV3Large(layers.Normalized):
  """Backbone: [B, H, W, 3] -> features [B, 1280].

  Attributes:
    padding: of the convolutions: 'same' (Keras, at even sizes), or 'symmetric'
      (torchvision, timm).
    epsilon: batch norm's: 1e-3, or 1e-5 (timm).
    drop_path: share of the examples for which training drops a block. It grows
      from 0 at the first block to this value.
  """

  padding: str = 'same'
  drop_path: float = 0.0

  def __post_init__(self) -> None:
    layers.check_option('padding', self.padding, ('same', 'symmetric'))
    super().__post_init__()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    conv_bn = functools.partial(self.conv_bn, activation=hard_swish)
    padding = layers.get_padding(self.padding, 3)
    x = conv_bn(16, (3, 3), 2, padding, name='stem')(x, train)
    for index, block in enumerate(BLOCKS):
      squeezed = layers.scaled_width(block.width, 0.25)
      x = inverted_residual.InvertedResidual(
        block.features,
        block.width,
        block.kernel_size,
        block.strides,
        self.padding,
        hard_swish if block.hard_swish else nn.relu,
        squeezed=squeezed if block.squeezes else 0,
        squeeze_activation=nn.relu,
        gate=hard_sigmoid,
        drop_rate=self.drop_path * index / len(BLOCKS),
        name=f'block{index + 1}',
        **self.shared(layers.Normalized),
      )(x, train)
    x = conv_bn(960, name='top')(x, train).mean(axis=(1, 2), keepdims=True)
    x = layers.Conv(1280, use_bias=True, name='conv_head')(x)
    return hard_swish(x)[:, 0, 0]
