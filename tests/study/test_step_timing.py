"""Measured times of the parts of a fine-tuning."""

import dataclasses
import pathlib

import jax
import pytest

from tests.study import tiny
from tests.transfer.training import small
from tf_transfer import datasets, networks
from tf_transfer.configs import base
from tf_transfer.images import decoding
from tf_transfer.runtime import devices
from tf_transfer.study import step_timing
from tf_transfer.transfer.training import search_spec, timing


@pytest.fixture
def search(tmp_path, monkeypatch):
  for name in ('tiny', 'tinier'):
    monkeypatch.setitem(networks.TABLE, name, tiny.ROW)
  tiny.write_weights(tmp_path)
  config = base.fine_tuned_fields()
  config.batch_size = 32
  return search_spec.Search(
    net=networks.load(tmp_path / 'tiny.safetensors'),
    dataset=datasets.open('digits'),
    config=config,
    setting='fine_tuned',
    pretrained=True,
    corrupt='skip',
    directory=pathlib.Path(),
    identity='measured',
    description='measured',
    mesh=devices.data_mesh(jax.devices()[:1]),
  )


def test_every_part_is_measured(search, monkeypatch):
  """A step of 2 s that takes 5 s to compile is found to be that."""
  monkeypatch.setattr(timing, 'seconds_per_step', lambda *_: (5.0, 2.0))
  timings = step_timing.measure(search)
  assert timings.image_size == small.SIZE
  assert timings.compile == 5
  # The batches of 32 small images take milliseconds each.
  assert 2 < timings.step < 3
  assert 0 < timings.decoding < 0.1
  assert 0 < timings.evaluation < 0.1
  assert timings.setup > 0
  assert timings.checkpoint == pytest.approx(174 * 8 / 1e8)
  assert not list(pathlib.Path().glob('checkpoints'))


def test_positions_are_spread_over_a_split(search):
  val = search.dataset.splits['val']
  positions = step_timing._some(val, 10)
  assert len(positions) == 10
  assert (positions[0], positions[-1]) == (0, len(val) - 1)
  assert len(step_timing._some(val, 10**6)) == len(val)


def test_an_image_that_cannot_be_decoded_is_no_error(search):
  """The search itself finds such images before it trains."""

  def corrupt(i):
    raise decoding.CorruptImage('damaged')

  split = dataclasses.replace(search.dataset.splits['train'], read=corrupt)
  assert step_timing._time_decoding(split) < 1
