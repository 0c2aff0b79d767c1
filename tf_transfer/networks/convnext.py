"""ConvNeXt (Liu et al., 2022): tiny, small and base.

Each block filters every channel by itself in 7×7 pixels, normalizes each pixel,
and mixes its channels in a perceptron. There is no batch norm.
"""

import jax
from flax import linen as nn

from tf_transfer.networks import layers, modern_layers

# Blocks and channels of each stage.
DEPTHS_TINY = (3, 3, 9, 3)
DEPTHS_SMALL = (3, 3, 27, 3)
DEPTHS_BASE = DEPTHS_SMALL
WIDTHS_TINY = (96, 192, 384, 768)
WIDTHS_SMALL = WIDTHS_TINY
WIDTHS_BASE = (128, 256, 512, 1024)


def block_name(stage: int, number: int) -> str:
  """Returns the name of a block of a stage; both count from 1."""
  return f'stage{stage}_block{number}'


def _conv(features: int, size: int, name: str, **fields: object) -> layers.Conv:
  """Makes a convolution with bias; size is that of its kernel.

  The authors cut off at two, and not at two deviations: that cuts off nothing.
  """
  return layers.Conv(
    features,
    (size, size),
    use_bias=True,
    kernel_init=nn.initializers.normal(0.02),
    name=name,
    **fields,
  )


class Block(nn.Module):
  """A residual block.

  Attributes:
    layer_scale: initial value of the scale of what is added to the input.
    drop_rate: share of the examples for which training drops all but the input.
  """

  layer_scale: float
  drop_rate: float

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    inputs, width = x, x.shape[-1]
    x = _conv(width, 7, 'depthwise', padding=layers.symmetric(7), groups=width)(
      x
    )
    x = modern_layers.LayerNorm(name='norm')(x)
    x = modern_layers.gelu(_conv(4 * width, 1, 'expand')(x))
    x = _conv(width, 1, 'project')(x)
    x = modern_layers.LayerScale(self.layer_scale, name='layer_scale')(x)
    return layers.DropPath(self.drop_rate)(x, train) + inputs


class ConvNeXt(nn.Module):
  """Backbone: [B, H, W, 3] -> features [B, widths[3]].

  Attributes:
    depths: blocks in each of the four stages.
    widths: channels in each.
    drop_path: share of the examples for which training drops a block. It grows
      from 0 at the first block to this value at the last; the authors trained
      on ImageNet with 0.1 (tiny), 0.4 (small) and 0.5 (base).
    layer_scale: initial value of the blocks' layer scales.
  """

  depths: tuple[int, ...]
  widths: tuple[int, ...]
  drop_path: float = 0.0
  layer_scale: float = 1e-6

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    last, index = sum(self.depths) - 1, 0
    for stage, depth in enumerate(self.depths, start=1):
      width = self.widths[stage - 1]
      if stage == 1:
        x = _conv(width, 4, 'stem', strides=4, padding='VALID')(x)
        x = modern_layers.LayerNorm(name='stem_norm')(x)
      else:
        x = modern_layers.LayerNorm(name=f'stage{stage}_norm')(x)
        name = f'stage{stage}_downsample'
        x = _conv(width, 2, name, strides=2, padding='VALID')(x)
      for number in range(1, depth + 1):
        rate = self.drop_path * index / last
        name = block_name(stage, number)
        x = Block(self.layer_scale, rate, name=name)(x, train)
        index += 1
    return modern_layers.LayerNorm(name='norm')(x.mean(axis=(1, 2)))
