"""The fields of a record, and what is wrong with others' records."""

import copy
import json
import typing

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.study import made_records
from tests.study.report import page_records
from tf_transfer import contract, errors
from tf_transfer.configs import base
from tf_transfer.networks import recipe
from tf_transfer.study import record_types, schema
from tf_transfer.transfer import metrics
from tf_transfer.transfer import settings as transfer_settings
from tf_transfer.transfer.training import grid

RECORD = made_records.record('a')
TRAINED, _ = page_records.record('n', 'pets', 'fine_tuned', 0.7, 0.7)


def replaced(record, field, value):
  """A copy of a record where the value of 'a.b' is another one."""
  changed = copy.deepcopy(record)
  *outer, last = field.split('.')
  inner = changed
  for name in outer:
    inner = inner[int(name) if name.isdecimal() else name]
  if value is ...:
    del inner[last]
  else:
    inner[int(last) if last.isdecimal() else last] = value
  return changed


def message_of(record):
  with pytest.raises(errors.InputError) as raised:
    schema.read(record, 'results.jsonl, line 3')
  text = str(raised.value)
  assert text.startswith('results.jsonl, line 3: ')
  assert '\n' not in text
  assert len(text) < 400
  return text


@pytest.mark.parametrize('record', [RECORD, TRAINED], ids=['fixed', 'trained'])
def test_a_good_record_stays_as_it_is(record):
  assert record_types.check(record, '') == record
  assert schema.read(json.loads(json.dumps(record)), '') == record


def fold(number, examples=50):
  return {
    'fold': number,
    'examples': examples,
    'value': 0.5,
    'chosen': {'penalty': 0.1},
  }


def test_folds_stay_as_they_are():
  record = {**RECORD, 'folds': [fold(0), fold(1)], 'num_folds': 2}
  assert record_types.check(record, '') == record


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'folds': [fold(0), fold(1)]}, 'expected with num_folds'),
    ({'num_folds': 2}, 'expected with num_folds'),
    ({'folds': [fold(0), fold(1)], 'num_folds': 3}, 'expected 3, numbered'),
    ({'folds': [fold(0), fold(2)], 'num_folds': 2}, 'expected 2, numbered'),
    ({'folds': [fold(0), fold(1, 9)], 'num_folds': 2}, '100 examples in all'),
    ({'folds': [fold(0)], 'num_folds': 2}, 'length'),
    ({'folds': [fold(0), {**fold(1), 'value': 2}], 'num_folds': 2}, 'value'),
  ],
)
def test_wrong_folds_are_named(fields, message):
  assert message in message_of({**RECORD, **fields})


def test_fields_that_are_not_known_stay():
  record = {**RECORD, 'comment': {'by': ['me', None, 1.5]}}
  assert record_types.check(record, '') == record


REQUIRED = {
  field.encode_name
  for field in msgspec.structs.fields(record_types.Record)
  if field.required
}


@pytest.mark.parametrize('field', sorted(REQUIRED))
def test_a_missing_field_is_named(field):
  if field == 'schema':  # Then it is of schema 1.
    return
  assert field in message_of(replaced(RECORD, field, ...))


@pytest.mark.parametrize(
  ('field', 'value', 'message'),
  [
    ('test', 'good', 'test: expected object, found str'),
    ('test', [], 'test: expected object'),
    ('test.value', float('nan'), 'test.value: expected a finite number'),
    ('test.value', float('inf'), 'test.value: expected a finite number'),
    ('test.value', 97.0, 'test.value: expected float <= 1'),
    ('test.value', '0.5', 'test.value: expected float, found str'),
    ('test.value', None, 'test.value: expected float, found null'),
    ('test.value', True, 'test.value: expected float, found bool'),
    ('test.low', 0.9, 'test: expected low <= value <= high'),
    ('test.high', 0.1, 'test: expected low <= value <= high'),
    ('test.examples', 0, 'test.examples: expected int >= 1'),
    ('test.examples', 10**12, 'test.examples: expected int <='),
    ('test.examples', 10**400, 'test.examples: expected an integer up to'),
    ('test.examples', 1.5, 'test.examples: expected int, found float'),
    ('network', 7, 'network: expected str, found int'),
    ('network', '', 'network: '),
    ('dataset', None, 'dataset: expected str, found null'),
    ('metric', 'f1', "metric: not a known value, found 'f1'"),
    ('setting', 'zero_shot', "setting: unknown setting 'zero_shot'"),
    ('setting', ['ridge'], 'setting: expected str, found array'),
    ('identity', None, 'identity: expected str, found null'),
    ('identity', ['a'], 'identity: expected str, found array'),
    ('identity', '../../x', 'identity: expected 32 hexadecimal digits, found'),
    ('identity', 'A' * 32, 'identity: '),
    ('identity', 'a' * 32 + '\n', 'identity: '),
    ('predictions', '../planted', 'predictions: expected predictions/IDENTITY'),
    ('predictions', '/etc/passwd', 'predictions: '),
    ('predictions', 'predictions/../../x.npz', 'predictions: '),
    ('seconds', -1.0, 'seconds: expected float >= 0'),
    ('seconds', '3', 'seconds: expected float, found str'),
    ('finished', 'yesterday', 'finished: '),
    ('num_classes', 10**9, 'num_classes: '),
    ('imagenet_top1', 76.0, 'imagenet_top1: expected float <= 1'),
    ('recipe', None, 'recipe: '),
    ('recipe.dropout', 'yes', 'recipe.dropout: expected bool | null'),
    ('splits_sha256.test', 'abc', 'splits_sha256.test: '),
    ('weights_sha256', 'no', 'weights_sha256: '),
    ('skipped', 3, 'skipped: expected array, found int'),
    ('skipped.0', 3, 'skipped[0]: expected str'),
    ('validation_curve', [], 'validation_curve: '),
    ('validation_curve.0', 'x', 'validation_curve[0]: '),
    ('validation_curve', [0.5], 'validation_curve: expected 2 values'),
    ('search.num_penalties', 10**9, 'validation_curve: expected 1,000,000,000'),
    ('search.penalty_min', ..., 'search: a field is missing'),
    ('search.penalty_min', 'x', 'search.penalty_min: expected float'),
    ('chosen', [], 'chosen: expected object, found array'),
    ('chosen', {}, 'chosen: object missing required field penalty'),
    ('solver', {}, 'solver: object missing required field converged'),
    ('layer', ..., 'object missing required field layer'),
    ('versions', {'python': 3}, 'versions[...]: expected str, found int'),
    ('notes', 'text', 'notes: expected array, found str'),
    ('corrupt', 'ignore', "corrupt: not a known value, found 'ignore'"),
  ],
)
def test_wrong_values_are_named(field, value, message):
  record = {**RECORD, 'skipped': ['a.png']}
  assert f'line 3: {message}' in message_of(replaced(record, field, value))


@pytest.mark.parametrize(
  ('field', 'value', 'message'),
  [
    ('trials', [], 'trials: expected one for each of the 4'),
    ('trials.0.learning_rate', 0, 'trials[0].learning_rate: '),
    ('trials.1.validation', {'central': 3}, 'trials[1].validation[...]: '),
    ('trials.1.diverged', 'no', 'trials[1].diverged: '),
    ('chosen', {'penalty': 1.0}, 'chosen: expected learning_rate'),
    ('chosen.steps', 1.5, 'chosen.steps: expected int'),
    ('search.learning_rate_max', ..., 'search: object missing required field'),
  ],
)
def test_wrong_values_of_training_are_named(field, value, message):
  assert f'line 3: {message}' in message_of(replaced(TRAINED, field, value))


@pytest.mark.parametrize('wrap', [lambda x: [x], lambda x: {'a': x}])
@pytest.mark.parametrize('depth', [120, 5000, 100_000])
def test_deep_nesting(wrap, depth):
  value = 1
  for _ in range(depth):
    value = wrap(value)
  message = message_of({**RECORD, 'comment': value})
  assert 'nested more than 100 deep' in message
  # Else Python takes the stack apart level by level, and overflows it.
  while isinstance(value, list | dict):
    value = value.pop() if isinstance(value, list) else value.pop('a')


def leaves(value, path=()):
  """The paths of all values in a record, of the outer ones too."""
  yield path
  if isinstance(value, dict | list):
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in items:
      yield from leaves(inner, (*path, str(name)))


PATHS = [
  (record, '.'.join(path))
  for record in (RECORD, TRAINED)
  for path in leaves(record)
  if path
]


VALUES = (
  *(..., None, True, -1, 0, 1, 10**30, 2.5, float('nan'), 'x', '', [], {}),
  *([1], {'a': 1}, '\x1b[31m', 'folder:x', [[]]),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PATHS), st.sampled_from(VALUES))
def test_any_value_anywhere_is_read_or_refused_in_one_line(place, value):
  record, path = place
  try:
    changed = replaced(record, path, value)
  except (KeyError, TypeError):  # An item of a list cannot be left out.
    return
  try:
    checked = schema.read(changed, 'results.jsonl, line 3')
  except errors.InputError:
    message_of(changed)
    return
  json.dumps(checked, allow_nan=False)
  assert '\x1b' not in str(checked)
  assert 0 <= checked['test']['value'] <= 1


def test_controls_of_terminals_are_escaped():
  record = {**RECORD, 'dataset': 'a\x1b[2Jb', 'notes': ['\u202etxt.exe\x07']}
  checked = record_types.check(record, '')
  assert checked['dataset'] == r'a\x1b[2Jb'
  assert checked['notes'] == [r'\u202etxt.exe\x07']


def test_types_are_those_of_what_is_recorded():
  def names(struct):
    return {f.name for f in msgspec.structs.fields(struct)}

  modern = recipe.Recipe(supervision='supervised')
  assert names(record_types.Recipe) == set(modern.to_json())
  net = contract.Contract(32, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
  assert names(record_types.Contract) == set(net.to_json())
  assert names(record_types.Measurement) == set(
    metrics.Measurement.__dataclass_fields__
  )
  metric = typing.get_type_hints(record_types.Record)['metric']
  assert set(typing.get_args(metric)) == set(metrics.METRICS)


def test_every_field_of_a_search_has_a_type():
  config = base.get_config()
  determining = {
    field
    for name, setting in transfer_settings.SETTINGS.items()
    if setting.has_fields
    for field in (config[name] if name in config else base.fine_tuned_fields())
    if not (setting.trains and field in grid.OPERATIONAL)
  }
  known = {f.name for f in msgspec.structs.fields(record_types.Search)}
  assert determining == known
