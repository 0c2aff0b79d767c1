"""Checks the names in a study's config before anything slow begins.

`config_fields` has checked the values of its fields by then.
"""

import pathlib
from collections.abc import Mapping, Sequence

import jax
import ml_collections

from tf_transfer import datasets, errors
from tf_transfer.study import cells as cells_lib
from tf_transfer.study import measured_top1, network_names, shards
from tf_transfer.study.schema import Record
from tf_transfer.transfer import settings
from tf_transfer.transfer.setting import Cell
from tf_transfer.transfer.training import export


def check_config(config: ml_collections.ConfigDict) -> None:
  """Checks everything that can be checked without data.

  Raises:
    InputError: a field is wrong; the message names it.
  """
  _check_settings(config)
  _check_names(config)
  _check_selection(config)
  # Before hours of training, not after them.
  measured_top1.find_directory(config.imagenet_results, pathlib.Path())


def _check_settings(config: ml_collections.ConfigDict) -> None:
  """Checks that each setting exists, with its fields, and can run here."""
  for name in config.settings:
    setting = settings.row(name)
    if setting.has_fields and name not in config:
      raise errors.InputError(
        f'config.settings names {name}, and the config has no field of this '
        'name: configs/base.py has the fields of every setting'
      )
    if setting.uses_features and jax.process_count() > 1:
      raise errors.InputError(
        f'config.settings: {name} runs in one process, not in '
        f'{jax.process_count()}'
      )


def _check_names(config: ml_collections.ConfigDict) -> None:
  """Checks spelling; what is missing on this machine is for the plan."""
  for name in config.networks:
    if name != cells_lib.ALL:
      network_names.check(name)
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
  if config.export:
    (name,) = config.networks
    if not network_names.identify(name).has_weights_file:
      raise errors.InputError(
        f'config.export: {name} is no network of the table, and no weights '
        'file can hold another'
      )


def check_export(
  config: ml_collections.ConfigDict,
  cells: Sequence[Cell],
  recorded: Mapping[str, Record],
  workdir: pathlib.Path,
) -> None:
  """Checks that the network to export is still to be trained, or is written.

  Raises:
    InputError: it was trained, and its weights were not kept; or there is one
      for each fold.
  """
  for cell in cells if config.export else ():
    if cell.dataset.folds:
      raise errors.InputError(
        f'config.export: {len(cell.dataset.folds)} networks are trained, one '
        'for each fold, and none of them is the one to keep: set data.folds to '
        '0, and a network is trained on one split of the images and written'
      )
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
