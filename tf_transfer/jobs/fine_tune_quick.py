"""Fine-tunes a network within a budget of time, as a cell of a study.

Config -> the cell -> measured times -> the plan, which is kept in the workdir
-> a study of that cell -> what it took, and what the whole protocol would take.
"""

import dataclasses
import json
import pathlib
import time
from collections.abc import Mapping, Sequence

import jax
import ml_collections
import numpy as np

from tf_transfer import config_fields, errors, networks
from tf_transfer.jobs import study
from tf_transfer.runtime import devices, files, schemas, units
from tf_transfer.runtime.units import counted
from tf_transfer.study import cells as cells_lib
from tf_transfer.study import (
  check,
  cost_model,
  ledger,
  predictions,
  quick_plan,
  schema,
  step_timing,
)
from tf_transfer.study.analysis import paired_tests
from tf_transfer.study.schema import Record
from tf_transfer.transfer import operations, settings
from tf_transfer.transfer.setting import Cell
from tf_transfer.transfer.training import search_spec

# Image sizes that are measured at most; each compiles the network.
_MAX_MEASURED = 3


@dataclasses.dataclass(frozen=True)
class _Stored:
  """What is kept of a plan.

  Attributes:
    plan: the plan.
    timings: at its image size.
  """

  plan: quick_plan.Plan
  timings: quick_plan.Timings


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Measures, plans and runs the cell.

  Args:
    config: of the job, as `configs/fine_tune_quick.py` documents.
    workdir: where everything is written.

  Raises:
    InputError: an input cannot be used, or the budget is too small.
    Preempted: SIGTERM came; the same command goes on.
  """
  started = time.monotonic()
  config_fields.check_job(config, 'fine_tune_quick')
  devices.connect()
  if jax.process_count() > 1:
    raise errors.InputError(
      'fine_tune_quick: expected one process, whose device it measures, found '
      f'{jax.process_count()}'
    )
  budget = units.parse_duration(config.budget)
  study_config = _study_config(config)
  check.check_config(study_config)
  devices.enable_compilation_cache(workdir / 'compiled')
  cell = _cell(study_config, workdir)
  images = _count(cell)
  path = workdir / 'quick_plans' / f'{_key(cell, config)}.json'
  stored = _read(path)
  if stored is None:
    stored = _plan(cell, study_config, images, budget, started)
    files.make_directory(path.parent)
    with files.atomic_write(path) as file:
      file.write(json.dumps(dataclasses.asdict(stored), indent=2).encode())
  else:
    print(f'goes on with the plan in {path}')
  _show(cell, stored.plan, images, budget)
  _apply(study_config, cell, stored.plan)
  records = study.run(study_config, workdir)
  if records:
    _conclude(records[0], cell, stored, workdir)
    _say_time(time.monotonic() - started, budget)


def _study_config(
  config: ml_collections.ConfigDict,
) -> ml_collections.ConfigDict:
  """Returns the config of the study; the budget says how long it may be."""
  fields = config.to_dict()
  del fields['budget']
  fields |= {'job': 'study', 'allow_long': True}
  return ml_collections.ConfigDict(fields)


def _cell(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> Cell:
  """Returns the cell, as it would be without a plan.

  Raises:
    InputError: it cannot be run, or there are several.
  """
  cells, obstacles = cells_lib.list_cells(config, workdir)
  if obstacles:
    raise errors.InputError(obstacles[0].reason)
  if len(cells) > 1 or not cells[0].setting.trains:
    raise errors.InputError(
      'config.settings: expected one that trains the network, found '
      f'{", ".join(config.settings)}'
    )
  return cells[0]


def _count(cell: Cell) -> quick_plan.Images:
  """Counts the images of the splits."""
  splits = cell.dataset.splits
  return quick_plan.Images(*(len(splits[n]) for n in ('train', 'val', 'test')))


def _key(cell: Cell, config: ml_collections.ConfigDict) -> str:
  """Returns a hash of the command: of the unplanned cell and budget."""
  seconds = units.parse_duration(config.budget)
  return schema.identity({'cell': cell.identity, 'budget': seconds})


def _read(path: pathlib.Path) -> _Stored | None:
  """Reads a plan; None if there is none.

  Raises:
    InputError: it is damaged.
  """
  if not path.exists():
    return None
  return schemas.decode(path.read_bytes(), _Stored, str(path))


def _plan(
  cell: Cell,
  config: ml_collections.ConfigDict,
  images: quick_plan.Images,
  budget: float,
  started: float,
) -> _Stored:
  """Measures at one image size or several, and plans.

  Raises:
    InputError: the budget is too small for anything.
  """
  name = cell.setting.name
  largest = cell.network.contract.image_size
  sizes = quick_plan.image_sizes(
    largest,
    networks.min_image_size(cell.network.name),
    networks.size_multiple(cell.network.name),
  )
  # Until there is a measurement, the largest that the budget may suffice for.
  size = _first_size(cell, sizes, images, budget)
  measured: dict[int, quick_plan.Timings] = {}
  while True:
    print(f'measuring at {size} px ...', flush=True)
    search = _search(cell, config[name], size, quick_plan.batch_size(images))
    measured[size] = step_timing.measure(search)
    expected = _at_all(measured, sizes)
    if len(measured) == _MAX_MEASURED:
      expected = measured
    elapsed = time.monotonic() - started
    remaining = (1 - quick_plan.MARGIN) * budget - elapsed
    plan = quick_plan.make(expected, images, remaining)
    if plan is None:
      _raise_too_small(expected.values(), images, budget, elapsed)
    if plan.image_size in measured:
      return _Stored(plan, measured[plan.image_size])
    size = plan.image_size


def _first_size(
  cell: Cell, sizes: Sequence[int], images: quick_plan.Images, budget: float
) -> int:
  """Guesses the image size, from a network's operations."""
  # Networks of depthwise convolutions reach a third of the speed.
  speed = cost_model.operations_per_second() / 3
  batch = quick_plan.batch_size(images)
  step = 3 * batch * operations.forward(cell.network) / speed
  image = operations.forward(cell.network) / speed
  guess = quick_plan.Timings(sizes[0], 3, 15, step, 5, image, 1e-3, 0.3, 12)
  expected = _at_all({sizes[0]: guess}, sizes)
  plan = quick_plan.make(expected, images, 0.8 * budget)
  return plan.image_size if plan else sizes[-1]


def _at_all(
  measured: Mapping[int, quick_plan.Timings], sizes: Sequence[int]
) -> dict[int, quick_plan.Timings]:
  """Returns the times at all sizes, from the nearest that was measured."""
  return {
    size: measured[min(measured, key=lambda m: abs(m - size))].at(size)
    for size in sizes
  }


def _search(
  cell: Cell, fields: ml_collections.ConfigDict, size: int, batch_size: int
) -> search_spec.Search:
  """Returns the search that is measured; nothing is written to its place."""
  fields = ml_collections.ConfigDict(fields.to_dict())
  fields.update({'batch_size': batch_size, 'gradient_accumulation_steps': 1})
  return search_spec.Search(
    net=cell.network.with_image_size(size),
    dataset=cell.dataset,
    config=fields,
    setting=cell.setting.name,
    pretrained=cell.setting.needs_weights,
    corrupt='skip',
    directory=pathlib.Path(),
    identity='measured',
    description=f'{cell.description}, measured',
    mesh=devices.data_mesh(),
  )


def _raise_too_small(
  timings: Sequence[quick_plan.Timings],
  images: quick_plan.Images,
  budget: float,
  elapsed: float,
) -> None:
  """Raises an InputError that says which budget suffices."""
  least = quick_plan.least_seconds(list(timings), images) + elapsed
  # Measured again, it will be a little different.
  minutes = int(np.ceil(1.1 * least / (1 - quick_plan.MARGIN) / 60))
  raise errors.InputError(
    f'config.budget: {units.duration(budget, precise=True)} is too short here; '
    f'the smallest that works is about --config.budget={minutes}m'
  )


def _show(
  cell: Cell, plan: quick_plan.Plan, images: quick_plan.Images, budget: float
) -> None:
  """Says what was chosen, and why."""
  fields = plan.fields()
  print(
    f'chosen: {plan.image_size} px; {counted(plan.num_trials, "trial")} '
    f'({plan.num_learning_rates} learning rates from '
    f'{fields["learning_rate_min"]:g} to {fields["learning_rate_max"]:g} × '
    f'{counted(plan.num_weight_decays, "weight decay")}), halved on the way; '
    f'{plan.steps:,} steps of {plan.batch_size} images '
    f'({quick_plan.epochs(plan, images):.1f} epochs), then the refit on train '
    f'+ val and the test: about {units.duration(plan.seconds, precise=True)} '
    f'of the budget of {units.duration(budget, precise=True)}'
  )
  largest = cell.network.contract.image_size
  why = quick_plan.reason(plan, images, largest)
  if why:
    print(f'  because {why}', flush=True)


def _apply(
  config: ml_collections.ConfigDict, cell: Cell, plan: quick_plan.Plan
) -> None:
  """Sets the fields that the plan decides."""
  if plan.image_size != cell.network.contract.image_size:
    config.image_size = plan.image_size
  config[cell.setting.name].update(plan.fields())


def _conclude(
  record: Record, cell: Cell, stored: _Stored, workdir: pathlib.Path
) -> None:
  """Compares with fixed features, and says what the protocol would take."""
  for other in ledger.read_all(workdir).values():
    if _is_comparable(record, other):
      print(_compare(record, other, workdir))
  protocol = config_fields.defaults(
    config_fields.fields(config_fields.of_job('study'))[cell.setting.name]
  )
  size = cell.network.contract.image_size
  timings = stored.timings.at(size)
  steps = operations.training_steps(cell.dataset, protocol)
  step = timings.step * protocol.batch_size / stored.plan.batch_size
  print(
    f"the paper's protocol, {steps:,} steps of {protocol.batch_size} images "
    f'at {size} px in all, would take about {units.duration(steps * step)} '
    f'on {devices.describe()}'
  )


def _is_comparable(record: Record, other: Record) -> bool:
  """Whether a record is of fixed features of the same weights and images."""
  same = ('weights_sha256', 'splits_sha256', 'metric')
  return (
    other['setting'] in settings.SETTINGS
    and settings.row(other['setting']).uses_features
    and all(record[name] == other[name] for name in same)
  )


def _compare(record: Record, other: Record, workdir: pathlib.Path) -> str:
  """Compares two cells on the same test images, with a paired test."""
  arrays = [predictions.read(each, workdir) for each in (record, other)]
  text = (
    f'{settings.title(other["setting"])} of the same network: '
    f'{other["test"]["value"]:.2%}, fine-tuned {record["test"]["value"]:.2%}'
  )
  same = np.array_equal(arrays[0]['digest'], arrays[1]['digest'])
  if not same or record['metric'] != 'top1':
    return text
  p = paired_tests.mcnemar(*(each['correct'] for each in arrays))
  verdict = 'they differ' if p < 0.05 else 'the test does not tell them apart'
  return f'{text}: {verdict} (McNemar, p = {p:.2g})'


def _say_time(seconds: float, budget: float) -> None:
  """Says how long the job took."""
  print(
    f'took {units.duration(seconds, precise=True)} of the budget of '
    f'{units.duration(budget, precise=True)}, {seconds / budget:.0%}',
    flush=True,
  )
