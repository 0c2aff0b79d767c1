"""What the settings of pretraining do to transfer: the paper's second finding.

Networks × C1 to C5 -> each pretrained to a weights file -> fixed features (and
fine-tuning, with the same settings or with them in pretraining only) on the
datasets, as any study -> mean log-odds of each configuration: figures 3 and 5,
the paper's values beside ours; and figure 4, t-SNE of the features of a few
classes.

All that was done is found in the workdir: the same command goes on.
"""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
import sklearn.manifold
import sklearn.neighbors
from absl import logging

from tf_transfer import datasets, errors, networks
from tf_transfer.jobs import pretrain
from tf_transfer.networks import recipe, weights
from tf_transfer.runtime import devices, files
from tf_transfer.study import names, plan, runner
from tf_transfer.study.analysis import statistics
from tf_transfer.study.figures import regularizers
from tf_transfer.study.paper import numbers
from tf_transfer.transfer.fixed_features import feature_cache, features

# How networks are fine-tuned: with the settings that they were pretrained
# with, as in figure 5, or with none, as in the paper's appendix.
FINE_TUNING = ('same', 'pretraining_only')
_FIXED = 'logistic_regression'
_TUNED = 'fine_tuned'
# The fields of a setting that trains, other than batch norm's scale, which is
# the weights' own.
_FACTORS = ('label_smoothing', 'dropout', 'auxiliary_head')


@dataclasses.dataclass(frozen=True)
class Pretrained:
  """A network of the study.

  Attributes:
    network: its name.
    configuration: 'C1' to 'C5'.
    settings: the fields of its pretraining that are among _FACTORS.
    path: of its weights file.
    sha256: of that.
    recipe: how it came to be.
  """

  network: str
  configuration: str
  settings: Mapping[str, Any]
  path: pathlib.Path
  sha256: str
  recipe: recipe.Recipe


def _pretrain_config(
  config: ml_collections.ConfigDict, network: str, configuration: str
) -> ml_collections.ConfigDict:
  """The config of one network's pretraining: `configs/pretrain.py`'s fields."""
  factors = recipe.CONFIGURATIONS[configuration]
  given = config.pretrain.to_dict()
  strengths = {name: given[name] for name in ('label_smoothing', 'dropout')}
  own = {
    **given,
    **{name: v if factors[name] else 0.0 for name, v in strengths.items()},
    'bn_scale': factors['bn_scale'],
    'auxiliary_head': (
      factors['auxiliary_head'] and networks.has_auxiliary(network)
    ),
  }
  return ml_collections.ConfigDict(
    {
      'network': network,
      'dataset': config.pretrained_on,
      'image_size': config.image_size,
      'output': '',
      'data': config.transfer.data.to_dict(),
      'pretrain': own,
      'tensorboard': config.transfer.tensorboard,
    }
  )


def _wanted(config: ml_collections.ConfigDict) -> Iterator[tuple[str, str]]:
  """The networks and configurations that there are.

  Without an auxiliary head C5 is C4: it is left out, as in the paper.
  """
  for network in config.networks:
    for configuration in config.configurations:
      same = configuration == 'C5' and 'C4' in config.configurations
      if networks.has_auxiliary(network) or not same:
        yield network, configuration


def _check(config: ml_collections.ConfigDict) -> None:
  """Finds what is wrong with a config before anything slow begins."""
  for field in ('networks', 'configurations'):
    if not config[field] or len(set(config[field])) != len(config[field]):
      raise errors.InputError(
        f'config.{field}: expected one or more, each once, found '
        f'{config[field]}'
      )
  for name in config.configurations:
    if name not in recipe.CONFIGURATIONS:
      raise errors.unknown_name('configuration', name, recipe.CONFIGURATIONS)
  for name in config.fine_tuning:
    if name not in FINE_TUNING:
      raise errors.unknown_name('config.fine_tuning', name, FINE_TUNING)
  for network in config.networks:
    networks.row(network)
  for name in config.fine_tuned_networks:
    if name not in config.networks:
      raise errors.unknown_name(
        'network of config.fine_tuned_networks', name, config.networks
      )
  for network, configuration in _wanted(config):
    pretrain.check(_pretrain_config(config, network, configuration))
  for name in config.transfer.datasets:
    datasets.check(name, config.transfer.data.dir or None)


def _pretrained(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> list[Pretrained]:
  found = []
  wanted = list(_wanted(config))
  for number, (network, configuration) in enumerate(wanted, start=1):
    print(f'\n[{number}/{len(wanted)}] {network}, {configuration}', flush=True)
    given = _pretrain_config(config, network, configuration)
    given.output = str(
      workdir / 'pretrained' / f'{network}_{configuration}.safetensors'
    )
    path = pretrain.run(given, workdir)
    found.append(
      Pretrained(
        network,
        configuration,
        {name: given.pretrain[name] for name in _FACTORS},
        path,
        files.sha256(path),
        weights.read_header(path).recipe,
      )
    )
  return found


@dataclasses.dataclass(frozen=True)
class _Variant:
  """One way of transferring the networks.

  Attributes:
    setting: logistic_regression or fine_tuned.
    fine_tuning: one of FINE_TUNING, or '' of fixed features.
  """

  setting: str
  fine_tuning: str = ''

  @property
  def name(self) -> str:
    return self.setting + ('_' if self.fine_tuning else '') + self.fine_tuning

  def settings(self, own: Pretrained) -> dict[str, Any]:
    """With what one of the networks is fine-tuned."""
    if self.fine_tuning == 'same':
      return dict(own.settings)
    return {'label_smoothing': 0.0, 'dropout': 0.0, 'auxiliary_head': False}


def _transfer(
  config: ml_collections.ConfigDict,
  made: Sequence[Pretrained],
  variant: _Variant,
  workdir: pathlib.Path,
) -> list[dict[str, Any]]:
  """Runs the cells of a variant; the records of these cells.

  The ledger may hold others of the same networks, as of another search or
  other splits: what counts is what this config plans.
  """
  records = []
  for given, paths in _studies(config, made, variant):
    given.networks = tuple(paths)
    records += runner.run(given, workdir)
  return records


def _by_network(
  made: Sequence[Pretrained], records: Sequence[Mapping[str, Any]]
) -> list[list[Mapping[str, Any]]]:
  """The records of each network.

  Raises:
    InputError: they are not of the same datasets.
  """
  found = [
    [r for r in records if r['weights_sha256'] == own.sha256] for own in made
  ]
  every = {record['dataset'] for record in records}
  for own, theirs in zip(made, found, strict=True):
    missing = every - {record['dataset'] for record in theirs}
    if missing or not theirs:
      raise errors.InputError(
        f'{own.network}, {own.configuration}, has no record on '
        f'{", ".join(sorted(missing)) or "any dataset"}, and means over '
        'different datasets cannot be compared: let config.transfer.leave_out '
        'name it for all networks or none, and where other processes or parts '
        'are running it give the same command once they are through'
      )
  return found


def _studies(config, made: Sequence[Pretrained], variant: _Variant):
  """Configs of studies, and the weights files that each is for."""
  groups: dict[str, tuple[dict[str, Any], list[str]]] = {}
  for own in made:
    settings = variant.settings(own) if variant.fine_tuning else {}
    _, paths = groups.setdefault(str(settings), (settings, []))
    paths.append(str(own.path))
  for settings, paths in groups.values():
    given = ml_collections.ConfigDict(config.transfer.to_dict())
    given.image_size = config.image_size
    given.settings = (variant.setting,)
    if settings:
      given.fine_tuned.update(settings)
    yield given, paths


def point(
  own: Pretrained, records: Sequence[Mapping[str, Any]]
) -> regularizers.Configuration:
  """Mean log-odds of a network over its records, with the sampling error."""
  found = {'value': [], 'low': [], 'high': []}
  for record in records:
    test = record['test']
    for name, values in found.items():
      values.append(statistics.log_odds(test[name], test['examples']))
  halves = (np.array(found['high']) - np.array(found['low'])) / 2
  test = own.recipe.details['test']
  return regularizers.Configuration(
    own.network,
    own.configuration,
    float(np.mean(found['value'])),
    test['value'],
    # Of a mean of independent ones.
    float(np.sqrt(np.sum(halves**2)) / len(halves)),
    (test['high'] - test['low']) / 2,
  )


def _papers(
  setting: str, points: Sequence[regularizers.Configuration]
) -> list[regularizers.Configuration]:
  """The paper's values of the same networks; of all, if it has none of them."""
  every = numbers.training_settings(setting)
  own = {p.network for p in points}
  return [p for p in every if p.network in own] or list(every)


def _draw(
  config: ml_collections.ConfigDict,
  variant: _Variant,
  points: Sequence[regularizers.Configuration],
  workdir: pathlib.Path,
) -> None:
  number = 3 if variant.setting == _FIXED else 5
  appendix = '_pretraining_only' * (variant.fine_tuning == FINE_TUNING[1])
  path = workdir / f'figure_{number}{appendix}'
  regularizers.training_settings(
    {'ours': points, 'the paper': _papers(variant.setting, points)},
    variant.setting,
    path,
    trained_on=config.pretrained_on,
    note=config.note,
  )
  print(f'figure {number}  {path}.png, {path}.pdf')


_COLUMNS = (
  'transfer',
  'network',
  'configuration',
  'pretrained top-1',
  'mean log-odds',
  '95 % +-',
  'the paper',
)


def _rows(
  found: Mapping[_Variant, Sequence[regularizers.Configuration]],
) -> list[tuple[str, ...]]:
  rows = []
  for variant, points in found.items():
    theirs = {
      (p.network, p.configuration): f'{p.mean_log_odds:.3f}'
      for p in numbers.training_settings(variant.setting)
    }
    rows += [
      (
        variant.name,
        p.network,
        p.configuration,
        f'{p.top1:.2%}',
        f'{p.mean_log_odds:.3f}',
        f'{p.error:.3f}',
        theirs.get((p.network, p.configuration), '-'),
      )
      for p in points
    ]
  return rows


def _show(
  found: Mapping[_Variant, Sequence[regularizers.Configuration]],
  workdir: pathlib.Path,
) -> None:
  """Prints a table of all points, and writes it as CSV."""
  rows = [_COLUMNS, *_rows(found)]
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  print()
  for row in rows:
    cells = zip(row, widths, strict=True)
    print('  '.join(text.ljust(width) for text, width in cells).rstrip())
  text = io.StringIO()
  csv.writer(text).writerows(rows)
  with files.atomic_write(workdir / 'settings.csv') as file:
    file.write(text.getvalue().encode())
  print(f'\ntable    {workdir / "settings.csv"}')


def embed(
  values: np.ndarray, labels: np.ndarray, title: str, seed: int
) -> regularizers.Embedding:
  """t-SNE of features [N, D] with labels [N]; deterministic by the seed."""
  count = len(values)
  if count < 4:
    raise errors.InputError(f'{title}: {count} images are too few for t-SNE')
  points = sklearn.manifold.TSNE(
    init='pca', perplexity=min(30, (count - 1) / 3), random_state=seed
  ).fit_transform(values)
  index = sklearn.neighbors.NearestNeighbors(n_neighbors=1).fit(values)
  nearest = index.kneighbors(return_distance=False)[:, 0]
  return regularizers.Embedding(
    title, points, labels, float(np.mean(labels == labels[nearest]))
  )


def _figure_4(
  config: ml_collections.ConfigDict,
  made: Sequence[Pretrained],
  workdir: pathlib.Path,
) -> None:
  """t-SNE of a few classes' test images, by a few configurations."""
  wanted = config.tsne
  chosen = [
    own
    for own in made
    if own.network == wanted.network
    and own.configuration in wanted.configurations
  ]
  if not wanted.dataset or not chosen:
    return
  if wanted.dataset not in config.transfer.datasets:
    logging.warning(
      '%s is not among the datasets of the study: figure 4 is not drawn',
      wanted.dataset,
    )
    return
  given = ml_collections.ConfigDict(config.transfer.to_dict())
  dataset = plan.opened(wanted.dataset, given.data, workdir)
  test = dataset.splits['test']
  panels = []
  for own in chosen:
    net = networks.load(own.path)
    extract = features.Extractor(
      net,
      feature_cache.of_config(given.features, workdir),
      features.Options.of_config(given.features),
      batch_size=given.features.batch_size,
      corrupt=given.data.corrupt,
    )
    found = extract(test, f'{own.network}, {own.configuration}')
    rows = _some(found.labels, wanted.classes, wanted.images_per_class)
    title = f'{names.display_name(own.network)}, {own.configuration}'
    panels.append(
      embed(found.values[rows], found.labels[rows], title, wanted.seed)
    )
  path = workdir / 'figure_4'
  regularizers.embeddings(panels, dataset.classes, path, config.note)
  print(f'figure 4  {path}.png, {path}.pdf')


def _some(labels: np.ndarray, classes: int, each: int) -> np.ndarray:
  """Positions of the first so many images of each of the first classes."""
  if labels.ndim != 1:
    raise errors.InputError(
      'config.tsne.dataset: its images have several labels each'
    )
  return np.concatenate(
    [np.flatnonzero(labels == label)[:each] for label in range(classes)]
  )


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Pretrains, transfers and draws what is missing.

  Args:
    config: as configs/regularizers.py documents.
    workdir: where everything is written.

  Raises:
    InputError: something given cannot be used; what was finished before stays.
    Preempted: SIGTERM came; the same command goes on.
  """
  devices.connect()
  _check(config)
  workdir = files.make_directory(workdir)
  if config.note:
    print(config.note)
  made = _pretrained(config, workdir)
  tuned = [own for own in made if own.network in config.fine_tuned_networks]
  found = {}
  for variant in (
    _Variant(_FIXED),
    *(_Variant(_TUNED, name) for name in config.fine_tuning),
  ):
    own = tuned if variant.fine_tuning else made
    if own:
      records = _transfer(config, own, variant, workdir)
      if devices.leading():
        each = zip(own, _by_network(own, records), strict=True)
        found[variant] = [point(*pair) for pair in each]
  if not devices.leading():
    return
  _show(found, workdir)
  for variant, points in found.items():
    _draw(config, variant, points, workdir)
  _figure_4(config, made, workdir)
  if config.note:
    print(config.note)
