"""A record beside the paper's number, and why the two may differ.

Every reason is read off the record and the tables of networks, datasets and
published numbers; what they do not say is not guessed.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from tf_transfer import datasets
from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.study.analysis import accuracy_table, recipes
from tf_transfer.study.figures import panels
from tf_transfer.study.paper import numbers

# The search of the paper (sections 4 and 5 of the protocol), as records of the
# full configs have it.
_PENALTIES = {'num_penalties': 45, 'penalty_min': 1e-6, 'penalty_max': 1e5}
_TRAINING = {
  'search': 'exhaustive',
  'steps': 20_000,
  'min_epochs': 0,
  'early_stopping': False,
  'refit_on_trainval': True,
  'batch_size': 256,
  'gradient_accumulation_steps': 1,
  'precision': 'float32',
  'num_learning_rates': 7,
  'label_smoothing': 0.0,
  'dropout': 0.0,
  'auxiliary_head': False,
  'ema_decay': 0.0,
}
_SEARCHES: Mapping[str, Mapping[str, float | str]] = {
  'logistic_regression': _PENALTIES,
  'fine_tuned': {
    **_TRAINING,
    'learning_rate_min': 1e-4,
    'learning_rate_max': 1e-1,
    'num_weight_decays': 7,
    'weight_decay_min': 1e-6,
    'weight_decay_max': 1e-3,
    'include_zero_weight_decay': True,
  },
  'random_init': {
    **_TRAINING,
    'learning_rate_min': 1e-3,
    'learning_rate_max': 1.0,
    'num_weight_decays': 8,
    'weight_decay_min': 1e-5,
    'weight_decay_max': 10**-1.5,
    'include_zero_weight_decay': False,
  },
}
# What stands in records for the same search: it only says more.
_SAME = {'both': 'exhaustive'}
_TRAINED = ('fine_tuned', 'random_init')


@dataclasses.dataclass(frozen=True)
class Reason:
  """Why a record may differ from the paper's number.

  Attributes:
    topic: a word or two.
    text: a sentence.
  """

  topic: str
  text: str


@dataclasses.dataclass(frozen=True)
class Comparison:
  """A record beside the paper's number.

  Attributes:
    paper: the paper's accuracy in 0 to 1; None where it has no such cell.
    reading: how far that may be off, being read off a figure.
    difference: ours less the paper's.
    within: whether the paper's number, give or take the reading, lies in our
      95 % interval.
    reasons: why the two may differ; where there is no such cell, which part
      of it the paper does not have.
  """

  paper: float | None
  reading: float | None
  difference: float | None
  within: bool | None
  reasons: tuple[Reason, ...]


@functools.cache
def _published() -> Mapping[tuple[str, str, str], accuracy_table.Record]:
  return {
    (r['setting'], r['network'], r['dataset']): r for r in numbers.records()
  }


def of(record: accuracy_table.Record) -> Comparison:
  """Compares a record of a ledger with the paper's number."""
  cell = record['setting'], record['network'], record['dataset']
  theirs = _published().get(cell)
  if theirs is None:
    return Comparison(None, None, None, None, tuple(_not_in_the_paper(cell)))
  paper, test = theirs['test']['value'], record['test']
  reading = float(numbers.reading_error(np.array(paper)))
  return Comparison(
    paper,
    reading,
    test['value'] - paper,
    test['low'] - reading <= paper <= test['high'] + reading,
    (
      *_weights(record),
      *_images(record),
      *_preprocessing(record),
      *_splits(record),
      *_search(record),
      *_convergence(record),
      Reason(
        'reading',
        f'the paper’s number was read off its figure 2, '
        f'to within {100 * reading:.1f} points',
      ),
    ),
  )


def _not_in_the_paper(cell: tuple[str, str, str]) -> list[Reason]:
  setting, network, dataset = cell
  _, networks, their_datasets = (
    set(c) for c in zip(*_published(), strict=True)
  )
  return [
    Reason(f'{what} not in the paper', f'its figure 2 has no {name}')
    for what, name, has in (
      (
        'setting',
        panels.setting_text(setting),
        setting in numbers.SETTINGS,
      ),
      ('network', panels.display_name(network), network in networks),
      ('dataset', panels.display_name(dataset), dataset in their_datasets),
    )
    if not has
  ]


def _weights(record: accuracy_table.Record) -> list[Reason]:
  if record['setting'] == 'random_init':
    return []  # No weights of others went into it.
  theirs = numbers.imagenet_top1()[record['network']]
  top1 = record['imagenet_top1']
  here = 'unknown' if top1 is None else f'{top1:.1%}'
  given = recipes.of(record)
  recipe = 'not recorded' if given == recipe_lib.UNKNOWN else given
  return [
    Reason(
      'weights',
      f'the paper trained its own: ImageNet top-1 {here} here, {theirs:.1%} '
      f'there. Recipe here: {recipe}. There: BN scale; no label smoothing, '
      'dropout or auxiliary head',
    )
  ]


def _images(record: accuracy_table.Record) -> list[Reason]:
  reasons = []
  expected = datasets.row(record['dataset']).counts['test']
  found = record['test']['examples']
  if found != expected:
    reasons.append(
      Reason('images', f'tested on {found:,} of {expected:,} images')
    )
  if record['skipped']:
    count = len(record['skipped'])
    reasons.append(Reason('images', f'{count:,} corrupt images left out'))
  reasons += [Reason('images', note) for note in record['notes']]
  return reasons


def _preprocessing(record: accuracy_table.Record) -> list[Reason]:
  reasons = []
  size = record['image_size']
  if size and size != numbers.image_size()[record['network']]:
    reasons.append(
      f'images of {size} px, in the paper '
      f'{numbers.image_size()[record["network"]]} px'
    )
  if record['setting'] not in _TRAINED:
    if record['preprocessing'] != 'whole_image':
      how = record['preprocessing'].replace('_', ' ')
      reasons.append(f'images {how}, in the paper the whole image resized')
    if record['layer']:
      reasons.append(
        f'features of layer {record["layer"]}, in the paper those ahead of the '
        'logits'
      )
    if record['pyramid'] != [1]:
      reasons.append(f'features over a pyramid of {record["pyramid"]} cells')
  return [Reason('preprocessing', text) for text in reasons]


def _splits(record: accuracy_table.Record) -> list[Reason]:
  held_out = datasets.row(record['dataset']).holdout
  if held_out is None:
    return []
  reasons = [
    Reason(
      'validation split',
      'validation images are our draw: the paper’s are not published',
    )
  ]
  per_class = held_out.trainval_per_class
  if per_class is not None:
    reasons.append(
      Reason(
        'test split',
        f'{per_class} images of each class were drawn for training '
        'and the rest is test: our draw, not the paper’s',
      )
    )
  return reasons


def _search(record: accuracy_table.Record) -> list[Reason]:
  search = record['search']
  differ = [
    f'{name.replace("_", " ")} {_plain(search[name])} (paper: {_plain(value)})'
    for name, value in _SEARCHES[record['setting']].items()
    if name in search and _unlike(search[name], value)
  ]
  return [Reason('search', ', '.join(differ))] if differ else []


def _unlike(ours: float | str, theirs: float | str) -> bool:
  if isinstance(theirs, str):
    return _SAME.get(ours, ours) != theirs
  return not np.isclose(float(ours), float(theirs), atol=0)


def _plain(value: float | bool | str) -> str:
  if isinstance(value, str):
    return value
  if isinstance(value, bool):
    return 'yes' if value else 'no'
  return f'{value:,}' if isinstance(value, int) else f'{value:.3g}'


def _convergence(record: accuracy_table.Record) -> list[Reason]:
  return [Reason('convergence', text) for text in unconverged(record)]


def unconverged(record: accuracy_table.Record) -> Sequence[str]:
  """What of a record's fits or trials did not reach an end, in words."""
  found, solver = [], record['solver']
  if solver and not solver['converged']:
    found.append('the final fit did not converge')
  if solver and solver['unconverged_penalties']:
    values = solver['unconverged_penalties']
    listed = ', '.join(f'{value:.3g}' for value in values[:5])
    more = f' and {len(values) - 5} more' * (len(values) > 5)
    found.append(
      f'{len(values)} of the fits on train did not converge (at {listed}{more})'
    )
  diverged = [t for t in record['trials'] if t['diverged'] is not None]
  if diverged:
    found.append(f'{len(diverged)} of {len(record["trials"])} trials diverged')
  return found


def at_the_end(record: accuracy_table.Record) -> Sequence[str]:
  """The chosen hyperparameters that lie at an end of what was searched."""
  found, search = [], record['search']
  for name, value in record['chosen'].items():
    if f'{name}_min' in search:
      ends = search[f'{name}_min'], search[f'{name}_max']
    elif name in search and isinstance(search[name], (list, tuple)):
      ends = min(search[name]), max(search[name])
    else:
      continue
    if ends[0] < ends[1] and np.isclose(value, ends, atol=0).any():
      found.append(
        f'{name.replace("_", " ")} {value:.3g} is at the end of what was '
        'searched'
      )
  return found
