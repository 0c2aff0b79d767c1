"""Defines what a setting is, and a cell, which a setting runs."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import ml_collections

from tf_transfer import datasets, networks
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.fixed_features import features

Record = Mapping[str, Any]


def _do_nothing() -> None:
  """Does nothing."""


@dataclasses.dataclass(frozen=True)
class Cell:
  """One network on one dataset in one setting.

  Attributes:
    network: the network; without weights where the setting needs none.
    dataset: the dataset.
    setting: the row of the setting.
    identity: the hash of everything that determines the cell's numbers.
    label: the network's name among the networks of the study.
    former_identity: the identity by which an earlier version of the program
      knew the cell, and may have begun its search; '' if it had this one.
  """

  network: networks.Network
  dataset: datasets.Dataset
  setting: 'Setting'
  identity: str
  label: str
  former_identity: str = ''

  @property
  def key(self) -> tuple[str, str, str]:
    """Network, dataset and setting, as plans and failures name them."""
    return self.label, self.dataset.name, self.setting.name

  @property
  def description(self) -> str:
    """Names network and dataset in progress bars and messages."""
    return f'{self.label} on {self.dataset.name}'


@dataclasses.dataclass(frozen=True)
class RunContext:
  """What a cell needs to run, beside itself.

  Attributes:
    config: of the study.
    workdir: where checkpoints and event files are written.
    extract: the network's feature extractor, for settings that use features.
    before_test: to be called before the test split is evaluated; logs that.
  """

  config: ml_collections.ConfigDict
  workdir: pathlib.Path
  extract: features.Extractor | None = None
  before_test: Callable[[], None] = _do_nothing


@dataclasses.dataclass(frozen=True)
class Summary:
  """What is said about a finished cell beyond its accuracy.

  Attributes:
    lines: facts.
    warnings: what the user should change, or not rely on.
  """

  lines: tuple[str, ...] = ()
  warnings: tuple[str, ...] = ()


class _Run(Protocol):
  def __call__(self, cell: Cell, context: RunContext) -> result_lib.CellResult:
    """Runs a cell."""


class _Cost(Protocol):
  def __call__(
    self,
    net: networks.Network,
    dataset: datasets.Dataset,
    config: ml_collections.ConfigDict,
  ) -> float:
    """Returns operations, without those of extracting features."""


class _Steps(Protocol):
  def __call__(
    self, dataset: datasets.Dataset, config: ml_collections.ConfigDict
  ) -> int:
    """Returns the steps of training."""


def _no_steps(
  dataset: datasets.Dataset, config: ml_collections.ConfigDict
) -> int:
  """Returns the steps of a setting that trains no network."""
  del dataset, config
  return 0


@dataclasses.dataclass(frozen=True)
class Setting:
  """One row of the table of settings.

  Attributes:
    name: as configs and records name it; the field of the study's config that
      has the setting's own fields, if it has any.
    title: for people.
    needs_weights: whether the network starts from pretrained weights. One that
      does not is built with its architecture's defaults.
    uses_features: whether it works on the features of the frozen network.
      Otherwise it trains the network.
    scores_are_logits: whether the scores that it keeps are log-probabilities up
      to a constant for each example, from which calibration is computed.
    has_fields: whether the study's config has a field of its name.
    determinants: everything in the study's config that determines the numbers
      of the setting and is not common to all settings.
    cost: estimates operations.
    run: runs a cell.
    summarize: says what is notable about a record.
    steps: counts the steps of training, each of which takes some time however
      small the network.
  """

  name: str
  title: str
  needs_weights: bool
  uses_features: bool
  scores_are_logits: bool
  has_fields: bool
  determinants: Callable[[ml_collections.ConfigDict], Mapping[str, Any]]
  cost: _Cost
  run: _Run
  summarize: Callable[[Record], Summary]
  steps: _Steps = _no_steps

  @property
  def trains(self) -> bool:
    """Whether it trains the network, which can then be exported."""
    return not self.uses_features
