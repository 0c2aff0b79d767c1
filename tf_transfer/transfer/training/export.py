"""Writes the weights file of a network that was trained on a dataset."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_transfer import datasets, errors, networks
from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.networks import weights
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer import temperature
from tf_transfer.transfer.training import grid, predictions
from tf_transfer.transfer.training.search_spec import Search


def save(
  path: pathlib.Path,
  search: Search,
  net: networks.Network,
  result: result_lib.CellResult,
) -> None:
  """Writes the network that a search trained.

  Args:
    path: of the .safetensors file.
    search: the search.
    net: the network it returned, for inference.
    result: the result it returned.

  Raises:
    InputError: the file could not be written.
  """
  weights.save(path, build_header(search, result), net.variables)


def fit_temperature(
  dataset: datasets.Dataset, arrays: Mapping[str, np.ndarray]
) -> float:
  """Fits the temperature of a network's probabilities on val.

  Args:
    dataset: on which it was trained.
    arrays: the predictions of its result; the scores on val are those of the
      network that was chosen there, as it was before a refit.

  Returns:
    The temperature; 1 where images have several classes or val's scores are
    not there.
  """
  if dataset.multi_label or 'val_scores' not in arrays:
    return 1.0
  fitted, _ = temperature.fit(arrays['val_label'], arrays['val_scores'])
  return fitted


def holds(path: pathlib.Path, identity: str) -> bool:
  """Returns whether a file holds the network of a cell, undamaged.

  Args:
    path: of the file, which may be missing.
    identity: of the cell.
  """
  try:
    details = weights.read(path)[0].recipe.details
  except errors.InputError:
    return False
  return details.get('identity') == identity


def build_header(
  search: Search, result: result_lib.CellResult
) -> weights.Header:
  """Builds the header of the weights file.

  A network that was trained from random values takes nothing from the weights
  file from which its architecture was read.
  """
  original = search.net.header
  name = search.dataset.name
  if search.pretrained:
    source = (
      f'fine-tuned here on {name}, from {original.source or original.network}'
    )
  else:
    source = f'trained here on {name}, from random values'
  # The view that did better on val is the one that was tested.
  resize, contract = predictions.resize_and_contract(
    result.chosen['view'], original.contract
  )
  return dataclasses.replace(
    original,
    contract=contract,
    num_classes=len(search.dataset.classes),
    background=False,
    imagenet_top1=None,
    imagenet_top1_source='',
    recipe=_build_recipe(search, result),
    source=source,
    source_sha256=original.source_sha256 if search.pretrained else '',
    license=original.license if search.pretrained else '',
    classes=tuple(search.dataset.classes),
    temperature=fit_temperature(search.dataset, result.predictions),
    resize=resize,
  )


def _build_recipe(
  search: Search, result: result_lib.CellResult
) -> recipe_lib.Recipe:
  """Describes how the network was trained."""
  splits = 'train + val' if search.trained_on_val else 'train'
  details = {
    'identity': search.identity,
    'splits_sha256': {
      name: split.hash for name, split in search.dataset.splits.items()
    },
    search.setting: grid.determinants(search.config),
    'chosen': dict(result.chosen),
    'metric': search.dataset.metric,
    # Of several runs the network is the first.
    'test': dataclasses.asdict(
      result.runs[0].test if result.runs else result.test
    ),
    'skipped': [*search.dataset.skipped, *result.skipped],
  }
  if search.pretrained:
    details['begun_with'] = {
      'weights_sha256': search.net.sha256,
      'source': search.net.header.source,
      'recipe': search.net.header.recipe.to_json(),
    }
  return recipe_lib.Recipe(
    **_factors(search),
    trained_on=search.dataset.name,
    notes=f'{search.setting} on {splits} of {search.dataset.name}',
    details=details,
  )


def _factors(search: Search) -> dict[str, Any]:
  """Returns with which regularizers the network was ever trained.

  None stands for what is not known of the pretraining.
  """
  config = search.config
  bn_scale = None
  name = search.net.name
  if name in networks.TABLE and networks.has_batch_norm(name):
    bn_scale = search.net.header.options.get('use_scale', True)
  factors = {
    'bn_scale': bn_scale,
    'label_smoothing': config.label_smoothing > 0,
    'dropout': config.dropout > 0,
    'auxiliary_head': config.auxiliary_head,
  }
  if not search.pretrained:
    return factors
  pretraining_factors = search.net.header.recipe.factors
  # Batch norm's scale belongs to the architecture. The other factors left
  # their mark if pretraining had them.
  return {
    name: is_on if is_on or name == 'bn_scale' else pretraining_factors[name]
    for name, is_on in factors.items()
  }
