"""Tests of whole checkpoints in every format, good and bad.

Golden checkpoints (`tests/golden/rule.py`) are written as their sources write
them, with what varies among public files, and with what may be wrong.
"""

import re

import numpy as np
import pytest

from tests.golden import rule
from tests.tools import checkpoint_files
from tf_transfer import convert_weights, errors
from tf_transfer.convert_weights import rules, sources
from tf_transfer.networks import weights

pytestmark = pytest.mark.usefixtures('traced_once')

NETWORK = 'mobilenet_v1'
# A name of a file of each format, and who makes such files.
FILES = {
  'a.pth': 'timm',
  'a.safetensors': 'timm',
  'a.h5': 'keras',
  'a.weights.h5': 'keras',
  'a.keras': 'keras',
  'v1.ckpt': 'slim',
  'v2.ckpt': 'slim',
  'a.pb': 'slim',
}
AVERAGE = '/ExponentialMovingAverage'


def converted(path, network, tensors, source=None):
  """The header and the variables of what was made of a checkpoint."""
  checkpoint_files.write(path, tensors)
  output = path.parent / 'out.safetensors'
  convert_weights.convert(network, path, output, source)
  return weights.read(output)


def same(found, wanted):
  assert found.keys() == wanted.keys()
  for name in wanted:
    np.testing.assert_array_equal(found[name], wanted[name])


@pytest.mark.parametrize('file', FILES)
def test_every_format_is_recognized_and_gives_the_same(tmp_path, file):
  tensors = rule.checkpoint(FILES[file], NETWORK, 2.0)
  header, found = converted(tmp_path / file, NETWORK, tensors)
  source = sources.get_source(NETWORK, FILES[file])
  assert header.contract == source.contract
  assert header.options == source.options
  assert header.source == file
  arrays, problems = rules.apply_rules(tensors, source.rules)
  assert not problems
  same(found, arrays)


def averages_only(tensors):
  return {name + AVERAGE: array for name, array in tensors.items()}


def averages_alongside(tensors):
  """MobileNet's way: other values under the plain names, but statistics."""
  plain = {
    name: array if 'moving_' in name else array + np.float32(0.05)
    for name, array in tensors.items()
  }
  averages = {
    name + AVERAGE: array
    for name, array in tensors.items()
    if 'moving_' not in name
  }
  slots = {f'{name}/RMSProp': array for name, array in plain.items()}
  return {**plain, **averages, **slots, 'global_step': np.int64(1)}


def without(pattern):
  def change(tensors):
    kept = {n: a for n, a in tensors.items() if not re.search(pattern, n)}
    assert len(kept) < len(tensors)
    return kept

  return change


def old_densenet_keys(tensors):
  pattern = r'(denselayer\d+\.(?:norm|conv))([12])\.'
  renamed = {re.sub(pattern, r'\1.\2.', n): a for n, a in tensors.items()}
  assert renamed.keys() != tensors.keys()
  return renamed


VARIANTS = [
  ('v1.ckpt', 'slim', 'mobilenet_v1', averages_only),
  ('v1.ckpt', 'slim', 'mobilenet_v1', averages_alongside),
  ('v2.ckpt', 'slim', 'mobilenet_v1', averages_only),
  ('v2.ckpt', 'slim', 'mobilenet_v1', averages_alongside),
  ('a.pth', 'torchvision', 'mobilenet_v2', without('num_batches_tracked')),
  ('a.pth', 'torchvision', 'densenet121', old_densenet_keys),
  ('a.pth', 'torchvision', 'inception_v1', without(r'aux\d')),
  ('v1.ckpt', 'slim', 'nasnet_mobile', without('aux_')),
  # As its archive is said to be, statistics and all.
  ('v2.ckpt', 'slim', 'nasnet_mobile', averages_only),
]


@pytest.mark.parametrize(('file', 'source', 'network', 'change'), VARIANTS)
def test_variants_of_public_files(tmp_path, file, source, network, change):
  tensors = rule.checkpoint(source, network, 2.0)
  # torchvision's and timm's DenseNet have the same variables.
  named = source if network == 'densenet121' else None
  header, found = converted(tmp_path / file, network, change(tensors), named)
  assert header.contract == sources.get_source(network, source).contract
  wanted, _ = rules.apply_rules(
    tensors, sources.get_source(network, source).rules
  )
  same(found, wanted)


@pytest.mark.parametrize('file', ['a.pth', 'a.safetensors'])
def test_checkpoint_of_a_model_that_was_trained_in_parallel(tmp_path, file):
  tensors = rule.checkpoint('timm', NETWORK, 2.0)
  path, said = tmp_path / file, []
  checkpoint_files.write(path, {f'module.{n}': a for n, a in tensors.items()})
  output = tmp_path / 'out.safetensors'
  convert_weights.convert(NETWORK, path, output, say=said.append)
  wanted, _ = rules.apply_rules(
    tensors, sources.get_source(NETWORK, 'timm').rules
  )
  same(weights.read(output)[1], wanted)
  assert said[0] == f'{path}: the prefix module. of every name is left out'


def a_bias(tensors):
  head = '(conv_preds|classifier|Conv2d_1c_1x1).*bias'
  return next(name for name in tensors if re.search(head, name))


def a_kernel(tensors):
  return next(n for n in tensors if re.search('weight|kernel', n))


def changed(pick, change):
  def apply(tensors):
    name = pick(tensors)
    return {**tensors, name: change(tensors[name].copy())}

  return apply


def dropped(tensors):
  victim = a_kernel(tensors)
  return {name: array for name, array in tensors.items() if name != victim}


def with_extra(tensors):
  kernel = a_kernel(tensors)
  return {**tensors, 'extra/kernel': tensors[kernel]}


def spoilt(value):
  def change(array):
    array.flat[-1] = value
    return array

  return change


def half(data):
  return data[: len(data) // 2]


BAD = {
  'missing': (dropped, 'missing params/backbone/stem/conv/kernel'),
  'extra': (with_extra, r'unknown variable (extra|conv2d)'),
  'transposed': (changed(a_kernel, np.transpose), r'expected shape \(3, 3, 3'),
  'NaN': (changed(a_bias, spoilt(np.nan)), 'head/bias: holds NaN or inf'),
  'infinity': (changed(a_bias, spoilt(-np.inf)), 'head/bias: holds NaN or inf'),
}


def refused(tmp_path, path, message, source=None):
  """The one error, and nothing written."""
  before = sorted(tmp_path.iterdir())
  with pytest.raises(errors.InputError, match=message) as caught:
    convert_weights.convert(NETWORK, path, tmp_path / 'out.safetensors', source)
  assert sorted(tmp_path.iterdir()) == before
  assert str(path) in str(caught.value)
  return str(caught.value)


@pytest.mark.parametrize('file', FILES)
@pytest.mark.parametrize('wrong', BAD)
def test_what_is_wrong_is_listed(tmp_path, file, wrong):
  change, message = BAD[wrong]
  path = tmp_path / file
  checkpoint_files.write(
    path, change(rule.checkpoint(FILES[file], NETWORK, 2.0))
  )
  refused(tmp_path, path, message)


@pytest.mark.parametrize('file', FILES)
def test_another_network(tmp_path, file):
  path = tmp_path / file
  checkpoint_files.write(
    path, rule.checkpoint(FILES[file], 'mobilenet_v2', 2.0)
  )
  message = refused(tmp_path, path, 'does not hold the weights of mobilenet_v1')
  assert 'this looks like mobilenet_v2. Convert it with --network=' in message
  assert '\n' not in message


@pytest.mark.parametrize('file', FILES)
def test_another_source_than_named(tmp_path, file):
  path = tmp_path / file
  checkpoint_files.write(path, rule.checkpoint(FILES[file], NETWORK, 2.0))
  other = 'timm' if FILES[file] != 'timm' else 'slim'
  refused(tmp_path, path, f'as {other} names them', other)


@pytest.mark.parametrize('file', FILES)
def test_cut_short(tmp_path, file):
  path = tmp_path / file
  checkpoint_files.write(path, rule.checkpoint(FILES[file], NETWORK, 2.0))
  data = path if path.exists() else tmp_path / f'{file}.data-00000-of-00001'
  data.write_bytes(half(data.read_bytes()))
  refused(tmp_path, path, 'no complete')


def test_source_has_to_be_one_of_the_network(tmp_path):
  with pytest.raises(errors.InputError, match="source of mobilenet_v1 'kers'"):
    convert_weights.convert(NETWORK, 'a.h5', tmp_path / 'a.safetensors', 'kers')


def said_of(tmp_path, path, **arguments):
  said = []
  output = tmp_path / 'out.safetensors'
  convert_weights.convert(NETWORK, path, output, say=said.append, **arguments)
  return weights.read(output), said


@pytest.mark.parametrize('file', FILES)
def test_variables_that_are_ignored(tmp_path, file):
  """As of a frozen graph with a retrained head."""
  tensors = rule.checkpoint(FILES[file], NETWORK, 2.0)
  path = tmp_path / file
  if FILES[file] == 'keras':
    extra = {'retrained/kernel': np.ones((1024, 9), np.float32)}
  else:
    extra = {
      'final_training_ops/biases': np.ones(9, np.float32),
      'final_training_ops/weights': np.ones((1024, 9), np.float32),
    }
  checkpoint_files.write(path, {**tensors, **extra})
  message = refused(tmp_path, path, r'\(--ignore=PATTERN leaves')
  assert len(message.splitlines()) == 2
  pattern = f'{next(iter(extra)).split("/")[0]}/*'
  (_, found), said = said_of(tmp_path, path, ignore=[pattern])
  noun = '1 variable' if len(extra) == 1 else '2 variables'
  assert said[0] == f'{path}: --ignore={pattern} leaves out {noun}'
  checkpoint_files.write(path, tensors)
  (_, wanted), _ = said_of(tmp_path, path)
  same(found, wanted)
  with pytest.raises(errors.InputError, match='--ignore=x. matches no variab'):
    said_of(tmp_path, path, ignore=['x*'])


@pytest.mark.parametrize('file', ['a.safetensors', 'model.pth.tar'])
def test_self_supervised_network(tmp_path, file):
  tensors = rule.checkpoint('timm', NETWORK, 2.0)
  body = {n: a for n, a in tensors.items() if 'classifier' not in n}
  both = {
    f'module.{name}.{n}': array
    for name in ('encoder_q', 'encoder_k')
    for n, array in {**body, 'fc.0.weight': np.ones((8, 8), 'f4')}.items()
  }
  path = tmp_path / 'a.safetensors'
  checkpoint_files.write(path, both)
  if file != path.name:
    path = tmp_path / file
    with checkpoint_files.fake_torch():
      checkpoint_files.write_zip(
        path,
        {
          'state_dict': {
            n: checkpoint_files.tensor(n, a) for n, a in both.items()
          }
        },
      )
  refused(tmp_path, path, r'encoder_q .* Choose one with --key=NAME')
  (header, found), said = said_of(tmp_path, path, key='module.encoder_q')
  assert header.num_classes == 0
  assert header.imagenet_top1 is None
  assert '1 variable of other heads left out, as fc.0.weight' in said[1]
  assert 'no head fits the network' in said[2]
  wanted, _ = rules.apply_rules(body, sources.get_source(NETWORK, 'timm').rules)
  same(found, wanted)


def test_backbone_alone(tmp_path):
  """A detector's backbone, a head of 9 classes, and the published one."""
  tensors = rule.checkpoint('timm', NETWORK, 2.0)
  body = {n: a for n, a in tensors.items() if 'classifier' not in n}
  wanted, _ = rules.apply_rules(body, sources.get_source(NETWORK, 'timm').rules)
  others = {
    'model.backbone.classifier.weight': np.ones((9, 1024), np.float32),
    'model.backbone.classifier.bias': np.ones(9, np.float32),
    'fpn.0.weight': np.ones((3, 3), np.float32),
  }
  path = tmp_path / 'a.safetensors'
  below = {f'model.backbone.{n}': a for n, a in body.items()}
  checkpoint_files.write(path, {**below, **others})
  (header, found), said = said_of(tmp_path, path, no_head=True)
  same(found, wanted)
  assert (header.num_classes, header.imagenet_top1) == (0, None)
  assert f'{len(body)} variables of the backbone below model.' in said[0]
  assert '3 variables left out: model.backbone.classifier.' in said[1]
  assert len(said) == 3  # That it is not the published file is the third.
  del others['fpn.0.weight']
  checkpoint_files.write(path, {**below, **others})
  (header, _), _ = said_of(tmp_path, path)
  assert header.num_classes == 9
  name = next(iter(below))
  checkpoint_files.write(path, {n: a for n, a in below.items() if n != name})
  with pytest.raises(errors.InputError, match='missing params/backbone'):
    said_of(tmp_path, path, no_head=True)


def test_published_file_without_its_head_keeps_its_top1(tmp_path):
  source = sources.get_source(NETWORK, 'timm')
  path = tmp_path / f'{source.file.removeprefix("timm/")}.safetensors'
  checkpoint_files.write(path, rule.checkpoint('timm', NETWORK, 2.0))
  (header, found), said = said_of(tmp_path, path, no_head=True)
  assert header.num_classes == 0
  assert header.imagenet_top1 == source.imagenet_top1
  assert header.recipe == source.recipe
  assert not any('head' in path for path in found)
  assert '2 variables left out: classifier.' in said[1]


def test_what_a_killed_conversion_left_is_swept(tmp_path):
  path, leftover = (
    tmp_path / 'a.pth',
    tmp_path / '.out.safetensors.a1b2c3d4.partial',
  )
  leftover.touch()
  with pytest.raises(errors.InputError, match='no such file'):
    convert_weights.convert(NETWORK, path, tmp_path / 'out.safetensors')
  assert not leftover.exists()
