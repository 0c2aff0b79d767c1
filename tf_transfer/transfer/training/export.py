"""The weights file of a network that was trained in one of the two settings."""

import dataclasses
import pathlib
from typing import Any

from tf_transfer import errors, networks
from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.networks import weights
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.training import search


def save(
  path: pathlib.Path,
  given: search.Search,
  net: networks.Network,
  outcome: result_lib.CellResult,
) -> None:
  """Writes the network that a search gave.

  Args:
    path: of the .safetensors file.
    given: the search.
    net: what came of it, for inference.
    outcome: what else came of it.

  Raises:
    InputError: it could not be written.
  """
  weights.save(path, header_of(given, outcome), net.variables)


def holds(path: pathlib.Path, identity: str) -> bool:
  """Whether a file is that of a cell, by the cell's identity."""
  try:
    details = weights.read_header(path).recipe.details
  except errors.InputError:
    return False
  return details.get('identity') == identity


def header_of(
  given: search.Search, outcome: result_lib.CellResult
) -> weights.Header:
  """What the weights file says of itself.

  What was trained from random values has nothing of the weights file that
  its architecture was read from.
  """
  before = given.net.header
  name = given.dataset.name
  if given.pretrained:
    source = (
      f'fine-tuned here on {name}, from {before.source or before.network}'
    )
  else:
    source = f'trained here on {name}, from random values'
  return dataclasses.replace(
    before,
    num_classes=len(given.dataset.classes),
    background=False,
    imagenet_top1=None,
    imagenet_top1_source='',
    recipe=_recipe(given, outcome),
    source=source,
    source_sha256=before.source_sha256 if given.pretrained else '',
    license=before.license if given.pretrained else '',
  )


def _recipe(
  given: search.Search, outcome: result_lib.CellResult
) -> recipe_lib.Recipe:
  config = given.config.to_dict()
  on = 'train + val' if given.trained_on_val else 'train'
  details = {
    'identity': given.identity,
    'splits_sha256': {
      name: split.hash for name, split in given.dataset.splits.items()
    },
    given.setting: {
      k: v for k, v in config.items() if k not in search.OPERATIONAL
    },
    'chosen': dict(outcome.chosen),
    'metric': given.dataset.metric,
    'test': dataclasses.asdict(outcome.test),
    'skipped': list(outcome.skipped),
  }
  if given.pretrained:
    details['begun_with'] = {
      'weights_sha256': given.net.sha256,
      'source': given.net.header.source,
      'recipe': given.net.header.recipe.to_json(),
    }
  return recipe_lib.Recipe(
    **_factors(given),
    trained_on=given.dataset.name,
    notes=f'{given.setting} on {on} of {given.dataset.name}',
    details=details,
  )


def _factors(given: search.Search) -> dict[str, Any]:
  """Which regularizers the network was ever trained with; None: not known."""
  config = given.config
  now = {
    'bn_scale': given.net.header.options.get('use_scale', True),
    'label_smoothing': config.label_smoothing > 0,
    'dropout': config.dropout > 0,
    'auxiliary_head': config.auxiliary_head,
  }
  if not given.pretrained:
    return now
  before = given.net.header.recipe.factors
  # The architecture's stays; of the others what was on left its mark.
  return {
    name: on if on or name == 'bn_scale' else before[name]
    for name, on in now.items()
  }
