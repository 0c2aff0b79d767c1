"""Tests of taking a network's variables out by their names."""

import re

import pytest

from tests.golden import rule
from tf_transfer.convert_weights import names, sources

SOURCES = sources.list_sources('resnet50')
ROW = sources.get_source('resnet50', 'torchvision')
NAMES = tuple(rule.shapes('torchvision', 'resnet50'))
BODY = tuple(name for name in NAMES if not name.startswith('fc.'))


def prefixed(prefix, those):
  return tuple(prefix + name for name in those)


@pytest.mark.parametrize(
  'prefix',
  [
    *('module.', 'model.', 'backbone.', 'encoder.', '_orig_mod.', 'net.'),
    *('module._orig_mod.', 'model.backbone.', 'a.b.c.d.', ''),
  ],
)
def test_prefix_of_all_names(prefix):
  found = names.find_prefix(prefixed(prefix, NAMES), SOURCES)
  assert found == prefix
  stripped = names.strip_prefix(dict.fromkeys(prefixed(prefix, NAMES)), found)
  assert tuple(stripped) == NAMES


def test_prefix_of_a_network_under_a_head():
  all_names = (
    *prefixed('model.backbone.', BODY),
    *('model.fc.weight', 'model.projector.0.weight', 'queue'),
  )
  prefix = names.find_prefix(all_names, SOURCES)
  assert prefix == 'model.backbone.'
  stripped = names.strip_prefix(dict.fromkeys(all_names), prefix)
  assert tuple(stripped)[-3:] == ('fc.weight', 'projector.0.weight', 'queue')
  kept, dropped = names.drop_heads(stripped, SOURCES)
  assert dropped == ['projector.0.weight', 'queue']
  assert tuple(kept) == (*BODY, 'fc.weight')


def test_prefix_of_tensorflow():
  row = sources.get_source('mobilenet_v1', 'slim')
  all_names = prefixed('import/', rule.shapes('slim', 'mobilenet_v1'))
  assert names.find_prefix(all_names, [row]) == 'import/'


@pytest.mark.parametrize('network', ['densenet121', 'mobilenet_v1'])
def test_other_networks_keep_their_names(network):
  other = tuple(rule.shapes('timm', network))
  assert names.find_prefix(other, SOURCES) == ''


def test_two_networks_are_never_guessed():
  both = (*prefixed('module.encoder_q.', NAMES), *prefixed('ema.', NAMES))
  with pytest.raises(ValueError, match='with --key=NAME') as caught:
    names.find_prefix(both, SOURCES)
  assert f'module.encoder_q ({len(NAMES)} variables)' in str(caught.value)
  assert f'ema ({len(NAMES)} variables)' in str(caught.value)
  below = names.take_key(dict.fromkeys(both), 'module.encoder_q')
  assert tuple(below) == NAMES


def test_names_that_would_be_one():
  tensors = {'a.b': 1, 'b': 2}
  with pytest.raises(ValueError, match='two variables b'):
    names.strip_prefix(tensors, 'a.')


def test_key_without_variables():
  with pytest.raises(ValueError, match='below the key c; names begin with a'):
    names.take_key({'a.b': 1, 'a.c': 2, 'cc.d': 3}, 'c')


def test_ignore_counts_what_each_pattern_leaves_out():
  tensors = dict.fromkeys(('a/b', 'a/c', 'd/c', 'e'))
  kept, counts = names.ignore(tensors, ['a/*', '*/c', 'E'])
  assert tuple(kept) == ('e',)
  assert counts == {'a/*': 2, '*/c': 2, 'E': 0}


@pytest.mark.parametrize(
  'head',
  [
    *('projection_head', 'head', 'projector', 'predictor', 'classifier', 'fc'),
    *('prediction_head', 'cls_head', 'mlp', 'prototypes', 'dense_1', 'linear2'),
  ],
)
def test_heads_of_others(head):
  tensors = dict.fromkeys((*BODY, f'{head}.mlp.0.weight', 'headless.weight'))
  kept, dropped = names.drop_heads(tensors, SOURCES)
  assert dropped == [f'{head}.mlp.0.weight']
  assert re.fullmatch('headless.*', list(kept)[-1])


def test_own_head_stays():
  kept, dropped = names.drop_heads(dict.fromkeys(NAMES), SOURCES)
  assert (tuple(kept), dropped) == (NAMES, [])


def select_backbone(all_names, key=None, patterns=()):
  return names.select_backbone(dict.fromkeys(all_names), SOURCES, key, patterns)


DETECTOR = (
  *prefixed('backbone.body.', BODY),
  *('backbone.fpn.inner_blocks.0.0.weight', 'rpn.head.conv.0.0.weight'),
  'roi_heads.box_predictor.cls_score.bias',
)
CONTRASTIVE = (
  *prefixed('module.encoder_q.', BODY),
  *('module.encoder_q.fc.0.weight', 'module.encoder_q.fc.2.weight'),
  *('module.encoder_q.fc.weight', 'module.queue', 'module.queue_ptr'),
)


@pytest.mark.parametrize(
  ('all_names', 'left_out'),
  [
    (DETECTOR, '3 variables left out: backbone.fpn.inner_blocks.0.0.weight, '),
    (CONTRASTIVE, '5 variables left out: module.encoder_q.fc.weight, module.'),
    (NAMES, '2 variables left out: fc.weight, fc.bias'),
    (prefixed('backbone.', (*BODY, 'fc.weight')), '1 variable left out'),
  ],
)
def test_backbone_alone(all_names, left_out):
  found = select_backbone(all_names)
  assert tuple(found.tensors) == BODY
  assert f'{len(BODY)} variables of the backbone' in found.notes[0]
  assert found.notes[1].startswith(left_out)
  assert len(found.notes) == 2


def test_backbone_alone_says_nothing_of_what_is_not_there():
  assert len(select_backbone(BODY).notes) == 1


@pytest.mark.parametrize(
  'other',
  [
    tuple(rule.shapes('torchvision', 'resnet101')),
    (*NAMES, 'layer1.0.se.fc1.weight'),
    prefixed('backbone.body.', (*BODY, 'layer3.6.conv1.weight')),
  ],
)
def test_more_inside_of_the_backbone_is_another_network(other):
  """Of a ResNet-101, the names of a ResNet-50 are a part."""
  with pytest.raises(
    ValueError,
    match='layer[13].* this network does not have: this is another network',
  ):
    select_backbone(other)


def test_backbone_below_a_key_and_without_a_pattern():
  both = (*CONTRASTIVE, *prefixed('module.encoder_k.', NAMES))
  with pytest.raises(ValueError, match='with --key=NAME'):
    select_backbone(both)
  found = select_backbone(both, key='module.encoder_q')
  assert tuple(found.tensors) == BODY
  odd = (*NAMES, 'layer1.0.extra.weight')
  assert tuple(select_backbone(odd, patterns=['*.extra.*']).tensors) == BODY
  with pytest.raises(ValueError, match='--ignore=x. matches no variable'):
    select_backbone(odd, patterns=['x*'])
