"""The table of settings: how a network is transferred to a dataset.

A row knows everything that differs between settings. Plan, runner, records,
report and figures ask the row; no other module compares a setting's name.

A new setting is the module that it runs, one row, and its fields in
configs/base.py if it has any. The row of a classifier on fixed features is in
`fixed_features.classifiers`; each row there is a setting. Any other row is
here.
"""

import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np

from tf_transfer import datasets, errors, networks
from tf_transfer.runtime import devices, files
from tf_transfer.runtime.units import counted
from tf_transfer.transfer import operations
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.fixed_features import (
  classifiers,
  corrupt_images,
  estimates,
)
from tf_transfer.transfer.fixed_features import evaluate as evaluate_lib
from tf_transfer.transfer.setting import (
  Cell,
  Record,
  RunContext,
  Setting,
  Summary,
)
from tf_transfer.transfer.training import export, grid, search, search_spec


def row(name: str) -> Setting:
  """Returns the row of a setting.

  Raises:
    InputError: there is no such setting.
  """
  if name not in SETTINGS:
    raise errors.unknown_name('setting', name, SETTINGS)
  return SETTINGS[name]


def title(name: str) -> str:
  """Returns a setting's title; for another name, the name in words."""
  if name in SETTINGS:
    return SETTINGS[name].title
  return name.replace('_', ' ').capitalize()


def search_directory(cell: Cell, workdir: pathlib.Path) -> pathlib.Path:
  """Returns where a cell that trains keeps its checkpoints until it is done.

  It is named by the identity that the search began with.
  """
  searches = workdir / 'searches'
  if cell.former_identity and (searches / cell.former_identity).exists():
    return searches / cell.former_identity
  return searches / cell.identity


def export_path(config: ml_collections.ConfigDict) -> pathlib.Path:
  """Returns the weights file that `config.export` names."""
  return pathlib.Path(config.export).expanduser()


def _fields(
  name: str, config: ml_collections.ConfigDict
) -> ml_collections.ConfigDict:
  """Returns a setting's own fields of the study's config."""
  return config[name] if row(name).has_fields else _NO_FIELDS


_NO_FIELDS = ml_collections.ConfigDict().lock()


# Classifiers on fixed features.


def _classifier_determinants(
  name: str, config: ml_collections.ConfigDict
) -> dict[str, Any]:
  return {
    'preprocessing': config.features.resize,
    'layer': config.features.layer,
    'pyramid': list(config.features.pyramid),
    'search': _fields(name, config).to_dict(),
  }


def _classifier_cost(
  name: str,
  net: networks.Network,
  dataset: datasets.Dataset,
  config: ml_collections.ConfigDict,
) -> float:
  hyperparameters = classifiers.CLASSIFIERS[name].grid(_fields(name, config))
  return operations.classifier(net, dataset, hyperparameters)


def _run_classifier(
  name: str, cell: Cell, context: RunContext
) -> result_lib.CellResult:
  corrupt_images.check_test(
    context.extract, cell.dataset, context.config.data.corrupt
  )
  return evaluate_lib.evaluate(
    context.extract,
    cell.dataset,
    name,
    _fields(name, context.config),
    cell.description,
    context.before_test,
    estimates.estimator(
      cell.network, len(cell.dataset.classes), context.config.features
    ),
  )


def _summarize_classifier(name: str, record: Record) -> Summary:
  cell = f'{record["network"]} on {record["dataset"]}'
  solver, search_fields = record['solver'], record['search']
  warnings = []
  if not solver['converged']:
    warnings.append(
      f'{cell}: the final fit did NOT converge; raise '
      f'--config.{name}.max_evaluations'
    )
  unconverged = solver['unconverged_penalties']
  if unconverged:
    penalties = ', '.join(f'{penalty:.0e}' for penalty in unconverged)
    warnings.append(
      f'{cell}: {len(unconverged)} of the fits on train did not converge, at '
      f'penalties {penalties}'
    )
  choices = _choices(record)
  if 'penalty' in choices[0]:
    ends = [search_fields['penalty_min'], search_fields['penalty_max']]
    if any(np.isclose(one['penalty'], ends).any() for one in choices):
      warnings.append('the chosen penalty is at the end of the grid: widen it')
  return Summary(warnings=tuple(warnings))


def _choices(record: Record) -> list[Mapping[str, Any]]:
  """Returns what was chosen, by each fold if there are folds."""
  folds = [fold['chosen'] for fold in record.get('folds', ())]
  return folds or [record['chosen']]


def _classifier(name: str, classifier: classifiers.Classifier) -> Setting:
  """Returns the row of a classifier on fixed features."""
  return Setting(
    name=name,
    title=classifier.title,
    needs_weights=True,
    uses_features=True,
    scores_are_logits=classifier.scores_are_logits,
    has_fields=classifier.hyperparameter is not None,
    determinants=functools.partial(_classifier_determinants, name),
    cost=functools.partial(_classifier_cost, name),
    run=functools.partial(_run_classifier, name),
    summarize=functools.partial(_summarize_classifier, name),
  )


# Settings that train the network.


def _training_determinants(
  name: str, config: ml_collections.ConfigDict
) -> dict[str, Any]:
  return {
    'preprocessing': search.PREPROCESSING,
    'search': grid.determinants(config[name]),
  }


def _training_cost(
  name: str,
  net: networks.Network,
  dataset: datasets.Dataset,
  config: ml_collections.ConfigDict,
) -> float:
  return operations.training(net, dataset, config[name])


def _training_steps(
  name: str, dataset: datasets.Dataset, config: ml_collections.ConfigDict
) -> int:
  return operations.training_steps(dataset, config[name])


def _run_training(
  name: str, pretrained: bool, cell: Cell, context: RunContext
) -> result_lib.CellResult:
  """Searches, refits and tests; writes the network if `export` asks for it."""
  config, workdir = context.config, context.workdir
  directory = files.make_directory(search_directory(cell, workdir))
  search_job = search_spec.Search(
    net=cell.network,
    dataset=cell.dataset,
    config=config[name],
    setting=name,
    pretrained=pretrained,
    corrupt=config.data.corrupt,
    directory=directory,
    identity=directory.name,
    description=f'{cell.description}, {name}',
    mesh=devices.data_mesh(),
    log_dir=workdir / 'tensorboard' / cell.identity,
    curves=config.tensorboard,
    before_test=context.before_test,
  )
  result, net = search.run(search_job)
  if config.export and devices.is_leader():
    export.save(export_path(config), search_job, net, result)
    print(f'weights  {config.export}')
  return result


def _summarize_training(record: Record) -> Summary:
  trials = record['trials']
  diverged = [trial for trial in trials if trial['diverged'] is not None]
  lines = []
  if diverged:
    lines.append(f'{len(diverged)} of {counted(len(trials), "trial")} diverged')
  warnings = []
  for field in ('learning_rate', 'weight_decay'):
    values = {trial[field] for trial in trials}
    ends = {min(values), max(values)} - {0.0}
    at_end = any(choice[field] in ends for choice in _choices(record))
    if len(values) > 2 and at_end:
      warnings.append(f'the chosen {field} is at the end of the grid: widen it')
  return Summary(tuple(lines), tuple(warnings))


def _training(name: str, title: str, *, pretrained: bool) -> Setting:
  """Returns the row of a setting that trains the network."""
  return Setting(
    name=name,
    title=title,
    needs_weights=pretrained,
    uses_features=False,
    scores_are_logits=True,
    has_fields=True,
    determinants=functools.partial(_training_determinants, name),
    cost=functools.partial(_training_cost, name),
    run=functools.partial(_run_training, name, pretrained),
    summarize=_summarize_training,
    steps=functools.partial(_training_steps, name),
  )


# In the order of the paper's protocol.
SETTINGS: Mapping[str, Setting] = {
  setting.name: setting
  for setting in (
    *(_classifier(*row) for row in classifiers.CLASSIFIERS.items()),
    _training('fine_tuned', 'Fine-tuned', pretrained=True),
    _training('random_init', 'Random initialization', pretrained=False),
  )
}
