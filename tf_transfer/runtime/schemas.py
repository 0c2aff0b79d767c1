"""Checks data from outside against a type, and names the field that is wrong.

A type is a `msgspec.Struct` or anything else that msgspec knows; ranges are in
its annotations, as in `Annotated[int, msgspec.Meta(ge=1)]`. A NaN fits no
range, and no JSON.
"""

import re
from typing import Any, TypeVar

import msgspec

from tf_transfer import errors

T = TypeVar('T')

# How msgspec ends a message about a value inside another: ' - at `$.a.b[0]`'.
_PATH = re.compile(r' - at `(?:key in )?\$\.?([^`]*)`$')
_MAX_SHOWN = 60  # characters of a value in a message


def decode(data: bytes | str, expected: type[T], place: str) -> T:
  """Parses JSON and checks that it fits a type.

  Args:
    data: the JSON.
    expected: the type.
    place: where the data is from, such as 'results.jsonl, line 3'.

  Raises:
    InputError: it is no JSON or does not fit; the message begins with the
      place and names the field.
  """
  try:
    return msgspec.json.decode(data, type=expected)
  except msgspec.ValidationError as error:
    raise errors.InputError(f'{place}: {_explain(error)}') from error
  except (msgspec.DecodeError, UnicodeDecodeError) as error:
    raise errors.InputError(f'{place}: not JSON ({error})') from error
  except RecursionError as error:
    raise errors.InputError(f'{place}: nested too deeply') from error


def convert(value: Any, expected: type[T], place: str) -> T:
  """Checks that a value in memory fits a type, and converts it to that.

  Args:
    value: dicts, lists, tuples, strings, numbers, bools and None.
    expected: the type.
    place: where the value is from.

  Raises:
    InputError: it does not fit; the message begins with the place, and names
      the field and the value.
  """
  try:
    return msgspec.convert(value, expected)
  except msgspec.ValidationError as error:
    text = _explain(error)
    wrong = _value_at(value, error)
    if wrong is not None and ', found' not in text:
      text += f', found {wrong}'
    raise errors.InputError(f'{place}: {text}') from error
  except RecursionError as error:
    raise errors.InputError(f'{place}: nested too deeply') from error


def _explain(error: msgspec.ValidationError) -> str:
  """Rewrites an error of msgspec as 'field: expected ..., found ...'."""
  text = str(error)
  match = _PATH.search(text)
  field = match[1] if match else ''
  text = text[: match.start()] if match else text
  text = text.replace('`', '').replace(', got ', ', found ')
  text = text[:1].lower() + text[1:]
  text = text.replace('invalid enum value ', 'not a known value, found ')
  return f'{field}: {text}' if field else text


def _value_at(value: Any, error: msgspec.ValidationError) -> str | None:
  """Returns the value that an error is about, shortened; None if not found."""
  match = _PATH.search(str(error))
  if match is None:
    return None
  for name, index in re.findall(r'([^.\[\]]+)|\[(\d+)\]', match[1]):
    try:
      value = value[int(index)] if index else value[name]
    except (LookupError, TypeError):
      return None
  text = repr(value)
  return text if len(text) <= _MAX_SHOWN else f'{text[:_MAX_SHOWN]}...'
