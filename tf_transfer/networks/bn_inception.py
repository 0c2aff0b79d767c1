"""BN-Inception (Ioffe and Szegedy, 2015), which TF-Slim calls Inception v2."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from tf_transfer.networks import inception_blocks, layers
from tf_transfer.networks.inception_blocks import Pool, conv

_STEMS = ('separable', 'plain')


def _module(
  a: int, b: tuple[int, int], c: tuple[int, int], d: int, pool: str = 'average'
) -> inception_blocks.Branches:
  """Describes a module by the channels of its four branches.

  Args:
    a: of the branch of a 1×1.
    b: of that of a 1×1 and a 3×3.
    c: of that of a 1×1 and two 3×3.
    d: of that of a pooling and a 1×1.
    pool: 'average' or 'max'.
  """
  return (
    (conv(a),),
    (conv(b[0]), conv(b[1], 3)),
    (conv(c[0]), conv(c[1], 3), conv(c[1], 3)),
    (Pool(pool), conv(d)),
  )


def _reduction(
  a: tuple[int, int], b: tuple[int, int], padding: layers.Padding
) -> inception_blocks.Branches:
  """Describes a module that halves the image, by its branches' channels."""
  return (
    (conv(a[0]), conv(a[1], 3, 2, padding)),
    (conv(b[0]), conv(b[1], 3), conv(b[1], 3, 2, padding)),
    (Pool('max', 3, 2),),
  )


def blocks(
  padding: str = 'same', wide_pools: bool = False
) -> inception_blocks.Blocks:
  """Returns all blocks but the first convolution.

  Args:
    padding: of the strided convolutions.
    wide_pools: as for `BNInception`.
  """
  strided = layers.get_padding(padding, 3)
  pool = 128 if wide_pools else 96
  return (
    ('pool_2a', Pool('max', 3, 2)),
    ('conv_2b', conv(64)),
    ('conv_2c', conv(192, 3)),
    ('pool_3a', Pool('max', 3, 2)),
    ('mixed_3b', _module(64, (64, 64), (64, 96), 32)),
    ('mixed_3c', _module(64, (64, 96), (64, 96), 64)),
    ('mixed_4a', _reduction((128, 160), (64, 96), strided)),
    ('mixed_4b', _module(224, (64, 96), (96, 128), 128)),
    ('mixed_4c', _module(192, (96, 128), (96, 128), 128)),
    ('mixed_4d', _module(160, (128, 160), (128, 160), pool)),
    ('mixed_4e', _module(96, (128, 192), (160, 192), pool)),
    ('mixed_5a', _reduction((128, 192), (192, 256), strided)),
    ('mixed_5b', _module(352, (192, 320), (160, 224), 128)),
    ('mixed_5c', _module(352, (192, 320), (192, 224), 128, pool='max')),
  )


class SeparableStem(nn.Module):
  """A separable 7×7 of stride 2 with bias and ReLU, without batch norm.

  The two kernels are multiplied first. One convolution of three channels is the
  same function as a depthwise one of depth 8 and a 1×1, and faster.
  """

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    channels, depth, features = x.shape[-1], 8, 64
    initializer = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal')
    depthwise = self.param(
      'depthwise_kernel', initializer, (7, 7, channels, depth)
    )
    pointwise = self.param(
      'pointwise_kernel', initializer, (1, 1, channels * depth, features)
    )
    bias = self.param('bias', nn.initializers.zeros, (features,))
    kernel = jnp.einsum(
      'hwcm,cmo->hwco', depthwise, pointwise.reshape(channels, depth, features)
    )
    return nn.relu(layers.convolution(x, kernel, strides=2) + bias)


class BNInception(inception_blocks.Inception):
  """Backbone: [B, H, W, 3] -> features [B, 1024].

  Attributes:
    stem: 'separable', without batch norm (TF-Slim), or 'plain' (the Caffe
      original, which pretrainedmodels ports).
    padding: of the strided convolutions: 'same' (TF-Slim), or 'symmetric'
      (the original).
    wide_pools: whether the poolings of mixed_4d and mixed_4e are projected to
      128 channels (the original) and not to 96 (TF-Slim).
  """

  stem: str = 'separable'
  padding: str = 'same'
  wide_pools: bool = False

  def __post_init__(self) -> None:
    layers.check_option('stem', self.stem, _STEMS)
    layers.check_option('padding', self.padding, ('same', 'symmetric'))
    super().__post_init__()

  @nn.compact
  def with_auxiliary(
    self, x: jax.Array, train: bool = False
  ) -> tuple[jax.Array, None]:
    if self.stem == 'separable':
      x = SeparableStem(name='conv_1a')(x)
    else:
      first = conv(64, 7, 2, layers.get_padding(self.padding, 7))
      x = self.conv(x, first, train, 'conv_1a')
    x = self.apply_blocks(x, blocks(self.padding, self.wide_pools), train)
    return x.mean(axis=(1, 2)), None
