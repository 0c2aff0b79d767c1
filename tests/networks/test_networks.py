"""Every network of the table: exact size, width, and golden outputs."""

import functools
import hashlib
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.networks import drawn
from tf_transfer import errors, networks
from tf_transfer.networks import weights

GOLDEN = pathlib.Path(__file__).parents[1] / 'golden'


def relative_difference(ours, golden):
  return np.abs(np.asarray(ours) - golden).max() / np.abs(golden).max()


@functools.cache
def variables_of(name):
  """Shapes of all variables at the default options; tracing takes seconds."""
  model = networks.build(name)
  return networks.expected_variables(model, networks.row(name).image_size)


@pytest.mark.parametrize('name', networks.TABLE)
def test_sizes_are_those_of_the_table(name):
  row = networks.row(name)
  variables = variables_of(name)
  backbone = [
    int(np.prod(v.shape))
    for path, v in variables.items()
    if path.startswith('params/backbone/')
  ]
  assert sum(backbone) == row.parameters
  assert variables['params/head/kernel'].shape == (row.feature_dim, 1000)
  roots = {tuple(path.split('/')[:2]) for path in variables}
  assert roots == {
    ('params', 'backbone'),
    ('params', 'head'),
    ('batch_stats', 'backbone'),
  }


# {network: digest of its variables}.
SNAPSHOT = pathlib.Path(__file__).parent / 'parameter_paths.json'


def digest(variables):
  """SHA-256 over the sorted lines `path (shape)` of all variables."""
  lines = sorted(f'{path} {tuple(v.shape)}' for path, v in variables.items())
  return hashlib.sha256('\n'.join(lines).encode()).hexdigest()


@pytest.mark.parametrize('name', networks.TABLE)
def test_parameter_paths_stay(name):
  """Weights files hold them: those of before would not load any more.

  Of a new network, or where a change is meant, the digest that was found goes
  into the file.
  """
  snapshot = json.loads(SNAPSHOT.read_text())
  assert snapshot.keys() == networks.TABLE.keys()
  assert snapshot[name] == digest(variables_of(name))


def test_digest_sees_a_path_and_a_shape():
  variables = variables_of('inception_small')
  path, value = next(iter(variables.items()))
  rest = {p: v for p, v in variables.items() if p != path}
  changed = (
    variables,
    {**rest, f'{path}s': value},
    {**rest, path: value.update(shape=(*value.shape, 1))},
  )
  assert len({digest(c) for c in changed}) == 3
  assert digest(dict(reversed(variables.items()))) == digest(variables)


REAL = [path.stem for path in sorted(GOLDEN.glob('*.npz'))]


@pytest.mark.parametrize('name', REAL)
def test_golden_outputs_of_the_real_weights(name, weights_dir, golden_input):
  net = networks.load(weights_dir / f'{name}.safetensors')
  x = golden_input(net.contract.image_size)
  with np.load(GOLDEN / f'{name}.npz') as golden:
    assert relative_difference(net.features(x), golden['features']) < 1e-5
    assert relative_difference(net.logits(x), golden['logits']) < 1e-5


def test_golden_comparison_sees_a_wrong_epsilon(lite0, golden_input):
  model = networks.build('efficientnet_lite0', epsilon=1.1e-3)
  x = golden_input(224)
  features = jax.jit(functools.partial(model.apply, method='features'))(
    lite0.variables, x
  )
  with np.load(GOLDEN / 'efficientnet_lite0.npz') as golden:
    assert relative_difference(features, golden['features']) > 1e-4


def test_library_face(lite0):
  assert lite0.name == 'efficientnet_lite0'
  assert lite0.feature_dim == 1280
  pixels = np.zeros((3, 224, 224, 3), np.uint8)
  features = lite0.features(lite0.contract.scale(pixels))
  assert features.shape == (3, 1280)
  assert features.dtype == np.float32
  assert lite0.logits(lite0.contract.scale(pixels)).shape == (3, 1000)


def test_unscaled_or_misshapen_input_is_refused(lite0):
  with pytest.raises(errors.InputError, match=r'contract\.scale'):
    lite0.features(np.zeros((1, 224, 224, 3), np.uint8))
  with pytest.raises(errors.InputError, match=r'\(224, 224, 3\)'):
    lite0.features(np.zeros((224, 224, 3), np.float32))


def test_training_updates_statistics_and_drops_features():
  model = networks.build('efficientnet_lite0', num_classes=7, dropout=0.5)
  x = jnp.asarray(
    np.random.default_rng(0).normal(size=(2, 64, 64, 3)), jnp.float32
  )
  variables = jax.jit(model.init)(jax.random.key(0), x)

  @jax.jit
  def train(seed):
    return model.apply(
      variables,
      x,
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(seed)},
    )

  logits, updates = train(1)
  assert logits.shape == (2, 7)
  before = variables['batch_stats']['backbone']['stem']['bn']['mean']
  after = updates['batch_stats']['backbone']['stem']['bn']['mean']
  assert np.abs(after - before).max() > 0
  again = train(2)[0]
  assert np.abs(again - logits).max() > 1e-3


def test_unknown_network_and_option():
  with pytest.raises(errors.InputError, match='did you mean efficientnet_lite'):
    networks.build('efficientnet-lite0')
  with pytest.raises(errors.InputError, match='heads'):
    networks.build('efficientnet_lite0', heads=8)


@pytest.mark.parametrize(
  ('name', 'options'),
  [
    ('resnet50', {'stride_in': 'second'}),
    ('resnet50', {'stem_pool': 'valid'}),
    ('mobilenet_v2', {'padding': 'valid'}),
    ('inception_v1', {'padding': 'valid'}),
    ('bn_inception', {'stem': 'deep'}),
    ('nasnet_mobile', {'reduction_pools': 'none'}),
  ],
)
def test_unknown_value_of_an_option(name, options):
  ((option, value),) = options.items()
  with pytest.raises(errors.InputError, match=f"{option}: .*got '{value}'"):
    networks.build(name, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
  'name',
  [
    'resnet50',
    'densenet121',
    'mobilenet_v1',
    'inception_v1',
    'bn_inception',
    'inception_v3',
    'inception_v4',
    'inception_resnet_v2',
    'nasnet_mobile',
  ],
)
def test_every_kind_trains(name):
  """Gradients are finite and reach every parameter."""
  model = networks.build(name, num_classes=3)
  x = jnp.asarray(
    np.random.default_rng(0).normal(size=(2, 96, 96, 3)), jnp.float32
  )
  variables = drawn.variables(model, 96)

  @jax.jit
  def gradients(params):
    def loss(params):
      logits, updates = model.apply(
        {**variables, 'params': params}, x, train=True, mutable=['batch_stats']
      )
      return jnp.sum(jax.nn.log_softmax(logits)[:, 0]), updates

    return jax.grad(loss, has_aux=True)(params)

  found, updates = gradients(variables['params'])
  for path, gradient in weights.flatten(found).items():
    assert np.all(np.isfinite(gradient)), path
    assert np.any(gradient), path
  after = weights.flatten(updates['batch_stats'])
  for path, before in weights.flatten(variables['batch_stats']).items():
    assert np.any(after[path] != before), path
