"""Runs the job of configs/public_recipes.py: public weights by their recipes.

The public weights of an architecture -> a study on fixed features -> mean
log-odds of each over the datasets, against its ImageNet top-1, by what its
recipe has; and for each ingredient the difference that goes with it, within
architectures, beside the paper's.
"""

import pathlib
from collections.abc import Mapping, Sequence

import ml_collections
import numpy as np

from tf_transfer import config_fields, errors, networks
from tf_transfer.configs import base
from tf_transfer.jobs import study
from tf_transfer.networks import published_timm, weights
from tf_transfer.runtime import csv_text, devices, files
from tf_transfer.runtime.units import counted
from tf_transfer.study import attempts as attempts_lib
from tf_transfer.study import weights_files
from tf_transfer.study.analysis import (
  accuracy_table,
  recipe_effects,
  recipes,
  statistics,
)
from tf_transfer.study.figures import public_recipes as figures
from tf_transfer.study.network_names import Kind
from tf_transfer.study.paper import numbers
from tf_transfer.study.report import text_table
from tf_transfer.study.schema import Record

_ALL = 'all'
_SETTING = 'logistic_regression'
_TABLE, _EFFECTS = 'public_recipes', 'recipe_effects'
_WORDS = {True: 'yes', False: 'no', None: '?'}
# On the standard output and beside the figures, in this order.
CAVEAT = (
  'These recipes differ in many things at once, and nobody drew by lot which '
  'weights got what: a difference goes with an ingredient and need not be its '
  'effect. Each ingredient is taken by itself; no interval allows for the '
  'number of ingredients.'
)


def _name_network(name: str) -> str:
  """Returns the network of the table that a network of the config is of.

  Raises:
    InputError: there is no such file, or it is damaged.
  """
  source = weights_files.locate(name)
  if source.kind is Kind.FILE and source.path is not None:
    return weights.read_header(source.path).network
  if source.kind is Kind.HUB:
    from tf_transfer.convert_weights import hub_config

    return hub_config.network_of(name)
  return name if source.kind is Kind.TABLE else ''


def _select_networks(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> tuple[str, ...]:
  """Returns the networks of the config, 'all' replaced by what is available.

  Raises:
    InputError: a network is of another architecture, or there is none.
  """
  wanted = tuple(config.architectures)
  for name in wanted:
    networks.row(name)
  selected: list[str] = []
  for name in config.networks:
    if name == _ALL:
      available = weights_files.available(config, workdir)
      selected += [one for one in available if _name_network(one) in wanted]
    elif (network := _name_network(name)) in wanted:
      selected.append(name)
    else:
      raise errors.InputError(
        f'config.networks: {name} is {network or "of no network of the table"}'
        f', and config.architectures are {", ".join(wanted)}'
      )
  if not selected:
    folder = weights_files.directory(config, workdir)
    raise errors.InputError(
      f'there are no weights of {" or ".join(wanted)} in {folder}: convert '
      'some with tf-transfer-convert, or fetch those on the hub with '
      f'--config=public_recipes:{wanted[0]},hub'
    )
  return tuple(dict.fromkeys(selected))


def _study_config(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> ml_collections.ConfigDict:
  """Builds the config of the study."""
  fields = config.to_dict()
  names = config_fields.fields(base.Study)
  study_config = ml_collections.ConfigDict({n: fields[n] for n in names})
  study_config.job = 'study'
  study_config.networks = _select_networks(config, workdir)
  return study_config


def _find_top1(record: Record, image_size: int) -> float:
  """Returns the ImageNet top-1 of a record's network at its image size.

  Where timm publishes one at this size, it is that; else what the weights file
  states, unless the study has a size of its own that is not the network's.
  Another measure than the top-1 of a trained head is none.

  Args:
    record: of the network.
    image_size: of the study's config; 0: the networks' own.

  Returns:
    In 0 to 1; NaN where it is unknown.
  """
  if record.get('imagenet_measure'):
    return np.nan
  name, tag = record['network'], record.get('weights_tag')
  for prefix in ('', 'tf_') if tag else ():
    checkpoint = f'{prefix}{name}.{tag}'
    top1 = published_timm.top1(checkpoint, record['image_size'])
    if top1:
      return top1.value
  is_own_size = image_size in (0, networks.row(name).image_size)
  if record['imagenet_top1'] is None or not is_own_size:
    return np.nan
  return record['imagenet_top1']


def make_checkpoints(
  records: Sequence[Record], image_size: int = 0
) -> list[recipe_effects.Checkpoint]:
  """Averages each network's log-odds over the datasets.

  Args:
    records: of all networks.
    image_size: of the study's config; 0: the networks' own.

  Raises:
    InputError: the networks have records on different datasets.
  """
  groups: dict[tuple[str, str], list[Record]] = {}
  for record in records:
    key = record['network'], record['weights_sha256']
    groups.setdefault(key, []).append(record)
  names = accuracy_table.labels(
    [(*key, group[0].get('weights_tag', '')) for key, group in groups.items()]
  )
  datasets = {record['dataset'] for record in records}
  for name, group in zip(names, groups.values(), strict=True):
    missing = datasets - {record['dataset'] for record in group}
    if missing:
      raise errors.InputError(
        f'{name} has no record on {", ".join(sorted(missing))}, and means over '
        'different datasets cannot be compared: leave the dataset out, or give '
        'the same command again once other parts are done'
      )
  return [
    _make_checkpoint(name, group, image_size)
    for name, group in zip(names, groups.values(), strict=True)
  ]


def _make_checkpoint(
  name: str, records: Sequence[Record], image_size: int
) -> recipe_effects.Checkpoint:
  """Averages the records of one network."""
  first = records[0]
  values, halves = [], []
  for record in records:
    test = record['test']
    low, value, high = (
      float(statistics.log_odds(test[key], test['examples']))
      for key in ('low', 'value', 'high')
    )
    values.append(value)
    halves.append((high - low) / 2)
  return recipe_effects.Checkpoint(
    first['network'],
    first.get('weights_tag') or name,
    float(np.mean(values)),
    float(np.sqrt(np.sum(np.square(halves))) / len(halves)),
    _find_top1(first, image_size),
    recipes.from_record(first),
  )


_HEADERS = (
  *('network', 'weights', 'ImageNet top-1', 'mean log-odds', '95 % +-'),
  *recipe_effects.FACTORS.values(),
)


def _table_rows(
  checkpoints: Sequence[recipe_effects.Checkpoint],
) -> list[tuple[str, ...]]:
  """Formats a row for each checkpoint, the best features first."""
  return [
    (
      one.architecture,
      one.label,
      '?' if np.isnan(one.top1) else f'{one.top1:.2%}',
      f'{one.mean_log_odds:.3f}',
      f'{one.error:.3f}',
      *(_WORDS[one.has(factor)] for factor in recipe_effects.FACTORS),
    )
    for one in sorted(checkpoints, key=lambda one: -one.mean_log_odds)
  ]


_EFFECT_HEADERS = (
  *('ingredient', 'with', 'without', 'not known'),
  *('difference', '95 % interval', 'at equal top-1', '95 % interval'),
  *("the paper's difference", '95 % interval', 'goes with'),
)


def _format(estimate: recipe_effects.Estimate | None) -> tuple[str, str]:
  """Formats an estimate and its interval, or why there is none."""
  if estimate is None:
    return '-', ''
  if estimate.problem:
    return '-', estimate.problem
  return (
    f'{estimate.value:+.3f}',
    f'{estimate.low:+.3f} to {estimate.high:+.3f}',
  )


def _effect_rows(
  effects: Sequence[recipe_effects.Effect],
  paper: Mapping[str, recipe_effects.Estimate],
) -> list[tuple[str, ...]]:
  """Formats a row for each ingredient."""
  return [
    (
      recipe_effects.FACTORS[effect.factor],
      f'{effect.num_with}',
      f'{effect.num_without}',
      f'{effect.num_unknown}',
      *_format(effect.difference),
      *_format(effect.at_equal_top1),
      *_format(paper.get(effect.factor)),
      _say_companions(effect),
    )
    for effect in effects
  ]


def _say_companions(effect: recipe_effects.Effect) -> str:
  """Says which ingredients go with one."""
  parts = [f'always {name}' for name in effect.same]
  parts += [f'mostly {name}' for name in effect.alike]
  if _rests_on_one(effect):
    parts.append('rests on one weights file')
  return ', '.join(parts)


def _rests_on_one(effect: recipe_effects.Effect) -> bool:
  """Tells whether one checkpoint alone has an ingredient, or lacks it."""
  return min(effect.num_with, effect.num_without) == 1


def paper_effects() -> dict[str, recipe_effects.Estimate]:
  """Returns the differences of the paper's figure 3, by factor."""
  points = numbers.training_settings(_SETTING)
  return recipe_effects.from_configurations(
    {(p.network, p.configuration): p.mean_log_odds for p in points}
  )


def _answer(
  checkpoints: Sequence[recipe_effects.Checkpoint],
  effects: Sequence[recipe_effects.Effect],
) -> list[str]:
  """Says in sentences what the weights show."""
  architectures = dict.fromkeys(one.architecture for one in checkpoints)
  lines = [
    f'{counted(len(checkpoints), "weights file", "weights files")} of '
    f'{", ".join(architectures)}. Differences are of mean log-odds on fixed '
    'features, by least squares with a mean for each architecture; at equal '
    'top-1 with the log-odds of ImageNet top-1 too.'
  ]
  num_unknown = sum(bool(np.isnan(one.top1)) for one in checkpoints)
  if num_unknown:
    lines.append(
      f'Without an ImageNet top-1 at the image size of the study: '
      f'{num_unknown} of them. They count in the difference alone.'
    )
  estimated = [e for e in effects if not e.at_equal_top1.problem]
  told = [
    e for e in estimated if e.at_equal_top1.low > 0 or e.at_equal_top1.high < 0
  ]
  for effect in told:
    estimate = effect.at_equal_top1
    word = 'better' if estimate.value > 0 else 'worse'
    name = recipe_effects.FACTORS[effect.factor]
    line = (
      f'At equal top-1, features of weights with {name} are {word}: '
      f'{_format(estimate)[0]} ({_format(estimate)[1]}).'
    )
    if effect.same:
      line += f' So they are with {", ".join(effect.same)}: the same weights.'
    if _rests_on_one(effect):
      line += ' It rests on one weights file.'
    lines.append(line)
  if estimated and not told:
    lines.append(
      'At equal top-1 no difference is told from none: each interval has 0.'
    )
  if not estimated:
    lines.append('At equal top-1 no difference can be estimated.')
  return [*lines, CAVEAT]


def _write_csv(
  path: pathlib.Path,
  headers: Sequence[str],
  rows: Sequence[Sequence[str]],
) -> None:
  """Writes a table as CSV."""
  with files.atomic_write(path) as file:
    file.write(csv_text.render([headers, *rows]).encode())
  print(f'table    {path}')


def _show(
  checkpoints: Sequence[recipe_effects.Checkpoint],
  workdir: pathlib.Path,
  attempts: attempts_lib.Attempts,
) -> None:
  """Prints, writes and draws the weights and what goes with ingredients."""
  effects = recipe_effects.estimate_all(checkpoints)
  paper = paper_effects()
  rows, effect_rows = _table_rows(checkpoints), _effect_rows(effects, paper)
  print(f'\n{text_table.aligned(rows, _HEADERS, "l")}')
  print(f'\n{text_table.aligned(effect_rows, _EFFECT_HEADERS, "l")}\n')
  print('\n'.join(_answer(checkpoints, effects)), end='\n\n')
  _write_csv(workdir / f'{_TABLE}.csv', _HEADERS, rows)
  _write_csv(workdir / f'{_EFFECTS}.csv', _EFFECT_HEADERS, effect_rows)
  drawings = [(_EFFECTS, figures.effects, (effects, paper))]
  if not all(np.isnan(one.top1) for one in checkpoints):
    arguments = checkpoints, effects
    drawings.insert(0, (_TABLE, figures.transfer_vs_top1, arguments))
  for name, draw, arguments in drawings:
    attempts.make(name, draw, *arguments, workdir / name)
    print(f'figure   {workdir / name}.png, {workdir / name}.pdf')


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Runs the study, and shows the weights by their recipes.

  Args:
    config: of the job, as `configs/public_recipes.py` documents.
    workdir: where everything is written.

  Raises:
    InputError: an input cannot be used; what is finished stays.
    Preempted: SIGTERM came; the same command goes on.
  """
  config_fields.check_job(config, 'public_recipes')
  devices.connect()
  workdir = files.make_directory(workdir)
  attempts = attempts_lib.Attempts()
  records = study.run(_study_config(config, workdir), workdir, attempts)
  if records and devices.is_leader():
    checkpoints = make_checkpoints(records, config.image_size)
    _show(checkpoints, workdir, attempts)
  attempts.raise_failures()
