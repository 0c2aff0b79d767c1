"""A network of one's own as a Flax module: random features of small patches."""

import jax
import numpy as np
from flax import linen as nn

from tf_transfer import networks
from tf_transfer.contract import Contract

IMAGE_SIZE = 32


class Patches(nn.Module):
  """Two convolutions, and the mean over the image."""

  width: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps images [B, H, W, 3] to features [B, width]."""
    x = nn.relu(nn.Conv(self.width // 4, (3, 3), strides=2, name='conv1')(x))
    x = nn.relu(nn.Conv(self.width, (3, 3), strides=2, name='conv2')(x))
    return x.mean(axis=(1, 2))


def patches() -> networks.CustomNetwork:
  """Makes the network; in earnest, this reads the variables from a file."""
  module = Patches(width=64)
  image = np.zeros((1, IMAGE_SIZE, IMAGE_SIZE, 3), np.float32)
  return networks.CustomNetwork(
    contract=Contract(IMAGE_SIZE, mean=(127.5,) * 3, std=(127.5,) * 3),
    module=module,
    variables=jax.jit(module.init)(jax.random.key(0), image),
    family='Random',
  )
