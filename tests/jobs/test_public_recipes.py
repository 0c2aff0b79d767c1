"""Public weights by their recipes, end to end."""

import csv
import dataclasses

import jax
import numpy as np
import pytest

from tests.networks import drawn
from tests.study import tiny
from tf_transfer import contract, errors, networks
from tf_transfer.configs import public_recipes as config_lib
from tf_transfer.jobs import public_recipes, study
from tf_transfer.networks import published_timm, weights
from tf_transfer.networks import recipe as recipe_lib

# Label smoothing, mixup and top-1 of each file; mixup of the last is unknown.
RECIPES = {
  'plain': (False, False, 0.70),
  'smooth': (True, False, 0.72),
  'smooth2': (True, False, 0.74),
  'mixed': (False, True, 0.73),
  'both': (True, True, 0.76),
  'unknown': (False, None, 0.71),
}


@pytest.fixture
def directory(tmp_path, monkeypatch, network):
  """Writes weights of one network by several recipes."""
  monkeypatch.setitem(networks.TABLE, 'tiny', tiny.ROW)
  folder = tmp_path / 'weights'
  folder.mkdir()
  size = networks.row(network).image_size
  variables = drawn.variables(networks.build(network, num_classes=3), size)
  for number, (name, (smoothing, mixup, top1)) in enumerate(RECIPES.items()):
    header = weights.Header(
      network,
      {},
      contract.Contract(size, (127.5,) * 3, (127.5,) * 3),
      num_classes=3,
      imagenet_top1=top1,
      imagenet_top1_source='made up',
      recipe=recipe_lib.Recipe(
        label_smoothing=smoothing, mixup=mixup, trained_on='imagenet'
      ),
    )
    noise = np.random.default_rng(number)
    own = jax.tree.map(
      lambda a, noise=noise: a * noise.uniform(0.8, 1.2, a.shape), variables
    )
    weights.save(folder / f'{name}.safetensors', header, own)
  return folder


@pytest.fixture
def config(directory, network):
  made = config_lib.get_config(network)
  made.weights_dir = str(directory)
  made.datasets = ('digits',)
  made.logistic_regression.num_penalties = 2
  made.data.examples_per_class = 5
  made.report = made.tensorboard = False
  return made.lock()


def read(path):
  with open(path, newline='') as file:
    return list(csv.reader(file))


@pytest.fixture
def network():
  """The network whose weights there are; some tests take another."""
  return 'tiny'


@pytest.mark.parametrize(
  'network',
  ['tiny', pytest.param('inception_small', marks=pytest.mark.slow)],
)
def test_one_command_and_the_same_again(
  config, network, tmp_path, capsys, monkeypatch
):
  if network == 'tiny':  # The study's own figures take seconds.
    monkeypatch.setattr(study.conclude_lib, 'conclude', lambda *arguments: None)
  public_recipes.run(config, tmp_path)
  out = capsys.readouterr().out
  assert '6 cells: 0 found' in out
  assert public_recipes.CAVEAT in out
  assert f'6 weights files of {network}' in out
  header, *rows = read(tmp_path / 'public_recipes.csv')
  assert len(rows) == 6
  column = {name: number for number, name in enumerate(header)}
  for row in rows:
    top1 = row[column['ImageNet top-1']]
    (recipe,) = [r for r in RECIPES.values() if f'{r[2]:.2%}' == top1]
    words = {True: 'yes', False: 'no', None: '?'}
    assert row[column['label smoothing']] == words[recipe[0]]
    assert row[column['mixup']] == words[recipe[1]]
    assert row[column['dropout']] == '?'
  effects = {row[0]: row[1:] for row in read(tmp_path / 'recipe_effects.csv')}
  assert effects['mixup'][:3] == ['2', '3', '1']
  assert effects['label smoothing'][:3] == ['3', '3', '0']
  assert effects['label smoothing'][7] == "'-0.151"
  assert effects['dropout'][3:5] == ["'-", 'no checkpoint of which it is known']
  for name in ('public_recipes', 'recipe_effects'):
    for suffix in ('png', 'pdf'):
      assert (tmp_path / f'{name}.{suffix}').stat().st_size > 5000
  public_recipes.run(config, tmp_path)
  again = capsys.readouterr().out
  assert '6 cells: 6 found' in again
  assert read(tmp_path / 'public_recipes.csv') == [header, *rows]


def test_a_plan_alone(config, tmp_path, capsys):
  with config.unlocked():
    config.only_plan = True
  public_recipes.run(config, tmp_path)
  assert '6 to run' in capsys.readouterr().out
  assert not (tmp_path / 'public_recipes.csv').exists()


def test_networks_of_other_architectures(config, tmp_path):
  with config.unlocked():
    config.networks = ('efficientnet_lite0',)
  with pytest.raises(errors.InputError, match='is efficientnet_lite0, and'):
    public_recipes.run(config, tmp_path)
  config.architectures = ('resnet50',)
  config.networks = ('all',)
  with pytest.raises(errors.InputError, match='public_recipes:resnet50,hub'):
    public_recipes.run(config, tmp_path)
  config.architectures = ('resnet5',)
  with pytest.raises(errors.InputError, match='resnet5'):
    public_recipes.run(config, tmp_path)


def test_weights_on_the_hub_are_told_by_their_names(tmp_path):
  """Without a connection, and before anything is fetched."""
  config = config_lib.get_config('resnet50')
  config.networks = ('timm/resnet50.a2_in1k', 'timm/resnet50.a2_in1k')
  selected = public_recipes._select_networks(config, tmp_path)
  assert selected == ('timm/resnet50.a2_in1k',)
  for name, said in (
    ('timm/resnet18.a2_in1k', 'is resnet18, and'),
    ('timm/unheard_of.a2_in1k', 'is of no network of the table'),
  ):
    config.networks = (name,)
    with pytest.raises(errors.InputError, match=said):
      public_recipes._select_networks(config, tmp_path)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'settings': ('fine_tuned',)}, 'on fixed features'),
    ({'export': 'a.safetensors'}, 'no network is trained'),
  ],
)
def test_fields_that_do_not_go_together(config, tmp_path, fields, message):
  with config.unlocked():
    config.update(fields)
  with pytest.raises(errors.InputError, match=message):
    public_recipes.run(config, tmp_path)


def test_all_of_the_hub():
  config = config_lib.get_config('resnet50,hub')
  assert len(config.networks) == 18
  assert config.networks[0] == 'timm/resnet50.a1_in1k'
  assert 'timm/resnet50.fb_ssl_yfcc100m_ft_in1k' in config.networks
  # Both kinds of timm's.
  names = config_lib.get_config('efficientnet_b0,hub').networks
  assert {n.partition('.')[0] for n in names} == {
    'timm/efficientnet_b0',
    'timm/tf_efficientnet_b0',
  }


@pytest.mark.parametrize(
  ('argument', 'message'),
  [
    ('', 'NETWORK is empty'),
    ('resnet50,disk', "unknown SOURCE 'disk'"),
    ('inception_small,hub', 'no weights of inception_small'),
  ],
)
def test_argument_that_is_wrong(argument, message):
  with pytest.raises(errors.InputError, match=message):
    config_lib.get_config(argument)


def record(dataset='digits', **fields):
  return {
    'network': 'resnet50',
    'weights_sha256': 'a' * 64,
    'weights_tag': 'a1_in1k',
    'dataset': dataset,
    'image_size': 224,
    'imagenet_top1': 0.5,
    'recipe': recipe_lib.Recipe(trained_on='imagenet').to_json(),
    'test': {'value': 0.8, 'low': 0.75, 'high': 0.85, 'examples': 100},
    **fields,
  }


def test_top1_is_that_of_the_same_size():
  for size in (224, 288):
    (one,) = public_recipes.make_checkpoints([record(image_size=size)])
    published = published_timm.top1('resnet50.a1_in1k', size)
    assert one.top1 == published.value
  fields = {'weights_tag': 'unheard_of', 'network': 'resnet18'}
  (one,) = public_recipes.make_checkpoints([record(**fields)])
  assert one.top1 == 0.5


@pytest.mark.parametrize(
  'fields',
  [
    {'imagenet_measure': 'knn'},
    {'imagenet_top1': None},
  ],
)
def test_another_measure_is_no_top1(fields):
  (one,) = public_recipes.make_checkpoints([record(weights_tag='x', **fields)])
  assert np.isnan(one.top1)


def test_top1_of_another_size_is_none():
  one = record(weights_tag='x')
  for size, top1 in ((0, 0.5), (224, 0.5), (160, np.nan)):
    (made,) = public_recipes.make_checkpoints([one], size)
    np.testing.assert_equal(made.top1, top1)


def test_mean_log_odds_by_hand():
  test = {'value': 0.5, 'low': 0.4, 'high': 0.6, 'examples': 100}
  (one,) = public_recipes.make_checkpoints(
    [record(), record('pets', test=test)]
  )
  assert one.mean_log_odds == pytest.approx(np.log(4) / 2)
  halves = (np.log(0.85 / 0.15) - np.log(3)) / 2, np.log(1.5)
  assert one.error == pytest.approx(np.hypot(*halves) / 2)


def test_networks_on_different_datasets():
  records = [record(), record('pets'), record(weights_sha256='b' * 64)]
  with pytest.raises(errors.InputError, match='no record on pets'):
    public_recipes.make_checkpoints(records)


def test_the_answer_claims_no_more_than_intervals_tell():
  checkpoints = [
    dataclasses.replace(
      public_recipes.make_checkpoints([record()])[0],
      mean_log_odds=value,
      top1=top1,
      recipe=recipe_lib.Recipe(
        mixup=mixup, cutmix=mixup, trained_on='imagenet'
      ),
    )
    for value, top1, mixup in (
      *((1.00, 0.76, False), (1.11, 0.78, False), (1.20, 0.80, False)),
      *((0.40, 0.77, True), (0.51, 0.79, True), (0.60, 0.81, True)),
    )
  ]
  effects = public_recipes.recipe_effects.estimate_all(checkpoints)
  lines = public_recipes._answer(checkpoints, effects)
  assert 'with mixup are worse: -0.6' in lines[1]
  assert 'So they are with CutMix: the same weights.' in lines[1]
  noisy = [
    dataclasses.replace(one, mean_log_odds=value)
    for one, value in zip(checkpoints, (1, 2, 1, 2, 1, 2), strict=True)
  ]
  effects = public_recipes.recipe_effects.estimate_all(noisy)
  lines = public_recipes._answer(noisy, effects)
  assert 'each interval has 0' in lines[1]
  assert lines[-1] == public_recipes.CAVEAT


def test_weights_without_a_top1_are_counted(tmp_path, capsys):
  checkpoints = public_recipes.make_checkpoints(
    [record(weights_tag='x', imagenet_top1=None)]
  )
  attempts = public_recipes.attempts_lib.Attempts()
  public_recipes._show(checkpoints, tmp_path, attempts)
  attempts.raise_failures()
  assert 'size of the study: 1 of them' in capsys.readouterr().out
  assert not (tmp_path / 'public_recipes.png').exists()
  assert (tmp_path / 'recipe_effects.png').exists()
