"""Builds the record of a cell: one JSON line of the ledger."""

import dataclasses
import datetime
import importlib.metadata
import pathlib
import platform
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np

import tf_transfer
from tf_transfer import datasets, networks
from tf_transfer.networks import weights
from tf_transfer.runtime import devices, writers
from tf_transfer.runtime.units import counted
from tf_transfer.study import heads, schema
from tf_transfer.study.analysis import uncertainty
from tf_transfer.study.report import text_table
from tf_transfer.study.schema import Record
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.setting import Cell, Setting

_PACKAGES = ('jax', 'flax', 'numpy', 'pillow', 'scipy')


def identity(
  network: networks.Network,
  dataset: datasets.Dataset,
  setting: Setting,
  config: ml_collections.ConfigDict,
) -> str:
  """Returns the identity of a cell, before it is run."""
  return schema.cell_identity(
    {
      **determinants(network, dataset, setting, config),
      'dataset': dataset.identity_name,
    }
  )


def former_identity(
  network: networks.Network,
  dataset: datasets.Dataset,
  setting: Setting,
  config: ml_collections.ConfigDict,
  name: str,
) -> str:
  """Returns the identity of a cell in schema 2, which hashed a folder's path.

  Args:
    network: of the cell.
    dataset: of the cell.
    setting: of the cell.
    config: of the study.
    name: of the dataset, as the user wrote it.

  Returns:
    The identity; '' if it is the present one.
  """
  if not schema.is_folder(name):
    return ''
  return schema.cell_identity(
    {**determinants(network, dataset, setting, config), 'dataset': name}
  )


def determinants(
  network: networks.Network,
  dataset: datasets.Dataset,
  setting: Setting,
  config: ml_collections.ConfigDict,
) -> dict[str, Any]:
  """Returns everything that determines the numbers of a cell, and no more."""
  return {
    'network': network.name,
    'weights_sha256': network.sha256,
    'dataset': dataset.name,
    'splits_sha256': {
      name: split.hash for name, split in dataset.splits.items()
    },
    'setting': setting.name,
    'metric': dataset.metric,
    'image_size': config.image_size,
    # Present only where it differs from the rule, so that the identities of
    # all other cells stay as they were before this field existed.
    **({} if dataset.val_is_trained_on else {'last_fit_on': 'train'}),
    **_draw(dataset),
    'corrupt': config.data.corrupt,
    **setting.determinants(config),
  }


def _draw(dataset: datasets.Dataset) -> dict[str, Any]:
  """Returns how a dataset is divided, where it is not by the oldest draw."""
  fields = {
    'split_version': dataset.split_version,
    'group_by': dataset.group_by,
    'num_folds': len(dataset.folds),
  }
  usual = {'split_version': 1, 'group_by': '', 'num_folds': 0}
  return {name: x for name, x in fields.items() if x != usual[name]}


def build(
  cell: Cell,
  config: ml_collections.ConfigDict,
  result: result_lib.CellResult,
  seconds: float,
) -> dict[str, Any]:
  """Builds the record of a finished cell.

  Args:
    cell: the cell.
    config: of the study.
    result: of the cell.
    seconds: that the cell took.
  """
  header = cell.network.header
  return {
    'identity': cell.identity,
    'version': schema.VERSION,
    'schema': schema.SCHEMA,
    **determinants(cell.network, cell.dataset, cell.setting, config),
    **_tag(header),
    # Of the weights file; without weights, the defaults of the architecture.
    'options': _as_json(header.options),
    'contract': _as_json(header.contract.to_json()),
    'num_classes': len(cell.dataset.classes),
    'split_sizes': {
      name: len(split) for name, split in cell.dataset.splits.items()
    },
    'split_seed': config.data.split_seed,
    'examples_per_class': config.data.examples_per_class,
    'subset_seed': config.data.subset_seed,
    **_imagenet(header),
    'recipe': header.recipe.to_json(),
    **({'family': cell.network.family} if cell.network.family else {}),
    'chosen': dict(result.chosen),
    'validation': dataclasses.asdict(result.validation),
    'validation_curve': [_finite(float(v)) for v in result.curve],
    'test': dataclasses.asdict(result.test),
    **_several(result),
    **_estimates(result),
    **_head(cell, result),
    'solver': {k: _finite(v) for k, v in result.solver.items()},
    'trials': [dict(trial) for trial in result.trials],
    'losses': list(result.losses),
    'skipped': [*cell.dataset.skipped, *result.skipped],
    'notes': list(cell.dataset.notes),
    'predictions': f'predictions/{cell.identity}.npz',
    'versions': {
      'tf_transfer': tf_transfer.__version__,
      'python': platform.python_version(),
      **{name: importlib.metadata.version(name) for name in _PACKAGES},
    },
    'device': devices.describe(),
    'seconds': round(seconds, 2),
    'finished': datetime.datetime.now(datetime.UTC).isoformat(
      timespec='seconds'
    ),
  }


def _tag(header: weights.Header) -> dict[str, Any]:
  """Returns the field of the weights' tag; none where they have none."""
  return {'weights_tag': header.tag} if header.tag else {}


def _imagenet(header: weights.Header) -> dict[str, Any]:
  """Returns the fields of a network's accuracy on ImageNet."""
  fields = {
    'imagenet_top1': header.imagenet_top1,
    'imagenet_top1_source': header.imagenet_top1_source,
  }
  if header.imagenet_measure:
    fields['imagenet_measure'] = header.imagenet_measure
  return fields


def _several(result: result_lib.CellResult) -> dict[str, Any]:
  """Returns the fields of several runs and of folds, where there are some."""
  several = {'runs': result.runs, 'folds': result.folds}
  return {
    name: [dataclasses.asdict(one) for one in values]
    for name, values in several.items()
    if values
  }


def _estimates(result: result_lib.CellResult) -> dict[str, Any]:
  """Returns the fields of estimates; none where there are none."""
  if not result.estimates:
    return {}
  return {
    'estimates': {
      name: {
        'value': _finite(estimate.value),
        'seconds': round(estimate.seconds, 4),
        'reason': estimate.reason,
      }
      for name, estimate in result.estimates.items()
    },
    'fit_seconds': round(result.fit_seconds, 4),
  }


def _head(cell: Cell, result: result_lib.CellResult) -> dict[str, Any]:
  """Returns the field of a head; none where there is none."""
  if result.head is None:
    return {}
  return {'head': heads.describe(cell.identity, result.head)}


def _finite(value: Any) -> Any:
  """Returns None in place of a number that JSON does not have."""
  return None if isinstance(value, float) and not np.isfinite(value) else value


def _as_json(fields: Mapping[str, Any]) -> dict[str, Any]:
  """Turns tuples into the lists that they are in JSON."""
  return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}


def write_events(record: Record, workdir: pathlib.Path) -> None:
  """Writes the validation curve and hyperparameters for TensorBoard."""
  directory = workdir / 'tensorboard' / record['identity']
  with writers.open_curve_writer(directory) as writer:
    metric = record['metric']
    curve = record['validation_curve']
    writer.curve(
      f'validation/{metric}', [np.nan if v is None else v for v in curve]
    )
    writer.curve('loss/refit', record['losses'])
    writer.curve(f'test/{metric}', [record['test']['value']])
    writer.summary(
      {
        'network': record['network'],
        'dataset': record['dataset'],
        'setting': record['setting'],
        **record['chosen'],
      },
      text_table.render([record]),
    )


def describe_result(record: Record) -> str:
  """Says in a line what accuracy a cell reached.

  The interval is that of the table: of several runs it covers these, too.
  """
  test, interval = record['test'], uncertainty.interval(record)
  return (
    f'{record["network"]} on {record["dataset"]}: {test["value"]:.2%} '
    f'[{interval.low:.2%}, {interval.high:.2%}] on '
    f'{counted(test["examples"], "test image")}, '
    f'{_describe_runs(record)}{text_table.chosen(record)}, '
    f'{record["seconds"]:.0f} s'
  )


def _describe_runs(record: Record) -> str:
  """Says of how many runs a cell's accuracy is the mean, and their spread.

  Returns:
    Words that end with a comma; '' where there is one run.
  """
  values = [run['test']['value'] for run in record.get('runs', ())]
  if not values:
    return ''
  points = 100 * np.std(values, ddof=1)
  return f'mean of {len(values)} runs, spread (SD) {points:.1f} points, '
