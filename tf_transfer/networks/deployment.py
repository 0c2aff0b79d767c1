"""Writes networks in forms that run without this package.

StableHLO needs JAX alone, a SavedModel needs TensorFlow alone. Both hold the
weights, and map images uint8 [B, S, S, 3] of any number B, RGB and resized, to
probabilities float32 [B, C]: scaling, temperature and softmax are inside.
"""

import json
import os
import pathlib
import shutil
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from tf_transfer.networks import predict
from tf_transfer.networks.network import Network
from tf_transfer.runtime import files, tensorflow

# Devices that one StableHLO file runs on.
_PLATFORMS = ('cpu', 'cuda', 'tpu')


def probabilities_function(net: Network) -> Callable[[jax.Array], jax.Array]:
  """Returns a function from images uint8 [B, S, S, 3] to probabilities.

  The weights are constants of it. All images pass together: it has no chunks,
  which depend on the number of images.

  Args:
    net: a network with a head.

  Raises:
    InputError: it has none.
  """
  net.check_head()

  def probabilities(images: jax.Array) -> jax.Array:
    x = net.contract.scale(jnp.asarray(images))
    with jax.default_matmul_precision('highest'):
      logits = net.model.apply(net.variables, x)
    return jax.nn.softmax(logits / np.float32(net.header.temperature))

  return probabilities


def write_stablehlo(net: Network, path: os.PathLike | str) -> None:
  """Writes a network as one file of StableHLO, and a JSON file beside it.

  `jax.export.deserialize` reads it, on CPU, CUDA and TPU.

  Args:
    net: a network with a head.
    path: of the file.

  Raises:
    InputError: the network has no head, or a file could not be written.
  """
  path = pathlib.Path(path)
  size = net.contract.image_size
  (batch,) = jax.export.symbolic_shape('batch')
  exported = jax.export.export(
    jax.jit(probabilities_function(net)), platforms=_PLATFORMS
  )(jax.ShapeDtypeStruct((batch, size, size, 3), np.uint8))
  with files.atomic_write(path) as file:
    file.write(exported.serialize())
  _write_description(net, path)


def write_saved_model(net: Network, path: os.PathLike | str) -> None:
  """Writes a network as a TensorFlow SavedModel, and a JSON file beside it.

  `tf.saved_model.load(path).predict(images)` runs it, on CPU and CUDA.

  Args:
    net: a network with a head.
    path: of the directory; one that is there is replaced.

  Raises:
    InputError: the network has no head, or a file could not be written.
  """
  tf = tensorflow.import_without_gpu()
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', DeprecationWarning)
    from jax.experimental import jax2tf

  path = pathlib.Path(path)
  size = net.contract.image_size
  converted = jax2tf.convert(
    probabilities_function(net),
    polymorphic_shapes=['(batch, ...)'],
    with_gradient=False,
    native_serialization_platforms=('cpu', 'cuda'),
  )
  module = tf.Module()
  module.predict = tf.function(
    converted,
    autograph=False,
    input_signature=[tf.TensorSpec((None, size, size, 3), tf.uint8, 'images')],
  )
  try:
    with tempfile.TemporaryDirectory(
      dir=path.parent, prefix=f'.{path.name}.'
    ) as directory:
      made = pathlib.Path(directory) / 'model'
      tf.saved_model.save(
        module, str(made), signatures={'serving_default': module.predict}
      )
      if path.is_dir():
        shutil.rmtree(path)
      os.replace(made, path)
  except OSError as error:
    raise files.write_error(path, error) from error
  _write_description(net, path)


def describe(net: Network) -> dict[str, Any]:
  """Says what a network takes and gives, for those who run it elsewhere."""
  return {
    'network': net.name,
    'classes': list(net.header.classes),
    'num_classes': net.header.num_classes,
    'image_size': net.contract.image_size,
    'resize': predict.resize_of(net),
    'interpolation': net.contract.interpolation,
    'antialias': net.contract.antialias,
    'pixel_centers': net.contract.pixel_centers,
    'crop_fraction': net.contract.crop_fraction,
    'temperature': net.header.temperature,
    'input': 'uint8 [B, image_size, image_size, 3], RGB, resized',
    'output': 'float32 [B, num_classes], probabilities',
  }


def description_path(path: pathlib.Path) -> pathlib.Path:
  """Returns the JSON file beside a file or a directory of a network."""
  return path.with_name(f'{path.name}.json')


def _write_description(net: Network, path: pathlib.Path) -> None:
  """Writes the JSON file beside a network."""
  text = json.dumps(describe(net), indent=2, ensure_ascii=False)
  with files.atomic_write(description_path(path)) as file:
    file.write(f'{text}\n'.encode())
