"""Builds and runs searches of the tiny network on digits, for tests."""

import contextlib
import dataclasses
import io
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.transfer.training import killable, small
from tf_transfer import datasets, networks
from tf_transfer.configs import base
from tf_transfer.networks import weights
from tf_transfer.runtime import devices
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.training import (
  predictions,
  search,
  train_step,
  trials,
)

ROW = networks.Row(small.TinyBackbone, small.SIZE, 6, 174)
# Four trials, of which three train at once.
FIELDS = {
  'num_learning_rates': 2,
  'learning_rate_min': 0.05,
  'learning_rate_max': 0.5,
  'num_weight_decays': 1,
  'weight_decay_max': 1e-6,
  'steps': 30,
  'batch_size': 32,
  'concurrent_trials': 3,
  'checkpoint_every': 10,
}


def tiny_network() -> networks.Network:
  """Builds the tiny network, which must be in the table, with variables."""
  model = networks.build('tiny', num_classes=3)
  header = weights.Header('tiny', {}, killable.CONTRACT, num_classes=3)
  variables = train_step.initial_variables(model, small.SIZE, seed=5)
  return networks.Network(header, model, variables, sha256='tiny')


def build_search(
  net: networks.Network,
  directory: pathlib.Path,
  *,
  dataset: datasets.Dataset | None = None,
  setting: str = 'fine_tuned',
  log_dir: pathlib.Path | None = None,
  **changes: Any,
) -> search.Search:
  """Builds a search.

  Args:
    net: from `tiny_network`.
    directory: of the cell; made if need be.
    dataset: digits by default.
    setting: its name.
    log_dir: of event files; None writes none.
    **changes: of the setting's fields, beside FIELDS.
  """
  directory.mkdir(parents=True, exist_ok=True)
  config = {
    'fine_tuned': base.fine_tuned_fields,
    'random_init': base.random_init_fields,
  }[setting]()
  config.update({**FIELDS, **changes})
  return search.Search(
    net=net,
    dataset=dataset or datasets.open('digits'),
    config=config,
    setting=setting,
    pretrained=setting == 'fine_tuned',
    corrupt='error',
    directory=directory,
    identity='identity',
    description='tiny',
    mesh=devices.data_mesh(),
    log_dir=log_dir,
    curves=log_dir is not None,
  )


@dataclasses.dataclass
class SearchRun:
  """Records what a search did.

  Attributes:
    result: its result.
    network: that was tested.
    output: that it printed.
    trainings: name and length of the split, number of trials and last word of
      the description, of each training.
    predicted: name of the split, view and number of trials, of each prediction.
    logits: by split, view and digest of the variables.
  """

  result: result_lib.CellResult | None = None
  network: networks.Network | None = None
  output: str = ''
  trainings: list[tuple[str, int, int, str]] = dataclasses.field(
    default_factory=list
  )
  predicted: list[tuple[str, str, int]] = dataclasses.field(
    default_factory=list
  )
  logits: dict[tuple[str, str, str], np.ndarray] = dataclasses.field(
    default_factory=dict
  )

  def comparable(self) -> Any:
    """Returns all of the result, in a form that can be compared."""
    fields = dataclasses.asdict(self.result)
    fields['curve'] = fields['curve'].tolist()
    fields['predictions'] = {
      name: values.tolist() for name, values in fields['predictions'].items()
    }
    return json.loads(json.dumps(fields))


def run_search(description: search.Search) -> SearchRun:
  """Runs a search, and records what it does."""
  record = SearchRun()
  output = io.StringIO()
  with _recorded(record), contextlib.redirect_stdout(output):
    record.result, record.network = search.run(description)
  record.output = output.getvalue()
  return record


@contextlib.contextmanager
def _recorded(record: SearchRun) -> Iterator[None]:
  """Records trainings and predictions."""
  train, predict_logits = trials.train, predictions.predict_logits

  def record_training(job, step, group, kept, text, *rest):
    word = text.rpartition(': ')[2]
    record.trainings.append((job.split.name, len(job.split), len(group), word))
    return train(job, step, group, kept, text, *rest)

  def record_prediction(
    predict: Callable, contract, variables, split, view, *rest, **options
  ):
    record.predicted.append((split.name, view, len(variables)))
    logits, positions = predict_logits(
      predict, contract, variables, split, view, *rest, **options
    )
    for values, rows in zip(variables, logits, strict=True):
      record.logits[split.name, view, killable.digest(values)] = rows
    return logits, positions

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(trials, 'train', record_training)
    patch.setattr(predictions, 'predict_logits', record_prediction)
    yield
