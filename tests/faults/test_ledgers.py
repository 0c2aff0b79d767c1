"""Ledgers, failures and parts that are damaged or tampered with."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults import programs

pytestmark = pytest.mark.slow

Spoil = Callable[[dict[str, Any]], None]


def _set(*path_and_value: Any) -> Spoil:
  """Sets a value at a path in a record."""
  *path, last, value = path_and_value

  def spoil(record: dict[str, Any]) -> None:
    inner = record
    for name in path:
      inner = inner[name]
    inner[last] = value

  return spoil


def _remove(name: str) -> Spoil:
  """Removes a field of a record."""
  return lambda record: record.pop(name)


_DEEP: list[Any] = []
for _ in range(900):
  _DEEP = [_DEEP]

_FAULTS: dict[str, tuple[Spoil, str]] = {
  'no_test': (_remove('test'), 'test'),
  'no_recipe': (_remove('recipe'), 'recipe'),
  'no_network': (_remove('network'), 'network'),
  'no_setting': (_remove('setting'), 'setting'),
  'no_identity': (_remove('identity'), 'identity'),
  'no_predictions': (_remove('predictions'), 'predictions'),
  'test_text': (_set('test', 'good'), 'test'),
  'test_list': (_set('test', []), 'test'),
  'value_nan': (_set('test', 'value', float('nan')), ''),
  'value_in_percent': (_set('test', 'value', 97.0), 'value'),
  'value_text': (_set('test', 'value', '0.9'), 'value'),
  'value_null': (_set('test', 'value', None), 'value'),
  'examples_negative': (_set('test', 'examples', -3), 'examples'),
  'examples_float': (_set('test', 'examples', 3.5), 'examples'),
  'network_number': (_set('network', 50), 'network'),
  'dataset_null': (_set('dataset', None), 'dataset'),
  'setting_unknown': (_set('setting', 'zero_shot'), 'setting'),
  'metric_unknown': (_set('metric', 'f1'), 'metric'),
  'identity_null': (_set('identity', None), 'identity'),
  'identity_list': (_set('identity', []), 'identity'),
  'identity_path': (_set('identity', '../../x'), 'identity'),
  'predictions_outside': (_set('predictions', '../planted'), 'predictions'),
  'predictions_absolute': (_set('predictions', '/etc/passwd'), 'predictions'),
  'predictions_number': (_set('predictions', 7), 'predictions'),
  'top1_in_percent': (_set('imagenet_top1', 76.0), 'imagenet_top1'),
  'chosen_list': (_set('chosen', []), 'chosen'),
  'notes_text': (_set('notes', 'none'), 'notes'),
  'curve_text': (_set('validation_curve', ['a']), 'validation_curve'),
  'seconds_text': (_set('seconds', 'long'), 'seconds'),
  'skipped_number': (_set('skipped', 3), 'skipped'),
  'schema_of_the_future': (_set('schema', 99), 'schema'),
  'schema_text': (_set('schema', 'x'), 'schema'),
  'nested': (_set('solver', {'x': _DEEP}), ''),
}

_LINES = {
  'no_json': b'{"identity": "ab',  # Not the last line: another one follows.
  'list': b'[1, 2]',
  'number': b'7',
  'null': b'null',
  'binary': b'\x00\xff\xfe\x80' * 20,
  'nested': b'{"identity": ' + b'[' * 100_000,
}


@pytest.fixture
def spoiled(copy, request) -> pathlib.Path:
  """A finished study one of whose records is spoiled."""
  root = copy('photos', 'weights', 'runs')
  path = root / 'runs' / 'results.jsonl'
  record = json.loads(path.read_text())
  _FAULTS[request.param][0](record)
  path.write_text(json.dumps(record) + '\n')
  return root


@pytest.mark.parametrize('spoiled', _FAULTS, indirect=True)
def test_study(program, spoiled, request):
  outcome = program.study()
  message = _FAULTS[request.node.callspec.params['spoiled']][1]
  programs.judge_refused(outcome, rf'results\.jsonl, line 1.*{message}')
  assert '\x1b' not in outcome.output


@pytest.mark.parametrize(
  'spoiled',
  ['no_test', 'value_text', 'predictions_outside', 'network_number'],
  indirect=True,
)
def test_report(program, spoiled):
  outcome = program.run(
    '--config=report', '--config.ledger=runs', '--workdir=pages'
  )
  programs.judge_refused(outcome, r'results\.jsonl, line 1')
  assert not list((spoiled / 'pages').glob('*.html'))


@pytest.mark.parametrize(
  'spoiled',
  ['predictions_outside', 'predictions_absolute', 'identity_path', 'no_test'],
  indirect=True,
)
def test_merge(program, spoiled):
  before = sorted(spoiled.rglob('*'))
  outcome = program.run('--config=merge:runs', '--workdir=merged')
  programs.judge_refused(outcome, r'results\.jsonl, line 1')
  new = set(spoiled.rglob('*')) - set(before)
  assert all(path.is_relative_to(spoiled / 'merged') for path in new)
  assert not (spoiled / 'planted').exists()


@pytest.mark.parametrize('field', ['network', 'dataset', 'device'])
def test_controls_of_the_terminal(program, copy, field):
  root = copy('photos', 'weights', 'runs')
  path = root / 'runs' / 'results.jsonl'
  record = json.loads(path.read_text())
  record[field] = 'a\x1b[2Jb'
  path.write_text(json.dumps(record) + '\n')
  outcome = program.run(
    '--config=report', '--config.ledger=runs', '--workdir=pages'
  )
  assert outcome.code in (0, 1), outcome.output
  assert 'Traceback' not in outcome.output
  assert '\x1b' not in outcome.output


@pytest.mark.parametrize('fault', _LINES)
def test_lines(program, copy, fault):
  root = copy('photos', 'weights', 'runs')
  path = root / 'runs' / 'results.jsonl'
  path.write_bytes(_LINES[fault] + b'\n' + path.read_bytes())
  programs.judge_refused(program.study(), r'results\.jsonl, line 1')


def test_last_line_cut_short(program, copy):
  root = copy('photos', 'weights', 'runs')
  path = root / 'runs' / 'results.jsonl'
  path.write_bytes(path.read_bytes() + b'{"identity": "ab')
  outcome = program.study()
  programs.judge_said(outcome, 'last line is cut short.*1 found')


def test_lost_newline(program, copy):
  root = copy('photos', 'weights', 'runs')
  programs.judge_said(program.study(setting='ridge'), 'test')
  path = root / 'runs' / 'results.jsonl'
  assert path.read_text().count('\n') == 2
  path.write_text(path.read_text().replace('}\n{', '}{'))
  outcome = program.study()
  assert 'Traceback' not in outcome.output
  both_read = outcome.code == 0 and '1 found' in outcome.output
  assert both_read or 'line 1' in outcome.output, outcome.output


@pytest.mark.parametrize(
  'content',
  [
    '[]',
    '{"a": "b"}',
    '{"a": -4}',
    '7',
    '{',
    '[' * 100_000,
    '{"a":' + '[' * 100_000,
  ],
)
def test_parts(program, copy, content):
  root = copy('photos', 'weights')
  (root / 'runs').mkdir()
  (root / 'runs' / 'parts.2.json').write_text(content)
  outcome = program.study('--config.part=1/2')
  programs.judge_refused(outcome, r'parts\.2\.json')


@pytest.mark.parametrize(
  'name',
  [
    'results.x-of-y.jsonl',
    'results.0-of-3.jsonl',
    'results.5-of-3.jsonl',
    'results.-1-of-3.jsonl',
  ],
)
def test_ledgers_of_no_part(program, copy, name):
  root = copy('photos', 'weights', 'runs')
  (root / 'runs' / name).write_text('')
  outcome = program.study()
  assert outcome.code in (0, 1)
  assert 'Traceback' not in outcome.output, outcome.output
  assert name in outcome.output


@pytest.mark.parametrize(
  'line',
  [b'{', b'[]', b'{"network": 3}', b'[' * 100_000, b'\xff\x00' * 9, b'null'],
)
def test_failures(program, copy, line):
  root = copy('photos', 'weights', 'runs')
  (root / 'runs' / 'failures.jsonl').write_bytes(line + b'\n')
  outcome = program.study()
  programs.judge_said(outcome, r'failures\.jsonl')


def test_ledger_is_a_directory(program, copy):
  root = copy('photos', 'weights')
  (root / 'runs' / 'results.jsonl').mkdir(parents=True)
  programs.judge_refused(program.study(), r'results\.jsonl')
