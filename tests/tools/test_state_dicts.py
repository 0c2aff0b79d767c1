"""Tests of finding the state dict among what a script saved."""

import dataclasses

import pytest

from tf_transfer import errors
from tf_transfer.convert_weights import state_dicts
from tf_transfer.runtime import pickles


@dataclasses.dataclass(frozen=True)
class Tensor:
  shape: tuple[int, ...] = (3,)


T = Tensor()
NET = {'a.weight': T, 'a.bias': T, 'step': Tensor(())}
OPTIMIZER = {'state': {0: {'exp_avg': T}}, 'param_groups': [{'lr': 0.1}]}


def find(root, key=None):
  return state_dicts.find(root, Tensor, key)


@pytest.mark.parametrize(
  'key',
  [
    *('state_dict', 'model', 'model_state_dict', 'state_dict_ema', 'model_ema'),
    *('ema', 'net', 'network', 'teacher', 'student', 'params', 'weights'),
    *('module', 'my_own_key', 'model.state_dict', 'state.teacher.model'),
  ],
)
def test_one_key(key):
  root = NET
  for part in reversed(key.split('.')):
    root = {part: root, 'epoch': 3, 'loss': Tensor(())}
  root |= {'optimizer': OPTIMIZER, 'optimizer_states': [OPTIMIZER]}
  found = find(root)
  assert found == state_dicts.StateDict(NET, key, 0)
  assert find(root, key).tensors == NET


def test_no_key():
  assert find({**NET, 'epoch': 3}) == state_dicts.StateDict(NET)
  assert find({'a': Tensor(())}).tensors == {'a': Tensor(())}


@pytest.mark.parametrize(
  'keys',
  [
    ('state_dict', 'state_dict_ema'),
    ('model', 'model_ema'),
    ('teacher', 'student'),
    ('model', 'state_dict'),
    ('generator', 'my_own_net'),
    ('first', 'second'),
  ],
)
def test_several_keys_are_never_guessed(keys):
  root = {key: dict(NET) for key in keys} | {'optimizer': OPTIMIZER}
  with pytest.raises(errors.InputError, match='Name one with') as caught:
    find(root)
  for key in keys:
    assert f'{key} (3 tensors)' in str(caught.value)
    assert find(root, key) == state_dicts.StateDict(NET, key, 3)


def test_network_beside_what_is_none():
  """It is taken, and the others are counted."""
  found = find({'model': NET, 'memory_bank': {'queue': T}})
  assert found == state_dicts.StateDict(NET, 'model', 1)


def test_key_that_is_a_prefix_or_has_dots():
  names = {'q.a.weight': T, 'q.a.bias': T, 'k.a.weight': T}
  found = find({'state_dict': names}, 'q')
  assert found.tensors == {'a.weight': T, 'a.bias': T}
  assert found.key == 'state_dict.q'
  assert found.num_others == 1
  assert find({'a.b': {'c': NET}}, 'a.b.c').tensors == NET


def test_key_that_is_not_there():
  with pytest.raises(errors.InputError, match=r'key x; there are: net \(3 ten'):
    find({'net': NET}, 'x')
  with pytest.raises(errors.InputError, match='no state dict under the key ep'):
    find({'net': NET, 'epoch': 3}, 'epoch')


@pytest.mark.parametrize(
  ('root', 'message'),
  [
    (3, 'a int, not a dict of tensors'),
    ({'a': 3, 'b': {}}, "a dict without tensors, of the keys 'a', 'b'"),
    ({}, r'of the keys \(none\)'),
    ({'optimizer': OPTIMIZER}, 'a dict without tensors'),
  ],
)
def test_without_a_state_dict(root, message):
  with pytest.raises(ValueError, match=message):
    find(root)


def test_model_that_was_pickled_as_it_is():
  model = type('torchvision.models.resnet.ResNet', (pickles.StandIn,), {})()
  for root in (model, {'model': model, 'epoch': 3}):
    with pytest.raises(ValueError, match=r'class torchv.*save its state_dict'):
      find(root)


def test_dict_that_holds_itself():
  root = {'net': NET}
  root['model'] = root
  assert find(root).key == 'net'


def test_dicts_that_would_take_years_to_walk():
  root = NET
  for _ in range(6):
    root = {f'net_{n}': root for n in range(1000)}
  assert find(root).tensors == NET
