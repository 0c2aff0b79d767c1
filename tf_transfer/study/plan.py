"""The plan of a study: its cells, and which of them cannot be run, and why.

Config -> networks whose weights are there, datasets that can be opened ->
cells, each with its identity -> dealt out to the parts of a study that is cut.
"""

import dataclasses
import fnmatch
import json
import pathlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import ml_collections

from tf_transfer import datasets, errors, networks
from tf_transfer.runtime import devices, files, progress
from tf_transfer.study import (
  cost_model,
  failures,
  ledger,
  names,
  weights_files,
)
from tf_transfer.study.analysis import accuracy_table
from tf_transfer.transfer.fixed_features import classifiers, features
from tf_transfer.transfer.training import search

T = TypeVar('T')

# In config.networks and config.datasets: whatever is there.
ALL = 'all'


@dataclasses.dataclass(frozen=True)
class Cell:
  """One network on one dataset in one setting.

  Attributes:
    network: the network.
    dataset: the dataset.
    setting: the setting.
    identity: of the record that it gives.
    label: what to call the network among the others.
  """

  network: networks.Network
  dataset: datasets.Dataset
  setting: str
  identity: str
  label: str

  @property
  def name(self) -> str:
    return f'{self.label} on {self.dataset.name}'

  @property
  def key(self) -> failures.Key:
    return self.label, self.dataset.name, self.setting

  @property
  def trains(self) -> bool:
    return self.setting in search.SETTINGS


@dataclasses.dataclass(frozen=True)
class Obstacle:
  """A cell that cannot be run: what it is called, and why."""

  key: failures.Key
  reason: str


@dataclasses.dataclass(frozen=True)
class Plan:
  """All cells of a study, by dataset, network and setting.

  Attributes:
    cells: those that can be run, if they have not been.
    obstacles: those that cannot.
  """

  cells: tuple[Cell, ...]
  obstacles: tuple[Obstacle, ...]

  @property
  def keys(self) -> list[failures.Key]:
    return [one.key for one in (*self.cells, *self.obstacles)]


def make(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  determinants: Callable[..., Mapping[str, Any]],
) -> Plan:
  """Finds the networks and datasets of a study, and opens them.

  Args:
    config: of the study.
    workdir: where weights are converted to and digests remembered.
    determinants: (network, dataset, setting, config) -> what the identity of
      their cell is made of.

  Raises:
    InputError: a name is unknown; or nothing at all can be run, which is found
      out before anything is written if it is plain.
  """
  wanted = _Wanted(config, workdir)
  wanted.check()
  files.make_directory(workdir)
  nets = wanted.loaded()
  there = wanted.opened()
  loaded = [net for net in nets.values() if not isinstance(net, str)]
  labels = accuracy_table.labels([(net.name, net.sha256) for net in loaded])
  named = {id(net): label for net, label in zip(loaded, labels, strict=True)}
  cells, obstacles = [], []
  for dataset_name, dataset in there.items():
    for net_name, net in nets.items():
      for setting in wanted.settings(net_name, dataset_name):
        label = named.get(id(net), net_name)
        reasons = [one for one in (net, dataset) if isinstance(one, str)]
        if not reasons and setting in classifiers.CLASSIFIERS:
          reasons = _no_features(net, config)
        if reasons:
          key = label, dataset_name, setting
          obstacles.append(Obstacle(key, '; '.join(reasons)))
          continue
        found = determinants(net, dataset, setting, config)
        cells.append(Cell(net, dataset, setting, ledger.identity(found), label))
  return Plan(tuple(cells), tuple(obstacles))


def _no_features(
  net: networks.Network, config: ml_collections.ConfigDict
) -> list[str]:
  try:
    features.feature_dim(net, features.Options.of_config(config.features))
  except errors.InputError as error:
    return [str(error)]
  return []


class _Wanted:
  """What a config asks for, of what is there."""

  def __init__(self, config: ml_collections.ConfigDict, workdir: pathlib.Path):
    self._config = config
    self._workdir = workdir
    self._networks = _expanded(
      config.networks, lambda: weights_files.available(config, workdir)
    )
    self._datasets = _expanded(
      config.datasets, lambda: datasets.available(config.data.dir or None)
    )

  def settings(self, network: str, dataset: str) -> list[str]:
    """The settings of a pair that the config does not leave out."""
    return [
      setting
      for setting in self._config.settings
      if not any(
        all(map(fnmatch.fnmatchcase, (network, dataset, setting), pattern))
        for pattern in self._config.leave_out
      )
    ]

  def check(self) -> None:
    """Finds out in an instant whether anything can be run.

    Raises:
      InputError: a name is unknown, there is no cell, or none can be run.
    """
    nets = _tried(self._networks, weights_files.locate)
    opened = _tried(self._datasets, self._check_dataset)
    pairs = [
      (nets[n], opened[d]) for n in nets for d in opened if self.settings(n, d)
    ]
    if not pairs:
      raise errors.InputError(
        f'no cell: {len(nets)} networks and {len(opened)} datasets are there, '
        'and config.leave_out may leave others out. configs/study.py says what '
        'counts as there'
      )
    reasons = [[one for one in pair if isinstance(one, str)] for pair in pairs]
    if all(reasons):
      different = dict.fromkeys(one for found in reasons for one in found)
      raise errors.InputError('\n'.join(different))

  def _check_dataset(self, name: str) -> None:
    data = self._config.data
    datasets.check(name, data.dir or None, data.prepare)

  def loaded(self) -> dict[str, networks.Network | str]:
    """Each network by its name in the config; why not, where it is not."""

    def load(name: str) -> networks.Network:
      source = weights_files.locate(name)
      return weights_files.load(source, self._config, self._workdir)

    return _tried(self._networks, load)

  def opened(self) -> dict[str, datasets.Dataset | str]:
    """Each dataset, opened; why not, where it cannot be."""
    return _tried(self._datasets, self._open)

  def _open(self, name: str) -> datasets.Dataset:
    return opened(name, self._config.data, self._workdir)


def opened(
  name: str, data: ml_collections.ConfigDict, workdir: pathlib.Path
) -> datasets.Dataset:
  """Opens a dataset as the `data` of a job's config says, and describes it.

  Raises:
    InputError: its data cannot be used.
  """
  dataset = datasets.open(
    name,
    data_dir=data.dir or None,
    seed=data.split_seed,
    val_fraction=data.val_fraction,
    test_fraction=data.test_fraction,
    cut_banner=data.cut_banner,
    prepare=data.prepare,
    cache_dir=data.cache_dir or workdir / 'digests',
    progress=progress.bar,
  )
  if data.examples_per_class:
    dataset = datasets.few_examples(
      dataset, data.examples_per_class, data.subset_seed
    )
  print(
    f'{name}: {len(dataset.classes)} classes, '
    + ', '.join(f'{len(s):,} {k}' for k, s in dataset.splits.items())
  )
  for note in dataset.notes:
    print(f'  note: {note}')
  return dataset


def _expanded(
  names: Sequence[str], there: Callable[[], Collection[str]]
) -> list[str]:
  """The names, what is there in the place of ALL."""
  found = [
    one for name in names for one in (there() if name == ALL else (name,))
  ]
  return list(dict.fromkeys(found))


def _tried(
  names: Sequence[str], function: Callable[[str], T]
) -> dict[str, T | str]:
  """What a function gives for each name, or why it gives nothing."""
  found = {}
  for name in names:
    try:
      found[name] = function(name)
    except errors.CannotWrite:
      raise
    except errors.InputError as error:
      found[name] = str(error)
  return found


def mine(
  cells: Sequence[Cell],
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  part: ledger.Shard | None,
) -> list[Cell]:
  """The cells that a part is to run; without parts all.

  They are dealt out once, the costliest first, to the part with the least, and
  that is written down in the workdir which the parts share: so no two have the
  same cell, even if one comes later and finds other networks or datasets.
  The features of a network on a dataset are one part's.

  Raises:
    InputError: the workdir cannot be written.
  """
  if part is None:
    return list(cells)
  path = workdir / f'parts.{part.count}.json'
  with files.locked(workdir / '.parts.lock'):
    dealt = _dealt(path)
    new = [cell for cell in cells if cell.identity not in dealt]
    if new:
      _deal(new, config, part.count, dealt)
      with files.atomic_write(path) as file:
        file.write(json.dumps(dealt).encode())
  return [cell for cell in cells if dealt[cell.identity] == part.number]


def _dealt(path: pathlib.Path) -> dict[str, int]:
  try:
    return json.loads(path.read_bytes())
  except FileNotFoundError:
    return {}
  except ValueError as error:
    raise errors.InputError(
      f'{path} is damaged ({error}): end all parts, remove it, and start again'
    ) from error


def _deal(
  cells: Sequence[Cell],
  config: ml_collections.ConfigDict,
  count: int,
  dealt: dict[str, int],
) -> None:
  """Gives each cell a part, in `dealt`."""
  hands: dict[tuple, list[Cell]] = {}
  for cell in cells:
    own = cell.identity if cell.trains else ''
    hands.setdefault((cell.label, cell.dataset.name, own), []).append(cell)
  costs = {name: sum(operations(hand, config)) for name, hand in hands.items()}
  loads = [0.0] * count
  for name in sorted(hands, key=lambda name: (-costs[name], name)):
    least = min(range(count), key=lambda number: loads[number])
    loads[least] += costs[name]
    for cell in hands[name]:
      dealt[cell.identity] = least + 1


def operations(
  cells: Sequence[Cell], config: ml_collections.ConfigDict
) -> list[float]:
  """What each cell costs; the first of those that share features pays."""
  costs, paid = [], set()
  for cell in cells:
    cost = cost_model.cell(cell.network, cell.dataset, cell.setting, config)
    shared = cell.label, cell.dataset.name
    if not cell.trains and shared not in paid:
      paid.add(shared)
      cost += cost_model.extraction(cell.network, cell.dataset)
    costs.append(cost)
  return costs


def seconds(
  cells: Sequence[Cell], config: ml_collections.ConfigDict
) -> dict[str, float]:
  """How long each cell may take, by identity; by a rule of thumb."""
  if not cells:
    return {}
  speed, compiled, found = cost_model.speed(), set(), {}
  for cell, cost in zip(cells, operations(cells, config), strict=True):
    program = cell.label, cell.trains and cell.identity
    found[cell.identity] = cost / speed
    if program not in compiled:
      compiled.add(program)
      found[cell.identity] += cost_model.compiling(cell.trains)
  return found


def render(
  plan: Plan,
  recorded: Collection[str],
  estimates: Mapping[str, float],
) -> str:
  """The plan as a table for each setting: networks × datasets.

  Args:
    plan: the plan.
    recorded: identities of the cells that are done.
    estimates: seconds of the cells that are to be run here, by identity.
  """
  entries = {one.key: 'CANNOT' for one in plan.obstacles}
  for cell in plan.cells:
    if cell.identity in recorded:
      entries[cell.key] = 'done'
    elif cell.identity in estimates:
      entries[cell.key] = cost_model.in_words(estimates[cell.identity])
    else:
      entries[cell.key] = 'other part'
  shown = []
  for setting in dict.fromkeys(key[2] for key in entries):
    keys = [key for key in entries if key[2] == setting]
    columns = list(dict.fromkeys(key[1] for key in keys))
    rows = [(setting, *(names.display_name(name) for name in columns))]
    for network in dict.fromkeys(key[0] for key in keys):
      row = [entries.get((network, name, setting), '-') for name in columns]
      rows.append((network, *row))
    shown.append(_aligned(rows))
  return '\n\n'.join(shown)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
  """Columns of text, the first aligned left and the others right."""
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = [
    '  '.join(
      text.rjust(width) if i else text.ljust(width)
      for i, (text, width) in enumerate(zip(row, widths, strict=True))
    )
    for row in rows
  ]
  lines.insert(1, '  '.join('-' * width for width in widths))
  return '\n'.join(lines)


def reasons(failing: Mapping[failures.Key, str]) -> str:
  """Why cells cannot be run, cells of one reason together."""
  by_reason: dict[str, list[str]] = {}
  for (network, dataset, setting), reason in failing.items():
    by_reason.setdefault(reason, []).append(f'{network}, {dataset}, {setting}')
  return '\n'.join(
    f'  {_listed(cells)}: {reason}' for reason, cells in by_reason.items()
  )


def _listed(cells: Sequence[str]) -> str:
  more = f' and {len(cells) - 2} more' if len(cells) > 2 else ''
  return '; '.join(cells[:2]) + more


def recorded(workdir: pathlib.Path) -> dict[str, dict[str, Any]]:
  """The records of a study and all its parts, by identity.

  Raises:
    InputError: a ledger cannot be read.
  """
  found: dict[str, dict[str, Any]] = {}
  for part in (None, *ledger.parts(workdir)):
    for name, record in ledger.Ledger(workdir, part).read().items():
      unlike = ledger.differences(found.get(name, record), record)
      if unlike:
        ledger.warn_once(
          f'{ledger.described(record)}: two ledgers have different results '
          f'({"; ".join(unlike)}): see configs/merge.py'
        )
      found.setdefault(name, record)
  return found


def claims(workdir: pathlib.Path) -> pathlib.Path:
  """The directory of locks of the cells that are being run."""
  return files.make_directory(workdir / 'claims')


def forget_claims(workdir: pathlib.Path, done: Collection[str]) -> None:
  """Removes what killed processes left of cells that are done since."""
  for path in (workdir / 'claims').glob('*'):
    if path.name in done:
      path.unlink(missing_ok=True)


def describe(
  plan: Plan,
  recorded: Collection[str],
  estimates: Mapping[str, float],
) -> str:
  """The plan in a line: how many cells are done, to do, impossible."""
  done = sum(cell.identity in recorded for cell in plan.cells)
  count = len(plan.keys)
  text = f'{count} cells: {done} found in the ledger, {len(estimates)} to run'
  others = len(plan.cells) - done - len(estimates)
  if others:
    text += f' here and {others} in other parts'
  if plan.obstacles:
    text += f', {len(plan.obstacles)} cannot be run'
  text += f', on {devices.describe()}'
  if estimates:
    total = cost_model.in_words(sum(estimates.values()))
    text += f': about {total}, give or take a factor of three'
  return text
