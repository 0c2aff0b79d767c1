"""The smallest networks with a Classifier's face, for tests of training."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from tf_transfer.networks import classifier, layers

SIZE = 8
CLASSES = 5


class TinyBackbone(layers.Normalized):
  """One convolution, with batch norm or without: [B, H, W, 3] -> [B, 6]."""

  normalized: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    if self.normalized:
      x = self.conv_bn(6, (3, 3), name='stem')(x, train)
    else:
      x = nn.relu(layers.Conv(6, (3, 3), use_bias=True, name='stem')(x))
    return x.mean(axis=(1, 2))


def tiny(normalized: bool = True, dropout: float = 0.0):
  backbone = TinyBackbone(normalized=normalized, momentum=0.8)
  return classifier.Classifier(backbone, CLASSES, dropout)


def scale(image):
  return image.astype(jnp.float32) / 128 - 1


def batches(count, size=16, seed=0, multi_label=False):
  rng = np.random.default_rng(seed)
  for _ in range(count):
    label = rng.integers(0, CLASSES, size)
    if multi_label:
      label = rng.integers(-1, 2, (size, CLASSES))
    yield {
      'image': rng.integers(0, 256, (size, SIZE, SIZE, 3)).astype(np.uint8),
      'label': label.astype(np.int32),
      'mask': rng.random(size) > 0.2,
    }


class AuxiliaryBackbone(TinyBackbone):
  """The same with a place for an auxiliary head."""

  auxiliary_after = 'image'

  def with_auxiliary(self, x: jax.Array, train: bool = False):
    return self(x, train), x


def with_auxiliary():
  return classifier.Classifier(
    AuxiliaryBackbone(), CLASSES, auxiliary_head=True
  )
