"""The configs of jobs, and their arguments."""

import importlib
import inspect

import pytest

from tf_transfer import config_fields, config_files, errors, main
from tf_transfer.configs import (
  datasets,
  imagenet,
  leaks,
  merge,
  pretrain,
  regularizers,
)

NAMES = sorted(config_files.package_configs())


@pytest.mark.parametrize('name', NAMES)
def test_every_config_names_a_job(name):
  config = config_files.load(name)
  assert callable(importlib.import_module(main._JOBS[config.job]).run)


@pytest.mark.parametrize('name', NAMES)
def test_every_config_begins_with_its_command(name):
  module = importlib.import_module(config_files.package_configs()[name])
  text = inspect.getdoc(module)
  assert 'python -m tf_transfer.main' in text
  assert f'--config={name}' in text
  if '.presets.' in module.__name__ or name == 'quickstart':
    assert f'Job: {config_files.load(name).job}. Changes' in text
  if name != 'base':
    assert '\nExpect' in text or ' Expect' in text or 'As configs/' in text


@pytest.mark.parametrize(
  ('get_config', 'argument', 'message'),
  [
    (pretrain.get_config, 'inception_small', 'CONFIGURATION is missing'),
    (pretrain.get_config, 'inception_small,C6', "unknown configuration 'C6'"),
    (pretrain.get_config, 'a,C1,digits,more', 'more is too much'),
    (leaks.get_config, '', 'DATASET is empty'),
    (leaks.get_config, 'digits,pets', 'pets is too much'),
    (imagenet.get_config, 'a,,b', 'one NETWORK is empty'),
    (datasets.get_config, 'pets,', 'one NAME is empty'),
    (merge.get_config, 'a,', 'one DIR is empty'),
    (regularizers.get_config, 'large', "unknown size of the .* 'large'"),
    (regularizers.get_config, 'small,digits', 'TARGET is missing'),
  ],
)
def test_argument_that_is_wrong(get_config, argument, message):
  with pytest.raises(errors.InputError, match=message):
    get_config(argument)


MALFORMED = (
  *('', ',', ',,', ',,,,', 'NET', 'NET,', ',DATA', 'NET,DATA', 'NET,DATA,'),
  *('NET,DATA,none', 'NET,DATA,0', 'NET,DATA,-1', 'NET,DATA,1e3'),
  *('NET,DATA,²', 'NET,DATA,1,2', 'NET,C1', 'NET,C9', 'resnet50,C1,x,y'),
  *('small', 'small,', 'small,a', 'small,a,b', 'small,a,b,c', 'large,a,b'),
  *('a:b', 'folder:x,y', 'NET,folder:x,y', '\0', '\x1b[31m', 'gs://b/x'),
  *('NET,DATA,' + '9' * 5000, 'x' * 100_000, ',' * 1000, '(1,2', "'", '*'),
)


@pytest.mark.parametrize('name', NAMES)
def test_any_argument_gives_a_config_or_one_line(name):
  """Whatever config it is and whatever its argument is."""
  messages = []
  for argument in MALFORMED:
    try:
      config = config_files.load(f'{name}:{argument}')
      config_fields.check_job(config, config.job)
    except errors.InputError as error:
      messages.append(str(error))
  assert messages
  assert not any('\n' in message for message in messages)


def test_lists():
  assert imagenet.get_config('a,b').networks == ('a', 'b')
  assert datasets.get_config('').datasets == ()
  assert datasets.get_config('pets,dtd').datasets == ('pets', 'dtd')
  assert merge.get_config('x/1,x/2').sources == ('x/1', 'x/2')


def test_folders_to_examine():
  assert datasets.get_config('folder:/a,b').datasets == ('folder:/a,b',)
  config = datasets.get_config('pets,dtd,folder:/a,b,folder:c')
  assert config.datasets == ('pets', 'dtd', 'folder:/a,b', 'folder:c')


def test_pretraining_on_a_folder():
  config = pretrain.get_config('inception_small,C1,folder:/images,jpeg')
  assert config.dataset == 'folder:/images,jpeg'
  assert pretrain.get_config('inception_small,C1').dataset == 'imagenet'


def test_small_comparison_takes_two_datasets():
  config = regularizers.get_config('small,digits,folder:/images,jpeg')
  assert config.pretrained_on == 'digits'
  assert config.transfer.datasets == ('folder:/images,jpeg',)
  assert config.tsne.dataset == 'folder:/images,jpeg'
