"""The flag that names a config, and what is wrong on a command line."""

import sys

import pytest
from absl.testing import flagsaver

from tf_transfer import config_flags, errors, main


@pytest.fixture
def parse(monkeypatch):
  """A function that parses flags and returns the config."""

  def parse_flags(*argv):
    monkeypatch.setattr(sys, 'argv', ['main', *argv])
    with flagsaver.flagsaver():
      config_flags.parse(sys.argv)
      return main._CONFIG.value

  return parse_flags


@pytest.mark.parametrize(
  ('override', 'message'),
  [
    ('data.corrupt=foo', None),
    ('only_plan=maybe', "config.only_plan: expected True or False, found 'may"),
    ('tensorboard=2', "config.tensorboard: expected True or False, found '2'"),
    (
      'fine_tuned.steps=1e3',
      'config.fine_tuned.steps: expected an integer from 1 to 100,000,000, '
      "found '1e3'",
    ),
    ('fine_tuned.steps=', 'config.fine_tuned.steps: expected an integer'),
    ('fine_tuned.steps=' + '9' * 6000, 'config.fine_tuned.steps: expected an'),
    ('features.cache_gib=many', 'config.features.cache_gib: expected a number'),
    ('networks=(1,2', 'config.networks: expected a tuple of 1 or more'),
    ("networks=('a, 'b')", 'config.networks: expected a tuple of 1 or more'),
    (
      'networks=a b',
      'config.networks: expected a tuple of 1 or more, each a network, found '
      "'a b': several are written \"('a', 'b')\", quotes included",
    ),
    ('networks[0]=b', '--config.networks[0]: one value of a tuple cannot be'),
    ('networks[9]=b', '--config.networks[9]: one value of a tuple cannot be'),
    ('data=3', 'flag --config.data=3: Failed to parse'),
    ('fine_tuned.stps=3', "there is no field 'fine_tuned.stps': did you mean"),
    ('data.dir.x=3', "there is no field 'data.dir.x'"),
  ],
)
def test_value_of_a_field(parse, override, message):
  if message is None:  # Of the right type: the value is for the check.
    assert parse('--config=study', f'--config.{override}').data.corrupt == 'foo'
    return
  with pytest.raises(errors.InputError) as raised:
    parse('--config=study', f'--config.{override}')
  text = str(raised.value)
  assert text.startswith(message), text
  assert '\n' not in text
  assert len(text) < 500


@pytest.mark.parametrize(
  ('argv', 'message'),
  [
    (['--config=study', '--config=base'], '--config is there 2 times: --con'),
    (['--config', 'study', '-config=base'], '--config is there 2 times'),
    (
      ['--config=study', '--workdir=a', '--workdir=b'],
      '--workdir is there 2 times: --workdir=a --workdir=b',
    ),
    (['--confg=study'], "Unknown command line flag 'confg'. Did you mean: con"),
    (['--config'], 'Missing value for flag --config'),
    (['--config.data.dir=x', '--config=study'], 'before a value for --config'),
    (['--config=study', '--noconfig.fine_tuned.steps'], 'Unknown command line'),
    (['--config=study', '--config.data.dir'], 'Missing value for flag --conf'),
    (['--config=study', '--flagfile=/none'], 'Unable to open flagfile'),
    (['--config=quikstart'], "--config: unknown config 'quikstart': did you"),
    (['--config='], '--config: it is empty'),
    (
      ['--config=few_examples:a,b,' + '9' * 5000],
      '; expected NETWORK,DATASET,COUNT',
    ),
    (['--config=' + 'x' * 5000], ': File name too long'),
  ],
)
def test_flag_that_is_wrong(parse, argv, message):
  with pytest.raises(errors.InputError) as raised:
    parse(*argv)
  text = str(raised.value)
  assert message in text
  assert '\n' not in text
  assert len(text) < 1100


def test_the_same_flag_in_a_file_counts(parse, tmp_path):
  path = tmp_path / 'flags'
  path.write_text('--config=study\n')
  with pytest.raises(errors.InputError, match='--config is there 2 times'):
    parse(f'--flagfile={path}', '--config=base')


def test_values_that_are_right(parse):
  config = parse(
    '--config=study',
    '--config.features.cache_gib=3',
    '--config.networks=resnet50',
    '--config.features.pyramid=(1, 2)',
    '--config.fine_tuned.steps=1_000',
    '--noconfig.report',
  )
  assert config.features.cache_gib == 3.0
  assert config.networks == ('resnet50',)
  assert config.features.pyramid == (1, 2)
  assert config.fine_tuned.steps == 1000
  assert config.report is False
