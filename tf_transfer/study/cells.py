"""Lists the cells of a study, and what keeps a cell from being run."""

import dataclasses
import fnmatch
import itertools
import pathlib
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

import ml_collections

from tf_transfer import datasets, errors, networks
from tf_transfer.runtime import files
from tf_transfer.runtime.units import counted
from tf_transfer.study import failures, record, weights_files
from tf_transfer.study.analysis import accuracy_table
from tf_transfer.transfer import settings
from tf_transfer.transfer.fixed_features import features
from tf_transfer.transfer.setting import Cell, Setting

T = TypeVar('T')

# In config.networks and config.datasets: everything that is available.
ALL = 'all'


@dataclasses.dataclass(frozen=True)
class Obstacle:
  """A cell that cannot be run.

  Attributes:
    key: network, dataset and setting.
    reason: why not.
  """

  key: failures.Key
  reason: str


def list_cells(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> tuple[list[Cell], list[Obstacle]]:
  """Loads the networks and opens the datasets of a study.

  Args:
    config: of the study.
    workdir: where weights are converted to and digests are kept.

  Returns:
    The cells that can be run, and those that cannot, by dataset, network and
    setting.

  Raises:
    InputError: the config selects no cell, or none that can be run.
  """
  selection = _Selection(config, workdir)
  selection.check()
  for pattern in selection.unused_patterns():
    print(f'config.leave_out: {tuple(pattern)} matches no cell')
  files.make_directory(workdir)
  loaded, opened = selection.load_networks(), selection.open_datasets()
  labels = _label_networks(loaded)
  cells: dict[str, Cell] = {}
  obstacles: dict[failures.Key, Obstacle] = {}
  for dataset_name, dataset in opened.items():
    for network_name in selection.networks:
      for row in selection.rows(network_name, dataset_name):
        network = loaded[network_name, row.needs_weights]
        label = labels.get((network_name, row.needs_weights), network_name)
        reasons = [x for x in (network, dataset) if isinstance(x, str)]
        if not reasons:
          reasons = _find_obstacles(network, dataset, row, config)
        if reasons:
          key = label, datasets.normalized_name(dataset_name), row.name
          obstacles[key] = Obstacle(key, '; '.join(reasons))
        else:
          fields = network, dataset, row, config
          cell = Cell(
            network,
            dataset,
            row,
            record.identity(*fields),
            label,
            record.former_identity(*fields, dataset_name),
          )
          # Several weights of one architecture share its cell without weights.
          cells.setdefault(cell.identity, cell)
  if not cells:
    reasons = dict.fromkeys(obstacle.reason for obstacle in obstacles.values())
    raise errors.InputError('\n'.join(reasons))
  return list(cells.values()), list(obstacles.values())


def _label_networks(
  loaded: dict[tuple[str, bool], networks.Network | str],
) -> dict[tuple[str, bool], str]:
  """Names the networks that could be loaded, different weights differently."""
  nets = {key: x for key, x in loaded.items() if not isinstance(x, str)}
  labels = accuracy_table.labels(
    [(net.name, net.sha256, net.header.tag) for net in nets.values()]
  )
  return dict(zip(nets, labels, strict=True))


def _find_obstacles(
  network: networks.Network,
  dataset: datasets.Dataset,
  setting: Setting,
  config: ml_collections.ConfigDict,
) -> list[str]:
  """Says why a network that is there cannot be transferred; [] if it can."""
  if setting.trains and network.fixed_reason:
    return [network.fixed_reason]
  if network.sees_images and not dataset.has_images:
    return [
      f'{dataset.name} has labels and no images: networks are transferred to '
      'it by their features, as features:DIR'
    ]
  if setting.trains:
    return []
  # The network may lack the features that the config names.
  try:
    features.feature_dim(network, features.Options.from_config(config.features))
  except errors.InputError as error:
    return [str(error)]
  return []


class _Selection:
  """The networks, datasets and settings that a config selects.

  Attributes:
    networks: names and paths, ALL replaced by what is available.
    datasets: names, likewise.
  """

  def __init__(self, config: ml_collections.ConfigDict, workdir: pathlib.Path):
    self._config = config
    self._workdir = workdir
    self.networks = _expand(
      config.networks, lambda: weights_files.available(config, workdir)
    )
    self.datasets = _expand(
      config.datasets, lambda: datasets.available(config.data.dir or None)
    )

  def rows(self, network: str, dataset: str) -> list[Setting]:
    """Returns the settings of a pair that the config does not leave out."""
    return [
      settings.row(name)
      for name in self._config.settings
      if not any(
        all(map(fnmatch.fnmatchcase, (network, dataset, name), pattern))
        for pattern in self._config.leave_out
      )
    ]

  def unused_patterns(self) -> list[Sequence[str]]:
    """Returns what the config leaves out although it is not there."""
    names = list(
      itertools.product(self.networks, self.datasets, self._config.settings)
    )
    return [
      pattern
      for pattern in self._config.leave_out
      if not any(all(map(fnmatch.fnmatchcase, cell, pattern)) for cell in names)
    ]

  def check(self) -> None:
    """Finds out in an instant whether any cell can be run.

    Raises:
      InputError: a name is unknown, there is no cell, or none can be run.
    """
    located = _try_each(self.networks, weights_files.locate)
    checked = _try_each(self.datasets, self._check_dataset)
    pairs = [
      (located[network], checked[dataset])
      for network in self.networks
      for dataset in self.datasets
      if self.rows(network, dataset)
    ]
    if not pairs:
      raise errors.InputError(
        f'no cell: {counted(len(self.networks), "network")} and '
        f'{counted(len(self.datasets), "dataset")} are available, and '
        'config.leave_out may leave others out. configs/study.py says what '
        'counts as available'
      )
    reasons = [[x for x in pair if isinstance(x, str)] for pair in pairs]
    if all(reasons):
      distinct = dict.fromkeys(text for texts in reasons for text in texts)
      raise errors.InputError('\n'.join(distinct))

  def _check_dataset(self, name: str) -> None:
    data = self._config.data
    datasets.check(name, data.dir or None, data.prepare)

  def load_networks(self) -> dict[tuple[str, bool], networks.Network | str]:
    """Loads networks by (name, whether with weights); a str says why not."""
    rows = [settings.row(name) for name in self._config.settings]
    kinds = dict.fromkeys(row.needs_weights for row in rows)

    def load(key: tuple[str, bool]) -> networks.Network:
      name, with_weights = key
      source = weights_files.locate(name)
      return weights_files.load(
        source, self._config, self._workdir, with_weights=with_weights
      )

    keys = [(name, kind) for name in self.networks for kind in kinds]
    loaded = _try_each(keys, load)
    _say_same_weights(loaded)
    return loaded

  def open_datasets(self) -> dict[str, datasets.Dataset | str]:
    """Opens each dataset; a str says why it cannot be opened.

    Two with the same images and labels are one, such as a folder that is
    named in two ways.
    """
    opened = _try_each(
      self.datasets,
      lambda name: datasets.open_from_config(
        name, self._config.data, self._workdir / 'digests'
      ),
    )
    names, distinct = {}, {}
    for name, dataset in opened.items():
      if not isinstance(dataset, str):
        hashes = (split.hash for split in dataset.splits.values())
        first = names.setdefault((dataset.identity_name, *hashes), name)
        if first != name:
          print(
            f'{errors.printable(name)} holds the same images and labels as '
            f'{errors.printable(first)}: it is left out'
          )
          continue
      distinct[name] = dataset
    return distinct


def _say_same_weights(
  loaded: dict[tuple[str, bool], networks.Network | str],
) -> None:
  """Says which networks are the same ones under another name."""
  names: dict[tuple[str, str], str] = {}
  for (name, with_weights), network in loaded.items():
    if with_weights and not isinstance(network, str):
      first = names.setdefault((network.name, network.sha256), name)
      if first != name:
        print(
          f'{errors.printable(name)} holds the same weights as '
          f'{errors.printable(first)}: their cells are run once'
        )


def _expand(
  names: Sequence[str], available: Callable[[], Collection[str]]
) -> list[str]:
  """Replaces ALL by what is available; each name once."""
  expanded = [
    x for name in names for x in (available() if name == ALL else (name,))
  ]
  return list(dict.fromkeys(expanded))


def _try_each(
  keys: Sequence[T], function: Callable[[T], object]
) -> dict[T, object]:
  """Calls a function with each key; an InputError's text is its result."""
  results = {}
  for key in keys:
    try:
      results[key] = function(key)
    except errors.CannotWrite:
      raise
    except errors.InputError as error:
      results[key] = str(error)
  return results
