"""Checks the config of a study before anything slow begins."""

import pathlib
from collections.abc import Mapping, Sequence

import jax
import ml_collections

from tf_transfer import datasets, errors, networks
from tf_transfer.datasets.images import resizing
from tf_transfer.study import cells as cells_lib
from tf_transfer.study import shards, weights_files
from tf_transfer.study.schema import Record
from tf_transfer.transfer import settings
from tf_transfer.transfer.fixed_features import feature_cache, features
from tf_transfer.transfer.setting import Cell
from tf_transfer.transfer.training import export


def check_config(config: ml_collections.ConfigDict) -> None:
  """Checks everything that can be checked without data.

  Raises:
    InputError: a field is wrong; the message names it.
  """
  for field in ('networks', 'datasets', 'settings'):
    values = config[field]
    if not values:
      raise errors.InputError(f'config.{field} is empty: name at least one')
    if len(set(values)) != len(values):
      raise errors.InputError(f'config.{field} names one twice: {values}')
  _check_settings(config)
  _check_names(config)
  _check_selection(config)
  check_corrupt(config.data)
  _check_features(config.features)


def check_corrupt(data: ml_collections.ConfigDict) -> None:
  """Checks the field `corrupt` of a job's `data`."""
  if data.corrupt not in ('error', 'skip'):
    raise errors.InputError(
      f"config.data.corrupt: expected 'error' or 'skip', found {data.corrupt!r}"
    )


def _check_features(config: ml_collections.ConfigDict) -> None:
  if config.resize not in resizing.RESIZES:
    raise errors.unknown_name(
      'config.features.resize', config.resize, resizing.RESIZES
    )
  features.Options.from_config(config)
  feature_cache.from_config(config, pathlib.Path())
  if config.batch_size < 1:
    raise errors.InputError(
      f'config.features.batch_size: expected 1 or more, not {config.batch_size}'
    )


def _check_settings(config: ml_collections.ConfigDict) -> None:
  """Checks that each setting exists, with its fields present and in range."""
  for name in config.settings:
    setting = settings.row(name)
    if setting.has_fields and name not in config:
      raise errors.InputError(
        f'config.settings names {name}, and the config has no field of this '
        'name: configs/base.py has the fields of every setting'
      )
    setting.check_config(config)


def _check_names(config: ml_collections.ConfigDict) -> None:
  """Checks spelling; what is missing on this machine is for the plan."""
  for name in config.networks:
    if name != cells_lib.ALL and not weights_files.is_path(name):
      networks.row(name)
  for name in config.datasets:
    if name != cells_lib.ALL:
      datasets.check_name(name)


def _check_selection(config: ml_collections.ConfigDict) -> None:
  """Checks the fields that select cells: part, leave_out and export."""
  if shards.Shard.from_config(config.part) and jax.process_count() > 1:
    raise errors.InputError(
      'config.part: a part runs in one process; either cut the study or have '
      f'its {jax.process_count()} processes run each cell together'
    )
  for pattern in config.leave_out:
    if isinstance(pattern, str) or len(pattern) != 3:
      raise errors.InputError(
        "config.leave_out: expected (network, dataset, setting) each, '*' for "
        f'any, found {pattern!r}'
      )
  selected = config.networks, config.datasets, config.settings
  one_cell = all(
    len(names) == 1 and cells_lib.ALL not in names for names in selected
  )
  if config.export and not (
    one_cell and settings.row(config.settings[0]).trains
  ):
    trained = [row.name for row in settings.SETTINGS.values() if row.trains]
    raise errors.InputError(
      'config.export: one network is written, so there must be one network, '
      f'one dataset and one setting of {", ".join(trained)}'
    )


def check_export(
  config: ml_collections.ConfigDict,
  cells: Sequence[Cell],
  recorded: Mapping[str, Record],
  workdir: pathlib.Path,
) -> None:
  """Checks that the network to export is still to be trained, or is written.

  Raises:
    InputError: it was trained, and its weights were not kept.
  """
  for cell in cells if config.export else ():
    path = settings.export_path(config)
    identities = cell.identity, cell.former_identity
    if cell.identity not in recorded or any(
      export.holds(path, identity) for identity in identities if identity
    ):
      continue
    raise errors.InputError(
      f'config.export: {cell.description}, {cell.setting.name} is finished in '
      f'{workdir}, which keeps the record and not the network, and {path} is '
      'not its: name another --workdir, where it is trained again and written'
    )
