"""Lets Keras's networks that scale their images compute what ours do."""

import numpy as np


def _layers(model):
  """Its layers that scale images: of EfficientNet one, of others none."""
  import keras

  return [a for a in model.layers if isinstance(a, keras.layers.Normalization)]


def settle(model):
  """Takes over means and variances that were assigned, as loading does."""
  for layer in _layers(model):
    layer.finalize_state()


def to_pixels(model, x):
  """Returns what a model, built for no published weights, scales to x.

  That is x itself for one that does not scale.
  """
  for layer in _layers(model):
    mean, variance = np.asarray(layer.mean), np.asarray(layer.variance)
    x = (x * np.sqrt(variance) + mean) * 255
  return x
