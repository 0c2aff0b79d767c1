"""Defines the fields of a record: their types and ranges.

Every record passes `check`: when a ledger is read, whoever wrote it, and before
one is written. Fields that are not listed here are kept and used by nothing; a
field that means something raises `schema.SCHEMA`.
"""

import datetime
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import ml_collections
import msgspec
from msgspec import UNSET, Meta, UnsetType

from tf_transfer import errors
from tf_transfer.runtime import schemas
from tf_transfer.transfer import settings
from tf_transfer.transfer.fixed_features import classifiers

# More than this is no record that this program has written.
_MAX_DEPTH = 100
_MAX_INTEGER = 2**64
_ROUNDING = 1e-9  # An interval may end this far short of its value.

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[float, Meta(ge=0)]
AboveZero = Annotated[float, Meta(gt=0)]
Name = Annotated[str, Meta(min_length=1, max_length=4096)]
_IDENTITY = r'\A[0-9a-f]{32}\Z'
_SHA256 = r'\A[0-9a-f]{64}\Z'
_WEIGHTS = r'\A([0-9a-f]{64})?\Z'
# Never a path: what a foreign ledger names stays in its own directory.
_PREDICTIONS = r'\Apredictions/[0-9a-f]{32}\.npz\Z'
_HEAD = r'\Aheads/[0-9a-f]{32}\.npz\Z'
_PATTERNS = {
  _IDENTITY: '32 hexadecimal digits',
  _SHA256: '64 hexadecimal digits',
  _WEIGHTS: "64 hexadecimal digits, or '' without weights",
  _PREDICTIONS: 'predictions/IDENTITY.npz with 32 hexadecimal digits',
  _HEAD: 'heads/IDENTITY.npz with 32 hexadecimal digits',
}
Identity = Annotated[str, Meta(pattern=_IDENTITY)]
Sha256 = Annotated[str, Meta(pattern=_SHA256)]
Weights = Annotated[str, Meta(pattern=_WEIGHTS)]
Predictions = Annotated[str, Meta(pattern=_PREDICTIONS)]


class Measurement(msgspec.Struct):
  """A metric on a split, with its 95 % interval: `metrics.Measurement`."""

  value: Share
  low: Share
  high: Share
  examples: Annotated[int, Meta(ge=1, le=10**8)]

  def __post_init__(self) -> None:
    low, high = self.low - _ROUNDING, self.high + _ROUNDING
    if not low <= self.value <= high:
      raise ValueError(
        f'expected low <= value <= high, found low {self.low}, value '
        f'{self.value}, high {self.high}'
      )


class Run(msgspec.Struct):
  """A final training with a seed of its own: `result.Run`."""

  seed: int
  test: Measurement


class Estimate(msgspec.Struct):
  """An estimate of how well a network transfers: `estimators.Estimate`."""

  value: float | None
  seconds: NotNegative
  reason: str


class Splits(msgspec.Struct):
  """The hash of each split."""

  train: Sha256
  val: Sha256
  test: Sha256


class Head(msgspec.Struct):
  """The linear classifier of a cell on fixed features: `result.Head`."""

  path: Annotated[str, Meta(pattern=_HEAD)]
  sha256: Sha256
  temperature: AboveZero


class Recipe(msgspec.Struct):
  """How the network was pretrained: `networks.recipe.Recipe`."""

  bn_scale: bool | None
  label_smoothing: bool | None
  dropout: bool | None
  auxiliary_head: bool | None
  trained_on: str
  notes: str
  details: dict[str, Any]
  supervision: str | UnsetType = UNSET
  mixup: bool | UnsetType | None = UNSET
  cutmix: bool | UnsetType | None = UNSET
  bce: bool | UnsetType | None = UNSET
  ema: bool | UnsetType | None = UNSET
  distillation: bool | UnsetType | None = UNSET
  augmentation: str | UnsetType = UNSET
  epochs: int | UnsetType | None = UNSET
  resolution: int | UnsetType | None = UNSET
  sources: dict[str, str] | UnsetType = UNSET


class Contract(msgspec.Struct):
  """What the network expects of its input: `contract.Contract`."""

  image_size: Positive
  mean: Annotated[list[float], Meta(min_length=3, max_length=3)]
  std: Annotated[list[AboveZero], Meta(min_length=3, max_length=3)]
  channels: Literal['rgb', 'bgr']
  interpolation: Literal['bilinear', 'bicubic']
  antialias: bool
  pixel_centres: bool
  crop_fraction: Annotated[float, Meta(gt=0, le=1)]


class Search(msgspec.Struct):
  """Fields of a setting's config that determine numbers; each has some."""

  num_penalties: Positive | UnsetType = UNSET
  penalty_min: AboveZero | UnsetType = UNSET
  penalty_max: AboveZero | UnsetType = UNSET
  tolerance: NotNegative | UnsetType = UNSET
  refit_tolerance: NotNegative | UnsetType = UNSET
  max_evaluations: Count | UnsetType = UNSET
  neighbors: Annotated[list[Positive], Meta(min_length=1)] | UnsetType = UNSET
  num_learning_rates: Positive | UnsetType = UNSET
  learning_rate_min: AboveZero | UnsetType = UNSET
  learning_rate_max: AboveZero | UnsetType = UNSET
  num_weight_decays: Count | UnsetType = UNSET
  weight_decay_min: NotNegative | UnsetType = UNSET
  weight_decay_max: NotNegative | UnsetType = UNSET
  include_zero_weight_decay: bool | UnsetType = UNSET
  steps: Count | UnsetType = UNSET
  min_epochs: NotNegative | UnsetType = UNSET
  batch_size: Positive | UnsetType = UNSET
  gradient_accumulation_steps: Positive | UnsetType = UNSET
  seed: int | UnsetType = UNSET
  num_seeds: Positive | UnsetType = UNSET
  search: str | UnsetType = UNSET
  precision: str | UnsetType = UNSET
  label_smoothing: Share | UnsetType = UNSET
  dropout: Share | UnsetType = UNSET
  auxiliary_head: bool | UnsetType = UNSET
  ema_decay: Share | UnsetType = UNSET
  early_stopping: bool | UnsetType = UNSET
  evaluate_every: Count | UnsetType = UNSET
  halving_first: Share | UnsetType = UNSET
  halving_keep: Share | UnsetType = UNSET
  refit_on_trainval: bool | UnsetType = UNSET


class Chosen(msgspec.Struct):
  """The hyperparameters that did best on val; each setting has some."""

  penalty: AboveZero | UnsetType = UNSET
  neighbors: Positive | UnsetType = UNSET
  learning_rate: AboveZero | UnsetType = UNSET
  weight_decay: NotNegative | UnsetType = UNSET
  steps: Positive | UnsetType = UNSET
  view: str | UnsetType = UNSET


class Fold(msgspec.Struct):
  """A fold of a cross-validation: `result.Fold`."""

  fold: Count
  examples: Positive
  value: Share
  chosen: Chosen


class Solver(msgspec.Struct):
  """How closely a classifier's solver reached the optimum."""

  converged: bool | UnsetType = UNSET
  unconverged_penalties: list[float] | UnsetType = UNSET
  evaluations: Count | UnsetType = UNSET


class Evaluation(msgspec.Struct):
  """The metric on val after some steps of a trial, by view."""

  step: Count
  views: dict[str, Measurement]


class Trial(msgspec.Struct):
  """A trial of a search that trains the network."""

  learning_rate: AboveZero
  weight_decay: NotNegative
  diverged: Count | None
  validation: dict[str, Measurement]
  steps: Count
  losses: list[float | None]
  evaluations: list[Evaluation]


class Record(msgspec.Struct, kw_only=True):
  """A record of the present schema; docs/ledger.md says what fields mean."""

  identity: Identity
  version: int
  schema: int
  network: Name
  weights_sha256: Weights
  weights_tag: Name | UnsetType = UNSET
  options: dict[str, Any] | UnsetType = UNSET
  contract: Contract | UnsetType = UNSET
  # Before recipes had fields they were a text.
  recipe: Recipe | str
  imagenet_top1: Share | None
  imagenet_top1_source: str
  imagenet_measure: str | UnsetType = UNSET
  # Of a network that is not in the table.
  family: Name | UnsetType = UNSET
  dataset: Name
  num_classes: Annotated[int, Meta(ge=1, le=10**7)]
  metric: Literal['top1', 'mean_per_class', 'map11']
  splits_sha256: Splits
  split_sizes: dict[str, Positive] | UnsetType = UNSET
  split_seed: int
  examples_per_class: Count | UnsetType = UNSET
  subset_seed: int | UnsetType = UNSET
  setting: Name
  search: Search
  preprocessing: Name
  image_size: Count
  layer: str | UnsetType = UNSET
  pyramid: Annotated[list[Positive], Meta(min_length=1)] | UnsetType = UNSET
  corrupt: Literal['error', 'skip']
  skipped: list[str]
  last_fit_on: Literal['train'] | UnsetType = UNSET
  split_version: Literal[2] | UnsetType = UNSET
  group_by: str | UnsetType = UNSET
  num_folds: Annotated[int, Meta(ge=2, le=100)] | UnsetType = UNSET
  chosen: Chosen
  validation: Measurement
  test: Measurement
  runs: Annotated[list[Run], Meta(min_length=2)] | UnsetType = UNSET
  folds: Annotated[list[Fold], Meta(min_length=2)] | UnsetType = UNSET
  estimates: dict[str, Estimate] | UnsetType = UNSET
  fit_seconds: NotNegative | UnsetType = UNSET
  validation_curve: Annotated[list[Share | None], Meta(min_length=1)]
  solver: Solver
  trials: list[Trial]
  losses: list[float | None]
  predictions: Predictions
  head: Head | UnsetType = UNSET
  notes: list[str]
  versions: dict[str, str]
  device: str
  seconds: NotNegative
  finished: datetime.datetime


def check(record: Mapping[str, Any], place: str) -> dict[str, Any]:
  """Checks a record of the present schema.

  Args:
    record: what JSON can hold.
    place: where it is from, such as 'results.jsonl, line 3'.

  Returns:
    The record, in whose texts the controls of terminals are escaped.

  Raises:
    InputError: a field is missing, of another type or out of range; the message
      names it.
  """
  record = clean(record, place)
  typed = _convert(record, place)
  if typed.setting not in settings.SETTINGS:
    raise errors.InputError(
      f'{place}: setting: '
      f'{errors.unknown_name("setting", typed.setting, settings.SETTINGS)}'
    )
  for low in (name for name in record['search'] if name.endswith('_min')):
    high = f'{low.removesuffix("_min")}_max'
    if high not in record['search']:
      raise errors.InputError(
        f'{place}: search: object missing required field {high}'
      )
  if settings.SETTINGS[typed.setting].trains:
    problem = _problem_of_training(typed)
  else:
    problem = _problem_of_classifier(typed, record)
  problem = problem or _problem_of_folds(typed)
  if problem:
    raise errors.InputError(f'{place}: {problem}')
  return record


def _convert(record: Mapping[str, Any], place: str) -> Record:
  """Converts a record, or says in words what is expected in its place."""
  try:
    return schemas.convert(record, Record, place)
  except errors.InputError as error:
    text = str(error)
    for pattern, words in _PATTERNS.items():
      text = text.replace(f'str matching regex {pattern!r}', words)
    raise errors.InputError(text) from error


def _problem_of_folds(record: Record) -> str:
  """Says how folds contradict the rest of a record, or ''."""
  if (record.folds is UNSET) != (record.num_folds is UNSET):
    return 'folds: expected with num_folds, and not without'
  if record.folds is UNSET:
    return ''
  if [one.fold for one in record.folds] != list(range(record.num_folds)):
    return f'folds: expected {record.num_folds}, numbered from 0'
  if sum(one.examples for one in record.folds) != record.test.examples:
    return f'folds: expected {record.test.examples:,} examples in all'
  return ''


def _problem_of_training(record: Record) -> str:
  """Says which fields of a cell that trained contradict each other, or ''."""
  chosen = record.chosen
  if chosen.learning_rate is UNSET or chosen.weight_decay is UNSET:
    return 'chosen: expected learning_rate and weight_decay'
  if not record.trials or len(record.trials) != len(record.validation_curve):
    return (
      f'trials: expected one for each of the {len(record.validation_curve)} '
      f'values of validation_curve, found {len(record.trials)}'
    )
  return ''


def _problem_of_classifier(record: Record, fields: Mapping[str, Any]) -> str:
  """Says which fields of a cell on fixed features do not fit, or ''.

  Args:
    record: of the cell.
    fields: the same, as it was read.
  """
  for name in ('layer', 'pyramid'):
    if getattr(record, name) is UNSET:
      return f'object missing required field {name}'
  for name in ('converged', 'unconverged_penalties'):
    if getattr(record.solver, name) is UNSET:
      return f'solver: object missing required field {name}'
  if record.trials:
    return f'trials: expected none, found {len(record.trials)}'
  classifier = classifiers.CLASSIFIERS[record.setting]
  if classifier.hyperparameter is None:
    return ''
  if classifier.hyperparameter not in fields['chosen']:
    return f'chosen: object missing required field {classifier.hyperparameter}'
  # The grid is no larger than the record.
  count = len(record.validation_curve)
  if record.search.num_penalties not in (UNSET, count):
    return (
      f'validation_curve: expected {record.search.num_penalties:,} values, '
      f'one for each penalty, found {count:,}'
    )
  try:
    grid = classifier.grid(ml_collections.ConfigDict(fields['search']))
  except AttributeError as error:
    return f'search: a field is missing: {error}'
  if len(grid) != count:
    return f'validation_curve: expected {len(grid):,} values, found {count:,}'
  return ''


def clean(value: Any, place: str, field: str = '', depth: int = 0) -> Any:
  """Copies what JSON can hold, with the controls of terminals escaped.

  Args:
    value: dicts, lists, strings, numbers, bools and None.
    place: where it is from.
    field: the field that it is the value of.
    depth: of the field.

  Raises:
    InputError: a number is not finite or too large, or it is nested too deeply.
  """
  where = f'{place}: {field}' if field else place
  if depth > _MAX_DEPTH:
    raise errors.InputError(f'{place}: nested more than {_MAX_DEPTH} deep')
  if isinstance(value, str):
    return errors.printable(value)
  if isinstance(value, Mapping):
    dot = '.' if field else ''
    return {
      errors.printable(name): clean(
        item, place, f'{field}{dot}{name:.60}', depth + 1
      )
      for name, item in value.items()
    }
  if isinstance(value, list | tuple):
    return [
      clean(item, place, f'{field}[{i}]', depth + 1)
      for i, item in enumerate(value)
    ]
  if isinstance(value, float):
    if not math.isfinite(value):
      raise errors.InputError(
        f'{where}: expected a finite number, found {value}'
      )
    return float(value)  # NumPy's are floats too.
  if isinstance(value, int) and abs(value) > _MAX_INTEGER:
    raise errors.InputError(
      f'{where}: expected an integer up to {_MAX_INTEGER:,} in size'
    )
  return value
