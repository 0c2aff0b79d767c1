"""Weights files of what was trained: what they hold, and say of themselves."""

import dataclasses
import json

import numpy as np
import pytest

from tests.study import tiny
from tf_transfer import datasets, errors, networks
from tf_transfer.configs import base
from tf_transfer.jobs import study
from tf_transfer.networks import recipe, weights
from tf_transfer.transfer import metrics

# The regularizers of C1, but what is not known of the auxiliary head.
PRETRAINED = recipe.Recipe(
  bn_scale=True,
  label_smoothing=True,
  dropout=False,
  auxiliary_head=None,
  trained_on='imagenet',
  notes='as published',
)


@pytest.fixture
def config(tmp_path, monkeypatch):
  """One trial of the tiny network on digits, to be written."""
  monkeypatch.setitem(networks.TABLE, 'tiny', tiny.ROW)
  monkeypatch.setitem(networks.TABLE, 'tinier', tiny.ROW)
  tiny.write_weights(tmp_path)
  path = tmp_path / 'tiny.safetensors'
  net = networks.load(path)
  header = dataclasses.replace(
    net.header,
    recipe=PRETRAINED,
    source='published.ckpt',
    source_sha256='abc',
    license='Apache-2.0',
  )
  weights.save(path, header, net.variables)
  made = tiny.config(tmp_path).unlock()
  made.networks = (str(path),)
  made.settings = ('fine_tuned',)
  made.random_init = base.random_init_fields()
  made.random_init.update(made.fine_tuned.to_dict())
  made.export = str(tmp_path / 'tuned.safetensors')
  made.report = False
  return made.lock()


def record(workdir):
  (line,) = (workdir / 'results.jsonl').read_text().splitlines()
  return json.loads(line)


def test_exported_network_predicts_the_same(tmp_path, config):
  study.run(config, tmp_path / 'work')
  net = networks.load(config.export)
  test = datasets.open('digits').splits['test']
  # At 8 px both views are the image as it is.
  pixels = np.stack([test.read(i) for i in range(len(test))])
  predicted = np.asarray(net.logits(net.contract.scale(pixels))).argmax(axis=1)
  found = record(tmp_path / 'work')
  assert metrics.top1(test.labels, predicted) == found['test']['value']


def test_header_of_a_fine_tuned_network(tmp_path, config):
  """What the network brought along is still true of it."""
  config.fine_tuned.dropout = 0.2
  study.run(config, tmp_path / 'work')
  header = weights.read_header(config.export)
  found = record(tmp_path / 'work')
  assert header.num_classes == 10
  assert header.recipe.factors == {**PRETRAINED.factors, 'dropout': True}
  assert header.recipe.trained_on == 'digits'
  assert header.recipe.notes == 'fine_tuned on train + val of digits'
  details = header.recipe.details
  for name in ('identity', 'splits_sha256', 'chosen', 'metric', 'test'):
    assert details[name] == found[name]
  assert details['fine_tuned'] == found['search']
  assert details['begun_with']['weights_sha256'] == found['weights_sha256']
  assert details['begun_with']['recipe'] == PRETRAINED.to_json()
  assert header.source == 'fine-tuned here on digits, from published.ckpt'
  assert (header.source_sha256, header.license) == ('abc', 'Apache-2.0')


def test_header_of_a_network_from_random_values(tmp_path, config):
  """Nothing of the weights file that its architecture was read from."""
  config.settings = ('random_init',)
  study.run(config, tmp_path / 'work')
  header = weights.read_header(config.export)
  assert header.recipe.configuration == 'C5'
  assert header.recipe.notes == 'random_init on train + val of digits'
  assert 'begun_with' not in header.recipe.details
  assert header.source == 'trained here on digits, from random values'
  assert (header.source_sha256, header.license) == ('', '')


@pytest.mark.parametrize(
  'change',
  [{'fine_tuned.refit_on_trainval': False}, {'data.examples_per_class': 5}],
)
def test_val_is_not_named_where_it_was_not_trained_on(tmp_path, config, change):
  config.update_from_flattened_dict(change)
  study.run(config, tmp_path / 'work')
  header = weights.read_header(config.export)
  assert header.recipe.notes == 'fine_tuned on train of digits'


def test_a_finished_cell_has_no_network_to_write(tmp_path, config):
  """Said, unless it was written then."""
  work, path = tmp_path / 'work', config.export
  study.run(config, work)
  study.run(config, work)
  for other in (
    tmp_path / 'another.safetensors',
    tmp_path / 'tiny.safetensors',
  ):
    config.export = str(other)
    with pytest.raises(errors.InputError, match='name another --workdir'):
      study.run(config, work)
  assert not (tmp_path / 'another.safetensors').exists()
  assert networks.load(tmp_path / 'tiny.safetensors').feature_dim == 6
  # Another cell is trained, and written in the other's place.
  config.fine_tuned.steps = 10
  config.export = path
  study.run(config, work)
  details = weights.read_header(path).recipe.details
  assert details['fine_tuned']['steps'] == 10
