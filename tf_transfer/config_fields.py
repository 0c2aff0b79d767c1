"""Declares the fields of configs, and checks a config against them.

The fields of a job are a class, with a comment on what each field means:

  class Search(Group):
    # Updates of the parameters.
    steps: integer(1, 100_000_000) = 20_000

What follows the colon says which values the field takes. A field may be a group
of fields: `data: Data`. `defaults` makes a config of a class, and `check_job`
finds what is wrong with a config before anything slow begins.
"""

import dataclasses
import importlib
import inspect
import re
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import ml_collections
from msgspec import Meta

from tf_transfer import errors
from tf_transfer.runtime import files, schemas, units

# Where the fields of each job are declared: a module of configs/ and a class.
_DECLARATIONS = {
  'study': ('base', 'Study'),
  'choose': ('choose', 'Choose'),
  'curves': ('curves', 'Curves'),
  'datasets': ('datasets', 'Datasets'),
  'export': ('export', 'Export'),
  'features': ('features', 'FeaturesJob'),
  'fine_tune_quick': ('fine_tune_quick', 'FineTuneQuick'),
  'imagenet': ('imagenet', 'ImageNet'),
  'leaks': ('leaks', 'Leaks'),
  'merge': ('merge', 'Merge'),
  'predict': ('predict', 'Predict'),
  'pretrain': ('pretrain', 'Pretrain'),
  'published': ('published', 'Published'),
  'public_recipes': ('public_recipes', 'PublicRecipes'),
  'regularizers': ('regularizers', 'Regularizers'),
  'report': ('report', 'Report'),
  'timm_results': ('timm_results', 'TimmResults'),
}

_MAX_TEXT = 10_000  # characters
_MAX_VALUES = 10_000  # of a tuple
_MAX_SHOWN = 60  # characters of a value in a message
_CONTROL = re.compile('[\x00-\x1f\x7f-\x9f]')


def _accept(value: Any, place: str) -> None:
  """Accepts every value."""


@dataclasses.dataclass(frozen=True)
class Kind:
  """The values that a field takes.

  Attributes:
    type: of the values, with their range.
    expected: which they are, in words.
    check: raises an InputError for a value of this type that is none of them;
      it is given the value and the field's full name.
  """

  type: Any
  expected: str
  check: Callable[[Any, str], None] = _accept


class Group:
  """Fields that belong together; see the module's documentation."""

  @staticmethod
  def contradiction(config: ml_collections.ConfigDict) -> str:
    """Says what is wrong with fields each of which is in its range.

    Args:
      config: the group's values.

    Returns:
      A text that begins with the name of a field; '' if nothing is wrong.
    """
    del config
    return ''


class OptionalGroup(Group):
  """Fields that count only where another names them; a config may lack them."""


boolean = Kind(bool, 'True or False')


def integer(least: int, most: int) -> Kind:
  """Returns the integers in a range, ends included."""
  return Kind(
    Annotated[int, Meta(ge=least, le=most)],
    f'an integer from {least:,} to {most:,}',
  )


def number(
  *,
  least: float | None = None,
  above: float | None = None,
  most: float | None = None,
  below: float | None = None,
) -> Kind:
  """Returns the numbers in a range: `least` and `most` are part of it."""
  low = f'above {_digits(above)}' if least is None else f'from {_digits(least)}'
  high = f'below {_digits(below)}' if most is None else f'to {_digits(most)}'
  if least is None:
    high = f'and up {high}' if most is not None else f'and {high}'
  elif most is None:
    high = f'to {high}'
  return Kind(
    Annotated[float, Meta(ge=least, gt=above, le=most, lt=below)],
    f'a number {low} {high}',
  )


def _digits(value: float) -> str:
  """Returns a number as people write it."""
  return f'{value:,.0f}' if 10 <= value < 1e9 else f'{value:g}'


def choice(*values: str) -> Kind:
  """Returns some texts, of which a field is one."""
  return Kind(Literal[values], ' or '.join(map(repr, values)))


def pixels() -> Kind:
  """Returns the sizes of images, in pixels; 0 is the network's own."""

  expected = 'pixels, an integer from 8 to 4,096, or 0'

  def check(value: int, place: str) -> None:
    if 0 < value < 8:
      raise wrong(place, expected, value)

  return Kind(Annotated[int, Meta(ge=0, le=4096)], expected, check)


def text(
  expected: str = 'text', *, required: bool = False, most: int = _MAX_TEXT
) -> Kind:
  """Returns texts without control characters.

  Args:
    expected: what the text is, in words.
    required: whether it must not be empty.
    most: the largest number of characters.
  """

  if not required:
    expected = f"{expected}, or ''"

  def check(value: str, place: str) -> None:
    if _CONTROL.search(value):
      without = f'{expected}, without control characters'
      raise wrong(place, without, value)

  length = Meta(min_length=int(required), max_length=most)
  return Kind(Annotated[str, length], expected, check)


# Ahead of the paths of some networks and datasets.
_PREFIXES = ('folder:', 'features:', 'labels:')


def path(expected: str, *, required: bool = False) -> Kind:
  """Returns paths on this machine.

  Args:
    expected: what the path is of, in words.
    required: whether it must not be empty.
  """
  kind = text(expected, required=required)

  def check(value: str, place: str) -> None:
    kind.check(value, place)
    for prefix in _PREFIXES:
      value = value.removeprefix(prefix)
    files.local_path(value, place)

  return dataclasses.replace(kind, check=check)


def duration(*, required: bool = False) -> Kind:
  """Returns durations such as '20m', which `units.parse_duration` reads.

  Args:
    required: whether it must not be empty.
  """
  kind = text(units.DURATIONS, required=required, most=100)

  def check(value: str, place: str) -> None:
    kind.check(value, place)
    if value:
      try:
        units.parse_duration(value)
      except errors.InputError as error:
        raise wrong(place, kind.expected, value) from error

  return dataclasses.replace(kind, check=check)


def name(expected: str) -> Kind:
  """Returns names, such as a network's, and paths in place of a name."""
  return path(expected, required=True)


def several(
  each: Kind, *, least: int = 0, most: int = _MAX_VALUES, distinct: bool = True
) -> Kind:
  """Returns tuples.

  Args:
    each: the values of a tuple.
    least: the smallest number of values.
    most: the largest.
    distinct: whether a value may be there only once.
  """

  def check(values: tuple[Any, ...], place: str) -> None:
    for i, value in enumerate(values):
      each.check(value, f'{place}[{i}]')
    if distinct and len(set(values)) < len(values):
      twice = next(value for value in values if values.count(value) > 1)
      raise errors.InputError(f'{place} names {_shown(twice)} twice')

  count = f' of {least} or more' if least else ''
  return Kind(
    Annotated[tuple[each.type, ...], Meta(min_length=least, max_length=most)],
    f'a tuple{count}, each {each.expected}',
    check,
  )


def triple(expected: str) -> Kind:
  """Returns tuples of three texts; `expected` says which, in words."""
  each = text(required=True)

  def check(values: tuple[str, ...], place: str) -> None:
    for value in values:
      each.check(value, place)

  return Kind(tuple[each.type, each.type, each.type], expected, check)


def fields(group: type[Group]) -> Mapping[str, Any]:
  """Returns the fields of a group: of each, its kind or its group."""
  result = {}
  for owner in reversed(group.__mro__):
    result |= inspect.get_annotations(owner)
  return types.MappingProxyType(result)


def is_group(kind: Any) -> bool:
  """Whether what a field is declared as is a group."""
  return isinstance(kind, type) and issubclass(kind, Group)


def defaults(group: type[Group]) -> ml_collections.ConfigDict:
  """Makes a config with the default values of a group, locked."""
  config = ml_collections.ConfigDict()
  for name, kind in fields(group).items():
    config[name] = defaults(kind) if is_group(kind) else getattr(group, name)
  return config.lock()


def of_job(job: str) -> type[Group]:
  """Returns the class that declares the fields of a job."""
  module, name = _DECLARATIONS[job]
  return getattr(importlib.import_module(f'tf_transfer.configs.{module}'), name)


def find(job: Any, field: str) -> Kind | None:
  """Returns what a field of a job is declared as.

  Args:
    job: its name.
    field: its path, such as 'fine_tuned.steps'.

  Returns:
    The kind; None if there is no such field, or it is a group.
  """
  if not isinstance(job, str) or job not in _DECLARATIONS:
    return None
  kind: Any = of_job(job)
  for name in field.split('.'):
    if not is_group(kind) or name not in fields(kind):
      return None
    kind = fields(kind)[name]
  return None if is_group(kind) else kind


def check_job(config: ml_collections.ConfigDict, job: str) -> None:
  """Checks all fields of a job's config; this takes no time.

  Args:
    config: of the job.
    job: its name.

  Raises:
    InputError: a field is missing, is not declared, or has a value that it
      does not take; or fields contradict each other. The message has the
      field's full name.
  """
  check(config, of_job(job), 'config')


def check(config: Any, group: type[Group], place: str) -> None:
  """Checks the fields of a group.

  Args:
    config: the group's values.
    group: that declares them.
    place: the group's full name.

  Raises:
    InputError: as in `check_job`.
  """
  if not isinstance(config, ml_collections.ConfigDict):
    raise errors.InputError(
      f'{place}: expected a group of fields, found {_shown(config)}'
    )
  declared = fields(group)
  try:
    names = list(config)
  except TypeError as error:  # ml_collections sorts them.
    raise errors.InputError(
      f'{place}: expected fields whose names are text ({error})'
    ) from error
  for name in names:
    if name not in declared:
      raise errors.unknown_name(f'field of {place}:', str(name), declared)
  for name, kind in declared.items():
    field = f'{place}.{name}'
    if name in config:
      value = config[name]
      if is_group(kind):
        check(value, kind, field)
      else:
        check_value(value, kind, field)
    elif not _may_be_missing(name, kind):
      raise errors.InputError(
        f'{field} is missing: {_file_of(group)} has every field with its '
        'default'
      )
  problem = group.contradiction(config)
  if problem:
    raise errors.InputError(f'{place}.{problem}')


def _may_be_missing(name: str, kind: Any) -> bool:
  """Whether a config may lack a field; whoever runs a job knows its name."""
  return name == 'job' or (is_group(kind) and issubclass(kind, OptionalGroup))


def check_value(value: Any, kind: Kind, field: str) -> None:
  """Checks the value of a field.

  Args:
    value: the value.
    kind: which values the field takes.
    field: its full name.

  Raises:
    InputError: it is another value.
  """
  # NumPy's float64 is a float, which the schemas do not accept; and they make
  # a tuple of a set, whose order is arbitrary.
  if isinstance(value, float):
    value = float(value)
  if isinstance(value, set | frozenset):
    raise wrong(field, kind.expected, value)
  try:
    value = schemas.convert(value, kind.type, field)
  except (errors.InputError, UnicodeEncodeError) as error:
    raise wrong(field, kind.expected, value) from error
  kind.check(value, field)


def wrong(field: str, expected: str, value: Any) -> errors.InputError:
  """Returns the error for a value that a field does not take."""
  return errors.InputError(
    f'{field}: expected {expected}, found {_shown(value)}'
  )


def _shown(value: Any) -> str:
  """Returns a value as a message shows it: on one line, not too long."""
  if isinstance(value, int) and value.bit_length() > 1000:
    return 'an integer of more than 300 digits'
  try:
    shown = repr(value)
  except (RecursionError, ValueError) as error:
    shown = f'{type(value).__name__} ({type(error).__name__})'
  shown = ' '.join(shown.split())
  return shown if len(shown) <= _MAX_SHOWN else f'{shown[:_MAX_SHOWN]}...'


def _file_of(group: type[Group]) -> str:
  """Returns the file that declares a group."""
  return f'configs/{group.__module__.rpartition(".")[2]}.py'
