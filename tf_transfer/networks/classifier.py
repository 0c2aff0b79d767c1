"""Backbone -> pooled features -> dropout -> logits."""

import jax
from flax import linen as nn


class Classifier(nn.Module):
  """A backbone under a linear head, the same for all networks.

  Variables are `params/backbone/...`, `params/head/{kernel,bias}` and
  `batch_stats/backbone/...`.

  Attributes:
    backbone: maps [B, H, W, 3] to pooled features [B, D].
    num_classes: number of logits.
    dropout: share of the features that training drops before the head.
  """

  backbone: nn.Module
  num_classes: int
  dropout: float = 0.0

  def setup(self):
    self.drop = nn.Dropout(self.dropout)
    self.head = nn.Dense(self.num_classes)

  def features(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Maps x [B, H, W, 3] to features [B, D], what the head is fed."""
    return self.backbone(x, train)

  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Maps x [B, H, W, 3] to logits [B, num_classes]."""
    features = self.features(x, train)
    return self.head(self.drop(features, deterministic=not train))
