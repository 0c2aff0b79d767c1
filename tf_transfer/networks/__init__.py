"""Builds networks of the table and loads their weights files.

net = networks.load('efficientnet_lite0.safetensors')
features = net.features(net.contract.scale(images))  # [B, net.feature_dim]
"""

import os
from typing import Any

import flax.errors
import jax
import jax.numpy as jnp

from tf_transfer import contract as contract_lib
from tf_transfer import errors
from tf_transfer.networks import classifier, weights
from tf_transfer.networks.custom import CustomNetwork
from tf_transfer.networks.network import Network
from tf_transfer.networks.table import (
  TABLE,
  Row,
  check_image_size,
  check_options,
  family,
  has_auxiliary,
  has_batch_norm,
  min_image_size,
  row,
  size_multiple,
  title,
)

__all__ = [
  'RANDOM_VALUES',
  'TABLE',
  'CustomNetwork',
  'Network',
  'Row',
  'build',
  'check_image_size',
  'expected_variables',
  'family',
  'has_auxiliary',
  'has_batch_norm',
  'load',
  'min_image_size',
  'rebuild',
  'row',
  'size_multiple',
  'title',
  'untrained',
]

# What the header of an untrained network names as the source of its values.
RANDOM_VALUES = 'random values'
_MAX_LISTED = 3  # problems in one error; the rest are counted


def build(
  name: str,
  *,
  num_classes: int = 1000,
  dropout: float = 0.0,
  auxiliary_head: bool = False,
  **options: Any,
) -> classifier.Classifier:
  """Builds the named network as a Flax module, without weights.

  Args:
    name: in the table.
    num_classes: number of logits.
    dropout: share of the features that training drops.
    auxiliary_head: whether to train a second head in the middle of the
      network; the Inceptions from v3 on and the NASNets have a place for one.
    **options: fields of the backbone.

  Raises:
    InputError: the name is unknown, or the backbone has no such option, does
      not know its value, or has no place for an auxiliary head; or a share is
      not in 0 to 1.
  """
  shares = {'dropout': dropout, 'drop_path': options.get('drop_path', 0.0)}
  for field, share in shares.items():
    # NASNet's may be an array, of a schedule.
    if isinstance(share, int | float) and not 0 <= share <= 1:
      raise errors.InputError(
        f'{name}: {field}: expected a share in 0 to 1, found {share}'
      )
  try:
    backbone = row(name).backbone(**options)
  except (TypeError, ValueError) as error:
    raise errors.InputError(f'{name}: {error}') from error
  if auxiliary_head and not has_auxiliary(name):
    raise errors.InputError(
      f'{name} has no place for an auxiliary head: build it without'
    )
  return classifier.Classifier(backbone, num_classes, dropout, auxiliary_head)


def rebuild(
  net: Network,
  *,
  num_classes: int,
  dropout: float = 0.0,
  auxiliary_head: bool = False,
  **options: Any,
) -> classifier.Classifier:
  """Builds a network's module again, with another head.

  Args:
    net: the network, with the options of its weights.
    num_classes: number of logits.
    dropout: as for `build`.
    auxiliary_head: as for `build`.
    **options: fields of the backbone to change. A network of anybody's own has
      none, and keeps its own.

  Raises:
    InputError: as in `build`; or the network cannot be trained.
  """
  if net.fixed_reason:
    raise errors.InputError(net.fixed_reason)
  if net.name in TABLE:
    return build(
      net.name,
      num_classes=num_classes,
      dropout=dropout,
      auxiliary_head=auxiliary_head,
      **{**net.header.options, **options},
    )
  if auxiliary_head:
    raise errors.InputError(
      f'{net.name} has no place for an auxiliary head: build it without'
    )
  return net.model.clone(num_classes=num_classes, dropout=dropout)


def expected_variables(
  model: classifier.Classifier, image_size: int
) -> dict[str, jax.ShapeDtypeStruct]:
  """Returns the shapes of all variables of a network by path.

  Nothing is computed: the network is only traced.

  Args:
    model: the network.
    image_size: height and width of the images, in pixels.

  Raises:
    InputError: nothing is left of such small images on the way.
  """
  image = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
  try:
    shapes = jax.eval_shape(model.init, jax.random.key(0), image)
  # What JAX and Flax raise there.
  except (ValueError, TypeError, flax.errors.FlaxError) as error:
    raise errors.InputError(
      f'image_size: the network cannot work on images of {image_size} px '
      f'({str(error).splitlines()[0]})'
    ) from error
  return weights.flatten(shapes)


def untrained(name: str) -> Network:
  """Returns a network without weights, to be trained from random values.

  No weights file has a part in it: the backbone has its architecture's default
  options (batch norm with a scale, its own strides and padding), and its input
  is scaled to -1 to 1, as that of TF-Slim's networks.

  Args:
    name: in the table.

  Returns:
    The network, at the table's image size. Its header has the ImageNet accuracy
    that the table knows of the architecture.

  Raises:
    InputError: the name is unknown.
  """
  architecture = row(name)
  header = weights.Header(
    network=name,
    options={},
    contract=contract_lib.Contract(
      architecture.image_size, (127.5,) * 3, (127.5,) * 3
    ),
    imagenet_top1=architecture.imagenet_top1,
    imagenet_top1_source=architecture.imagenet_top1_source,
    source=RANDOM_VALUES,
  )
  return Network(header, build(name), {}, sha256='')


def load(path: os.PathLike | str) -> Network:
  """Loads a weights file, strictly: every variable there, and no other.

  The values are read only where all shapes fit.

  Raises:
    InputError: no such file, or it is damaged, or belongs to another network.
      Variables that are missing, left over or misshapen are listed.
  """
  header = weights.read_header(path)
  try:
    check_options(header.network, header.options)
    model = build(
      header.network, num_classes=header.num_classes, **header.options
    )
    expected = expected_variables(model, header.contract.image_size)
  except errors.InputError as error:
    raise errors.InputError(f'{path}: header: {error}') from error
  problems = weights.mismatches(weights.read_shapes(path), expected)
  if problems:
    listed = weights.in_one_line('; '.join(problems[:_MAX_LISTED]))
    num_others = len(problems) - _MAX_LISTED
    raise errors.InputError(
      f'{path} does not hold the weights of {header.network}: {listed}'
      + (f'; and {num_others} more' if num_others > 0 else '')
    )
  _, tensors = weights.read(path)
  variables = jax.tree.map(jnp.asarray, weights.unflatten(tensors))
  return Network(header, model, variables, weights.sha256(path))
