"""Describes the evaluation of a cell for the log of reads of test splits.

Two evaluations of one network in one setting are compared by what was chosen
for them: the config, and the images that were trained on.
"""

from collections.abc import Mapping
from typing import Any

import ml_collections

from tf_transfer import config_fields
from tf_transfer.datasets import test_reads
from tf_transfer.study import record
from tf_transfer.transfer.setting import Cell

# Fields of a record, and of what determines a cell.
_CONFIG = (
  *('search', 'preprocessing', 'layer', 'pyramid', 'image_size', 'corrupt'),
)
_TRAINING = ('last_fit_on', 'num_folds')


def of_cell(cell: Cell, config: ml_collections.ConfigDict) -> test_reads.Read:
  """Describes the evaluation of a cell that begins now."""
  fields = record.determinants(cell.network, cell.dataset, cell.setting, config)
  return test_reads.Read(
    time=test_reads.now(),
    job='study',
    dataset=cell.dataset.identity_name,
    network=cell.network.name,
    weights_sha256=cell.network.sha256,
    setting=cell.setting.name,
    identity=cell.identity,
    config_sha256=config_hash(fields),
    training_sha256=training_hash(fields),
    changed=changed_fields(cell, fields),
  )


def config_hash(fields: Mapping[str, Any]) -> str:
  """Returns the hash of the config of a cell.

  Args:
    fields: a record, or what determines a cell.
  """
  return test_reads.hash_fields(
    {name: fields[name] for name in _CONFIG if name in fields}
  )


def training_hash(fields: Mapping[str, Any]) -> str:
  """Returns the hash of the images that a cell was trained and chosen on.

  Args:
    fields: a record, or what determines a cell.
  """
  splits = fields['splits_sha256']
  return test_reads.hash_fields(
    {
      **{name: splits[name] for name in ('train', 'val')},
      **{name: fields[name] for name in _TRAINING if name in fields},
    }
  )


def changed_fields(cell: Cell, fields: Mapping[str, Any]) -> tuple[str, ...]:
  """Lists the fields of a cell's config that differ from the defaults.

  Args:
    cell: the cell.
    fields: what determines it.

  Returns:
    Texts such as 'steps = 100'.
  """
  default = config_fields.defaults(config_fields.of_job('study'))
  usual = _flat(
    record.determinants(cell.network, cell.dataset, cell.setting, default)
  )
  return test_reads.changed_fields(_flat(fields), usual)


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the fields of a config; those of the search beside the others."""
  config = {name: fields[name] for name in _CONFIG if name in fields}
  return {**config.pop('search'), **config}
