"""ResNet v1 (He et al., 2016): blocks with activations after the sum.

The 18- and 34-layer networks have basic blocks of two 3×3 convolutions, the
deeper ones bottlenecks. The public weights disagree about where a stage halves
its input, and about the padding of the first pooling; both are options.
"""

import functools

import jax
from flax import linen as nn

from tf_transfer.networks import layers

_WIDTHS = (64, 128, 256, 512)  # channels of the 3×3s in each stage
_EXPANSION = 4  # of a bottleneck

# Blocks in each stage.
DEPTHS_18 = (2, 2, 2, 2)
DEPTHS_34 = (3, 4, 6, 3)
DEPTHS_50 = (3, 4, 6, 3)
DEPTHS_101 = (3, 4, 23, 3)
DEPTHS_152 = (3, 8, 36, 3)

_STRIDES_IN = ('first_3x3', 'first_1x1', 'last_3x3')


class _Block(layers.Normalized):
  """Base class of the residual blocks.

  Attributes:
    features: channels of the 3×3s.
    strides: of the block.
    strided_size: 1 or 3, the kernel size of the first convolution with the
      strides.
    drop_rate: share of the examples for which training drops all but the input.
  """

  features: int
  strides: int
  strided_size: int
  drop_rate: float = 0.0

  def shortcut(self, x: jax.Array, width: int, train: bool) -> jax.Array:
    """Returns the input, or its projection where the channels differ."""
    if x.shape[-1] == width:
      return x[:, :: self.strides, :: self.strides]
    return self.conv_bn(
      width, strides=self.strides, activation=None, name='shortcut'
    )(x, train)


class Basic(_Block):
  """Two 3×3 convolutions, added to the input or its projection."""

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    shortcut = self.shortcut(x, self.features, train)
    conv = functools.partial(
      self.conv_bn, self.features, (3, 3), padding=layers.symmetric(3)
    )
    x = conv(strides=self.strides, name='conv1')(x, train)
    x = conv(activation=None, name='conv2')(x, train)
    return nn.relu(layers.DropPath(self.drop_rate)(x, train) + shortcut)


class Bottleneck(_Block):
  """1×1, 3×3 and 1×1, added to the input or its projection.

  The output has four times as many channels as the 3×3.
  """

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    width = self.features * _EXPANSION
    first, second = (
      self.strides if self.strided_size == size else 1 for size in (1, 3)
    )
    shortcut = self.shortcut(x, width, train)
    x = self.conv_bn(self.features, strides=first, name='conv1')(x, train)
    x = self.conv_bn(
      self.features,
      (3, 3),
      second,
      padding=layers.symmetric(3),
      name='conv2',
    )(x, train)
    x = self.conv_bn(width, activation=None, name='conv3')(x, train)
    return nn.relu(layers.DropPath(self.drop_rate)(x, train) + shortcut)


class ResNet(layers.Normalized):
  """Backbone: [B, H, W, 3] -> features [B, 2048], of basic blocks [B, 512].

  Attributes:
    depths: blocks in each of the four stages.
    block: their kind.
    stride_in: the convolution that halves the input of a stage: 'first_3x3' of
      its first block (Goyal et al., 2017; PyTorch), 'first_1x1' (He et al.;
      Keras), or 'last_3x3', that of the last block of the stage before
      (TF-Slim). Basic blocks are known with the first only.
    stem_pool: padding of the first pooling, 'symmetric' or 'same' (TF-Slim).
    drop_path: share of the examples for which training drops the last block. It
      grows to this value from 0 at the first block.
  """

  depths: tuple[int, ...] = DEPTHS_50
  block: type[_Block] = Bottleneck
  stride_in: str = 'first_3x3'
  stem_pool: str = 'symmetric'
  epsilon: float = 1e-5
  drop_path: float = 0.0

  def __post_init__(self) -> None:
    known = _STRIDES_IN if self.block is Bottleneck else _STRIDES_IN[:1]
    layers.check_option('stride_in', self.stride_in, known)
    layers.check_option('stem_pool', self.stem_pool, ('symmetric', 'same'))
    super().__post_init__()

  def _strides(self, stage: int, block: int) -> int:
    """Returns the strides of a block; both numbers count from 1."""
    if self.stride_in == 'last_3x3':
      last = block == self.depths[stage - 1]
      return 2 if last and stage < len(self.depths) else 1
    return 2 if block == 1 and stage > 1 else 1

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    x = self.conv_bn(64, (7, 7), 2, layers.symmetric(7), name='stem')(x, train)
    x = layers.max_pool(x, 3, 2, layers.get_padding(self.stem_pool, 3))
    blocks = [
      (stage, block)
      for stage, depth in enumerate(self.depths, start=1)
      for block in range(1, depth + 1)
    ]
    for index, (stage, block) in enumerate(blocks):
      x = self.block(
        _WIDTHS[stage - 1],
        self._strides(stage, block),
        1 if self.stride_in == 'first_1x1' else 3,
        self.drop_path * index / max(1, len(blocks) - 1),
        name=f'stage{stage}_block{block}',
        **self.shared(layers.Normalized),
      )(x, train)
    return x.mean(axis=(1, 2))
