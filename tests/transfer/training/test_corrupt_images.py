"""Corrupt images: found before training starts, and named in every result."""

import dataclasses
import json

import numpy as np
import pytest

from tests.transfer.training import searches
from tf_transfer import datasets, errors
from tf_transfer.images import decoding
from tf_transfer.transfer.training import corrupt_images, trials

COUNTS = {'train': 24, 'val': 12, 'test': 12}
CORRUPT = {'train': [3, 20], 'val': [5], 'test': [0, 11]}
NAMES = [f'{name} {i}' for name, found in CORRUPT.items() for i in found]


def make_dataset(corrupt=CORRUPT, reads=None):
  """A dataset of three classes with corrupt images in each split."""

  def make_split(name, seed):
    rng = np.random.default_rng(seed)
    count = COUNTS[name]
    images = rng.integers(0, 256, (count, 9, 9, 3), dtype=np.uint8)

    def read(i):
      if reads is not None:
        reads.append(f'{name} {i}')
      if i in corrupt.get(name, ()):
        raise decoding.CorruptImage(f'{name} {i}: broken')
      return images[i]

    return datasets.Split(
      name,
      np.arange(count) % 3,
      rng.integers(0, 256, (count, 32)),
      read,
      lambda i: f'{name} {i}',
    )

  splits = {name: make_split(name, n) for n, name in enumerate(COUNTS)}
  return datasets.Dataset('photos', ('a', 'b', 'c'), 'top1', splits)


def build_search(net, directory, setting, corrupt, **changes):
  fields = {
    'steps': 4,
    'batch_size': 8,
    'num_learning_rates': 1,
    'concurrent_trials': 1,
  }
  search = searches.build_search(
    net,
    directory,
    dataset=make_dataset(),
    setting=setting,
    **{**fields, **changes},
  )
  return dataclasses.replace(search, corrupt=corrupt)


@pytest.mark.parametrize(
  ('setting', 'changes'),
  [
    ('fine_tuned', {}),
    # Of 24 images, the one step sees 8.
    ('random_init', {'refit_on_trainval': False, 'steps': 1}),
    ('fine_tuned', {'search': 'halving', 'halving_first': 0.5}),
  ],
)
def test_the_result_names_every_corrupt_image(
  tmp_path, tiny_net, setting, changes
):
  search = build_search(tiny_net, tmp_path, setting, 'skip', **changes)
  run = searches.run_search(search)
  assert list(run.result.skipped) == NAMES
  assert len(run.result.predictions['label']) == 12 - 2
  assert 'all 48 images are decoded once before training' in run.output


def test_all_are_named_before_training_starts(tmp_path, tiny_net, monkeypatch):
  def forbidden(*_):
    raise AssertionError('training started')

  monkeypatch.setattr(trials.Job, 'compile', forbidden)
  search = build_search(tiny_net, tmp_path, 'fine_tuned', 'error')
  with pytest.raises(errors.InputError) as error:
    searches.run_search(search)
  text = str(error.value)
  assert text.startswith('5 of 48 images cannot be decoded: ' + NAMES[0])
  assert all(name in text for name in NAMES)
  assert '--config.data.corrupt=skip' in text


def test_a_job_that_resumes_does_not_decode_again(tmp_path):
  reads = []
  dataset = make_dataset(reads=reads)
  first = corrupt_images.check(dataset, 'skip', tmp_path)
  assert len(reads) == 48
  assert list(first.skipped) == NAMES
  again = make_dataset(reads=reads)
  assert corrupt_images.check(again, 'skip', tmp_path).skipped == first.skipped
  assert len(reads) == 48
  # But other images are decoded, and an option that forbids them is obeyed.
  with pytest.raises(errors.InputError, match='5 of 48'):
    corrupt_images.check(again, 'error', tmp_path)


@pytest.mark.parametrize(
  'content', [b'', b'[]', b'{"hashes": {}}', b'\xff', b'{"a": ' * 5000]
)
def test_a_damaged_file_is_made_again(tmp_path, content):
  path = tmp_path / corrupt_images.FILE_NAME
  path.write_bytes(content)
  checked = corrupt_images.check(make_dataset(), 'skip', tmp_path)
  assert list(checked.skipped) == NAMES
  assert json.loads(path.read_bytes())['positions'] == CORRUPT


def test_positions_of_other_images_are_not_taken(tmp_path):
  path = tmp_path / corrupt_images.FILE_NAME
  corrupt_images.check(make_dataset(), 'skip', tmp_path)
  content = json.loads(path.read_bytes())
  content['hashes']['val'] = '0' * 64
  content['positions']['val'] = []
  path.write_text(json.dumps(content))
  checked = corrupt_images.check(make_dataset(), 'skip', tmp_path)
  assert list(checked.skipped) == NAMES
  # Nor are those that the split does not have.
  content['hashes']['val'] = make_dataset().splits['val'].hash
  content['positions']['val'] = [12]
  path.write_text(json.dumps(content))
  checked = corrupt_images.check(make_dataset(), 'skip', tmp_path)
  assert list(checked.skipped) == NAMES


def test_a_dataset_without_corrupt_images_stays_the_same(tmp_path):
  dataset = make_dataset(corrupt={})
  for corrupt in ('error', 'skip'):
    checked = corrupt_images.check(dataset, corrupt, tmp_path)
    assert checked.dataset is dataset
    assert checked.skipped == ()


@pytest.mark.parametrize('name', COUNTS)
def test_a_split_that_cannot_be_read_at_all_is_said(tmp_path, name):
  dataset = make_dataset(corrupt={name: range(COUNTS[name])})
  match = f'none of the {COUNTS[name]} images of {name} can be decoded'
  with pytest.raises(errors.InputError, match=match):
    corrupt_images.check(dataset, 'skip', tmp_path)
