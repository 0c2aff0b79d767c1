"""The declarations of fields, and what a config is checked for."""

import math
import re
import tracemalloc

import ml_collections
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tf_transfer import config_fields, config_files, errors, main
from tf_transfer.config_fields import (
  Group,
  boolean,
  choice,
  duration,
  integer,
  name,
  number,
  path,
  pixels,
  several,
  text,
  triple,
)
from tf_transfer.configs import base, pretrain, regularizers
from tf_transfer.images import resizing
from tf_transfer.jobs import regularizers as regularizers_job
from tf_transfer.networks import recipe
from tf_transfer.transfer.training import train_step

NAN, INF = math.nan, math.inf


def leaves(group, prefix=''):
  """The fields of a group and of the groups in it, by path."""
  for field, kind in config_fields.fields(group).items():
    if config_fields.is_group(kind):
      yield from leaves(kind, f'{prefix}{field}.')
    else:
      yield f'{prefix}{field}', kind


FIELDS = [
  (job, field)
  for job in main._JOBS
  for field, _ in leaves(config_fields.of_job(job))
]


def set_field(config, field, value):
  """Sets a field to a value of any type."""
  *groups, last = field.split('.')
  for group in groups:
    config = config[group]
  del config[last]  # Its type with it.
  config[last] = value


def get_field(config, field):
  for part in field.split('.'):
    config = config[part]
  return config


@pytest.mark.parametrize(
  ('kind', 'good', 'bad'),
  [
    (boolean, [True, False], [0, 1, 'True', None, 1.0]),
    (
      integer(1, 64),
      [1, 64],
      [0, 65, 10**400, -(10**400), 1.0, True, '3', None, NAN, (1,)],
    ),
    (
      number(above=0, below=1),
      [0.5, np.float64(0.5), 1e-300],
      [0, 1, 0.0, 1.0, NAN, INF, -INF, '0.5', True, None, 10**400, (0.5,)],
    ),
    (
      number(least=0, most=10),
      [0, 10, 0.0, 10.0, 5],
      [-1e-9, 10.1, NAN, INF, np.float64(NAN), np.float32(3)],
    ),
    (choice('a', 'b'), ['a', 'b'], ['c', '', 'A', None, 3, ('a',)]),
    (
      duration(required=True),
      ['90s', '1h30m', '2 days'],
      ['', '20', '20 weeks', 20, 20.0, None, '0s'],
    ),
    (duration(), ['', '20m'], ['20']),
    (pixels(), [0, 8, 4096], [1, 7, -1, 4097, 100_000, 32.0, None]),
    (text(), ['', 'x', 'é ñ'], ['a\nb', '\x1b[31m', '\0', 3, 'x' * 10**5]),
    (text(required=True), ['x'], ['', '\t']),
    (
      path('a file'),
      ['', '/a', 'a b', '~/x', 'C:\\x'],
      ['gs://b/x', 's3://b', 'file:/x', '~no_such_user/x', 'a\rb', b'a', None],
    ),
    (
      name('a dataset'),
      ['digits', 'folder:/x', 'folder:x,y'],
      ['', 'folder:gs://b/x', 'gs://b/x', None],
    ),
    (
      several(integer(1, 9), least=1, most=3),
      [(1,), (3, 2, 1), [1, 2]],
      [(), (0,), (1, 1), (1, 2, 3, 4), 1, '1', None, (1.0,), {1}, ((1,),)],
    ),
    (
      several(triple('(network, dataset, setting)')),
      [(), (('a', 'b', '*'),), [['a', 'b', 'c']]],
      [('a', 'b', 'c'), (('a', 'b'),), (('a', 'b', 3),), (('a', '', 'c'),)],
    ),
  ],
)
def test_values(kind, good, bad):
  for value in good:
    config_fields.check_value(value, kind, 'config.x')
  for value in bad:
    with pytest.raises(errors.InputError, match=r'^config\.x') as raised:
      config_fields.check_value(value, kind, 'config.x')
    assert '\n' not in str(raised.value)
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize('config', sorted(config_files.package_configs()))
def test_configs_of_the_package_are_accepted(config):
  loaded = config_files.load(config)
  config_fields.check_job(loaded, loaded.job)


def test_every_job_is_declared():
  assert set(config_fields._DECLARATIONS) == set(main._JOBS)
  for job in main._JOBS:
    config = config_fields.defaults(config_fields.of_job(job))
    assert config.job == job
    assert config.is_locked
    config_fields.check_job(config, job)


def test_choices_are_those_of_the_program():
  def choices(job, field):
    kind = config_fields.find(job, field)
    return re.findall(r"'(\w+)'", kind.expected)

  assert set(base.RESIZES) == set(resizing.RESIZES)
  for setting in ('fine_tuned', 'random_init'):
    assert choices('study', f'{setting}.precision') == list(
      train_step.PRECISIONS
    )
  assert choices('regularizers', 'configurations') == list(
    recipe.CONFIGURATIONS
  )
  assert choices('regularizers', 'fine_tuning') == list(
    regularizers_job.FINE_TUNING
  )


def test_find():
  assert config_fields.find('study', 'fine_tuned.steps').expected.startswith(
    'an integer'
  )
  for job, field in (
    ('study', 'fine_tuned'),
    ('study', 'fine_tuned.stps'),
    ('study', 'fine_tuned.steps.x'),
    ('stdy', 'steps'),
    (None, 'steps'),
  ):
    assert config_fields.find(job, field) is None


class Inner(Group):
  # Of the test.
  size: integer(1, 9) = 3
  last: number(least=0, most=1) = 0.5


class Outer(Inner):
  inner: Inner
  size = 4


def test_a_subclass_keeps_the_order_and_changes_a_default():
  config = config_fields.defaults(Outer)
  assert config.to_dict() == {
    'size': 4,
    'last': 0.5,
    'inner': {'size': 3, 'last': 0.5},
  }
  assert list(config_fields.fields(Outer)) == ['size', 'last', 'inner']
  with pytest.raises(AttributeError, match='locked'):
    config.inner.none = 3


def test_configs_of_one_class_share_nothing():
  config_fields.defaults(Outer).inner.size = 9
  assert config_fields.defaults(Outer).inner.size == 3


def test_field_that_is_not_declared():
  config = base.get_config().unlock()
  config.fine_tuned.learningrate_min = 3.0
  with pytest.raises(errors.InputError, match=r'fine_tuned: .*rate_min or'):
    config_fields.check_job(config, 'study')
  config = base.get_config().unlock()
  config[3] = 3
  with pytest.raises(errors.InputError, match='names are text'):
    config_fields.check_job(config, 'study')


@pytest.mark.parametrize(
  ('job', 'field', 'file'),
  [
    ('study', 'data', 'base'),
    ('study', 'data.dir', 'base'),
    ('study', 'fine_tuned.seed', 'base'),
    ('leaks', 'max_distance', 'leaks'),
    ('regularizers', 'transfer.networks', 'base'),
  ],
)
def test_field_that_is_missing(job, field, file):
  config = config_fields.defaults(config_fields.of_job(job)).unlock()
  *groups, last = field.split('.')
  group = config
  for each in groups:
    group = group[each]
  del group[last]
  message = f'config.{field} is missing: configs/{file}.py'
  with pytest.raises(errors.InputError, match=message):
    config_fields.check_job(config, job)


def test_fields_of_a_setting_that_is_not_named_may_be_missing():
  config = base.get_config().unlock()
  del config.linear_svm
  config_fields.check_job(config, 'study')


def test_a_field_in_place_of_a_group():
  config = base.get_config().unlock()
  del config.data
  config.data = 3
  message = r'config\.data: expected a group of fields, found 3'
  with pytest.raises(errors.InputError, match=message):
    config_fields.check_job(config, 'study')


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'data.val_fraction': 0.8}, r'data\.val_fraction: 0.8 and test_frac'),
    ({'features.pyramid': (1, 2)}, r'features\.pyramid: .* name a layer'),
    ({'ridge.penalty_min': 1e9}, r'ridge\.penalty_min: expected at most pen'),
    (
      {'ridge.penalty_min': 1.0, 'ridge.penalty_max': 1.0},
      r'ridge\.num_penalties: expected 1 where .* found 30',
    ),
    (
      {'fine_tuned.learning_rate_min': 0.5},
      r'fine_tuned\.learning_rate_min: expected at most learning_rate_max',
    ),
    (
      {'random_init.weight_decay_min': 10**-1.5},
      r'random_init\.num_weight_decays: expected 1 where',
    ),
    (
      {
        'fine_tuned.num_learning_rates': 1000,
        'fine_tuned.num_weight_decays': 1000,
      },
      r'fine_tuned\.num_learning_rates: expected at most 10,000 .* 1,001,000',
    ),
    ({'fine_tuned.early_stopping': True}, r'fine_tuned\.early_stopping .* set'),
    (
      {
        'fine_tuned.early_stopping': True,
        'fine_tuned.evaluate_every': 20_001,
      },
      r'fine_tuned\.evaluate_every: expected at most .* 20,000',
    ),
    (
      {'random_init.num_seeds': 2, 'random_init.seed': 2**32 - 1},
      r'random_init\.num_seeds: expected at most 1 after seed 4,294,967,295',
    ),
    (
      {'fine_tuned.gradient_accumulation_steps': 3},
      r'fine_tuned\.gradient_accumulation_steps: .* cannot be cut into 3',
    ),
  ],
)
def test_fields_that_contradict_each_other(changes, message):
  config = base.get_config()
  config.update_from_flattened_dict(changes)
  with pytest.raises(errors.InputError, match=rf'^config\.{message}'):
    config_fields.check_job(config, 'study')
  # In a study that is part of another job likewise.
  outer = regularizers.get_config()
  outer.transfer.update_from_flattened_dict(changes)
  with pytest.raises(errors.InputError, match=rf'^config\.transfer\.{message}'):
    config_fields.check_job(outer, 'regularizers')


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'warmup_epochs': 301}, 'warmup_epochs: expected at most .* 300'),
    ({'evaluate_every_epochs': 301}, 'evaluate_every_epochs: expected at most'),
    ({'weight_decay': 0.9}, 'weight_decay: expected a product'),
    ({'gradient_accumulation_steps': 3}, 'accumulation_steps: a batch of 4096'),
  ],
)
def test_fields_of_a_pretraining_that_contradict_each_other(changes, message):
  config = pretrain.get_config()
  config.pretrain.update(changes)
  message = rf'^config\.pretrain\..*{message}'
  with pytest.raises(errors.InputError, match=message):
    config_fields.check_job(config, 'pretrain')


def test_epochs_of_the_evaluation_count_only_where_steps_are_chosen():
  config = pretrain.get_config()
  config.pretrain.choose_steps_on_val = False
  config.pretrain.evaluate_every_epochs = 301.0
  config_fields.check_job(config, 'pretrain')


SCALARS = st.one_of(
  st.none(),
  st.booleans(),
  st.integers(),
  st.integers(-(10**400), 10**400),
  st.floats(),
  st.text(max_size=9),
  st.binary(max_size=4),
  st.complex_numbers(),
  st.sampled_from(
    [
      *('all', 'nan', 'gs://b/x', 'folder:x', '~none/x', '\x1b[31m', '\ud800'),
      *(np.float64(NAN), np.float32(1), np.int64(3), np.zeros(3), np.nan),
      *(object(), int, len, range(10**9), {'a'}, frozenset({1}), {}),
      *('x' * 20_000, (1,) * 20_000),
    ]
  ),
)
VALUES = st.recursive(
  SCALARS,
  lambda each: (
    st.lists(each, max_size=3)
    | st.lists(each, max_size=3).map(tuple)
    | st.dictionaries(st.sampled_from('ab'), each, max_size=2)
  ),
  max_leaves=6,
)


@settings(max_examples=300, deadline=500)
@given(st.sampled_from(FIELDS), VALUES)
@example(('study', 'networks'), ())
@example(('study', 'job'), '\ud800')
@example(('study', 'features.cache_gib'), NAN)
@example(('study', 'fine_tuned.num_learning_rates'), 10**8)
def test_any_value_of_any_field_is_accepted_or_named(field_of_job, value):
  """What is accepted has the type of the default, and is finite."""
  job, field = field_of_job
  config = config_fields.defaults(config_fields.of_job(job)).unlock()
  default = get_field(config, field)
  set_field(config, field, value)
  value = get_field(config, field)  # ml_collections makes a config of a dict.
  try:
    config_fields.check_job(config, job)
  except errors.InputError as error:
    text = str(error)
    group = field.rpartition('.')[0]
    assert text.startswith((f'config.{field}', f'config.{group}.')), text
    assert '\n' not in text
    assert len(text) < 600
  else:
    if isinstance(default, float):
      assert type(value) is not bool
      assert math.isfinite(value)
    elif isinstance(default, tuple):
      assert isinstance(value, tuple | list)
      assert len(value) <= 10_000
    else:
      assert type(value) is type(default)
      assert value == '' or not re.search('[\x00-\x1f]', str(value))


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('logistic_regression.num_penalties', 10**9),
    ('fine_tuned.num_learning_rates', 10**8),
    ('features.batch_size', 10**9),
    ('image_size', 100_000),
    ('fine_tuned.steps', 10**12),
    ('nearest_neighbors.neighbors', (10**12,)),
    ('features.pyramid', (10**6,)),
    ('data.examples_per_class', 10**18),
    ('features.cache_gib', 1e300),
  ],
)
def test_nothing_is_allocated_for_a_value_that_is_too_large(field, value):
  config = base.get_config()
  set_field(config.unlock(), field, value)
  tracemalloc.start()
  try:
    with pytest.raises(errors.InputError, match=rf'^config\.{field}: expected'):
      config_fields.check_job(config, 'study')
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
  finally:
    tracemalloc.stop()


def test_value_that_cannot_be_shown():
  class Broken:
    def __repr__(self):
      raise ValueError('no')

  with pytest.raises(errors.InputError, match=r'found Broken \(ValueError\)'):
    config_fields.check_value(Broken(), integer(1, 2), 'config.x')


def test_reference_to_another_field():
  config = base.get_config()
  config.fine_tuned.steps = config.fine_tuned.get_ref('seed') + 7
  config_fields.check_job(config, 'study')
  config.fine_tuned.seed = -8 + 2**40
  with pytest.raises(errors.InputError, match='fine_tuned.(steps|seed)'):
    config_fields.check_job(config, 'study')


def test_no_config():
  for value in (None, 3, {}, 'study'):
    with pytest.raises(errors.InputError, match='config: expected a group'):
      config_fields.check_job(value, 'study')
  empty = ml_collections.ConfigDict()
  with pytest.raises(errors.InputError, match='config.networks is missing'):
    config_fields.check_job(empty, 'study')
