"""Each factor of pretraining against numbers worked out by hand."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.networks import drawn
from tests.transfer.training import small
from tf_transfer import errors, networks
from tf_transfer.configs import pretrain as config_file
from tf_transfer.datasets.images import augmentation
from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.networks import weights
from tf_transfer.runtime import devices
from tf_transfer.transfer.training import color, pretraining, train_step

TRIAL = train_step.Trial(learning_rate=0.2, weight_decay=0.01)
IMAGENET_TRAIN = 1_231_167


def train(model, recipe, batches, variables=None, trial=TRIAL):
  """States and metrics after each step, on one device."""
  mesh = devices.data_mesh(jax.devices()[:1])
  variables = variables or train_step.initial_variables(
    model, small.SIZE, seed=0
  )
  state = train_step.new_state(variables, recipe, mesh)
  step = train_step.compile_step(model, small.scale, recipe, mesh)
  found = []
  for batch in batches:
    state, metrics = step(state, dataclasses.asdict(trial), batch)
    found.append(jax.device_get((state, metrics)))
  return variables, found


def test_schedule_of_the_paper():
  """Of 300 epochs of 300.58 steps: warm-up to 1.6, then × 0.975 an epoch."""
  config = config_file.fields('inception_v4', 'C5')
  made = pretraining.recipe(config, IMAGENET_TRAIN)
  assert made.steps == math.ceil(300 * IMAGENET_TRAIN / 4096) == 90_174
  peak = pretraining.trial(config).learning_rate
  assert peak == 1.6
  for step, expected in (
    (0, 1.6 / 3005.7788),
    (1502, 1.6 * 1503 / 3005.7788),
    (3004, 1.6 * 3005 / 3005.7788),
    (3006, 1.6),
    (3306, 1.6),  # Epoch 10.999
    (3307, 1.6 * 0.975),  # Epoch 11.002
    (6012, 1.6 * 0.975**10),
    (90_173, 1.6 * 0.975**289),
  ):
    assert float(made.rate(peak, step)) == pytest.approx(expected, rel=1e-5)


def test_schedule_without_warm_up_and_within_jit():
  made = pretraining.Recipe(
    steps=9, batch_size=4, steps_per_epoch=2.0, decay_per_epoch=0.5
  )
  rates = jax.jit(jax.vmap(lambda step: made.rate(8.0, step)))(jnp.arange(6))
  np.testing.assert_allclose(rates, [8, 8, 4, 4, 2, 2])


def test_batch_size_scales_the_rate_and_not_the_decay():
  config = config_file.fields('resnet50', 'C5')
  config.batch_size = 256
  given = pretraining.trial(config)
  assert given.learning_rate == pytest.approx(0.1)
  assert given.weight_decay / given.learning_rate == pytest.approx(8e-5)


def test_moving_average_of_five_steps_by_hand():
  """In closed form: of n steps the k-th counts (1 − d) d^(n − k)."""
  made = train_step.Recipe(steps=5, batch_size=16, ema_decay=0.9)
  variables, found = train(small.tiny(), made, small.batches(5))
  states = [
    {'params': s.params, 'batch_stats': s.batch_stats} for s, _ in found
  ]
  shares = [0.59049, 0.06561, 0.0729, 0.081, 0.09, 0.1]
  assert sum(shares) == pytest.approx(1)
  expected = jax.tree.map(
    lambda *values: sum(
      s * np.float64(v) for s, v in zip(shares, values, strict=True)
    ),
    *(variables, *states),
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
    found[-1][0].variables,
    expected,
  )


def test_moving_average_with_a_ramp_by_hand():
  """Keeps 2/11, 3/12, 4/13, 5/14 and, bounded by the decay, 0.375."""
  made = pretraining.Recipe(
    steps=5, batch_size=16, ema_decay=0.375, ema_warmup=True
  )
  variables, found = train(small.tiny(), made, small.batches(5))
  average = np.float64(variables['params']['head']['kernel'])
  for keep, (state, _) in zip(
    (2 / 11, 3 / 12, 4 / 13, 5 / 14, 0.375), found, strict=True
  ):
    new = state.params['head']['kernel']
    average = keep * average + (1 - keep) * np.float64(new)
    np.testing.assert_allclose(
      state.variables['params']['head']['kernel'], average, atol=1e-6
    )


@pytest.mark.parametrize(
  ('smoothing', 'expected'),
  # Probabilities 1/2, 1/4, 1/8, 1/16, 1/16 in every row, and label 0 or 3:
  # 1, 2, 3, 4 and 4 bits. Smoothed by 0.1 the target is 0.92 and four 0.02.
  [
    (0.0, (1 + 4) / 2),
    (0.1, (0.92 * 1 + 0.02 * 13 + 0.92 * 4 + 0.02 * 10) / 2),
  ],
)
def test_label_smoothing_in_a_step_by_hand(smoothing, expected):
  made = pretraining.Recipe(steps=1, batch_size=16, label_smoothing=smoothing)
  model = small.tiny()
  variables = train_step.initial_variables(model, small.SIZE, seed=0)
  head = variables['params']['head']
  head['kernel'] = np.zeros_like(head['kernel'])
  head['bias'] = np.log(np.float32([0.5, 0.25, 0.125, 0.0625, 0.0625]))
  (batch,) = small.batches(1)
  batch['label'] = np.int32([0, 3] * 8)
  batch['mask'] = np.ones(16, bool)
  _, ((_, metrics),) = train(model, made, [batch], variables)
  assert metrics['loss'] == pytest.approx(expected * math.log(2), rel=1e-6)


class Ones(small.nn.Module):
  """A backbone whose features and middle are all 1."""

  auxiliary_after = 'middle'

  @small.nn.compact
  def __call__(self, x, train=False):
    return jnp.ones((len(x), 200))

  def with_auxiliary(self, x, train=False):
    return self(x, train), jnp.ones((len(x), 8, 8, 3))

  def shared(self, base):
    return {}


def test_dropout_is_between_the_pooled_features_and_the_logits():
  """A head that copies features shows what it was fed."""
  model = small.classifier.Classifier(Ones(), 200, dropout=0.2)
  x = jnp.zeros((500, 1, 1, 3))
  variables = {'params': {'head': {'kernel': jnp.eye(200), 'bias': 0.0}}}
  variables['params']['head']['bias'] = jnp.zeros(200)
  logits, auxiliary = model.apply(
    variables,
    x,
    method='training_logits',
    rngs={'dropout': jax.random.key(0)},
  )
  assert auxiliary is None
  np.testing.assert_allclose(np.unique(logits), [0, 1.25])
  # Of 100,000 a fifth, within four standard deviations.
  assert abs(np.mean(logits == 0) - 0.2) < 4 * math.sqrt(0.16 / 100_000)
  assert np.all(model.apply(variables, x) == 1)
  assert np.all(model.apply(variables, x, method='features') == 1)


def test_auxiliary_loss_counts_four_tenths():
  """Both heads' losses are known: their kernels are 0, so biases speak."""
  model = small.with_auxiliary()
  variables = train_step.initial_variables(model, small.SIZE, seed=0)
  for head, bias in (
    (variables['params']['head'], [0.5, 0.125, 0.125, 0.125, 0.125]),
    (variables['params']['auxiliary']['head'], [0.2] * 5),
  ):
    head['kernel'] = np.zeros_like(head['kernel'])
    head['bias'] = np.log(np.float32(bias))
  (batch,) = small.batches(1)
  batch['label'] = np.zeros(16, np.int32)
  made = pretraining.Recipe(steps=1, batch_size=16, auxiliary_head=True)
  _, ((_, metrics),) = train(model, made, [batch], variables)
  assert metrics['loss'] == pytest.approx(
    math.log(2) + 0.4 * math.log(5), rel=1e-6
  )


def test_auxiliary_head_is_absent_at_evaluation():
  with_head = small.with_auxiliary()
  without = dataclasses.replace(with_head, auxiliary_head=False)
  variables = train_step.initial_variables(with_head, small.SIZE, seed=0)
  x = small.scale(next(small.batches(1))['image'])
  plain = {
    kind: {k: v for k, v in values.items() if k != 'auxiliary'}
    for kind, values in variables.items()
  }
  assert plain != variables
  np.testing.assert_array_equal(
    with_head.apply(variables, x), without.apply(plain, x)
  )


@pytest.mark.parametrize(
  'name',
  [
    *('inception_v1', 'bn_inception', 'inception_v3', 'inception_v4'),
    *('inception_resnet_v2', 'inception_small', 'resnet50', 'densenet121'),
    *('mobilenet_v1', 'mobilenet_v2', 'nasnet_mobile', 'efficientnet_lite0'),
    'efficientnet_v2_b0',
  ],
)
def test_batch_norm_without_scale_has_no_such_parameter(name):
  shapes = {
    scale: networks.expected_variables(
      networks.build(name, use_scale=scale), networks.row(name).image_size
    )
    for scale in (True, False)
  }
  gone = shapes[True].keys() - shapes[False].keys()
  assert gone
  assert all(path.endswith('/scale') for path in gone)
  assert not any(path.endswith('/scale') for path in shapes[False])
  # One for each bias of a batch norm.
  moments = [path for path in shapes[True] if path.endswith('/mean')]
  assert len(gone) == len(moments)


def test_scale_converts_both_ways(tmp_path):
  """A scale of 1 is none: the same features; files are strict about it."""
  fresh = networks.untrained('inception_small')
  size = fresh.contract.image_size
  x = np.random.default_rng(0).normal(size=(3, size, size, 3))
  x = x.astype(np.float32)
  flat = {
    scale: networks.expected_variables(
      networks.build('inception_small', use_scale=scale), size
    )
    for scale in (False, True)
  }
  ones = {
    path: np.ones(v.shape, np.float32)
    for path, v in flat[True].items()
    if path not in flat[False]
  }
  rng = np.random.default_rng(1)
  drawn = {
    path: rng.uniform(0.1, 0.9, v.shape).astype(np.float32)
    for path, v in flat[False].items()
  }
  paths = {scale: tmp_path / f'{scale}.safetensors' for scale in (True, False)}
  for scale, tensors in ((False, drawn), (True, {**drawn, **ones})):
    options = {} if scale else {'use_scale': False}
    header = dataclasses.replace(fresh.header, options=options)
    weights.save(paths[scale], header, weights.unflatten(tensors))
  without, with_ones = (networks.load(paths[s]) for s in (False, True))
  np.testing.assert_array_equal(without.features(x), with_ones.features(x))
  # And what does not fit is refused, either way.
  for scale, word in ((False, 'left over'), (True, 'missing')):
    header = weights.read_header(paths[scale])
    _, tensors = weights.read(paths[not scale])
    wrong = tmp_path / 'wrong.safetensors'
    weights.save(wrong, header, weights.unflatten(tensors))
    with pytest.raises(errors.InputError, match=f'{word} .*/bn/scale'):
      networks.load(wrong)


def test_colors_are_distorted_ahead_of_scaling():
  """The same loss as of images that were distorted before."""
  made = pretraining.Recipe(steps=1, batch_size=16)
  (batch,) = small.batches(1)
  generator = np.random.default_rng(0)
  drawn = np.stack([augmentation.draw_color(generator) for _ in range(16)])
  distorted = np.asarray(color.distort(batch['image'], drawn))
  _, ((_, plain),) = train(small.tiny(), made, [batch])
  _, ((_, found),) = train(small.tiny(), made, [{**batch, 'color': drawn}])
  _, ((_, expected),) = train(
    small.tiny(), made, [{**batch, 'image': distorted}]
  )
  assert found['loss'] == pytest.approx(expected['loss'], rel=1e-5)
  assert abs(found['loss'] - plain['loss']) > 1e-4


@pytest.mark.parametrize('configuration', recipe_lib.CONFIGURATIONS)
def test_every_network_has_every_configuration(configuration):
  for name in networks.TABLE:
    config = config_file.fields(name, configuration)
    pretraining.check(name, config)
    wanted = dict(recipe_lib.CONFIGURATIONS[configuration])
    if not networks.has_auxiliary(name):
      wanted['auxiliary_head'] = False
    assert pretraining.factors(config) == wanted
    found = pretraining.configuration_of(name, config)
    alone = networks.has_auxiliary(name) or configuration != 'C4'
    assert found == (configuration if alone else 'C5')


@pytest.mark.parametrize(
  ('name', 'configuration', 'words'),
  [
    ('bn_inception', 'C1', 'C1 is trained without one'),
    ('bn_inception', 'C3', 'C3 is trained without one'),
    ('bn_inception', 'C4', 'C4 and C5 are the same'),
    ('inception_v3', 'C1', ''),
    ('inception_v3', 'C5', ''),
  ],
)
def test_head_that_a_network_has_no_place_for(name, configuration, words):
  config = config_file.fields(name, configuration)
  said = pretraining.without_auxiliary_head(name, config)
  assert said.endswith(words)
  place = f'{name} has no place for an auxiliary head: '
  assert said.startswith(place if words else '')
  # What is none of the five is nothing to speak of.
  config.update({'bn_scale': False, 'label_smoothing': 0.0})
  assert pretraining.without_auxiliary_head(name, config) == ''


def test_networks_with_an_auxiliary_head():
  assert {n for n in networks.TABLE if networks.has_auxiliary(n)} == {
    *('inception_v3', 'inception_v4', 'inception_resnet_v2'),
    *('nasnet_mobile', 'nasnet_large', 'inception_small'),
  }


@pytest.mark.parametrize(
  ('name', 'change', 'message'),
  [
    ('resnet50', {'auxiliary_head': True}, 'resnet50 has no place for an aux'),
    ('inception_v1', {'auxiliary_head': True}, 'build it without'),
    ('resnet50', {'epochs': 0.0}, 'config.pretrain.epochs: expected more'),
    ('resnet50', {'decay_per_epoch': 1.5}, 'decay_per_epoch above 0'),
    ('resnet50', {'learning_rate': 0.0}, 'learning rate above 0'),
    ('resnet50', {'dropout': 1.0}, 'config.pretrain: dropout'),
    ('resnet50', {'gradient_accumulation_steps': 3}, 'cannot be cut into 3'),
  ],
)
def test_what_cannot_be_is_refused(name, change, message):
  config = config_file.fields(name, 'C5')
  config.update(change)
  with pytest.raises(errors.InputError, match=message):
    pretraining.check(name, config)


def test_unknown_configuration_or_network():
  with pytest.raises(errors.InputError, match="configuration 'C6'"):
    config_file.get_config('resnet50,C6')
  with pytest.raises(errors.InputError, match="network 'resnet5'"):
    config_file.get_config('resnet5,C1')


# The smallest at which the auxiliary head's window of 5 × 5 fits.
SMALLEST_V4 = 107


def _losses_over(count, model, variables, made, config, batches):
  """Of a step for each batch, on so many devices, in double precision."""
  mesh = devices.data_mesh(jax.devices()[:count])
  step = train_step.compile_step(
    model, lambda image: image.astype(np.float64) / 127.5 - 1, made, mesh
  )
  state = train_step.new_state(jax.tree.map(np.float64, variables), made, mesh)
  trial = dataclasses.asdict(pretraining.trial(config))
  losses = []
  for batch in devices.on_devices(
    batches, devices.sharding(mesh, devices.BATCH)
  ):
    state, metrics = step(state, trial, batch)
    losses.append(float(metrics['loss']))
  return losses


@pytest.mark.parametrize(
  ('name', 'size', 'configuration'),
  [
    ('inception_small', 32, 'C1'),
    *(
      pytest.param(*case, marks=pytest.mark.slow)
      for case in (
        ('inception_small', 32, 'C5'),
        ('inception_v4', SMALLEST_V4, 'C1'),
        ('inception_v4', SMALLEST_V4, 'C5'),
      )
    ),
  ],
)
def test_sharded_over_eight_devices(configuration, name, size):
  """Three steps: the same losses as on one device.

  In double precision: in single, batch norm in training amplifies what is
  left of a sum's order, layer by layer, to the size of the loss.
  """
  config = config_file.fields(name, configuration)
  config.update({'batch_size': 16, 'epochs': 1.0, 'ema_decay': 0.9})
  made = pretraining.recipe(config, examples=48)
  assert made.steps == 3
  net = pretraining.fresh(name, size, config)
  model = train_step.build_model(net, 10, 48, made)
  variables = drawn.variables(model, size)
  rng = np.random.default_rng(1)
  batches = [
    {
      'image': rng.integers(0, 256, (16, *[size] * 2, 3), np.uint8),
      'label': rng.integers(0, 10, 16).astype(np.int32),
      'mask': np.ones(16, bool),
    }
    for _ in range(3)
  ]
  losses = []
  with jax.enable_x64(True):
    for count in (1, 8):
      losses.append(
        _losses_over(count, model, variables, made, config, batches)
      )
      # Inception v4's programs are large.
      jax.clear_caches()
  assert all(math.isfinite(loss) for loss in losses[0])
  assert len(set(losses[0])) == 3
  np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)
