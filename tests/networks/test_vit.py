"""Tests of vision transformers: options, image sizes, each source's outputs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.golden import rule
from tests.networks import parity
from tf_transfer import errors, networks
from tf_transfer.convert_weights import rules
from tf_transfer.convert_weights import vit as vit_rules
from tf_transfer.networks import classifier, vit, weights

# A network of each kind, of a few channels.
SMALL = {
  name: dataclasses.replace(architecture, width=16, heads=2, depth=2)
  for name, architecture in {
    'plain': vit.TINY,
    'deit3': dataclasses.replace(vit.DEIT3_SMALL, layer_scale=0.5),
    'registers': dataclasses.replace(vit.DINOV2_SMALL_REG4, layer_scale=0.5),
    'clip': vit.CLIP_BASE,
    'siglip': vit.SIGLIP_BASE,
  }.items()
}


def built(name, **options):
  """A small network with a head, for images of four patches."""
  architecture = SMALL[name]
  size = 2 * architecture.patch
  backbone = vit.VisionTransformer(architecture, size, **options)
  return classifier.Classifier(backbone, num_classes=3), size


def images(size, count=2):
  rng = np.random.default_rng(0)
  return jnp.asarray(rng.uniform(-1, 1, (count, size, size, 3)), jnp.float32)


def drawn(model, size):
  """Variables of which none is next to nothing."""
  rng = np.random.default_rng(0)
  return weights.unflatten(
    {
      path: jnp.asarray(
        path.endswith('/scale') + 0.3 * rng.normal(size=v.shape), jnp.float32
      )
      for path, v in networks.expected_variables(model, size).items()
    }
  )


@pytest.mark.parametrize(
  ('source', 'network'), parity.cases(vit.VisionTransformer, vit.DINOv2)
)
def test_golden_outputs(source, network, golden_input):
  parity.check_golden_outputs(source, network, golden_input)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('source', 'network', 'wrong'),
  [
    ('timm', 'vit_tiny', {'activation': 'quick_gelu'}),
    ('timm', 'vit_tiny', {'epsilon': 1e-3}),
    ('timm', 'vit_tiny', {'feature': 'patch_mean'}),
    ('timm_openai', 'clip_vit_base', {'activation': 'gelu'}),
  ],
)
def test_comparison_sees_a_wrong_option(source, network, wrong, golden_input):
  parity.check_wrong_option_is_seen(source, network, wrong, golden_input)


# What timm computes with a position embedding of one size for images of
# another, whose weights are made by the rule: VisionTransformer(img_size=OLD,
# dynamic_img_size=True) in 1.0.31.
RESIZED = [
  ('dinov2_small', 'dinov2_small', 518, 224),
  ('dinov2_small_reg4', 'dinov2_small_reg4', 518, 112),
  ('vit_tiny', 'vit_tiny', 384, 224),
  ('vit_tiny_up', 'vit_tiny', 224, 288),
]


@pytest.mark.parametrize(
  ('file', 'network', 'pretrained', 'size'),
  [
    pytest.param(*case, marks=() if 'up' in case[0] else (pytest.mark.slow,))
    for case in RESIZED
  ],
)
def test_outputs_at_other_sizes(file, network, pretrained, size, golden_input):
  """Class token, mean of patches and both, of a resampled embedding."""
  architecture = networks.row(network).backbone().architecture
  shapes = rule.shapes('timm', network)
  tensors = rule.checkpoint('timm', network, 1.0)
  if pretrained != networks.row(network).image_size:
    name = 'pos_embed'
    shape = [1, architecture.num_positions(pretrained), shapes[name][-1]]
    tensors[name] = rule.array(name, shape, 'bias', 'torch', 1.0)
  arrays, problems = rules.apply_rules(
    {k: v for k, v in tensors.items() if not k.startswith('head')},
    vit_rules.timm(architecture),
  )
  assert not problems
  model = networks.build(
    network, num_classes=0, pretrained_size=pretrained, feature='both'
  )
  found, _ = parity.outputs(
    model, weights.unflatten(arrays), golden_input(size)
  )
  with np.load(
    rule.FOLDER / 'resized' / f'{file}_{pretrained}_to_{size}.npz'
  ) as golden:
    for values, wanted in zip(
      np.split(np.asarray(found), 2, axis=1),
      (golden['features'], golden['patch_mean']),
      strict=True,
    ):
      assert parity.relative_difference(values, wanted) < parity.LIMIT


@pytest.mark.parametrize('size', [65, 8, 0])
def test_images_of_broken_patches(size):
  model, _ = built('plain')
  with pytest.raises(errors.InputError, match=r'expected a multiple of 16 px'):
    networks.expected_variables(model, size)


def test_image_size_of_whole_patches_is_suggested():
  net = networks.untrained('dinov2_small')
  assert net.with_image_size(224).contract.image_size == 224
  message = 'patches of 14 px wide, not 225 px; the nearest are 224 and 238'
  with pytest.raises(errors.InputError, match=message):
    net.with_image_size(225)


@pytest.mark.parametrize(
  ('name', 'options', 'message'),
  [
    ('vit_tiny', {'activation': 'relu'}, 'activation'),
    ('vit_tiny', {'feature': 'patches'}, 'feature'),
    ('siglip_vit_base', {'feature': 'class_token'}, 'without a class token'),
    ('vit_tiny', {'pretrained_size': 225}, 'pretrained_size'),
  ],
)
def test_unknown_value_of_an_option(name, options, message):
  with pytest.raises(errors.InputError, match=message):
    networks.build(name, **options)


def test_number_of_features_is_that_of_the_option():
  for name, feature, width in (
    ('dinov2_small', '', 384),
    ('dinov2_small', 'patch_mean', 384),
    ('dinov2_small', 'both', 768),
    ('siglip_vit_base', '', 768),
  ):
    backbone = networks.build(name, feature=feature).backbone
    assert backbone.feature_dim == width


@pytest.mark.parametrize('name', SMALL)
def test_every_kind_trains(name):
  """Gradients are finite and reach every parameter."""
  model, size = built(name)
  variables = drawn(model, size)

  def loss(params):
    logits = model.apply({'params': params}, images(size), train=True)
    return jax.nn.log_softmax(logits)[:, 0].sum()

  found = weights.flatten(jax.jit(jax.grad(loss))(variables['params']))
  for path, gradient in found.items():
    assert np.all(np.isfinite(gradient)), path
    assert np.any(gradient), path


def test_drop_path_grows_with_the_blocks():
  """At a rate of 1 the last block is dropped, and the first one never."""
  model, size = built('plain', drop_path=1.0)
  variables = drawn(model, size)

  def block_outputs(train):
    _, captured = model.apply(
      variables,
      images(size),
      train=train,
      rngs={'dropout': jax.random.key(0)},
      capture_intermediates=lambda m, _: isinstance(m, vit.Block),
      mutable=['intermediates'],
    )
    found = captured['intermediates']['backbone']
    return [found[f'block{n}']['__call__'][0] for n in (1, 2)]

  dropped, whole = block_outputs(train=True), block_outputs(train=False)
  np.testing.assert_array_equal(dropped[0], whole[0])
  np.testing.assert_array_equal(dropped[1], dropped[0])
  assert np.abs(whole[1] - whole[0]).max() > 1e-3


def test_bfloat16_is_near_float32():
  model, size = built('registers')
  variables = drawn(model, size)
  low = jax.tree.map(lambda a: a.astype(jnp.bfloat16), variables)
  expected = model.apply(variables, images(size))
  found = model.apply(low, images(size).astype(jnp.bfloat16))
  assert found.dtype == 'bfloat16'
  assert parity.relative_difference(np.float32(found), expected) < 0.03
