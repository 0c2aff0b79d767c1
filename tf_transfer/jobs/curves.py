"""Runs a study at several numbers of examples or steps: figures 9 and 8.

Config -> points, each the config of a study -> a plan of all of them -> the
studies, one after another, in one ledger -> figures and report of that ledger.
As a study, the job can be killed at any moment, and the same command goes on.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import ml_collections

from tf_transfer import config_fields, errors
from tf_transfer.jobs import study
from tf_transfer.runtime import devices, units
from tf_transfer.runtime.units import counted
from tf_transfer.study import attempts as attempts_lib
from tf_transfer.study import cells as cells_lib
from tf_transfer.study import (
  check,
  conclude,
  cost_model,
  duration_check,
  ledger,
)
from tf_transfer.study.report import text_table
from tf_transfer.transfer import settings

# The fields of the job that a study does not have.
_OWN_FIELDS = ('examples', 'draws', 'steps')


@dataclasses.dataclass(frozen=True)
class Point:
  """A point of the curves.

  Attributes:
    title: what is special about it, such as '8 images a class, draw 2 of 3'.
    config: of its study.
  """

  title: str
  config: ml_collections.ConfigDict


def list_points(config: ml_collections.ConfigDict) -> list[Point]:
  """Lists the points, from the cheapest to the most expensive.

  Args:
    config: of the job, as `configs/curves.py` documents.

  Raises:
    InputError: `steps` are named, and no setting trains.
  """
  points = []
  for count in sorted(config.examples):
    for draw in range(config.draws):
      study_config = _study_config(config)
      study_config.data.examples_per_class = count
      study_config.data.subset_seed += draw
      title = f'{counted(count, "image")} a class'
      points.append(
        Point(f'{title}, draw {draw + 1} of {config.draws}', study_config)
      )
  trained = [name for name in config.settings if settings.row(name).trains]
  if config.steps and not trained:
    raise errors.InputError(
      'config.steps: none of config.settings trains the network; name '
      'fine_tuned, random_init or both'
    )
  for count in sorted(config.steps):
    study_config = _study_config(config)
    for name in trained:
      study_config[name].update({'steps': count, 'min_epochs': 0})
    points.append(Point(counted(count, 'step'), study_config))
  return points


def _study_config(
  config: ml_collections.ConfigDict,
) -> ml_collections.ConfigDict:
  """Returns the config of a study with the job's fields."""
  fields = config.to_dict()
  for name in _OWN_FIELDS:
    del fields[name]
  # All points together are asked for, before the first.
  fields |= {'job': 'study', 'allow_long': True}
  return ml_collections.ConfigDict(fields)


def _show_plan(points: Sequence[Point], workdir: pathlib.Path) -> float:
  """Prints how many cells of each point are to be run, and how long it takes.

  Returns:
    The seconds that all take.

  Raises:
    InputError: none of the cells of a point can be run.
  """
  recorded = ledger.read_all(workdir)
  rows, total = [], 0.0
  for point in points:
    try:
      cells, obstacles = cells_lib.list_cells(point.config, workdir)
    except errors.CannotWrite:
      raise
    except errors.InputError as error:
      raise errors.InputError(f'{point.title}: {error}') from error
    pending = [cell for cell in cells if cell.identity not in recorded]
    seconds = sum(cost_model.cell_seconds(pending, point.config).values())
    total += seconds
    rows.append(
      (
        point.title,
        str(len(cells)),
        str(len(cells) - len(pending)),
        str(len(obstacles)),
        units.duration(seconds) if pending else '-',
      )
    )
  headers = 'point', 'cells', 'done', 'cannot be run', 'about'
  print(f'\n{text_table.aligned(rows, headers)}\n')
  text = counted(len(points), 'point')
  if total:
    text += (
      f': about {units.duration(total)} on {devices.describe()}, '
      'give or take a factor of three'
    )
  print(text, flush=True)
  return total


def _advice(config: ml_collections.ConfigDict) -> list[str]:
  """Says what shortens the curves."""
  texts = [
    f'fewer points ({field})'
    for field in ('examples', 'steps')
    if len(config[field]) > 1
  ]
  texts += ['--config.draws=1'] * (config.draws > 1 and bool(config.examples))
  for name in config.settings:
    if settings.row(name).trains and config[name].search != 'halving':
      texts.append(f'--config.{name}.search=halving (a third)')
  return texts


def _run_studies(
  points: Sequence[Point], workdir: pathlib.Path
) -> dict[str, str]:
  """Runs the studies; a point that fails does not stop the others.

  Returns:
    Why points failed, by title.
  """
  failed = {}
  for number, point in enumerate(points, start=1):
    print(f'\npoint {number} of {len(points)}: {point.title}', flush=True)
    try:
      study.run(point.config, workdir, concludes=False)
    except errors.CannotWrite:
      raise
    except errors.InputError as error:
      failed[point.title] = ' '.join(str(error).split())
      print(f'FAILED: {errors.printable(failed[point.title])}', flush=True)
  return failed


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Runs the missing cells of all points, and draws the curves.

  Args:
    config: of the job, as `configs/curves.py` documents.
    workdir: where everything is written.

  Raises:
    InputError: an input cannot be used, or points failed, in which case all
      others were run, or a figure or page could not be made. What is finished
      stays finished.
    Preempted: SIGTERM came; the same command goes on.
  """
  config_fields.check_job(config, 'curves')
  devices.connect()
  points = list_points(config)
  for point in points:
    config_fields.check_job(point.config, 'study')
    check.check_config(point.config)
  seconds = _show_plan(points, workdir)
  if config.only_plan:
    return
  duration_check.check(seconds, config, _advice(config))
  failed = _run_studies(points, workdir)
  attempts = attempts_lib.Attempts()
  if devices.is_leader():
    records = list(ledger.read_all(workdir).values())
    conclude.conclude(records, config, workdir, attempts)
  if failed:
    reasons = '; '.join(f'{title}: {why}' for title, why in failed.items())
    raise errors.InputError(
      f'{counted(len(failed), "point")} of {len(points)} failed: {reasons}'
    )
  attempts.raise_failures()
