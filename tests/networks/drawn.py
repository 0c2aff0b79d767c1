"""Shapes and values of a network's variables, without compiling."""

import functools

import numpy as np

from tf_transfer import networks
from tf_transfer.networks import weights


@functools.cache
def shapes(name, **options):
  """Returns the shapes of all variables by path; tracing takes seconds."""
  model = networks.build(name, **options)
  return networks.expected_variables(model, networks.row(name).image_size)


def variables(model, size):
  """As initialized, but drawn by NumPy: compiling that takes a minute."""
  rng, found = np.random.default_rng(0), {}
  for path, wanted in networks.expected_variables(model, size).items():
    if path.endswith('kernel'):
      scale = np.sqrt(2 / np.prod(wanted.shape[:-1]))
      found[path] = np.float32(rng.normal(size=wanted.shape) * scale)
    else:
      ones = path.endswith(('/scale', '/var'))
      found[path] = np.full(wanted.shape, float(ones), np.float32)
  return weights.unflatten(found)
