"""Backbone -> pooled features -> dropout -> logits; the auxiliary head."""

import jax
from flax import linen as nn

from tf_transfer.networks import layers


class AuxiliaryHead(layers.Normalized):
  """A second classifier, on activations from the middle of a network.

  It only helps training: its loss is added with a weight of 0.4 (Szegedy et
  al., 2016; section 3 of the protocol), and evaluation has no use for it. All
  networks that have one share this form: ReLU (which changes nothing but
  NASNet's activations), average pooling 5×5 of stride 3, 1×1 to 128 channels,
  one window over all that is left to 768, logits.

  Attributes:
    num_classes: number of logits.
  """

  num_classes: int

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Maps activations [B, H, W, C], H and W of 5 or more, to logits."""
    x = layers.average_pool(nn.relu(x), 5, 3, 'VALID')
    x = self.conv_bn(128, name='narrow')(x, train)
    x = self.conv_bn(768, x.shape[1:3], padding='VALID', name='whole')(x, train)
    return nn.Dense(self.num_classes, name='head')(x[:, 0, 0])


class Classifier(nn.Module):
  """A backbone under a linear head, the same for all networks.

  Variables are `params/backbone/...`, `params/head/{kernel,bias}` and
  `batch_stats/backbone/...`; those of an auxiliary head are under `auxiliary`.

  Attributes:
    backbone: maps [B, H, W, 3] to pooled features [B, D]. One that has a
      place for an auxiliary head names the submodule ahead of it as
      `auxiliary_after`, and its `with_auxiliary` returns that one's output
      beside the features.
    num_classes: number of logits.
    dropout: share of the features that training drops before the head.
    auxiliary_head: whether there is one, for `training_logits`.
  """

  backbone: nn.Module
  num_classes: int
  dropout: float = 0.0
  auxiliary_head: bool = False

  def setup(self):
    self.drop = nn.Dropout(self.dropout)
    self.head = nn.Dense(self.num_classes)
    if self.auxiliary_head:
      self.auxiliary = AuxiliaryHead(
        self.num_classes, **self.backbone.shared(layers.Normalized)
      )

  def features(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Maps x [B, H, W, 3] to features [B, D], what the head is fed."""
    return self.backbone(x, train)

  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Maps x [B, H, W, 3] to logits [B, num_classes]."""
    if self.auxiliary_head and self.is_initializing():
      return self.training_logits(x, train)[0]
    return self._logits(self.features(x, train), train)

  def training_logits(
    self, x: jax.Array, train: bool = True
  ) -> tuple[jax.Array, jax.Array | None]:
    """Maps x to logits and those of the auxiliary head, if there is one."""
    if not self.auxiliary_head:
      return self(x, train), None
    features, activations = self.backbone.with_auxiliary(x, train)
    return self._logits(features, train), self.auxiliary(activations, train)

  def _logits(self, features: jax.Array, train: bool) -> jax.Array:
    return self.head(self.drop(features, deterministic=not train))
