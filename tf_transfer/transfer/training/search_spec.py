"""Describes a search for hyperparameters, and builds what it trains."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import ml_collections

from tf_transfer import datasets, errors, networks
from tf_transfer.datasets.images import image_cache
from tf_transfer.networks import classifier
from tf_transfer.runtime import checkpoints as checkpoints_lib
from tf_transfer.runtime import units
from tf_transfer.transfer.training import grid, monitor, train_step, trials


@dataclasses.dataclass(frozen=True)
class Search:
  """Describes the search of a cell: a network, a dataset and a setting.

  Attributes:
    net: the network.
    dataset: what it is transferred to.
    config: of the setting.
    setting: its name, for records and the weights file.
    pretrained: whether training starts from the network's weights; if not,
      from random values.
    corrupt: 'error', or 'skip' for images that cannot be decoded.
    directory: of this cell, for what an interrupted search resumes from.
    identity: of the cell.
    description: of the cell, for progress bars.
    mesh: the devices.
    log_dir: where event files and a profile are written; None writes neither.
    curves: whether event files are written.
    before_test: is called before the test split is evaluated.
  """

  net: networks.Network
  dataset: datasets.Dataset
  config: ml_collections.ConfigDict
  setting: str
  pretrained: bool
  corrupt: str
  directory: pathlib.Path
  identity: str
  description: str
  mesh: jax.sharding.Mesh
  log_dir: pathlib.Path | None = None
  curves: bool = False
  before_test: Callable[[], None] = lambda: None

  @property
  def trained_on_val(self) -> bool:
    """Whether the network that is tested is trained on val too."""
    return self.config.refit_on_trainval and self.dataset.val_is_trained_on

  @property
  def steps(self) -> int:
    """The number of steps of a trial that is trained to the end."""
    num_examples = len(self.dataset.splits['train'])
    return grid.build_train_config(self.config, num_examples).steps

  @property
  def rungs(self) -> tuple[int, ...]:
    """The steps at which halving ranks trials; the last is all of them."""
    return grid.rungs(self.config, self.steps)

  @property
  def stops(self) -> tuple[int, ...]:
    """The rungs at which trials stop."""
    return grid.stops(self.config, self.steps)

  @property
  def monitor_config(self) -> monitor.MonitorConfig:
    """Says what is shown of the trials."""
    return monitor.MonitorConfig(
      directory=self.log_dir,
      curves=self.curves,
      log_every=self.config.log_every,
      profile_steps=self.config.profile_steps,
    )

  def hparams(self, trial: train_step.Trial) -> dict[str, Any]:
    """Returns what TensorBoard shows of a trial under HParams."""
    return {
      'network': self.net.name,
      'dataset': self.dataset.name,
      'pretrained': self.pretrained,
      **dataclasses.asdict(trial),
      'batch_size': self.config.batch_size,
      'steps': self.steps,
    }

  def build_job(self, split: datasets.Split) -> trials.Job:
    """Builds the training on a split.

    Raises:
      InputError: a batch is larger than the split.
    """
    train_config = grid.build_train_config(self.config, len(split))
    # Where a few examples of each class were asked for, a batch may hold an
    # example several times.
    if self.dataset.val_is_trained_on and train_config.batch_size > len(split):
      raise errors.InputError(
        f'{self.dataset.name}: a batch of {train_config.batch_size} is larger '
        f'than {split.name}, which has {len(split)} images: set a smaller '
        'batch_size'
      )
    model = train_step.build_model(
      self.net, len(self.dataset.classes), len(split), train_config
    )
    return trials.Job(
      model,
      self.net.contract,
      train_config,
      image_cache.cache_images(
        split, int(self.config.image_cache_gib * units.GIB)
      ),
      self._initial_variables(model, train_config.seed),
      self.mesh,
      self.corrupt,
      self.config.checkpoint_every,
    )

  def reseed(self, job: trials.Job, seed: int) -> trials.Job:
    """Returns a training with another seed, on the same cached images.

    The seed decides the initial values, or those of the new head, dropout, and
    the order and crops of the images.
    """
    return dataclasses.replace(
      job,
      train_config=dataclasses.replace(job.train_config, seed=seed),
      variables=self._initial_variables(job.model, seed),
    )

  def _initial_variables(
    self, model: classifier.Classifier, seed: int
  ) -> dict[str, Any]:
    """Returns the variables that training begins with."""
    return train_step.initial_variables(
      model,
      self.net.contract.image_size,
      seed,
      self.net.variables if self.pretrained else None,
    )

  def build_network(self, variables: Mapping[str, Any]) -> networks.Network:
    """Builds the network for inference, with a head for the dataset."""
    model = networks.rebuild(self.net, num_classes=len(self.dataset.classes))
    return dataclasses.replace(self.net, model=model, variables=variables)

  def open_checkpoints(self, name: str) -> checkpoints_lib.Checkpoints:
    """Opens the checkpoints of a named training of the search."""
    return checkpoints_lib.Checkpoints(
      self.checkpoints_directory(name), f'{self.identity} {name}'
    )

  def checkpoints_directory(self, name: str) -> pathlib.Path:
    """Returns the directory of the checkpoints of a named training."""
    digest = hashlib.sha256(f'{self.identity} {name}'.encode()).hexdigest()
    return self.directory / 'checkpoints' / digest[:16]
