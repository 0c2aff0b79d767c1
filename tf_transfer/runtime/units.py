"""Units of memory and time, and counts in messages."""

import math
import re

from tf_transfer import errors

GIB = 2**30  # Bytes.

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400  # Seconds.
# Days above which hours are left out, minutes above which seconds are.
_MANY_DAYS, _MANY_MINUTES = 10, 10
_SECONDS_OF = {'d': _DAY, 'h': _HOUR, 'm': _MINUTE, 's': 1}
# Largest unit first, each at most once, as `duration` writes them or shorter.
_DURATION = re.compile(
  r'\s*'
  r'(?:(?P<d>[\d,.]+)\s*(?:d|days?)\s*)?'
  r'(?:(?P<h>[\d,.]+)\s*(?:h|hours?)\s*)?'
  r'(?:(?P<m>[\d,.]+)\s*(?:m|min|minutes?)\s*)?'
  r'(?:(?P<s>[\d,.]+)\s*(?:s|seconds?)\s*)?',
  re.ASCII,
)
_NUMBER = re.compile(r'\d{1,3}(,\d{3})+|\d{1,12}(\.\d{1,6})?', re.ASCII)
DURATIONS = "a duration such as '90s', '20m' or '1h30m'"


def counted(count: int, noun: str, plural: str = '') -> str:
  """Formats a count with its noun: '1 cell', '2 cells', '1,200 images'.

  Args:
    count: how many.
    noun: what is counted, in the singular.
    plural: of the noun; by default the noun with an s.
  """
  return f'{count:,} {noun if count == 1 else plural or noun + "s"}'


def duration(seconds: float, *, precise: bool = False) -> str:
  """Formats a duration: '45 s', '3 min', '2 h 10 min', '340 days'.

  What is left out is rounded up.

  Args:
    seconds: of the duration, 0 or more.
    precise: whether it was measured, and is no estimate: then seconds are
      shown beside a few minutes, as in '3 min 20 s'.
  """
  rounded = math.ceil(seconds)
  if rounded < _MINUTE:
    return f'{rounded} s'
  if precise and rounded < _MANY_MINUTES * _MINUTE:
    return _two_units(rounded, (_MINUTE, 'min'), (1, 's'))
  minutes = math.ceil(rounded / _MINUTE)
  if minutes < _HOUR // _MINUTE:
    return f'{minutes} min'
  if minutes * _MINUTE < _DAY:
    return _two_units(minutes * _MINUTE, (_HOUR, 'h'), (_MINUTE, 'min'))
  hours = math.ceil(rounded / _HOUR)
  days = math.ceil(rounded / _DAY)
  if hours * _HOUR >= _MANY_DAYS * _DAY:
    return f'{days:,} days'
  unit = 'day' if hours < 48 else 'days'
  return _two_units(hours * _HOUR, (_DAY, unit), (_HOUR, 'h'))


def _two_units(
  seconds: int, large: tuple[int, str], small: tuple[int, str]
) -> str:
  """Formats seconds in two units; a zero of the small one is left out."""
  count, rest = divmod(seconds, large[0])
  text = f'{count} {large[1]}'
  return f'{text} {rest // small[0]} {small[1]}' if rest else text


def parse_duration(text: str) -> float:
  """Returns the seconds of '90s', '20m', '2h', '1h30m' or '340 days'.

  Args:
    text: as people write durations, or as `duration` does. A number has a
      unit.

  Raises:
    InputError: it is no duration above 0.
  """
  match = _DURATION.fullmatch(text)
  values = {k: v for k, v in match.groupdict().items() if v} if match else {}
  if not all(_NUMBER.fullmatch(value) for value in values.values()):
    values = {}
  seconds = sum(
    float(value.replace(',', '')) * _SECONDS_OF[unit]
    for unit, value in values.items()
  )
  if not seconds:
    raise errors.InputError(f'expected {DURATIONS}, found {text!r}')
  return seconds
