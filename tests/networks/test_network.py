"""Tests of the class Network: features and logits of real weights."""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tf_transfer import errors, networks
from tf_transfer.networks import network as network_lib

GOLDEN = pathlib.Path(__file__).parents[1] / 'golden'


def relative_difference(ours, golden):
  return np.abs(np.asarray(ours) - golden).max() / np.abs(golden).max()


# Of the three networks one each time; the others are marked slow.
REAL = [
  pytest.param(
    path.stem, marks=() if path.stem.endswith('lite0') else pytest.mark.slow
  )
  for path in sorted(GOLDEN.glob('*.npz'))
]


@pytest.mark.parametrize('name', REAL)
def test_golden_outputs_of_the_real_weights(
  name, weights_dir, golden_input, lite0
):
  net = lite0
  if name != lite0.name:
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
  pixels = np.zeros((2, 224, 224, 3), np.uint8)
  features = lite0.features(lite0.contract.scale(pixels))
  assert features.shape == (2, 1280)
  assert features.dtype == np.float32
  assert lite0.logits(lite0.contract.scale(pixels)).shape == (2, 1000)


def test_unscaled_or_misshapen_input_is_refused(lite0):
  with pytest.raises(errors.InputError, match=r'contract\.scale'):
    lite0.features(np.zeros((1, 224, 224, 3), np.uint8))
  with pytest.raises(errors.InputError, match=r'\(224, 224, 3\)'):
    lite0.features(np.zeros((224, 224, 3), np.float32))


@pytest.fixture(scope='module')
def tiny():
  """A network of a few milliseconds, with random weights."""
  net = networks.untrained('inception_small')
  image = np.zeros((1, 32, 32, 3), np.float32)
  variables = jax.jit(net.model.init)(jax.random.key(0), image)
  return dataclasses.replace(net, variables=variables)


@pytest.fixture
def as_on_accelerators(monkeypatch):
  """Batches of the size of other devices than this one."""
  monkeypatch.setattr(network_lib, '_MAX_BATCH_ON_CPU', network_lib._MAX_BATCH)


def test_batches_are_small_on_cpu(tiny):
  """Up to so many images cost no more than before; the last is filled up."""
  sizes = []
  tiny = dataclasses.replace(tiny)
  function = tiny._features

  def observe(variables, x):
    sizes.append(len(x))
    return function(variables, x)

  tiny.__dict__['_features'] = observe
  x = np.random.default_rng(0).normal(size=(19, 32, 32, 3))
  wanted = function(tiny.variables, jnp.asarray(x, jnp.float32))
  np.testing.assert_array_equal(tiny.features(x), wanted)
  tiny.features(x[:16])
  assert sizes == [16, 16, 16]


@pytest.mark.parametrize('count', [128, 129, 300])
@pytest.mark.usefixtures('as_on_accelerators')
def test_any_number_of_images(tiny, count):
  x = np.random.default_rng(0).normal(size=(count, 32, 32, 3))
  x = x.astype(np.float32)
  wanted = tiny._features(tiny.variables, x)
  np.testing.assert_array_equal(tiny.features(x), wanted)
  np.testing.assert_array_equal(tiny.features(jnp.asarray(x)), wanted)
  assert tiny.logits(x).shape == (count, 1000)


@pytest.mark.usefixtures('as_on_accelerators')
def test_one_program_for_any_number_of_images(tiny):
  sizes = []
  tiny = dataclasses.replace(tiny)
  function = tiny._features

  def observe(variables, x):
    sizes.append(len(x))
    return function(variables, x)

  tiny.__dict__['_features'] = observe
  for count in (257, 300, 511):
    assert tiny.features(np.zeros((count, 32, 32, 3))).shape == (count, 128)
  assert set(sizes) == {128}
  assert function._cache_size() == 1
  sizes.clear()
  tiny.features(np.zeros((3, 32, 32, 3)))
  assert sizes == [3]


@pytest.mark.usefixtures('as_on_accelerators')
def test_many_images_are_not_on_the_device_together(tiny, monkeypatch):
  moved = []
  asarray = jnp.asarray

  def observe(x, *arguments, **keywords):
    moved.append(np.shape(x))
    return asarray(x, *arguments, **keywords)

  monkeypatch.setattr(network_lib.jnp, 'asarray', observe)
  tiny.features(np.zeros((300, 32, 32, 3)))
  images = [shape for shape in moved if len(shape) == 4]
  assert [shape[0] for shape in images] == [128, 128, 44]


def test_features_under_a_transform(tiny):
  x = np.random.default_rng(0).normal(size=(2, 130, 32, 32, 3))
  x = x.astype(np.float32)
  np.testing.assert_allclose(
    jax.vmap(tiny.features)(x)[1], tiny.features(x[1]), rtol=1e-4, atol=1e-5
  )


def test_logits_from_features(lite0):
  features = np.random.default_rng(0).normal(size=(3, 1280))
  features = features.astype(np.float32)
  head = lite0.variables['params']['head']
  np.testing.assert_allclose(
    lite0.logits_from_features(features),
    features @ head['kernel'] + head['bias'],
    rtol=1e-5,
    atol=1e-5,
  )


def test_a_network_that_training_gave_a_head_has_logits(tiny):
  """Its weights file had none, as that of a self-supervised network."""
  header = dataclasses.replace(tiny.header, num_classes=0)
  assert dataclasses.replace(tiny, header=header).logits(
    np.zeros((1, 32, 32, 3))
  ).shape == (1, 1000)
  headless = networks.build('inception_small', num_classes=0)
  with pytest.raises(errors.InputError, match='has no head'):
    dataclasses.replace(tiny, model=headless).logits(np.zeros((1, 32, 32, 3)))


def shaped(name, size):
  """A network whose variables are shapes alone."""
  net = networks.untrained(name)
  image = jax.ShapeDtypeStruct((1, size, size, 3), np.float32)
  variables = jax.eval_shape(net.model.init, jax.random.key(0), image)
  return dataclasses.replace(net, variables=variables)


def test_layers_are_in_the_order_of_computation():
  layers = shaped('resnet18', 64).layers(64)
  outer = [name for name in layers if '/' not in name]
  stages = [f'stage{s}_block{b}' for s in (1, 2, 3, 4) for b in (1, 2)]
  assert outer == ['stem', *stages]
  assert layers['stage4_block2'] == (2, 2, 512)


@pytest.mark.parametrize(
  ('name', 'size', 'side', 'width'),
  [('vit_tiny', 64, 4, 192), ('dinov2_small_reg4', 28, 2, 384)],
)
def test_layers_of_a_transformer(name, size, side, width):
  """Behind its patches there are tokens, which have no place in the image."""
  layers = shaped(name, size).layers(size)
  assert layers == {'patch_embedding': (side, side, width)}


def test_images_of_broken_patches_are_refused():
  net = shaped('vit_tiny', 32)
  with pytest.raises(errors.InputError, match='nearest are 32 and 48'):
    net.features(np.zeros((1, 32, 33, 3), np.float32))
