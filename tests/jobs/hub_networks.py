"""Puts the tiny network on a hub on loopback, as if it were timm's."""

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest
import safetensors.numpy

from tests.tools import hub_server
from tests.transfer.training import small
from tf_transfer.convert_weights import hub_config, publishers, rules, table

ARCHITECTURE = 'tinynet'
# Nothing is published of them.
NAMES = ('timm/tinynet.a1_in1k', 'timm/tinynet.a2_in1k')


def _make_rules():
  return rules.torch([rules.Layer('conv', 'bn', 'stem')], 'fc')


def _checkpoint(seed):
  rng = np.random.default_rng(seed)
  shapes = {
    'conv.weight': (6, 3, 3, 3),
    **{f'bn.{name}': (6,) for name in ('weight', 'bias', 'running_mean')},
    'fc.weight': (3, 6),
    'fc.bias': (3,),
  }
  arrays = {n: rng.normal(size=s).astype('f') for n, s in shapes.items()}
  return {**arrays, 'bn.running_var': np.ones(6, np.float32)}


@contextlib.contextmanager
def serve(cache) -> Iterator[hub_server.Hub]:
  """A hub with two checkpoints of the network `tiny`, which is in the table."""
  row = publishers.timm(
    _make_rules, small.SIZE, None, f'{ARCHITECTURE}.none', num_classes=3
  )
  config = hub_server.config(
    ARCHITECTURE, input_size=[3, small.SIZE, small.SIZE], num_classes=3
  )
  with (
    hub_server.connected(cache) as hub,
    pytest.MonkeyPatch.context() as patch,
  ):
    patch.setitem(table.SOURCES, 'tiny', (row,))
    hub_config.architectures.cache_clear()
    for seed, name in enumerate(NAMES):
      content = safetensors.numpy.save(_checkpoint(seed))
      hub.files[name] = {'config.json': config, 'model.safetensors': content}
    yield hub
  hub_config.architectures.cache_clear()
