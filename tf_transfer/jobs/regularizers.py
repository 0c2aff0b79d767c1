"""Runs the job of configs/regularizers.py: how regularizers affect transfer.

This is the paper's second finding. Networks × configurations C1 to C5 -> each
pretrained to a weights file -> studies on fixed features (and with fine-tuning,
with the same regularizers or with none) -> mean log-odds of each configuration,
in figures 3 and 5 with the paper's values beside ours, and figure 4, t-SNE of
the features of a few classes.

The workdir keeps everything that is finished: the same command goes on.
"""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
from absl import logging

from tf_transfer import config_fields, datasets, errors, networks
from tf_transfer.datasets import test_reads
from tf_transfer.jobs import pretrain, study
from tf_transfer.networks import recipe, weights
from tf_transfer.runtime import devices, files
from tf_transfer.study import attempts as attempts_lib
from tf_transfer.study import cost_model, duration_check, names
from tf_transfer.study.analysis import statistics
from tf_transfer.study.figures import regularizers as regularizer_figures
from tf_transfer.study.paper import numbers
from tf_transfer.study.report import text_table
from tf_transfer.study.schema import Record
from tf_transfer.transfer.fixed_features import feature_cache, features

# How networks are fine-tuned: with the regularizers that they were pretrained
# with, as in figure 5, or with none, as in the paper's appendix.
FINE_TUNING = ('same', 'pretraining_only')
_FIXED = 'logistic_regression'
_TUNED = 'fine_tuned'
# The regularizers that fine-tuning can use too. The fourth factor, batch norm's
# scale, is part of the weights.
_REGULARIZERS = ('label_smoothing', 'dropout', 'auxiliary_head')


@dataclasses.dataclass(frozen=True)
class Pretrained:
  """A network pretrained in one configuration.

  Attributes:
    network: the network's name.
    configuration: 'C1' to 'C5'.
    regularizers: the fields of its pretraining that are in _REGULARIZERS.
    path: of the weights file.
    sha256: of the weights file.
    recipe: of the weights.
  """

  network: str
  configuration: str
  regularizers: Mapping[str, Any]
  path: pathlib.Path
  sha256: str
  recipe: recipe.Recipe


def _pretrain_config(
  config: ml_collections.ConfigDict, network: str, configuration: str
) -> ml_collections.ConfigDict:
  """Builds the config of one pretraining, with configs/pretrain.py's fields."""
  factors = recipe.CONFIGURATIONS[configuration]
  fields = config.pretrain.to_dict()
  strengths = {name: fields[name] for name in ('label_smoothing', 'dropout')}
  fields = {
    **fields,
    **{name: v if factors[name] else 0.0 for name, v in strengths.items()},
    'bn_scale': factors['bn_scale'] or not networks.has_batch_norm(network),
    'auxiliary_head': (
      factors['auxiliary_head'] and networks.has_auxiliary(network)
    ),
  }
  return ml_collections.ConfigDict(
    {
      'job': 'pretrain',
      'network': network,
      'dataset': config.pretrained_on,
      'image_size': config.image_size,
      'output': '',
      'allow_long': True,  # Asked for all of them.
      'num_seeds': 1,
      'data': config.transfer.data.to_dict(),
      'pretrain': fields,
      'tensorboard': config.transfer.tensorboard,
    }
  )


def _list_pretrainings(
  config: ml_collections.ConfigDict,
) -> Iterator[tuple[str, str]]:
  """Yields the networks and configurations to pretrain.

  For a network without an auxiliary head C5 equals C4: it is left out, as in
  the paper. So is C1, which equals C2, for one without batch norm.
  """
  for network in config.networks:
    same = {}
    if not networks.has_auxiliary(network):
      same['C5'] = 'C4'
    if not networks.has_batch_norm(network):
      same['C1'] = 'C2'
    for configuration in config.configurations:
      if same.get(configuration) not in config.configurations:
        yield network, configuration


def _check(config: ml_collections.ConfigDict) -> None:
  """Checks the config before anything slow begins."""
  config_fields.check_job(config, 'regularizers')
  for network in config.networks:
    networks.row(network)
  for name in config.fine_tuned_networks:
    if name not in config.networks:
      raise errors.unknown_name(
        'network of config.fine_tuned_networks', name, config.networks
      )
  for network, configuration in _list_pretrainings(config):
    pretrain.check(_pretrain_config(config, network, configuration))
  for name in config.transfer.datasets:
    datasets.check(name, config.transfer.data.dir or None)


def _check_duration(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> None:
  """Refuses pretrainings that take more than a day, unless it is allowed."""
  if config.allow_long:
    return
  speed, seconds = cost_model.operations_per_second(), 0.0
  for network, configuration in _list_pretrainings(config):
    job_config = _pretrain_config(config, network, configuration)
    job_config.output = str(_output(workdir, network, configuration))
    seconds += pretrain.estimate(job_config, workdir, speed)
  duration_check.check(
    seconds, config, ['--config=regularizers:small', 'fewer config.networks']
  )


def _output(
  workdir: pathlib.Path, network: str, configuration: str
) -> pathlib.Path:
  """Returns the weights file of a pretraining."""
  return workdir / 'pretrained' / f'{network}_{configuration}.safetensors'


def _pretrain_all(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> list[Pretrained]:
  """Pretrains every network in every configuration, where it is missing."""
  pretrained = []
  pairs = list(_list_pretrainings(config))
  for number, (network, configuration) in enumerate(pairs, start=1):
    print(f'\n[{number}/{len(pairs)}] {network}, {configuration}', flush=True)
    job_config = _pretrain_config(config, network, configuration)
    job_config.output = str(_output(workdir, network, configuration))
    path = pretrain.run(job_config, workdir)
    pretrained.append(
      Pretrained(
        network,
        configuration,
        {name: job_config.pretrain[name] for name in _REGULARIZERS},
        path,
        weights.sha256(path),
        weights.read_header(path).recipe,
      )
    )
  return pretrained


@dataclasses.dataclass(frozen=True)
class _Transfer:
  """One way to transfer the networks.

  Attributes:
    setting: name of the setting.
    fine_tuning: one of FINE_TUNING; '' for fixed features.
  """

  setting: str
  fine_tuning: str = ''

  @property
  def name(self) -> str:
    return self.setting + ('_' if self.fine_tuning else '') + self.fine_tuning

  @property
  def figure(self) -> int:
    """The number of the paper's figure."""
    return 5 if self.fine_tuning else 3

  def regularizers(self, pretrained: Pretrained) -> dict[str, Any]:
    """Returns the regularizers with which a network is fine-tuned."""
    if self.fine_tuning == 'same':
      return dict(pretrained.regularizers)
    return {'label_smoothing': 0.0, 'dropout': 0.0, 'auxiliary_head': False}


def _run_studies(
  config: ml_collections.ConfigDict,
  pretrained: Sequence[Pretrained],
  transfer: _Transfer,
  workdir: pathlib.Path,
  attempts: attempts_lib.Attempts,
) -> list[dict[str, Any]]:
  """Transfers the networks; returns the records of these cells.

  The ledger may hold other records of the same networks, from another search or
  other splits. Only those count that this config plans.
  """
  records = []
  for study_config in _build_studies(config, pretrained, transfer):
    records += study.run(study_config, workdir, attempts)
  return records


def _group_by_network(
  pretrained: Sequence[Pretrained], records: Sequence[Record]
) -> list[list[Record]]:
  """Groups records by network, in the order of `pretrained`.

  Raises:
    InputError: the networks have records on different datasets.
  """
  groups = [
    [r for r in records if r['weights_sha256'] == network.sha256]
    for network in pretrained
  ]
  datasets_of_any = {record['dataset'] for record in records}
  for network, group in zip(pretrained, groups, strict=True):
    missing = datasets_of_any - {record['dataset'] for record in group}
    if missing or not group:
      raise errors.InputError(
        f'{network.network}, {network.configuration}, has no record on '
        f'{", ".join(sorted(missing)) or "any dataset"}, and means over '
        'different datasets cannot be compared: let config.transfer.leave_out '
        'name it for all networks or none, and where other processes or parts '
        'are running it give the same command once they are done'
      )
  return groups


def _build_studies(
  config: ml_collections.ConfigDict,
  pretrained: Sequence[Pretrained],
  transfer: _Transfer,
) -> Iterator[ml_collections.ConfigDict]:
  """Yields configs of studies, one for each choice of regularizers."""
  groups: dict[str, tuple[dict[str, Any], list[str]]] = {}
  for network in pretrained:
    fields = transfer.regularizers(network) if transfer.fine_tuning else {}
    _, paths = groups.setdefault(str(fields), (fields, []))
    paths.append(str(network.path))
  for fields, paths in groups.values():
    study_config = ml_collections.ConfigDict(config.transfer.to_dict())
    study_config.image_size = config.image_size
    study_config.allow_long = config.allow_long
    study_config.settings = (transfer.setting,)
    study_config.networks = tuple(paths)
    if fields:
      study_config[transfer.setting].update(fields)
    yield study_config


def mean_log_odds(
  network: Pretrained, records: Sequence[Record]
) -> regularizer_figures.Configuration:
  """Averages a network's log-odds over its records, with the sampling error."""
  log_odds = {'value': [], 'low': [], 'high': []}
  for record in records:
    test = record['test']
    for name, values in log_odds.items():
      values.append(statistics.log_odds(test[name], test['examples']))
  halves = (np.array(log_odds['high']) - np.array(log_odds['low'])) / 2
  test = network.recipe.details['test']
  return regularizer_figures.Configuration(
    network.network,
    network.configuration,
    float(np.mean(log_odds['value'])),
    test['value'],
    # The error of a mean of independent values.
    float(np.sqrt(np.sum(halves**2)) / len(halves)),
    (test['high'] - test['low']) / 2,
  )


def _paper_points(
  setting: str, points: Sequence[regularizer_figures.Configuration]
) -> list[regularizer_figures.Configuration]:
  """Returns the paper's values of the same networks, or of all if none."""
  published = numbers.training_settings(setting)
  names = {point.network for point in points}
  return [p for p in published if p.network in names] or list(published)


def _draw(
  config: ml_collections.ConfigDict,
  transfer: _Transfer,
  points: Sequence[regularizer_figures.Configuration],
  workdir: pathlib.Path,
) -> None:
  """Draws figure 3 or 5."""
  appendix = '_pretraining_only' * (transfer.fine_tuning == FINE_TUNING[1])
  path = workdir / f'figure_{transfer.figure}{appendix}'
  regularizer_figures.training_settings(
    {'ours': points, 'the paper': _paper_points(transfer.setting, points)},
    transfer.setting,
    path,
    trained_on=config.pretrained_on,
    note=config.note,
  )
  print(f'figure {transfer.figure}  {path}.png, {path}.pdf')


_HEADERS = (
  'transfer',
  'network',
  'configuration',
  'pretrained top-1',
  'mean log-odds',
  '95 % +-',
  'the paper',
)

_Points = Mapping[_Transfer, Sequence[regularizer_figures.Configuration]]


def _table_rows(points: _Points) -> list[tuple[str, ...]]:
  """Formats a row for each network, configuration and way to transfer."""
  rows = []
  for transfer, configurations in points.items():
    published = {
      (p.network, p.configuration): f'{p.mean_log_odds:.3f}'
      for p in numbers.training_settings(transfer.setting)
    }
    rows += [
      (
        transfer.name,
        p.network,
        p.configuration,
        f'{p.top1:.2%}',
        f'{p.mean_log_odds:.3f}',
        f'{p.error:.3f}',
        published.get((p.network, p.configuration), '-'),
      )
      for p in configurations
    ]
  return rows


def _show_table(points: _Points, workdir: pathlib.Path) -> None:
  """Prints a table of all points, and writes it as CSV."""
  rows = _table_rows(points)
  print(f'\n{text_table.aligned(rows, _HEADERS, "l")}')
  text = io.StringIO()
  csv.writer(text).writerows([_HEADERS, *rows])
  with files.atomic_write(workdir / 'settings.csv') as file:
    file.write(text.getvalue().encode())
  print(f'\ntable    {workdir / "settings.csv"}')


def _draw_embeddings(
  config: ml_collections.ConfigDict,
  pretrained: Sequence[Pretrained],
  workdir: pathlib.Path,
) -> None:
  """Draws figure 4: t-SNE of the test images of a few classes."""
  tsne = config.tsne
  selected = [
    network
    for network in pretrained
    if network.network == tsne.network
    and network.configuration in tsne.configurations
  ]
  if not tsne.dataset or not selected:
    return
  if tsne.dataset not in config.transfer.datasets:
    logging.warning(
      '%s is not among the datasets of the study: figure 4 is not drawn',
      tsne.dataset,
    )
    return
  dataset = datasets.open_from_config(
    tsne.dataset, config.transfer.data, workdir / 'digests'
  )
  panels = [
    _embed_network(network, dataset.splits['test'], config, workdir)
    for network in selected
  ]
  path = workdir / 'figure_4'
  regularizer_figures.embeddings(panels, dataset.classes, path, config.note)
  print(f'figure 4  {path}.png, {path}.pdf')


def _embed_network(
  network: Pretrained,
  test: datasets.Split,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
) -> regularizer_figures.Embedding:
  """Embeds the features that a network has of the test images."""
  transfer, tsne = config.transfer, config.tsne
  extract = features.Extractor(
    networks.load(network.path),
    feature_cache.from_config(transfer.features, workdir),
    features.Options.from_config(transfer.features),
    batch_size=transfer.features.batch_size,
    corrupt=transfer.data.corrupt,
  )
  extracted = extract(test, f'{network.network}, {network.configuration}')
  if devices.is_leader():
    # The share of nearest neighbors is computed from labels of test.
    network_name = network.network, network.sha256
    read = test_reads.of_network(
      'regularizers', tsne.dataset, network_name, {}, {}
    )
    test_reads.Log.from_config(transfer.data).add(test.hash, read)
  rows = _first_examples(extracted.labels, tsne.classes, tsne.images_per_class)
  title = f'{names.display_name(network.network)}, {network.configuration}'
  return regularizer_figures.embed(
    extracted.values[rows], extracted.labels[rows], title, tsne.seed
  )


def _first_examples(
  labels: np.ndarray, num_classes: int, per_class: int
) -> np.ndarray:
  """Returns the indices of the first images of each of the first classes."""
  if labels.ndim != 1:
    raise errors.InputError(
      'config.tsne.dataset: its images have several labels each'
    )
  return np.concatenate(
    [
      np.flatnonzero(labels == label)[:per_class]
      for label in range(num_classes)
    ]
  )


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Pretrains, transfers and draws what is missing.

  Args:
    config: of the job, as `configs/regularizers.py` documents.
    workdir: where everything is written.

  Raises:
    InputError: an input cannot be used; what is finished stays.
    Preempted: SIGTERM came; the same command goes on.
  """
  _check(config)
  devices.connect()
  workdir = files.make_directory(workdir)
  if config.note:
    print(config.note)
  _check_duration(config, workdir)
  pretrained = _pretrain_all(config, workdir)
  fine_tuned = [
    network
    for network in pretrained
    if network.network in config.fine_tuned_networks
  ]
  points, attempts = {}, attempts_lib.Attempts()
  for transfer in (
    _Transfer(_FIXED),
    *(_Transfer(_TUNED, name) for name in config.fine_tuning),
  ):
    selected = fine_tuned if transfer.fine_tuning else pretrained
    if selected:
      records = _run_studies(config, selected, transfer, workdir, attempts)
      if devices.is_leader():
        groups = _group_by_network(selected, records)
        points[transfer] = [
          mean_log_odds(network, group)
          for network, group in zip(selected, groups, strict=True)
        ]
  if not devices.is_leader():
    return
  _show_table(points, workdir)
  for transfer, values in points.items():
    figure = f'figure_{transfer.figure}'
    attempts.make(figure, _draw, config, transfer, values, workdir)
  attempts.make('figure_4', _draw_embeddings, config, pretrained, workdir)
  if config.note:
    print(config.note)
  attempts.raise_failures()
