"""Checks the weights files of networks that were trained on a dataset."""

import dataclasses
import json

import numpy as np
import pytest

from tests.transfer.training import searches
from tf_transfer import datasets, errors, networks
from tf_transfer.configs.presets import fine_tuned
from tf_transfer.jobs import study
from tf_transfer.networks import recipe, weights
from tf_transfer.transfer import metrics
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.training import export, grid

# The regularizers of C1, but what is not known of the auxiliary head.
PRETRAINED = recipe.Recipe(
  bn_scale=True,
  label_smoothing=True,
  dropout=False,
  auxiliary_head=None,
  trained_on='imagenet',
  notes='as published',
)
# One trial.
FIELDS = {
  'num_learning_rates': 1,
  'include_zero_weight_decay': False,
  'steps': 20,
}


@pytest.fixture(scope='module')
def net(tiny_net):
  """The tiny network as one that was published."""
  header = dataclasses.replace(
    tiny_net.header,
    recipe=PRETRAINED,
    source='published.ckpt',
    source_sha256='abc',
    license='Apache-2.0',
  )
  return dataclasses.replace(tiny_net, header=header)


@pytest.fixture(scope='module')
def exported(net, tmp_path_factory):
  """A fine-tuned cell: its search, its result and the weights file."""
  directory = tmp_path_factory.mktemp('exported')
  search = searches.build_search(
    net, directory / 'search', dropout=0.2, **FIELDS
  )
  run = searches.run_search(search)
  path = directory / 'tuned.safetensors'
  export.save(path, search, run.network, run.result)
  return search, run.result, path


def test_exported_network_predicts_the_same(exported):
  _, result, path = exported
  net = networks.load(path)
  test = datasets.open('digits').splits['test']
  # At 8 px both views are the image as it is.
  pixels = np.stack([test.read(i) for i in range(len(test))])
  predicted = np.asarray(net.logits(net.contract.scale(pixels))).argmax(axis=1)
  assert metrics.top1(test.labels, predicted) == result.test.value


def test_header_of_a_fine_tuned_network(exported, net):
  """What the network brought along is still true of it."""
  search, result, path = exported
  header = weights.read_header(path)
  assert header.num_classes == 10
  assert header.recipe.factors == {**PRETRAINED.factors, 'dropout': True}
  assert header.recipe.trained_on == 'digits'
  assert header.recipe.notes == 'fine_tuned on train + val of digits'
  details = header.recipe.details
  assert details['identity'] == search.identity
  assert details['splits_sha256'] == {
    name: split.hash for name, split in search.dataset.splits.items()
  }
  assert details['chosen'] == result.chosen
  assert details['metric'] == 'top1'
  assert details['test'] == dataclasses.asdict(result.test)
  assert details['fine_tuned'] == {
    name: value
    for name, value in search.config.to_dict().items()
    if name not in (*grid.OPERATIONAL, 'num_seeds')
  }
  assert details['begun_with']['weights_sha256'] == net.sha256
  assert details['begun_with']['recipe'] == PRETRAINED.to_json()
  assert header.source == 'fine-tuned here on digits, from published.ckpt'
  assert (header.source_sha256, header.license) == ('abc', 'Apache-2.0')


def test_header_of_the_first_of_several_runs(tmp_path, net, exported):
  """It states what this network reached, not the mean of all."""
  _, result, _ = exported
  other = dataclasses.replace(result.test, value=0.5)
  runs = (result_lib.Run(0, result.test), result_lib.Run(1, other))
  result = dataclasses.replace(result, test=other, runs=runs)
  search = searches.build_search(net, tmp_path, num_seeds=2, **FIELDS)
  details = export.build_header(search, result).recipe.details
  assert details['test'] == dataclasses.asdict(runs[0].test)
  assert details['fine_tuned']['num_seeds'] == 2


def test_header_of_a_network_from_random_values(tmp_path, net, exported):
  """It has nothing of the weights file its architecture was read from."""
  search = searches.build_search(net, tmp_path, setting='random_init', **FIELDS)
  header = export.build_header(search, exported[1])
  assert header.recipe.configuration == 'C5'
  assert header.recipe.notes == 'random_init on train + val of digits'
  assert 'random_init' in header.recipe.details
  assert 'begun_with' not in header.recipe.details
  assert header.source == 'trained here on digits, from random values'
  assert (header.source_sha256, header.license) == ('', '')


def test_val_is_not_named_where_it_was_not_trained_on(tmp_path, net, exported):
  few = datasets.few_examples(datasets.open('digits'), 5, 0)
  for changes in ({'refit_on_trainval': False}, {'dataset': few}):
    search = searches.build_search(net, tmp_path, **FIELDS, **changes)
    header = export.build_header(search, exported[1])
    assert header.recipe.notes == 'fine_tuned on train of digits'


def test_a_file_holds_the_network_of_one_cell(tmp_path, exported):
  search, _, path = exported
  assert export.holds(path, search.identity)
  assert not export.holds(path, 'another')
  assert not export.holds(tmp_path / 'missing.safetensors', search.identity)
  damaged = tmp_path / 'damaged.safetensors'
  data = bytearray(path.read_bytes())
  data[-1] ^= 1
  damaged.write_bytes(data)
  assert not export.holds(damaged, search.identity)


def test_a_finished_cell_has_no_network_to_write(tmp_path, net):
  """A study says so, unless the network was written then."""
  source = tmp_path / 'tiny.safetensors'
  weights.save(source, net.header, net.variables)
  config = fine_tuned.get_config(f'{source},digits')
  config.fine_tuned.update({**searches.FIELDS, **FIELDS})
  config.tensorboard = False
  config.report = False
  path = tmp_path / 'tuned.safetensors'
  config.export = str(path)
  work = tmp_path / 'work'
  study.run(config, work)
  (line,) = (work / 'results.jsonl').read_text().splitlines()
  details = weights.read_header(path).recipe.details
  record = json.loads(line)
  for name in ('identity', 'splits_sha256', 'chosen', 'metric', 'test'):
    assert details[name] == record[name]
  assert details['fine_tuned'] == record['search']
  assert details['begun_with']['weights_sha256'] == record['weights_sha256']
  study.run(config, work)
  for other in (tmp_path / 'another.safetensors', source):
    config.export = str(other)
    with pytest.raises(errors.InputError, match='name another --workdir'):
      study.run(config, work)
  assert not (tmp_path / 'another.safetensors').exists()
  assert networks.load(source).feature_dim == 6
  # Another cell is trained, and written in the other's place.
  config.fine_tuned.steps = 10
  config.export = str(path)
  study.run(config, work)
  details = weights.read_header(path).recipe.details
  assert details['fine_tuned']['steps'] == 10


def test_files_that_a_folder_has_left_out_are_named(exported):
  search, result, _ = exported
  dataset = dataclasses.replace(search.dataset, skipped=('a.jpg',))
  search = dataclasses.replace(search, dataset=dataset)
  header = export.build_header(search, result)
  assert header.recipe.details['skipped'] == ['a.jpg']
