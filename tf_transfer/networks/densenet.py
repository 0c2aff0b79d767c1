"""DenseNet (Huang et al., 2017), with bottlenecks and compression 0.5."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from tf_transfer.networks import layers

_GROWTH = 32
_BOTTLENECK = 4  # times the growth: channels between the convolutions

# Layers in each block.
DEPTHS_121 = (6, 12, 24, 16)
DEPTHS_169 = (6, 12, 32, 32)
DEPTHS_201 = (6, 12, 48, 32)


class DenseNet(layers.Normalized):
  """Backbone: [B, H, W, 3] -> features [B, D].

  Batch norm comes ahead of the convolutions. The submodules of a layer are the
  norm of its input (`norm`), the 1×1 with the norm behind it (`narrow`) and the
  3×3 (`grow`).

  Attributes:
    depths: layers in each of the four blocks.
  """

  depths: tuple[int, ...] = DEPTHS_121
  epsilon: float = 1e-5

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    stem = self.conv_bn(
      2 * _GROWTH, (7, 7), 2, layers.symmetric(7), name='stem'
    )
    x = stem(x, train)
    x = layers.max_pool(x, 3, 2, layers.symmetric(3))
    for block, depth in enumerate(self.depths, start=1):
      for layer in range(1, depth + 1):
        name = f'block{block}_layer{layer}'
        y = nn.relu(self.batch_norm(train, f'{name}_norm')(x))
        y = self.conv_bn(_BOTTLENECK * _GROWTH, name=f'{name}_narrow')(y, train)
        y = layers.Conv(_GROWTH, (3, 3), name=f'{name}_grow')(y)
        x = jnp.concatenate([x, y], axis=-1)
      if block < len(self.depths):
        x = nn.relu(self.batch_norm(train, f'transition{block}_norm')(x))
        width = x.shape[-1] // 2
        # The paper averages after the 1×1 convolution. The result is the same,
        # and averaging first costs a quarter.
        x = layers.average_pool(x, 2, 2, 'VALID')
        x = layers.Conv(width, name=f'transition{block}_conv')(x)
    return nn.relu(self.batch_norm(train, 'norm')(x)).mean(axis=(1, 2))
