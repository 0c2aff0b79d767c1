"""Data from outside is checked against a type."""

import math
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from tf_transfer import errors
from tf_transfer.runtime import schemas


class _Test(msgspec.Struct, forbid_unknown_fields=True):
  value: Annotated[float, Meta(ge=0, le=1)]
  examples: Annotated[int, Meta(ge=1)] = 1
  pyramid: tuple[int, ...] = ()


class _Record(msgspec.Struct):
  test: _Test


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('{"test": {"value": "0.5"}}', r'test\.value: expected float, found str'),
    ('{"test": {"value": 2}}', r'test\.value: expected float <= 1.0'),
    ('{"test": {}}', 'test: object missing required field value'),
    ('{"test": {"value": 1, "x": 1}}', 'test: object contains unknown field x'),
    ('{"test": {"value": NaN}}', 'not JSON'),
    ('{"test": {"value": 1e999}}', r'test\.value: number out of range'),
    ('{"test": {"value": 1}', 'not JSON'),
    ('{"test": {"value": 1}}{}', 'not JSON'),
    ('[1]', 'expected object, found array'),
    ('{"test": ' + '[' * 100_000, 'test: expected object, found array'),
    ('{"x": ' + '[' * 100_000, 'nested too deeply'),
  ],
)
def test_json_that_does_not_fit(text, message):
  with pytest.raises(errors.InputError, match=f'^file, line 3: ({message})'):
    schemas.decode(text, _Record, 'file, line 3')


def test_json_that_fits():
  record = schemas.decode(b'{"test": {"value": 1}}', _Record, 'file')
  assert record.test.value == 1
  assert record.test.pyramid == ()


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'value': math.nan}, 'value: expected float >= 0.0, found nan'),
    ({'value': math.inf}, 'value: expected float <= 1.0, found inf'),
    ({'value': 1, 'examples': 0}, 'examples: expected int >= 1, found 0'),
    ({'value': 1, 'examples': True}, 'examples: expected int, found bool'),
    ({'value': 1, 'pyramid': (1, 'x')}, r'pyramid\[1\]: expected int'),
    ({'value': 1, 'pyramid': 3}, 'pyramid: expected array, found int'),
  ],
)
def test_values_that_do_not_fit(fields, message):
  with pytest.raises(errors.InputError, match=f'^config: {message}'):
    schemas.convert(fields, _Test, 'config')
