"""Computes the loss and the accuracy of each example of a batch."""

import jax
import jax.numpy as jnp
import optax


def softmax_losses(
  logits: jax.Array, labels: jax.Array, smoothing: float
) -> jax.Array:
  """Computes the softmax cross-entropy of each example.

  Args:
    logits: float [B, C].
    labels: int [B], class numbers.
    smoothing: share of the target that is spread evenly over all C classes.

  Returns:
    float [B].
  """
  targets = jax.nn.one_hot(labels, logits.shape[-1])
  return optax.softmax_cross_entropy(
    logits, optax.smooth_labels(targets, smoothing)
  )


def sigmoid_losses(
  logits: jax.Array, labels: jax.Array, smoothing: float
) -> jax.Array:
  """Computes the binary cross-entropies of each example, summed over classes.

  Args:
    logits: float [B, C].
    labels: int [B, C]: 1 present, 0 absent, -1 ignored.
    smoothing: share of each target that is spread over present and absent.

  Returns:
    float [B].
  """
  # `optax.smooth_labels` would spread the share over the C classes.
  targets = (labels == 1) * (1 - smoothing) + smoothing / 2
  losses = optax.sigmoid_binary_cross_entropy(logits, targets)
  return jnp.sum(jnp.where(labels == -1, 0, losses), axis=-1)


def accuracies(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Computes the accuracy of each example.

  Args:
    logits: float [B, C].
    labels: int [B], class numbers, or [B, C] as for `sigmoid_losses`.

  Returns:
    float [B]: 0 or 1; of several labels, the share that is predicted right.
  """
  if labels.ndim == 1:
    return (logits.argmax(axis=-1) == labels).astype(jnp.float32)
  is_correct = (logits > 0) == (labels == 1)
  is_counted = labels != -1
  num_counted = jnp.maximum(is_counted.sum(-1), 1)
  return (is_correct & is_counted).sum(-1) / num_counted
