"""Compares records with the paper's numbers, and says why they may differ.

Every reason is read off the record and the tables of networks, datasets and
published numbers; what they do not say is not guessed.
"""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from tf_transfer import datasets
from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.study import names
from tf_transfer.study.analysis import accuracy_table, recipes, uncertainty
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
# Another word for the same search: it only reports more.
_SYNONYMS = {'both': 'exhaustive'}
_MAX_LISTED = 5  # Values that are written out one by one.


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
  """How a record compares with the paper's number.

  Attributes:
    paper: the paper's accuracy in 0 to 1; None where it has no such cell.
    reading: how far that may be off, being read off a figure.
    difference: ours minus the paper's.
    within_sampling: whether the paper's number, give or take the reading, lies
      in our interval of the draw of test images. That is no test: the paper's
      network was tested on the same images, where the splits are official.
    within_runs: whether it could be one more of our training runs on the same
      images (`uncertainty.next_run`), give or take the reading; None of one
      run, with which that cannot be judged.
    reasons: why the two may differ; where there is no such cell, which part
      of it the paper does not have.
  """

  paper: float | None
  reading: float | None
  difference: float | None
  within_sampling: bool | None
  within_runs: bool | None
  reasons: tuple[Reason, ...]


@functools.cache
def _published() -> Mapping[tuple[str, str, str], accuracy_table.Record]:
  """Returns the paper's records by setting, network and dataset."""
  return {
    (r['setting'], r['network'], r['dataset']): r for r in numbers.records()
  }


def compare(record: accuracy_table.Record) -> Comparison:
  """Compares a record of a ledger with the paper's number."""
  cell = record['setting'], record['network'], record['dataset']
  published = _published().get(cell)
  if published is None:
    reasons = tuple(_not_in_the_paper(cell))
    return Comparison(None, None, None, None, None, reasons)
  paper, test = published['test']['value'], record['test']
  reading = float(numbers.reading_error(np.array(paper)))
  next_run = uncertainty.next_run(record)
  return Comparison(
    paper,
    reading,
    test['value'] - paper,
    _holds((test['low'], test['high']), paper, reading),
    None if next_run is None else _holds(next_run, paper, reading),
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


def _holds(interval: tuple[float, float], paper: float, reading: float) -> bool:
  """Returns whether an interval holds the paper's number, or its reading."""
  low, high = interval
  return low - reading <= paper <= high + reading


def _not_in_the_paper(cell: tuple[str, str, str]) -> list[Reason]:
  """Returns which part of a cell the paper does not have."""
  setting, network, dataset = cell
  published = zip(*_published(), strict=True)
  titles = (
    names.setting_text(setting),
    names.display_name(network),
    names.display_name(dataset),
  )
  return [
    Reason(f'{part} not in the paper', f'its figure 2 has no {title}')
    for part, name, title, published_names in zip(
      ('setting', 'network', 'dataset'), cell, titles, published, strict=True
    )
    if name not in published_names
  ]


def _weights(record: accuracy_table.Record) -> list[Reason]:
  """Returns how the pretrained weights differ, if there are any."""
  if not recipes.uses_weights(record):
    return []
  paper_top1 = numbers.imagenet_top1()[record['network']]
  top1 = record['imagenet_top1']
  top1_text = 'unknown' if top1 is None else f'{top1:.1%}'
  recipe = recipes.from_record(record)
  recipe_text = 'not recorded' if recipe == recipe_lib.UNKNOWN else recipe
  return [
    Reason(
      'weights',
      f'the paper trained its own: ImageNet top-1 {top1_text} here, '
      f'{paper_top1:.1%} there. Recipe here: {recipe_text}. There: BN scale; '
      'no label smoothing, dropout or auxiliary head',
    )
  ]


def _images(record: accuracy_table.Record) -> list[Reason]:
  """Returns which images were left out or are not the paper's."""
  texts = []
  expected = datasets.row(record['dataset']).counts['test']
  tested = record['test']['examples']
  if tested != expected:
    texts.append(f'tested on {tested:,} of {expected:,} images')
  if record['skipped']:
    texts.append(f'{len(record["skipped"]):,} corrupt images left out')
  return [Reason('images', text) for text in (*texts, *record['notes'])]


def _preprocessing(record: accuracy_table.Record) -> list[Reason]:
  """Returns how images were prepared, and features taken, in another way."""
  texts = []
  size = record['image_size']
  paper_size = numbers.image_size()[record['network']]
  if size and size != paper_size:
    texts.append(f'images of {size} px, in the paper {paper_size} px')
  if not record['trials']:  # On fixed features.
    if record['preprocessing'] != 'whole_image':
      resize = record['preprocessing'].replace('_', ' ')
      texts.append(f'images {resize}, in the paper the whole image resized')
    if record['layer']:
      texts.append(
        f'features of layer {record["layer"]}, in the paper those ahead of the '
        'logits'
      )
    if record['pyramid'] != [1]:
      texts.append(f'features over a pyramid of {record["pyramid"]} cells')
  return [Reason('preprocessing', text) for text in texts]


def _splits(record: accuracy_table.Record) -> list[Reason]:
  """Returns which splits were drawn by us, where there are no official ones."""
  holdout = datasets.row(record['dataset']).holdout
  if holdout is None:
    return []
  reasons = [
    Reason(
      'validation split',
      'validation images are our draw: the paper’s are not published',
    )
  ]
  per_class = holdout.trainval_per_class
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
  """Returns which fields of the search differ from the paper's."""
  search = record['search']
  texts = [
    f'{_field_text(name)} {_value_text(search[name])} '
    f'(paper: {_value_text(value)})'
    for name, value in _SEARCHES[record['setting']].items()
    if name in search and _differs(search[name], value)
  ]
  return [Reason('search', ', '.join(texts))] if texts else []


def _differs(ours: float | str, papers: float | str) -> bool:
  """Returns whether two values of a field of the search differ."""
  if isinstance(papers, str):
    return _SYNONYMS.get(ours, ours) != papers
  return not np.isclose(float(ours), float(papers), atol=0)


def _field_text(name: str) -> str:
  """Returns the name of a field in words."""
  return name.removeprefix('num_').replace('_', ' ')


def _value_text(value: float | bool | str) -> str:
  """Returns the value of a field in words."""
  if isinstance(value, str):
    return value
  if isinstance(value, bool):
    return 'yes' if value else 'no'
  return f'{value:,}' if isinstance(value, int) else f'{value:.3g}'


def _convergence(record: accuracy_table.Record) -> list[Reason]:
  """Returns which fits or trials did not converge, as reasons."""
  return [Reason('convergence', text) for text in unconverged(record)]


def unconverged(record: accuracy_table.Record) -> list[str]:
  """Returns which fits of a record did not converge, or trials diverged."""
  texts, solver = [], record['solver']
  if solver and not solver['converged']:
    texts.append('the final fit did not converge')
  if solver and solver['unconverged_penalties']:
    values = solver['unconverged_penalties']
    listed = ', '.join(f'{value:.3g}' for value in values[:_MAX_LISTED])
    num_more = len(values) - _MAX_LISTED
    more = f' and {num_more} more' * (num_more > 0)
    texts.append(
      f'{len(values)} of the fits on train did not converge (at {listed}{more})'
    )
  diverged = [t for t in record['trials'] if t['diverged'] is not None]
  if diverged:
    texts.append(f'{len(diverged)} of {len(record["trials"])} trials diverged')
  return texts


def at_the_end(record: accuracy_table.Record) -> list[str]:
  """Returns which chosen hyperparameters lie at an end of the search range."""
  texts, search = [], record['search']
  for name, value in record['chosen'].items():
    if f'{name}_min' in search:
      ends = search[f'{name}_min'], search[f'{name}_max']
    elif name in search and isinstance(search[name], (list, tuple)):
      ends = min(search[name]), max(search[name])
    else:
      continue
    if ends[0] < ends[1] and np.isclose(value, ends, atol=0).any():
      texts.append(
        f'{name.replace("_", " ")} {value:.3g} is at an end of the search range'
      )
  return texts
