"""Defines the format of records, and the identities of cells.

A record is one JSON line; docs/ledger.md lists its fields. Two numbers say how
to read one:

- `version`: raised when the same settings would give other numbers. Records of
  another version are kept and not used.
- `schema`: raised when fields are renamed. Records of an older schema are
  converted when they are read.

`record_types` has the fields of the present schema. An identity is a hash of
everything that determines a cell's numbers. It hashes the names that fields had
in schema 1, so that a renamed field runs no cell again. Since schema 3 a folder
of images is known by what it holds: its path is in no identity.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tf_transfer import errors
from tf_transfer.study import record_types
from tf_transfer.transfer import settings
from tf_transfer.transfer.setting import Record

VERSION = 1
SCHEMA = 3

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
# What the dataset of a folder begins with.
_FOLDER = 'folder:'
# The fields of a record that its identity hashes, where it has them.
_DETERMINANTS = (
  *('network', 'weights_sha256', 'dataset', 'splits_sha256', 'setting'),
  *('metric', 'preprocessing', 'image_size', 'last_fit_on', 'corrupt'),
  *('layer', 'pyramid', 'search', 'split_version', 'group_by', 'num_folds'),
)


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


def identity_name(dataset: str) -> str:
  """Returns what stands for a record's dataset in its identity.

  It is `Dataset.identity_name`: 'folder' for each folder, else the name.
  """
  return _FOLDER.rstrip(':') if is_folder(dataset) else dataset


def is_folder(dataset: str) -> bool:
  """Returns whether the dataset of a record is a folder of images."""
  return dataset.startswith(_FOLDER)


def read(record: Mapping[str, Any], place: str) -> dict[str, Any]:
  """Reads a record of this version: converts and checks it.

  Args:
    record: an object of JSON.
    place: where it is from, such as 'results.jsonl, line 3'.

  Raises:
    InputError: a field is wrong; the message names it.
  """
  number = record.get('schema', 1)
  if isinstance(number, bool) or not isinstance(number, int) or number < 1:
    raise errors.InputError(
      f'{place}: schema: expected a number from 1, found {number!r:.60}'
    )
  if number > SCHEMA:
    raise errors.InputError(
      f'{place}: schema {number} is of a newer version of tf_transfer; this '
      f'one reads schemas up to {SCHEMA}: use the newer one here too'
    )
  # Before anything is done with its values.
  record = record_types.clean(record, place)
  return record_types.check(upgrade(record), place)


def upgrade(record: Record) -> dict[str, Any]:
  """Converts a record of an older schema to the present one.

  Values may be of any type: they are checked afterwards.
  """
  number = record.get('schema', 1)
  upgraded = {**record, 'schema': SCHEMA}
  if number == 1:
    for name in ('search', 'chosen'):
      if name in record:
        upgraded[name] = _renamed(record[name], _FIELDS)
    setting = record.get('setting')
    if isinstance(setting, str):
      setting = _SETTINGS.get(setting, setting)
      upgraded['setting'] = setting
      row = settings.SETTINGS.get(setting)
      if row is not None and row.trains:
        for name in _FEATURE_DEFAULTS:
          upgraded.pop(name, None)
  named = all(isinstance(upgraded.get(n), str) for n in ('dataset', 'setting'))
  if number <= 2 and named and is_folder(upgraded['dataset']):
    upgraded['identity'] = _without_path(upgraded)
  return upgraded


def _without_path(record: Record) -> Any:
  """Returns the identity of a cell on a folder, without the folder's path.

  One that is not the hash of the record's fields stays: its cell is run again.
  """
  fields = {n: record[n] for n in _DETERMINANTS if n in record}
  if cell_identity(fields) != record.get('identity'):
    return record.get('identity')
  return cell_identity({**fields, 'dataset': identity_name(record['dataset'])})


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
  """Renames the keys of nested mappings."""
  if isinstance(value, Mapping):
    return {names.get(k, k): _renamed(v, names) for k, v in value.items()}
  return value
