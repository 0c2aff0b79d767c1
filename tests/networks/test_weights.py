"""Tests of the weights file: round trip, strictness, and bad files."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import safetensors.numpy

from tf_transfer import errors, networks
from tf_transfer.networks import recipe, weights


@pytest.fixture
def parts(weights_dir):
  return weights.read(weights_dir / 'efficientnet_lite0.safetensors')


def save(path, header, tensors):
  weights.save(path, header, weights.unflatten(tensors))
  return path


def test_round_trip(tmp_path, parts, weights_dir):
  path = save(tmp_path / 'again.safetensors', *parts)
  header, tensors = weights.read(path)
  assert header == parts[0]
  assert weights.read_header(path) == header
  for name, array in parts[1].items():
    np.testing.assert_array_equal(tensors[name], array)
  original = weights_dir / 'efficientnet_lite0.safetensors'
  assert path.read_bytes() == original.read_bytes()


def test_a_recipe_that_was_a_sentence_is_still_read(parts):
  fields = parts[0].to_json()
  old = {**fields, 'format': 1, 'recipe': 'dropout'}
  found = weights.Header.from_json(old)
  assert found.recipe == recipe.Recipe(notes='dropout')
  assert dataclasses.replace(found, recipe=parts[0].recipe) == parts[0]
  with pytest.raises(ValueError, match='recipe: expected'):
    weights.Header.from_json({**fields, 'recipe': 'dropout'})


def test_options_and_classes_rebuild_the_network(tmp_path, parts):
  header, tensors = parts
  header = dataclasses.replace(header, options={'epsilon': 0.5}, num_classes=9)
  tensors = {
    **tensors,
    'params/head/kernel': np.zeros((1280, 9)),
    'params/head/bias': np.zeros(9),
  }
  net = networks.load(save(tmp_path / 'a.safetensors', header, tensors))
  assert net.model.backbone.epsilon == 0.5
  assert net.model.num_classes == 9


def test_everything_wrong_is_in_one_error(tmp_path, parts):
  header, tensors = parts
  tensors = dict(tensors)
  del tensors['params/backbone/stem/conv/kernel']
  tensors['params/backbone/stem/conv/bias'] = np.zeros(32)
  tensors['params/head/kernel'] = tensors['params/head/kernel'].T
  bias = np.array(tensors['params/head/bias'])
  bias[3] = np.nan
  tensors['params/head/bias'] = bias
  path = save(tmp_path / 'bad.safetensors', header, tensors)
  with pytest.raises(errors.InputError) as caught:
    networks.load(path)
  message = str(caught.value)
  assert str(path) in message
  assert 'missing params/backbone/stem/conv/kernel (3, 3, 3, 32)' in message
  assert 'left over params/backbone/stem/conv/bias' in message
  assert 'expected shape (1280, 1000), found (1000, 1280)' in message
  assert 'params/head/bias: holds NaN' in message


def test_weights_of_another_network(tmp_path, parts):
  header = dataclasses.replace(parts[0], network='efficientnet_lite2')
  path = save(tmp_path / 'a.safetensors', header, parts[1])
  with pytest.raises(errors.InputError, match='not hold the weights of eff'):
    networks.load(path)


@pytest.mark.parametrize('share', [0.0, 0.001, 0.5, 0.999])
def test_cut_short(tmp_path, weights_dir, share):
  data = (weights_dir / 'efficientnet_lite0.safetensors').read_bytes()
  path = tmp_path / 'cut.safetensors'
  path.write_bytes(data[: int(len(data) * share)])
  with pytest.raises(errors.InputError, match='cut short'):
    networks.load(path)


def test_missing_file(tmp_path):
  with pytest.raises(errors.InputError, match='no weights file at'):
    networks.load(tmp_path / 'none.safetensors')
  with pytest.raises(errors.InputError, match='no weights file at'):
    networks.load(tmp_path)


def test_foreign_safetensors(tmp_path):
  path = tmp_path / 'a.safetensors'
  path.write_bytes(safetensors.numpy.save({'x': np.zeros(3)}))
  with pytest.raises(errors.InputError, match='without the header'):
    networks.load(path)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'format': 99}, 'format 99'),
    ({'color': 'red'}, 'color'),
    ({'contract': {}}, 'contract: missing'),
  ],
)
def test_header_that_does_not_fit(tmp_path, parts, change, message):
  header, tensors = parts
  text = json.dumps({**header.to_json(), **change})
  path = tmp_path / 'a.safetensors'
  path.write_bytes(safetensors.numpy.save(tensors, {'tf_transfer': text}))
  with pytest.raises(errors.InputError, match=message):
    networks.load(path)


def test_variables_are_nested_as_flax_has_them(lite0):
  expected = networks.expected_variables(lite0.model, 224)
  found = weights.flatten(lite0.variables)
  assert {k: v.shape for k, v in found.items()} == {
    k: v.shape for k, v in expected.items()
  }
  assert all(isinstance(v, jax.Array) for v in found.values())
