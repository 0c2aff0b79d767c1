"""The cells of a study: which are there, which are missing, running those.

Config -> weights files and datasets -> cells -> for each that the ledger lacks
a record -> the table and the figure of all.
"""

import dataclasses
import datetime
import importlib.metadata
import pathlib
import platform
import shutil
import time
from collections.abc import Iterator
from typing import Any

import jax
import ml_collections
import numpy as np
from absl import logging

import tf_transfer
from tf_transfer import datasets, errors, networks
from tf_transfer.datasets import images
from tf_transfer.runtime import devices, files, progress, writers
from tf_transfer.study import figures, table, weights_files
from tf_transfer.study import ledger as ledger_lib
from tf_transfer.transfer import (
  classifiers,
  feature_cache,
  features,
  fixed_features,
  search,
)

SETTINGS = (*classifiers.CLASSIFIERS, *search.SETTINGS)

_PACKAGES = ('jax', 'flax', 'numpy', 'pillow', 'scipy')


@dataclasses.dataclass(frozen=True)
class Cell:
  """One network on one dataset in one setting."""

  network: networks.Network
  dataset: datasets.Dataset
  setting: str
  identity: str

  @property
  def name(self) -> str:
    return f'{self.network.name} on {self.dataset.name}'


def _check(config: ml_collections.ConfigDict) -> None:
  """Finds what is wrong with a config before anything slow begins."""
  for field in ('networks', 'datasets', 'settings'):
    values = config[field]
    if not values:
      raise errors.InputError(f'config.{field} is empty: name at least one')
    if len(set(values)) != len(values):
      raise errors.InputError(f'config.{field} names one twice: {values}')
  for setting in config.settings:
    if setting not in SETTINGS:
      raise errors.unknown_name('setting', setting, SETTINGS)
    if setting not in config:
      raise errors.InputError(
        f'config.settings names {setting}, and the config has no field of '
        f'this name: see configs/{setting}.py'
      )
    if setting in search.SETTINGS:
      search.check(setting, config[setting])
    elif jax.process_count() > 1:
      raise errors.InputError(
        f'config.settings: {setting} runs in one process, not in '
        f'{jax.process_count()}'
      )
    else:
      classifiers.check(setting, config[setting])
  if config.export:
    cells = len(config.networks) * len(config.datasets) * len(config.settings)
    if cells > 1 or config.settings[0] not in search.SETTINGS:
      raise errors.InputError(
        'config.export: one network is written, so there must be one network, '
        f'one dataset and one setting of {", ".join(search.SETTINGS)}'
      )
  for name in config.datasets:
    datasets.check(name, config.data.dir or None, config.data.prepare)
  if config.data.corrupt not in ('error', 'skip'):
    raise errors.InputError(
      "config.data.corrupt: expected 'error' or 'skip', "
      f'found {config.data.corrupt!r}'
    )
  if config.features.resize not in images.RESIZES:
    raise errors.unknown_name(
      'config.features.resize', config.features.resize, images.RESIZES
    )
  features.Options.of_config(config.features)
  feature_cache.of_config(config.features, pathlib.Path())
  if config.features.batch_size < 1:
    raise errors.InputError(
      'config.features.batch_size: expected 1 or more, not '
      f'{config.features.batch_size}'
    )


def _determinants(
  net: networks.Network,
  dataset: datasets.Dataset,
  setting: str,
  config: ml_collections.ConfigDict,
) -> dict[str, Any]:
  """All that determines a record's numbers."""
  return {
    'network': net.name,
    'weights_sha256': net.sha256,
    'dataset': dataset.name,
    'splits_sha256': {
      name: split.hash for name, split in dataset.splits.items()
    },
    'setting': setting,
    'metric': dataset.metric,
    'preprocessing': (
      search.PREPROCESSING
      if setting in search.SETTINGS
      else config.features.resize
    ),
    'image_size': config.image_size,
    # Only where it is not as ever, so that all others keep their identities.
    **({} if dataset.val_is_trained_on else {'last_fit_on': 'train'}),
    'layer': config.features.layer,
    'pyramid': list(config.features.pyramid),
    'corrupt': config.data.corrupt,
    'search': {
      name: value
      for name, value in config[setting].to_dict().items()
      if setting not in search.SETTINGS or name not in search.OPERATIONAL
    },
  }


def _cells(
  nets: list[networks.Network],
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
) -> Iterator[Cell]:
  for name in config.datasets:
    dataset = datasets.open(
      name,
      data_dir=config.data.dir or None,
      seed=config.data.split_seed,
      val_fraction=config.data.val_fraction,
      test_fraction=config.data.test_fraction,
      cut_banner=config.data.cut_banner,
      prepare=config.data.prepare,
      cache_dir=config.data.cache_dir or workdir / 'digests',
      progress=progress.bar,
    )
    if config.data.examples_per_class:
      dataset = datasets.few_examples(
        dataset, config.data.examples_per_class, config.data.subset_seed
      )
    print(
      f'{name}: {len(dataset.classes)} classes, '
      + ', '.join(f'{len(s):,} {k}' for k, s in dataset.splits.items())
    )
    for note in dataset.notes:
      print(f'  note: {note}')
    for net in nets:
      for setting in config.settings:
        determinants = _determinants(net, dataset, setting, config)
        yield Cell(net, dataset, setting, ledger_lib.identity(determinants))


def _record(
  cell: Cell,
  config: ml_collections.ConfigDict,
  outcome: fixed_features.Outcome,
  seconds: float,
) -> dict[str, Any]:
  header = cell.network.header
  return {
    'identity': cell.identity,
    'version': ledger_lib.VERSION,
    **_determinants(cell.network, cell.dataset, cell.setting, config),
    'num_classes': len(cell.dataset.classes),
    'split_seed': config.data.split_seed,
    'examples_per_class': config.data.examples_per_class,
    'subset_seed': config.data.subset_seed,
    'imagenet_top1': header.imagenet_top1,
    'imagenet_top1_source': header.imagenet_top1_source,
    'recipe': header.recipe,
    'chosen': dict(outcome.chosen),
    'validation': dataclasses.asdict(outcome.validation),
    'validation_curve': [
      float(v) if np.isfinite(v) else None for v in outcome.curve
    ],
    'test': dataclasses.asdict(outcome.test),
    'solver': dict(outcome.solver),
    'trials': [dict(trial) for trial in outcome.trials],
    'losses': list(outcome.losses),
    'skipped': list(outcome.skipped),
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


def _run_cell(
  cell: Cell,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  ledger: ledger_lib.Ledger,
) -> None:
  started = time.monotonic()
  if cell.setting in search.SETTINGS:
    outcome = _trained(cell, config, workdir)
  else:
    extract = features.Extractor(
      cell.network,
      feature_cache.of_config(config.features, workdir),
      features.Options.of_config(config.features),
      batch_size=config.features.batch_size,
      corrupt=config.data.corrupt,
    )
    outcome = fixed_features.evaluate(
      extract, cell.dataset, cell.setting, config[cell.setting], cell.name
    )
  record = _record(cell, config, outcome, time.monotonic() - started)
  if not devices.leading():
    return
  if config.tensorboard:
    _write_events(record, workdir)
  ledger.add(record, outcome.predictions)
  if cell.setting in search.SETTINGS:
    shutil.rmtree(_search_directory(cell, workdir), ignore_errors=True)
  _report(record)


def _search_directory(cell: Cell, workdir: pathlib.Path) -> pathlib.Path:
  return workdir / 'searches' / cell.identity


def _trained(
  cell: Cell, config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> fixed_features.Outcome:
  """Runs a cell that trains; writes the network if that is wanted."""
  outcome, trained = search.run(
    search.Search(
      net=cell.network,
      dataset=cell.dataset,
      config=config[cell.setting],
      pretrained=cell.setting == 'fine_tuned',
      corrupt=config.data.corrupt,
      directory=files.make_directory(_search_directory(cell, workdir)),
      identity=cell.identity,
      description=f'{cell.name}, {cell.setting}',
      mesh=devices.data_mesh(),
      watched=workdir / 'tensorboard' / cell.identity,
      curves=config.tensorboard,
    )
  )
  if config.export and devices.leading():
    search.export(
      pathlib.Path(config.export).expanduser(),
      trained,
      cell.dataset,
      cell.setting,
    )
    print(f'weights  {config.export}')
  return outcome


def _write_events(record: dict[str, Any], workdir: pathlib.Path) -> None:
  directory = workdir / 'tensorboard' / record['identity']
  with writers.rewrite(directory) as writer:
    metric = record['metric']
    curve = record['validation_curve']
    writer.curve(
      f'validation/{metric}', [np.nan if v is None else v for v in curve]
    )
    writer.curve('loss/final_run', record['losses'])
    writer.curve(f'test/{metric}', [record['test']['value']])
    writer.summary(
      {
        'network': record['network'],
        'dataset': record['dataset'],
        'setting': record['setting'],
        **record['chosen'],
      },
      table.render([record]),
    )


def _report(record: dict[str, Any]) -> None:
  """Says what became of a cell, the unpleasant things too."""
  test = record['test']
  print(
    f'{record["network"]} on {record["dataset"]}: {test["value"]:.2%} '
    f'[{test["low"]:.2%}, {test["high"]:.2%}] on {test["examples"]:,} test '
    f'images, {table.chosen(record)}, {record["seconds"]:.0f} s'
  )
  if record['setting'] in search.SETTINGS:
    _report_trials(record)
  else:
    _report_solver(record)
  if record['skipped']:
    shown = ', '.join(record['skipped'][:5])
    print(f'  {len(record["skipped"])} corrupt images left out: {shown}')


def _report_trials(record: dict[str, Any]) -> None:
  diverged = [t for t in record['trials'] if t['diverged'] is not None]
  if diverged:
    print(f'  {len(diverged)} of {len(record["trials"])} trials diverged')
  for field in ('learning_rate', 'weight_decay'):
    values = {t[field] for t in record['trials']}
    ends = {min(values), max(values)} - {0.0}
    if len(values) > 2 and record['chosen'][field] in ends:
      logging.warning(
        'the chosen %s is at the end of the grid: widen it', field
      )


def _report_solver(record: dict[str, Any]) -> None:
  solver = record['solver']
  if not solver['converged']:
    logging.warning(
      '%s on %s: the final fit did NOT converge; raise '
      '--config.%s.max_evaluations',
      record['network'],
      record['dataset'],
      record['setting'],
    )
  if solver['unconverged_penalties']:
    logging.warning(
      '%s on %s: %d of the fits on train did not converge, at penalties %s',
      record['network'],
      record['dataset'],
      len(solver['unconverged_penalties']),
      ', '.join(f'{p:.0e}' for p in solver['unconverged_penalties']),
    )
  grid, penalty = record['search'], record['chosen'].get('penalty')
  if (
    penalty
    and np.isclose(penalty, [grid['penalty_min'], grid['penalty_max']]).any()
  ):
    logging.warning('the chosen penalty is at the end of the grid: widen it')


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Runs the missing cells of a study and shows all of them.

  Args:
    config: of the job, as `configs/logistic_regression.py` documents.
    workdir: where everything is written.

  Raises:
    InputError: something given cannot be used. Cells that were finished
      before stay finished.
  """
  devices.connect()
  _check(config)
  sources = [weights_files.locate(name) for name in config.networks]
  workdir = files.make_directory(workdir)
  if set(config.settings) & set(search.SETTINGS):
    devices.keep_compiled(workdir / 'compiled')
  nets = [weights_files.load(source, config, workdir) for source in sources]
  options = features.Options.of_config(config.features)
  for net in nets:
    features.feature_dim(net, options)
  ledger = ledger_lib.Ledger(workdir)
  done = ledger.read()
  cells = list(_cells(nets, config, workdir))
  missing = [cell for cell in cells if cell.identity not in done]
  print(
    f'{len(cells)} cells: {len(cells) - len(missing)} found in '
    f'{ledger.path}, {len(missing)} to run on {devices.describe()}'
  )
  for number, cell in enumerate(missing, start=1):
    print(f'[{number}/{len(missing)}] {cell.name}, {cell.setting}', flush=True)
    _run_cell(cell, config, workdir, ledger)
  if not devices.leading():
    return
  records = ledger.read()
  records = [records[cell.identity] for cell in cells]
  print(f'\n{table.render(records)}\n')
  figure = workdir / 'accuracy_vs_imagenet'
  drawn = figures.accuracy_vs_imagenet(records, figure)
  print(f'records  {ledger.path}')
  if drawn:
    print(f'figure   {figure}.png, {figure}.pdf')
  if config.tensorboard:
    print(f'curves   tensorboard --logdir={workdir / "tensorboard"}')
