"""The five Inceptions: TF-Slim, Keras, torchvision, timm, pretrainedmodels.

Our tables of steps give the order of the convolutions; what a source calls
them follows from their place in their module, with the exceptions below.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tf_transfer.convert_weights import rules
from tf_transfer.networks import (
  bn_inception,
  inception_blocks,
  inception_resnet_v2,
  inception_v1,
  inception_v3,
  inception_v4,
)

Steps = Sequence[inception_blocks.Step]

# Names that break TF-Slim's pattern, by our path.
_SLIM_EXCEPTIONS = {
  'v1': {'mixed_5b/branch3_2_3x3': 'Mixed_5b/Branch_2/Conv2d_0a_3x3'},
  'v2': {},
  'v3': {
    'mixed_5c/branch2_1_1x1': 'Mixed_5c/Branch_1/Conv2d_0b_1x1',
    'mixed_5c/branch2_2_5x5': 'Mixed_5c/Branch_1/Conv_1_0c_5x5',
    'mixed_6a/branch1_1_3x3': 'Mixed_6a/Branch_0/Conv2d_1a_1x1',
    'mixed_6a/branch2_3_3x3': 'Mixed_6a/Branch_1/Conv2d_1a_1x1',
    'mixed_7b/branch2_3_3x1': 'Mixed_7b/Branch_1/Conv2d_0b_3x1',
  },
  'v4': {'mixed_3a/branch2_1_3x3': 'Mixed_3a/Branch_1/Conv2d_0a_3x3'},
}


def _slim_conv(place: inception_blocks.Place) -> str:
  """TF-Slim's usual name: the last, which shrinks the image, is 1a."""
  rows, columns = place.conv.size
  shrinks = place.conv.strides > 1 or place.conv.padding == 'VALID'
  letter = 'abcdefg'[place.number - 1 + place.after_pool]
  position = '1a' if shrinks else f'0{letter}'
  return f'Branch_{place.branch - 1}/Conv2d_{position}_{rows}x{columns}'


def _slim_names(
  steps: Steps, exceptions: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
  """(name in the scope of the network, our path)."""
  for name, step in steps:
    if isinstance(step, inception_blocks.Conv):
      rows, columns = step.size
      yield f'Conv2d_{name.split("_")[1]}_{rows}x{columns}', name
    elif isinstance(step, tuple):
      for place in inception_blocks.places(step):
        path = f'{name}/{place.name}'
        usual = f'{name.capitalize()}/{_slim_conv(place)}'
        yield exceptions.get(path, usual), path


def _slim(
  scope: str, version: str, steps: Steps, head: str
) -> list[rules.Rule]:
  layers = [
    (f'{scope}/{name}', path)
    for name, path in _slim_names(steps, _SLIM_EXCEPTIONS[version])
  ]
  return [
    *rules.slim(layers, f'{scope}/Logits/{head}'),
    *rules.drop(rf'{scope}/AuxLogits/.*'),
  ]


def slim_v1() -> list[rules.Rule]:
  return _slim('InceptionV1', 'v1', inception_v1.steps(), 'Conv2d_0c_1x1')


def slim_v3() -> list[rules.Rule]:
  return _slim('InceptionV3', 'v3', inception_v3.STEPS, 'Conv2d_1c_1x1')


def slim_v4() -> list[rules.Rule]:
  return _slim('InceptionV4', 'v4', inception_v4.STEPS, 'Logits')


def slim_bn() -> list[rules.Rule]:
  stem, ours = 'InceptionV2/Conv2d_1a_7x7', 'params/backbone/conv_1a'
  return [
    *_slim('InceptionV2', 'v2', bn_inception.steps(), 'Conv2d_1c_1x1'),
    rules.Rule(f'{stem}/depthwise_weights', f'{ours}/depthwise_kernel'),
    rules.Rule(f'{stem}/pointwise_weights', f'{ours}/pointwise_kernel'),
    rules.Rule(f'{stem}/biases', f'{ours}/bias'),
  ]


def _numbered(paths: Iterable[str]) -> list[rules.Layer]:
  """Keras's layers without a name, in the order that they were made."""
  return [
    rules.Layer(f'conv2d_{i}', f'batch_normalization_{i}', path)
    for i, path in enumerate(paths, start=1)
  ]


def keras_v3() -> tuple[rules.Rule, ...]:
  layers = _numbered(inception_blocks.paths(inception_v3.STEPS))
  return rules.keras(layers, 'predictions')


def _torch_layer(name: str, path: str) -> rules.Layer:
  return rules.Layer(f'{name}.conv', f'{name}.bn', path)


def _in_order(
  modules: Mapping[str, Sequence[str]], steps: Steps
) -> Iterator[rules.Layer]:
  """PyTorch's layers of the modules that are named, in our order."""
  for name, step in steps:
    if name in modules:
      for theirs, place in zip(
        modules[name], inception_blocks.places(step), strict=True
      ):
        yield _torch_layer(theirs, f'{name}/{place.name}')


def torchvision_v1() -> tuple[rules.Rule, ...]:
  layers = [
    _torch_layer(f'conv{i}', path)
    for i, path in enumerate(('conv_1a', 'conv_2b', 'conv_2c'), start=1)
  ]
  for name, step in inception_v1.steps():
    if isinstance(step, tuple):
      # Its letters begin at a, ours at b.
      stage, letter = name[-2], chr(ord(name[-1]) - 1)
      for place in inception_blocks.places(step):
        index = '' if place.alone else f'.{place.number - 1 + place.after_pool}'
        theirs = f'inception{stage}{letter}.branch{place.branch}{index}'
        layers.append(_torch_layer(theirs, f'{name}/{place.name}'))
  return rules.torch(layers, 'fc') + rules.drop(r'aux[12]\..*')


def _branches(*names: str) -> tuple[str, ...]:
  return tuple(f'branch{name}' for name in names)


def _numbers(name: str, count: int) -> tuple[str, ...]:
  return tuple(f'{name}_{i}' for i in range(1, count + 1))


_TORCH_V3_6 = _branches(
  '1x1', *_numbers('7x7', 3), *_numbers('7x7dbl', 5), '_pool'
)
# The convolutions of each module of Inception v3, by the first of its name.
_TORCH_V3 = {
  '5': _branches('1x1', *_numbers('5x5', 2), *_numbers('3x3dbl', 3), '_pool'),
  '6a': _branches('3x3', *_numbers('3x3dbl', 3)),
  '6': _TORCH_V3_6,
  '7a': _branches(*_numbers('3x3', 2), *_numbers('7x7x3', 4)),
  '7': _branches(
    '1x1',
    *('3x3_1', '3x3_2a', '3x3_2b'),
    *('3x3dbl_1', '3x3dbl_2', '3x3dbl_3a', '3x3dbl_3b'),
    '_pool',
  ),
}


def torch_v3() -> tuple[rules.Rule, ...]:
  layers, modules = [], {}
  for name, step in inception_v3.STEPS:
    if isinstance(step, inception_blocks.Conv):
      size = f'{step.size[0]}x{step.size[1]}'
      theirs = f'Conv2d_{name.removeprefix("conv_")}_{size}'
      layers.append(_torch_layer(theirs, name))
    elif isinstance(step, tuple):
      kind = name.removeprefix('mixed_')
      convs = _TORCH_V3.get(kind) or _TORCH_V3[kind[0]]
      modules[name] = [f'{name.capitalize()}.{conv}' for conv in convs]
  layers += _in_order(modules, inception_v3.STEPS)
  return rules.torch(layers, 'fc') + rules.drop(r'AuxLogits\..*')


def _timm_v4_module(step: inception_blocks.Branches) -> list[str]:
  if any(isinstance(branch[-1], inception_blocks.Split) for branch in step):
    return [
      'branch0',
      *('branch1_0', 'branch1_1a', 'branch1_1b'),
      *('branch2_0', 'branch2_1', 'branch2_2', 'branch2_3a', 'branch2_3b'),
      'branch3.1',
    ]
  return [_timm_conv(place) for place in inception_blocks.places(step)]


def _timm_conv(place: inception_blocks.Place) -> str:
  if place.alone:
    return f'branch{place.branch - 1}'
  return f'branch{place.branch - 1}.{place.number - 1 + place.after_pool}'


def timm_v4() -> tuple[rules.Rule, ...]:
  layers, modules = [], {}
  for index, (name, step) in enumerate(inception_v4.STEPS):
    prefix = f'features.{index}'
    if isinstance(step, inception_blocks.Conv):
      layers.append(_torch_layer(prefix, name))
    elif name in ('mixed_3a', 'mixed_5a'):
      modules[name] = [f'{prefix}.conv']
    else:
      modules[name] = [f'{prefix}.{conv}' for conv in _timm_v4_module(step)]
  layers += _in_order(modules, inception_v4.STEPS)
  return rules.torch(layers, 'last_linear')


def _residual_blocks() -> Iterator[tuple[str, int, int, bool]]:
  """Block of ours, stage from 0, number in it from 1, whether the last."""
  for index, stage in enumerate(inception_resnet_v2.STAGES):
    for number in range(1, stage.repeats + 1):
      last = stage.name == 'block8' and number == stage.repeats
      yield f'{stage.name}_{number}', index, number, last


def slim_resnet_v2() -> list[rules.Rule]:
  scope = 'InceptionResnetV2'
  found, blocks = [], {}
  for name, stage, _, last in _residual_blocks():
    repeat = 'Repeat' + (f'_{stage}' if stage else '')
    blocks[name] = 'Block8' if last else f'{repeat}/{name}'
    up = f'{scope}/{blocks[name]}/Conv2d_1x1'
    ours = f'params/backbone/{name}/up'
    found += [
      rules.Rule(f'{up}/weights', f'{ours}/kernel'),
      rules.Rule(f'{up}/biases', f'{ours}/bias'),
    ]
  layers = []
  for name, path in _slim_names(inception_resnet_v2.steps(), {}):
    module, _, conv = name.partition('/')
    # Branches of one 1×1 have no position in its name.
    if conv == 'Branch_0/Conv2d_0a_1x1' and module != 'Mixed_7a':
      conv = 'Branch_0/Conv2d_1x1'
    parts = (scope, blocks.get(module.lower(), module), conv)
    layers.append(('/'.join(filter(None, parts)), path))
  return [
    *found,
    *rules.slim(layers, f'{scope}/Logits/Logits'),
    *rules.drop(rf'{scope}/AuxLogits/.*'),
  ]


def keras_resnet_v2() -> tuple[rules.Rule, ...]:
  *paths, last = inception_blocks.paths(inception_resnet_v2.steps())
  layers = [*_numbered(paths), rules.Layer('conv_7b', 'conv_7b_bn', last)]
  found = list(rules.keras(layers, 'predictions'))
  for name, *_ in _residual_blocks():
    ours = f'params/backbone/{name}/up'
    found += [
      rules.Rule(f'{name}_conv/kernel', f'{ours}/kernel'),
      rules.Rule(f'{name}_conv/bias', f'{ours}/bias'),
    ]
  return tuple(found)


def timm_resnet_v2() -> tuple[rules.Rule, ...]:
  found, blocks = [], {}
  for name, stage, number, last in _residual_blocks():
    repeat = 'repeat' + (f'_{stage}' if stage else '')
    blocks[name] = 'block8' if last else f'{repeat}.{number - 1}'
    ours, theirs = f'params/backbone/{name}/up', rf'{blocks[name]}.conv2d'
    found += [
      rules.torch_conv(theirs, f'{name}/up'),
      rules.bias(f'{theirs}.bias', f'{ours}/bias'),
    ]
  layers = []
  for name, step in inception_resnet_v2.steps():
    if isinstance(step, inception_blocks.Conv):
      theirs = name.replace('conv_', 'conv2d_')
      layers.append(_torch_layer(theirs, name))
    elif isinstance(step, tuple):
      module = blocks.get(name, name)
      layers += [
        _torch_layer(f'{module}.{_timm_conv(place)}', f'{name}/{place.name}')
        for place in inception_blocks.places(step)
      ]
  return (*found, *rules.torch(layers, 'classif'))


# The convolutions of a module in Cadene's names, which are Caffe's.
_CAFFE_3X3 = ('3x3_reduce', '3x3')
_CAFFE_DOUBLE = ('double_3x3_reduce', 'double_3x3_1', 'double_3x3_2')


def cadene_bn() -> tuple[rules.Rule, ...]:
  steps = bn_inception.steps()
  modules = ('3a', '3b', '3c', '4a', '4b', '4c', '4d', '4e', '5a', '5b')
  layers = [
    rules.Layer(name, f'{name}_bn', path)
    for name, path in (
      ('conv1_7x7_s2', 'conv_1a'),
      ('conv2_3x3_reduce', 'conv_2b'),
      ('conv2_3x3', 'conv_2c'),
    )
  ]
  ours = [(name, step) for name, step in steps if isinstance(step, tuple)]
  for module, (name, step) in zip(modules, ours, strict=True):
    found = list(inception_blocks.places(step))
    reduces = len(found) == 5
    convs = (*_CAFFE_3X3, *_CAFFE_DOUBLE)
    if not reduces:
      convs = ('1x1', *convs, 'pool_proj')
    for conv, place in zip(convs, found, strict=True):
      theirs = f'inception_{module}_{conv}'
      layers.append(rules.Layer(theirs, f'{theirs}_bn', f'{name}/{place.name}'))
  return rules.torch(layers, 'last_linear')
