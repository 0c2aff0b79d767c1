"""Asks before a job that is estimated to take more than a day."""

import functools
from collections.abc import Mapping, Sequence

import jax
import ml_collections
import numpy as np
from jax.experimental import multihost_utils

from tf_transfer import errors
from tf_transfer.runtime import commands, devices, units
from tf_transfer.study import cost_model
from tf_transfer.transfer.setting import Cell

# The longest estimate with which a job starts unasked.
MAX_SECONDS = 86_400.0
# What is suggested: as many steps, trials and parts.
_SHORTER, _NUM_PARTS = 10, 16


def check(
  seconds: float, config: ml_collections.ConfigDict, advice: Sequence[str]
) -> None:
  """Refuses a job that is estimated beyond a day, unless it is allowed.

  All processes must call it together.

  Args:
    seconds: the estimate, of what this job still has to run.
    config: of the job, with `allow_long`.
    advice: what would shorten it, a phrase each.

  Raises:
    InputError: the job is too long; one line that says how to shorten it.
  """
  if jax.process_count() > 1:
    # Each measures its own speed, and all must decide alike.
    seconds = float(multihost_utils.broadcast_one_to_all(np.float32(seconds)))
  if seconds <= MAX_SECONDS or config.allow_long:
    return
  hints = [*advice, *_advise_accelerator()]
  shorter = f'shorter: {"; ".join(hints)}. ' if hints else ''
  raise errors.InputError(
    f'this takes about {units.duration(seconds)} on {devices.describe()}, '
    f'give or take a factor of three. {shorter}As it is: '
    '--config.allow_long=True'
  )


def check_cells(
  cells: Sequence[Cell],
  seconds: float,
  config: ml_collections.ConfigDict,
) -> None:
  """Refuses a study that is estimated beyond a day, unless it is allowed.

  Args:
    cells: that are to be run here.
    seconds: the estimate for them.
    config: of the study.

  Raises:
    InputError: the study is too long; one line that says how to shorten it.
  """
  too_long = seconds > MAX_SECONDS and not config.allow_long
  check(seconds, config, _advise(cells, config) if too_long else ())


def _advise(
  cells: Sequence[Cell], config: ml_collections.ConfigDict
) -> list[str]:
  """Says what shortens a study, and how long each way then takes."""
  speed = cost_model.operations_per_second()
  estimate = functools.partial(_total, cells, speed=speed)
  seconds = estimate(config)
  texts = []
  for name in dict.fromkeys(c.setting.name for c in cells if c.setting.trains):
    for changes in _changes(config[name]):
      shorter = ml_collections.ConfigDict(config.to_dict())
      shorter[name].update(changes)
      total = estimate(shorter)
      if total < 0.9 * seconds:
        fields = ' '.join(
          f'--config.{name}.{field}={value}' for field, value in changes.items()
        )
        texts.append(f'{fields} ({units.duration(total)})')
  rows = [cell.setting for cell in cells]
  if len(rows) == 1 and rows[0].trains and rows[0].needs_weights:
    network, dataset = config.networks[0], config.datasets[0]
    argument = commands.join(f'--config=fine_tune_quick:{network},{dataset}')
    texts.append(f'{argument} (20 min)')
  if len(cells) > 1:
    longest = max(cost_model.cell_seconds(cells, config, speed).values())
    part = max(seconds / _NUM_PARTS, longest)
    if not config.part and part < 0.9 * seconds:
      texts.append(
        f'--config.part=1/{_NUM_PARTS} to {_NUM_PARTS}/{_NUM_PARTS} on several '
        f'machines ({units.duration(part)} each)'
      )
    texts.append('fewer config.networks, datasets or settings')
  return texts


def _total(
  cells: Sequence[Cell], config: ml_collections.ConfigDict, speed: float
) -> float:
  """Returns the seconds of all cells together."""
  return sum(cost_model.cell_seconds(cells, config, speed).values())


def _changes(fields: ml_collections.ConfigDict) -> list[Mapping[str, object]]:
  """Returns what can be changed of a search to shorten it."""
  changes: list[dict[str, object]] = []
  if fields.search != 'halving':
    changes.append({'search': 'halving'})
  if fields.steps >= _SHORTER:
    fewer = {'steps': fields.steps // _SHORTER}
    if fields.min_epochs:
      fewer['min_epochs'] = fields.min_epochs // _SHORTER
    changes.append(fewer)
  if fields.num_weight_decays > 1 or fields.include_zero_weight_decay:
    changes.append(
      {
        'num_weight_decays': 1,
        'include_zero_weight_decay': False,
        'num_learning_rates': min(3, fields.num_learning_rates),
      }
    )
  return changes


def _advise_accelerator() -> list[str]:
  """Suggests an accelerator where there is none."""
  on_cpu = all(device.platform == 'cpu' for device in jax.devices())
  return ['an accelerator'] if on_cpu else []
