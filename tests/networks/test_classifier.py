"""Tests of the classifier: dropout and the auxiliary head."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.interpreters import partial_eval

from tests.golden import rule
from tf_transfer import errors, networks
from tf_transfer.networks import classifier, weights

# The first variable of the auxiliary head in TF-Slim's checkpoints, and what
# of the network comes after the place where it is attached.
AUXILIARY = {
  'inception_v3': ('AuxLogits', {'mixed_7a', 'mixed_7b', 'mixed_7c'}),
  'inception_v4': (
    'AuxLogits',
    {'mixed_7a', 'mixed_7b', 'mixed_7c', 'mixed_7d'},
  ),
  'inception_resnet_v2': (
    'AuxLogits',
    {'mixed_7a', 'conv_7b', *(f'block8_{n}' for n in range(1, 11))},
  ),
  'nasnet_mobile': (
    'aux_7',
    {'reduction2', 'cell9', 'cell10', 'cell11', 'cell12'},
  ),
  'nasnet_large': (
    'aux_11',
    {'reduction2', *(f'cell{n}' for n in range(13, 19))},
  ),
}


# The large NASNet shows what the small one does, and takes three times as long.
CASES = [
  pytest.param(name, marks=pytest.mark.slow if name == 'nasnet_large' else ())
  for name in AUXILIARY
]


@functools.cache
def with_auxiliary(name, **options):
  model = networks.build(name, auxiliary_head=True, **options)
  size = networks.row(name).image_size
  return model, networks.expected_variables(model, size)


@pytest.mark.parametrize('name', CASES)
def test_auxiliary_head_has_the_shapes_of_the_public_one(name):
  marker, _ = AUXILIARY[name]
  wanted = [
    shape
    for path, shape in rule.shapes('slim', name).items()
    if marker in path and 'moving' not in path
  ]
  gamma = any('gamma' in path for path in rule.shapes('slim', name))
  _, found = with_auxiliary(name, num_classes=1001, use_scale=gamma)
  ours = [v.shape for p, v in found.items() if p.startswith('params/auxiliary')]
  # Its logits are a 1×1 convolution in some of them.
  wanted = [s[2:] if s[:2] == (1, 1) and s[3] == 1001 else s for s in wanted]
  assert sorted(ours) == sorted(wanted)


@pytest.mark.parametrize('name', CASES)
def test_auxiliary_head_reads_the_middle_of_the_network(name):
  model, variables = with_auxiliary(name)
  size = networks.row(name).image_size
  image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
  backbone = model.backbone

  def activations(params, stats, x):
    found = {'params': params, 'batch_stats': stats}
    return backbone.apply(found, x, method='with_auxiliary')[1]

  nested = weights.unflatten(variables)
  params = nested['params']['backbone']
  traced = jax.make_jaxpr(activations)(
    params, nested['batch_stats']['backbone'], image
  )
  _, used = partial_eval.dce_jaxpr(traced.jaxpr, [True])
  modules = [path[0].key for path, _ in jax.tree.leaves_with_path(params)]
  # The parameters come ahead of the statistics and the image.
  read = {name for name, is_used in zip(modules, used, strict=False) if is_used}
  assert set(modules) - read == AUXILIARY[name][1]


def test_auxiliary_head_computes_what_it_says():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, 8, 8, 3)).astype(np.float32)
  head = classifier.AuxiliaryHead(num_classes=4)
  shapes = weights.flatten(jax.eval_shape(head.init, jax.random.key(0), x))
  found = {
    path: np.abs(rng.normal(size=v.shape)).astype(np.float32)
    for path, v in shapes.items()
  }

  def normalized(x, name):
    at = f'{name}/bn'
    mean, var = (found[f'batch_stats/{at}/{n}'] for n in ('mean', 'var'))
    scale, bias = (found[f'params/{at}/{n}'] for n in ('scale', 'bias'))
    y = (x - mean) / np.sqrt(var + 1e-3) * scale + bias
    return np.maximum(y, 0)

  positive = np.maximum(x, 0)
  pooled = np.stack(
    [
      [positive[:, i : i + 5, j : j + 5].mean(axis=(1, 2)) for j in (0, 3)]
      for i in (0, 3)
    ]
  )  # [2, 2, B, C]
  narrow = normalized(
    pooled @ found['params/narrow/conv/kernel'][0, 0], 'narrow'
  )
  whole = np.einsum('ijbc,ijcd->bd', narrow, found['params/whole/conv/kernel'])
  logits = normalized(whole, 'whole') @ found['params/head/kernel']
  np.testing.assert_allclose(
    head.apply(weights.unflatten(found), x),
    logits + found['params/head/bias'],
    rtol=1e-4,
    atol=1e-3,
  )


@pytest.mark.slow
def test_both_heads_train_and_evaluation_has_one():
  model = networks.build('inception_v3', num_classes=3, auxiliary_head=True)
  x = np.random.default_rng(0).normal(size=(2, 139, 139, 3)).astype(np.float32)
  variables = jax.jit(model.init)(jax.random.key(0), x)
  (logits, auxiliary), updates = jax.jit(
    lambda variables: model.apply(
      variables, x, method='training_logits', mutable=['batch_stats']
    )
  )(variables)
  assert logits.shape == auxiliary.shape == (2, 3)
  assert np.all(np.isfinite(auxiliary))
  assert 'auxiliary' in updates['batch_stats']
  plain = networks.build('inception_v3', num_classes=3)
  kept = {
    kind: {k: v for k, v in tree.items() if k != 'auxiliary'}
    for kind, tree in variables.items()
  }
  np.testing.assert_array_equal(plain.apply(kept, x), model.apply(variables, x))


def test_without_auxiliary_head_there_is_one_output():
  model = networks.build('mobilenet_v1', num_classes=3)
  shapes = jax.eval_shape(
    lambda key: model.init_with_output(
      key, jnp.zeros((1, 32, 32, 3)), method='training_logits', train=False
    )[0],
    jax.random.key(0),
  )
  assert shapes[0].shape == (1, 3)
  assert shapes[1] is None


@pytest.mark.parametrize(
  'name', sorted(set(networks.TABLE) - {*AUXILIARY, 'inception_small'})
)
def test_networks_without_a_place_for_an_auxiliary_head_say_so(name):
  with pytest.raises(errors.InputError, match=f'{name} has no place'):
    networks.build(name, auxiliary_head=True)
