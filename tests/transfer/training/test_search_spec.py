"""Checks what a search builds: jobs, networks and checkpoints."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.transfer.training import searches
from tf_transfer import datasets, errors
from tf_transfer.transfer.training import train_step


def test_batch_larger_than_the_split(tmp_path, tiny_net):
  search = searches.build_search(tiny_net, tmp_path, batch_size=2048)
  with pytest.raises(errors.InputError, match='larger than train, which has'):
    search.build_job(search.dataset.splits['train'])
  # Of a few examples of each class a batch may hold one several times.
  dataset = datasets.few_examples(datasets.open('digits'), 2, 0)
  search = searches.build_search(
    tiny_net, tmp_path, dataset=dataset, batch_size=32
  )
  job = search.build_job(dataset.splits['train'])
  assert job.train_config.batch_size == 32 > len(job.split)
  assert not search.trained_on_val


def test_training_starts_from_the_network_or_from_random_values(
  tmp_path, tiny_net
):
  kernels = {}
  for setting in ('fine_tuned', 'random_init'):
    search = searches.build_search(tiny_net, tmp_path, setting=setting)
    assert search.trained_on_val
    job = search.build_job(search.dataset.splits['train'])
    stem = job.variables['params']['backbone']['stem']
    kernels[setting] = stem['conv']['kernel']
  pretrained = tiny_net.variables['params']['backbone']['stem']['conv']
  np.testing.assert_array_equal(kernels['fine_tuned'], pretrained['kernel'])
  assert np.all(kernels['random_init'] != pretrained['kernel'])


def test_a_seed_decides_values_batches_and_dropout(tmp_path, tiny_net):
  """As if the search had it; the images in memory are not decoded again."""
  search = searches.build_search(tiny_net, tmp_path, dropout=0.2)
  job = search.build_job(search.dataset.trainval)
  other = search.reseed(job, 7)
  assert other.split is job.split
  assert dataclasses.replace(other.train_config, seed=0) == job.train_config
  search = searches.build_search(tiny_net, tmp_path, dropout=0.2, seed=7)
  same = search.build_job(search.dataset.trainval)
  assert other.train_config == same.train_config
  jax.tree.map(np.testing.assert_array_equal, other.variables, same.variables)
  heads = [x.variables['params']['head']['kernel'] for x in (job, other)]
  assert np.all(heads[0] != heads[1])


def test_network_has_a_head_for_the_dataset(tmp_path, tiny_net):
  search = searches.build_search(tiny_net, tmp_path)
  job = search.build_job(search.dataset.splits['train'])
  net = search.build_network(job.variables)
  assert net.logits(np.zeros((2, 8, 8, 3), np.float32)).shape == (2, 10)


def test_checkpoints_have_directories_of_their_own(tmp_path, tiny_net):
  """Whose names stay: an interrupted search looks for them."""
  search = searches.build_search(tiny_net, tmp_path)
  directory = search.checkpoints_directory('0 1 2 to 30')
  assert directory == tmp_path / 'checkpoints' / '74f0eaf2a29bd153'
  assert search.checkpoints_directory('final') != directory


def test_hparams(tmp_path, tiny_net):
  search = searches.build_search(tiny_net, tmp_path)
  assert search.hparams(train_step.Trial(0.1, 0.01)) == {
    'network': 'tiny',
    'dataset': 'digits',
    'pretrained': True,
    'learning_rate': 0.1,
    'weight_decay': 0.01,
    'batch_size': 32,
    'steps': 30,
  }
  assert jax.device_count() == search.mesh.size
