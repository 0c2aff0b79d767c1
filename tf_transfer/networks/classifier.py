"""The classifier over a backbone: dropout, logits, and the auxiliary head."""

import jax
from flax import linen as nn

from tf_transfer.networks import layers


class AuxiliaryHead(layers.Normalized):
  """A second classifier, on activations from the middle of a network.

  It only helps training: its loss is added with a weight of 0.4 (Szegedy et
  al., 2016; section 3 of the paper). Evaluation does not use it. It is the same
  for all networks that have one: ReLU (which changes only NASNet's
  activations), average pooling 5×5 of stride 3, a 1×1 convolution to 128
  channels, one over the whole remaining image to 768, logits.

  Attributes:
    num_classes: number of logits.
  """

  num_classes: int

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Maps activations [B, H, W, C] to logits; H and W are at least 5."""
    x = layers.average_pool(nn.relu(x), 5, 3, 'VALID')
    x = self.conv_bn(128, name='narrow')(x, train)
    x = self.conv_bn(768, x.shape[1:3], padding='VALID', name='whole')(x, train)
    return nn.Dense(self.num_classes, name='head')(x[:, 0, 0])


class Classifier(nn.Module):
  """A backbone with a linear head.

  Variables are `params/backbone/...`, `params/head/{kernel,bias}` and
  `batch_stats/backbone/...`; those of an auxiliary head are under `auxiliary`.

  Attributes:
    backbone: maps [B, H, W, 3] to pooled features [B, D]. One that has a
      place for an auxiliary head has two more members: `auxiliary_after`, the
      name of the submodule whose output that head reads, and `with_auxiliary`,
      which returns the features and that output.
    num_classes: number of logits; 0 for a backbone alone, without a head.
    dropout: share of the features that training drops before the head.
    auxiliary_head: whether `training_logits` has an auxiliary head.
  """

  backbone: nn.Module
  num_classes: int
  dropout: float = 0.0
  auxiliary_head: bool = False

  def setup(self) -> None:
    self.drop = nn.Dropout(self.dropout)
    if self.num_classes:
      self.head = nn.Dense(self.num_classes)
    if self.auxiliary_head:
      self.auxiliary = AuxiliaryHead(
        self.num_classes, **self.backbone.shared(layers.Normalized)
      )

  def features(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Maps x [B, H, W, 3] to features [B, D], the input of the head."""
    return self.backbone(x, train)

  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Maps x [B, H, W, 3] to logits [B, num_classes]."""
    if self.auxiliary_head and self.is_initializing():
      return self.training_logits(x, train)[0]
    return self._logits(self.features(x, train), train)

  def training_logits(
    self, x: jax.Array, train: bool = True
  ) -> tuple[jax.Array, jax.Array | None]:
    """Maps x to logits and the auxiliary head's logits, None without one."""
    if not self.auxiliary_head:
      return self(x, train), None
    features, activations = self.backbone.with_auxiliary(x, train)
    return self._logits(features, train), self.auxiliary(activations, train)

  def _logits(self, features: jax.Array, train: bool) -> jax.Array:
    if not self.num_classes:
      return features[:, :0]
    return self.head(self.drop(features, deterministic=not train))
