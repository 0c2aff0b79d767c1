"""Runs the job of configs/choose.py: chooses a network for a dataset.

Config -> networks, the cheapest first -> for each a candidate: predictions of
train and val, cost, estimates -> the verdict -> the recommended network alone
as a cell of a study, whose test is read once -> table and page. Candidates are
kept: the job can be killed at any moment, and the same command goes on.
"""

import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from tf_transfer import config_fields, datasets, errors
from tf_transfer.datasets import folder_report
from tf_transfer.jobs import study
from tf_transfer.runtime import commands, devices, files, units
from tf_transfer.runtime.units import counted
from tf_transfer.study import check, export
from tf_transfer.study.choice import (
  candidates,
  decision,
  page,
  selection,
  table,
  tasks,
  types,
  verdict,
)
from tf_transfer.study.choice import (
  sources as sources_lib,
)
from tf_transfer.study.schema import Record
from tf_transfer.transfer import estimators, metrics, settings

_IDENTITY_DIGITS = 8  # of a record's identity, in a command

# Fields that the config of a study has too.
_SHARED = ('image_size', 'weights_dir', 'data', 'features')


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Chooses a network, and writes its page.

  Args:
    config: of the job, as `configs/choose.py` documents.
    workdir: where everything is written.

  Raises:
    InputError: an input cannot be used, or no network could be tried.
  """
  started = time.monotonic()
  config_fields.check_job(config, 'choose')
  devices.connect()
  study_config = _study_config(config)
  check.check_config(study_config)
  data = study_config.data
  datasets.check(study_config.datasets[0], data.dir or None, data.prepare)
  workdir = files.make_directory(workdir)
  devices.enable_compilation_cache(workdir / 'compiled')
  sources, skipped = sources_lib.list_sources(config, workdir)
  report = []
  dataset = datasets.open_from_config(
    study_config.datasets[0],
    data,
    workdir / 'digests',
    lambda examined: report.extend(folder_report.show(examined, workdir)),
  )
  task = tasks.make(
    dataset, config.num_folds, study_config, config.setting, workdir
  )
  print(f'{counted(len(sources), "network")} to try, the cheapest first')
  selection.check_duration(sources, task, config)
  selection.check_test(sources, task)
  if config.by != 'accuracy':
    _choose_by_estimate(config, sources, task)
    return
  tried = selection.try_all(sources, task, config, started)
  tried.skipped[:0] = skipped
  choice, record = _choose(tried, sources, task)
  _show(choice)
  path = page.write(choice, workdir, report=report)
  taken = units.duration(time.monotonic() - started, precise=True)
  print(f'\npage     {path}\ntaken    {taken}')
  if record is not None and not export.obstacle(record):
    print(f'use it   {_export_command(choice, record, config, workdir)}')


def _export_command(
  choice: types.Choice,
  record: Record,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
) -> str:
  """Returns the command that exports the recommended network.

  Args:
    choice: that was made.
    record: of the test. The ledger may have others of the same network and
      dataset: of a folder before it was changed, say.
    config: of the job.
    workdir: of the job.
  """
  recommended = choice.candidate(choice.verdict.recommended)
  arguments = [
    f'--config=export:{recommended.weights},{choice.dataset.name}',
    f'--config.identity={record["identity"][:_IDENTITY_DIGITS]}',
    f'--workdir={workdir}',
  ]
  if config.weights_dir:
    arguments.append(f'--config.weights_dir={config.weights_dir}')
  return commands.job(*arguments)


def _study_config(
  config: ml_collections.ConfigDict,
) -> ml_collections.ConfigDict:
  """Returns the config of a study of the same dataset and classifier."""
  made = config_fields.defaults(config_fields.of_job('study'))
  for name in _SHARED:
    if isinstance(config[name], ml_collections.ConfigDict):
      made[name].update(config[name])
    else:
      made[name] = config[name]
  if settings.row(config.setting).has_fields:
    made[config.setting].update(config[config.setting])
  made.networks = config.networks
  made.datasets = (datasets.name_of(config.dataset),)
  made.settings = (config.setting,)
  made.tensorboard = False
  made.report = False
  # The choice asks before its first network: its test does not ask again.
  made.allow_long = True
  return made.lock()


def _choose(
  tried: selection.Tried,
  sources: Sequence[candidates.Source],
  task: candidates.Task,
) -> tuple[types.Choice, Record | None]:
  """Reaches the verdict, and tests the network that it recommends.

  Returns:
    The choice, and the record of the test; None without a test.
  """
  positions = tried.kept[0].positions
  networks = [kept.candidate for kept in tried.kept]
  images = datasets.select(task.images, positions)
  folds = task.folds[positions]
  measured = decision.Images(task.dataset.metric, images.labels, folds)
  decided = verdict.reach(networks, measured)
  recommended = next(n for n in networks if n.network == decided.recommended)
  test, test_name, record = None, '', None
  if task.dataset.folds:
    decided = verdict.add_correction(
      decided,
      verdict.measure_choice(networks, measured, images.groups),
      recommended.accuracy.value,
    )
    decided = verdict.add_export(decided)
  else:
    print(f'\ntest of {recommended.network}, once')
    record = _test(recommended.weights, task)
    test = metrics.Measurement(**record['test'])
    test_name = f'test of {task.dataset.name}'
    decided = verdict.add_test(decided, test, test_name)
  (source,) = (one for one in sources if one.network == recommended.network)
  curve = selection.curve(source, recommended, task)
  ordered = sorted(networks, key=lambda n: (-n.accuracy.value, n.network))
  choice = types.Choice(
    dataset=task.dataset,
    images=images,
    folds=folds,
    candidates=tuple(ordered),
    skipped=tuple(tried.skipped),
    verdict=decided,
    test=test,
    test_name=test_name,
    learning_curve=curve,
    notes=(*_notes(tried, task), *tasks.notes(task)),
  )
  return choice, record


def _notes(tried: selection.Tried, task: candidates.Task) -> list[str]:
  """Says what the numbers leave out."""
  notes = list(task.dataset.notes)
  skipped = tried.kept[0].skipped
  if skipped:
    names = ', '.join(errors.printable(name) for name in skipped[:5])
    count = counted(len(skipped), 'image')
    notes.append(f'{count} cannot be decoded and left out: {names}')
  networks = [kept.candidate for kept in tried.kept]
  unconverged = [one.network for one in networks if not one.converged]
  if unconverged:
    notes.append(
      f'{", ".join(unconverged)}: a classifier has not reached its tolerance '
      'at some penalty'
    )
  return notes


def _test(weights: str, task: candidates.Task) -> Mapping[str, Any]:
  """Runs a network as the only cell of a study; returns its record.

  Raises:
    InputError: the cell failed.
  """
  config = ml_collections.ConfigDict(task.config)
  config.networks = (weights,)
  (record,) = study.run(config.lock(), task.workdir, concludes=False)
  return record


def _show(choice: types.Choice) -> None:
  """Prints table, notes and verdict."""
  print()
  for line in table.render(choice.candidates, choice.verdict):
    print(line)
  for one in choice.skipped:
    print(f'{one.network}: not tried: {errors.printable(one.reason)}')
  for note in choice.notes:
    print(f'note: {note}')
  _print_lines((*choice.verdict.lines, *choice.learning_curve.lines))


def _print_lines(lines: Sequence[str]) -> None:
  """Prints the sentences of a verdict."""
  print()
  for line in lines:
    print(errors.printable(line))


def _choose_by_estimate(
  config: ml_collections.ConfigDict,
  sources: Sequence[candidates.Source],
  task: candidates.Task,
) -> None:
  """Ranks networks by an estimate, and tests the first.

  Raises:
    InputError: the estimator has a value for none.
  """
  estimates = selection.rank(sources, task, config.by)
  title = estimators.ESTIMATORS[config.by].title
  titles = {one.network: one.title for one in sources}
  decided = verdict.by_estimate(estimates, titles, title)
  print()
  for line in table.render_estimates(estimates, title):
    print(line)
  if decided is None:
    raise errors.InputError(
      f'{title} has a value for no network; the reasons are above'
    )
  if not task.dataset.folds:
    weights = {one.network: one.weights for one in sources}
    record = _test(weights[decided.recommended], task)
    test = metrics.Measurement(**record['test'])
    name = f'test of {task.dataset.name}'
    decided = verdict.add_test(decided, test, name)
  _print_lines(decided.lines)
