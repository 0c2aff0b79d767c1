"""Tests of the rules that rename the variables of vision transformers."""

import numpy as np
import pytest

from tests.golden import rule
from tests.networks import parity
from tests.tools import checkpoint_files, golden_files
from tf_transfer import convert_weights, errors, networks
from tf_transfer.networks import vit

CLASSES = (vit.VisionTransformer, vit.DINOv2)


@pytest.mark.parametrize(('source', 'network'), parity.pairs_of(*CLASSES))
def test_rules_give_the_network_all_it_needs(source, network):
  golden_files.check_rules(source, network)


@pytest.mark.parametrize(('source', 'network'), golden_files.cases(*CLASSES))
def test_golden_outputs_of_a_file(tmp_path, source, network, golden_input):
  golden_files.check_conversion(tmp_path, source, network, golden_input)


def test_names_of_torchvisions_published_file():
  """It has linear_1 and linear_2 in each MLP, which torchvision renames."""
  tensors = golden_files.blank('torchvision', 'vit_base', 1)
  old = {
    name.replace('mlp.0', 'mlp.linear_1').replace('mlp.3', 'mlp.linear_2'): a
    for name, a in tensors.items()
  }
  assert old.keys() != tensors.keys()
  arrays, problems = golden_files.convert('torchvision', 'vit_base', old)
  assert not problems
  golden_files.check_same(
    arrays, golden_files.convert('torchvision', 'vit_base', tensors)[0]
  )


def test_mask_token_of_dinov2s_authors_is_left_out():
  tensors = golden_files.blank('timm', 'dinov2_small', 1)
  arrays, problems = golden_files.convert(
    'timm', 'dinov2_small', {**tensors, 'mask_token': np.zeros((1, 384))}
  )
  assert not problems
  golden_files.check_same(
    arrays, golden_files.convert('timm', 'dinov2_small', tensors)[0]
  )


def test_embedding_of_another_shape():
  _, problems = golden_files.convert(
    'timm', 'vit_tiny', {'pos_embed': np.zeros((14, 14))}
  )
  assert problems == [
    'pos_embed (14, 14): expected an embedding of shape (1, N, D)'
  ]


def test_feature_is_an_option_of_the_file(tmp_path):
  """A head that reads the class token is left out with it."""
  tensors = rule.checkpoint('timm', 'vit_tiny', 1.0)
  path, output = tmp_path / 'a.safetensors', tmp_path / 'out.safetensors'
  checkpoint_files.write(path, tensors)

  def convert(**options):
    said = []
    convert_weights.convert(
      'vit_tiny', path, output, 'timm', say=said.append, **options
    )
    return networks.load(output)

  net = convert(feature='both')
  assert net.header.options == {'feature': 'both'}
  assert net.header.num_classes == 0
  assert net.feature_dim == 2 * 192
  whole = convert()
  assert whole.header.num_classes == 1000
  assert whole.feature_dim == 192
  x = np.float32(np.random.default_rng(0).uniform(-1, 1, (1, 224, 224, 3)))
  both, own = np.asarray(net.features(x)), np.asarray(whole.features(x))
  assert both.shape == (1, 384)
  assert parity.relative_difference(both[:, :192], own) < 1e-6
  with pytest.raises(errors.InputError, match=r"feature: .*got 'mean'"):
    convert(feature='mean')
  with pytest.raises(errors.InputError, match='expected a feature; left out'):
    convert(feature='')
  with pytest.raises(errors.InputError, match='unknown option of resnet18'):
    convert_weights.convert(
      'resnet18', path, output, 'timm', feature='both', say=print
    )


def test_projection_of_clip_is_no_head():
  shapes = rule.shapes('timm_openai', 'clip_vit_base')
  assert shapes['head.weight'] == (512, 768)
  tensors = golden_files.blank('timm_openai', 'clip_vit_base', 1)
  arrays, problems = golden_files.convert(
    'timm_openai', 'clip_vit_base', tensors
  )
  assert not problems
  assert not any(path.startswith('params/head') for path in arrays)
