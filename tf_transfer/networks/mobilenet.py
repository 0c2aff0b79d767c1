"""MobileNet v1 (Howard et al., 2017) and v2 (Sandler et al., 2018)."""

import functools
import itertools

import jax
from flax import linen as nn

from tf_transfer.networks import layers

# v1: channels and strides of each depthwise separable block.
BLOCKS_V1 = (
  (64, 1),
  (128, 2),
  (128, 1),
  (256, 2),
  (256, 1),
  (512, 2),
  *[(512, 1)] * 5,
  (1024, 2),
  (1024, 1),
)

# v2: number of blocks, channels, expansion, and strides of the first block.
STAGES_V2 = (
  (1, 16, 1, 1),
  (2, 24, 6, 2),
  (3, 32, 6, 2),
  (4, 64, 6, 2),
  (3, 96, 6, 1),
  (3, 160, 6, 2),
  (1, 320, 6, 1),
)

_PADDINGS = ('same', 'symmetric')


class MobileNetV1(layers.Normalized):
  """Backbone: [B, H, W, 3] -> features [B, 1024].

  Attributes:
    padding: of the strided convolutions: 'same' (TF-Slim; Keras at even
      sizes), or 'symmetric' (timm).
    epsilon: batch norm's: 1e-3, or 1e-5 (timm).
  """

  padding: str = 'same'

  def __post_init__(self) -> None:
    layers.check_option('padding', self.padding, _PADDINGS)
    super().__post_init__()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    conv_bn = functools.partial(self.conv_bn, activation=layers.relu6)
    padding = layers.get_padding(self.padding, 3)
    x = conv_bn(32, (3, 3), 2, padding, name='stem')(x, train)
    for block, (features, strides) in enumerate(BLOCKS_V1, start=1):
      x = conv_bn(
        x.shape[-1],
        (3, 3),
        strides,
        padding,
        depthwise=True,
        name=f'block{block}_depthwise',
      )(x, train)
      x = conv_bn(features, name=f'block{block}_pointwise')(x, train)
    return x.mean(axis=(1, 2))


class MobileNetV2(layers.Normalized):
  """Backbone: [B, H, W, 3] -> features [B, 1280 × max(1, width)].

  Attributes:
    width: multiplier of the channels.
    padding: of the strided convolutions: 'same' (TF-Slim; Keras at even
      sizes), or 'symmetric' (torchvision, timm).
    epsilon: batch norm's: 1e-3, or 1e-5 (torchvision, timm).
  """

  width: float = 1.0
  padding: str = 'same'

  def __post_init__(self) -> None:
    layers.check_option('padding', self.padding, _PADDINGS)
    super().__post_init__()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    conv_bn = functools.partial(self.conv_bn, activation=layers.relu6)
    padding = layers.get_padding(self.padding, 3)
    stem = layers.scaled_width(32, self.width)
    x = conv_bn(stem, (3, 3), 2, padding, name='stem')(x, train)
    number = itertools.count(1)
    for repeats, channels, expansion, first_strides in STAGES_V2:
      features = layers.scaled_width(channels, self.width)
      for repeat in range(repeats):
        strides = 1 if repeat else first_strides
        name = f'block{next(number)}'
        inputs, hidden = x, x.shape[-1] * expansion
        if expansion > 1:
          x = conv_bn(hidden, name=f'{name}_expand')(x, train)
        x = conv_bn(
          hidden,
          (3, 3),
          strides,
          padding,
          depthwise=True,
          name=f'{name}_depthwise',
        )(x, train)
        x = conv_bn(features, activation=None, name=f'{name}_project')(x, train)
        if repeat:
          x = x + inputs
    top = layers.scaled_width(1280, max(1.0, self.width))
    return conv_bn(top, name='top')(x, train).mean(axis=(1, 2))
