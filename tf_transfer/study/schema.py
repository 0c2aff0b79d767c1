"""Defines the format of records, and the identities of cells.

A record is one JSON line; docs/ledger.md lists its fields. Two numbers say how
to read one:

- `version`: raised when the same settings would give other numbers. Records of
  another version are kept and not used.
- `schema`: raised when fields are renamed. Records of an older schema are
  converted when they are read.

An identity is a hash of everything that determines a cell's numbers. It hashes
the names that fields had in schema 1, so that a renamed field runs no cell
again.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tf_transfer.transfer import settings
from tf_transfer.transfer.setting import Record

VERSION = 1
SCHEMA = 2

# Names of schema 1 -> names now: fields of a setting or of pretraining,
_FIELDS = {
  'penalties': 'num_penalties',
  'final_tolerance': 'refit_tolerance',
  'neighbours': 'neighbors',
  'learning_rates': 'num_learning_rates',
  'weight_decays': 'num_weight_decays',
  'no_weight_decay': 'include_zero_weight_decay',
  'stop_early': 'early_stopping',
  'final_run': 'refit_on_trainval',
  'average_decay': 'ema_decay',
  'average_ramp': 'ema_warmup',
  'accumulation': 'gradient_accumulation_steps',
  'choose_step': 'choose_steps_on_val',
  'measure_epochs': 'evaluate_every_epochs',
  'colour': 'color_distortion',
}
# and settings.
_SETTINGS = {'nearest_neighbours': 'nearest_neighbors'}
# In schema 1 every cell had these; cells that train do not depend on them.
_FEATURE_DEFAULTS = {'layer': '', 'pyramid': [1]}


def identity(determinants: Mapping[str, Any]) -> str:
  """Returns the hash of everything that determines a record's numbers.

  Args:
    determinants: what JSON can hold, with fields by their names of today.
  """
  names = {new: old for old, new in _FIELDS.items()}
  hashed = _renamed({'version': VERSION, **determinants}, names)
  text = json.dumps(hashed, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:32]


def cell_identity(determinants: Mapping[str, Any]) -> str:
  """Returns the identity of a cell, from `record.determinants`."""
  names = {new: old for old, new in _SETTINGS.items()}
  setting = determinants['setting']
  return identity(
    {
      **_FEATURE_DEFAULTS,
      **determinants,
      'setting': names.get(setting, setting),
    }
  )


def upgrade(record: Record) -> dict[str, Any]:
  """Converts a record of an older schema to the present one."""
  if record.get('schema', 1) == SCHEMA:
    return dict(record)
  upgraded = {**record, 'schema': SCHEMA}
  for name in ('search', 'chosen'):
    if name in record:
      upgraded[name] = _renamed(record[name], _FIELDS)
  if 'setting' in record:
    setting = _SETTINGS.get(record['setting'], record['setting'])
    upgraded['setting'] = setting
    row = settings.SETTINGS.get(setting)
    if row is not None and row.trains:
      for name in _FEATURE_DEFAULTS:
        upgraded.pop(name, None)
  return upgraded


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
  """Renames the keys of nested mappings."""
  if isinstance(value, Mapping):
    return {names.get(k, k): _renamed(v, names) for k, v in value.items()}
  return value
