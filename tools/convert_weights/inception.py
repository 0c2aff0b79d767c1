"""Rules of the five Inceptions, for each of their sources.

TF-Slim, Keras, torchvision, timm and pretrainedmodels. Our tables of blocks
give the order of the convolutions; a source's name of a convolution follows
from its position in its module, with the exceptions below.
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


def _slim_conv(conv: inception_blocks.BranchConv) -> str:
  """Returns TF-Slim's usual name; one that shrinks the image is 1a."""
  rows, columns = conv.conv.size
  shrinks = conv.conv.strides > 1 or conv.conv.padding == 'VALID'
  letter = 'abcdefg'[conv.number - 1 + conv.after_pool]
  position = '1a' if shrinks else f'0{letter}'
  return f'Branch_{conv.branch - 1}/Conv2d_{position}_{rows}x{columns}'


def _slim_names(
  blocks: inception_blocks.Blocks, exceptions: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
  """Yields TF-Slim's name, below the network's scope, and path of each layer.

  Args:
    blocks: of the network.
    exceptions: names that do not follow the pattern, by path.
  """
  for name, block in blocks:
    if isinstance(block, inception_blocks.Conv):
      rows, columns = block.size
      yield f'Conv2d_{name.split("_")[1]}_{rows}x{columns}', name
    elif isinstance(block, tuple):
      for conv in inception_blocks.branch_convs(block):
        path = f'{name}/{conv.name}'
        usual = f'{name.capitalize()}/{_slim_conv(conv)}'
        yield exceptions.get(path, usual), path


def _slim(
  scope: str, version: str, blocks: inception_blocks.Blocks, head: str
) -> list[rules.Rule]:
  """Makes the rules of a TF-Slim checkpoint of an Inception.

  Args:
    scope: of the network.
    version: key of the exceptions from the pattern of names.
    blocks: of the network.
    head: scope of the logits, below `Logits`.
  """
  layers = [
    (f'{scope}/{name}', path)
    for name, path in _slim_names(blocks, _SLIM_EXCEPTIONS[version])
  ]
  return [
    *rules.slim(layers, f'{scope}/Logits/{head}'),
    *rules.drop(rf'{scope}/AuxLogits/.*'),
  ]


def slim_v1() -> list[rules.Rule]:
  """Makes the rules of TF-Slim's Inception v1."""
  return _slim('InceptionV1', 'v1', inception_v1.blocks(), 'Conv2d_0c_1x1')


def slim_v3() -> list[rules.Rule]:
  """Makes the rules of TF-Slim's Inception v3."""
  return _slim('InceptionV3', 'v3', inception_v3.BLOCKS, 'Conv2d_1c_1x1')


def slim_v4() -> list[rules.Rule]:
  """Makes the rules of TF-Slim's Inception v4."""
  return _slim('InceptionV4', 'v4', inception_v4.BLOCKS, 'Logits')


def slim_bn() -> list[rules.Rule]:
  """Makes the rules of TF-Slim's BN-Inception, there called Inception v2."""
  stem, path = 'InceptionV2/Conv2d_1a_7x7', 'params/backbone/conv_1a'
  return [
    *_slim('InceptionV2', 'v2', bn_inception.blocks(), 'Conv2d_1c_1x1'),
    rules.Rule(f'{stem}/depthwise_weights', f'{path}/depthwise_kernel'),
    rules.Rule(f'{stem}/pointwise_weights', f'{path}/pointwise_kernel'),
    rules.Rule(f'{stem}/biases', f'{path}/bias'),
  ]


def _number_layers(paths: Iterable[str]) -> list[rules.Layer]:
  """Returns layers under the numbers that Keras gives those without a name."""
  return [
    rules.Layer(f'conv2d_{i}', f'batch_normalization_{i}', path)
    for i, path in enumerate(paths, start=1)
  ]


def keras_v3() -> tuple[rules.Rule, ...]:
  """Makes the rules of Keras's Inception v3."""
  layers = _number_layers(inception_blocks.conv_paths(inception_v3.BLOCKS))
  return rules.keras(layers, 'predictions')


def _torch_layer(name: str, path: str) -> rules.Layer:
  """Returns a layer whose convolution and batch norm are in one submodule."""
  return rules.Layer(f'{name}.conv', f'{name}.bn', path)


def _module_layers(
  modules: Mapping[str, Sequence[str]], blocks: inception_blocks.Blocks
) -> Iterator[rules.Layer]:
  """Yields PyTorch's layers of modules.

  Args:
    modules: PyTorch's names of the convolutions of each module, by our name of
      the module, in the order of our table.
    blocks: of the network.
  """
  for name, block in blocks:
    if name in modules:
      for conv_name, conv in zip(
        modules[name], inception_blocks.branch_convs(block), strict=True
      ):
        yield _torch_layer(conv_name, f'{name}/{conv.name}')


def torchvision_v1() -> tuple[rules.Rule, ...]:
  """Makes the rules of torchvision's GoogLeNet, our Inception v1."""
  layers = [
    _torch_layer(f'conv{i}', path)
    for i, path in enumerate(('conv_1a', 'conv_2b', 'conv_2c'), start=1)
  ]
  for name, block in inception_v1.blocks():
    if isinstance(block, tuple):
      # Its letters begin at a, ours at b.
      stage, letter = name[-2], chr(ord(name[-1]) - 1)
      for conv in inception_blocks.branch_convs(block):
        index = '' if conv.alone else f'.{conv.number - 1 + conv.after_pool}'
        conv_name = f'inception{stage}{letter}.branch{conv.branch}{index}'
        layers.append(_torch_layer(conv_name, f'{name}/{conv.name}'))
  return rules.torch(layers, 'fc') + rules.drop(r'aux[12]\..*')


def _branches(*names: str) -> tuple[str, ...]:
  """Puts `branch` ahead of each name."""
  return tuple(f'branch{name}' for name in names)


def _numbers(name: str, count: int) -> tuple[str, ...]:
  """Puts the numbers from 1 to `count` behind a name."""
  return tuple(f'{name}_{i}' for i in range(1, count + 1))


_TORCH_V3_6 = _branches(
  '1x1', *_numbers('7x7', 3), *_numbers('7x7dbl', 5), '_pool'
)
# The convolutions of each module of Inception v3, by how its name begins.
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
  """Makes the rules of torchvision's and timm's Inception v3."""
  layers, modules = [], {}
  for name, block in inception_v3.BLOCKS:
    if isinstance(block, inception_blocks.Conv):
      size = f'{block.size[0]}x{block.size[1]}'
      conv_name = f'Conv2d_{name.removeprefix("conv_")}_{size}'
      layers.append(_torch_layer(conv_name, name))
    elif isinstance(block, tuple):
      kind = name.removeprefix('mixed_')
      convs = _TORCH_V3.get(kind) or _TORCH_V3[kind[0]]
      modules[name] = [f'{name.capitalize()}.{conv}' for conv in convs]
  layers += _module_layers(modules, inception_v3.BLOCKS)
  return rules.torch(layers, 'fc') + rules.drop(r'AuxLogits\..*')


def _timm_v4_module(branches: inception_blocks.Branches) -> list[str]:
  """Returns timm's names of the convolutions of a module."""
  if any(isinstance(branch[-1], inception_blocks.Split) for branch in branches):
    return [
      'branch0',
      *('branch1_0', 'branch1_1a', 'branch1_1b'),
      *('branch2_0', 'branch2_1', 'branch2_2', 'branch2_3a', 'branch2_3b'),
      'branch3.1',
    ]
  return [_timm_conv(conv) for conv in inception_blocks.branch_convs(branches)]


def _timm_conv(conv: inception_blocks.BranchConv) -> str:
  """Returns timm's usual name of a convolution in its module."""
  if conv.alone:
    return f'branch{conv.branch - 1}'
  return f'branch{conv.branch - 1}.{conv.number - 1 + conv.after_pool}'


def timm_v4() -> tuple[rules.Rule, ...]:
  """Makes the rules of timm's Inception v4."""
  layers, modules = [], {}
  for index, (name, block) in enumerate(inception_v4.BLOCKS):
    prefix = f'features.{index}'
    if isinstance(block, inception_blocks.Conv):
      layers.append(_torch_layer(prefix, name))
    elif name in ('mixed_3a', 'mixed_5a'):
      modules[name] = [f'{prefix}.conv']
    else:
      modules[name] = [f'{prefix}.{conv}' for conv in _timm_v4_module(block)]
  layers += _module_layers(modules, inception_v4.BLOCKS)
  return rules.torch(layers, 'last_linear')


def _residual_blocks() -> Iterator[tuple[str, int, int, bool]]:
  """Yields the residual blocks of Inception-ResNet v2.

  Yields:
    Our name, the stage from 0, the number in it from 1, whether it is the last.
  """
  for index, stage in enumerate(inception_resnet_v2.STAGES):
    for number in range(1, stage.repeats + 1):
      last = stage.name == 'block8' and number == stage.repeats
      yield f'{stage.name}_{number}', index, number, last


def slim_resnet_v2() -> list[rules.Rule]:
  """Makes the rules of TF-Slim's Inception-ResNet v2."""
  scope = 'InceptionResnetV2'
  up_rules, blocks = [], {}
  for name, stage, _, last in _residual_blocks():
    repeat = 'Repeat' + (f'_{stage}' if stage else '')
    blocks[name] = 'Block8' if last else f'{repeat}/{name}'
    up = f'{scope}/{blocks[name]}/Conv2d_1x1'
    path = f'params/backbone/{name}/up'
    up_rules += [
      rules.Rule(f'{up}/weights', f'{path}/kernel'),
      rules.Rule(f'{up}/biases', f'{path}/bias'),
    ]
  layers = []
  for name, path in _slim_names(inception_resnet_v2.blocks(), {}):
    module, _, conv = name.partition('/')
    # Branches of one 1×1 have no position in its name.
    if conv == 'Branch_0/Conv2d_0a_1x1' and module != 'Mixed_7a':
      conv = 'Branch_0/Conv2d_1x1'
    parts = (scope, blocks.get(module.lower(), module), conv)
    layers.append(('/'.join(filter(None, parts)), path))
  return [
    *up_rules,
    *rules.slim(layers, f'{scope}/Logits/Logits'),
    *rules.drop(rf'{scope}/AuxLogits/.*'),
  ]


def keras_resnet_v2() -> tuple[rules.Rule, ...]:
  """Makes the rules of Keras's Inception-ResNet v2."""
  *paths, last = inception_blocks.conv_paths(inception_resnet_v2.blocks())
  layers = [*_number_layers(paths), rules.Layer('conv_7b', 'conv_7b_bn', last)]
  result = list(rules.keras(layers, 'predictions'))
  for name, *_ in _residual_blocks():
    path = f'params/backbone/{name}/up'
    result += [
      rules.Rule(f'{name}_conv/kernel', f'{path}/kernel'),
      rules.Rule(f'{name}_conv/bias', f'{path}/bias'),
    ]
  return tuple(result)


def timm_resnet_v2() -> tuple[rules.Rule, ...]:
  """Makes the rules of timm's Inception-ResNet v2."""
  up_rules, blocks = [], {}
  for name, stage, number, last in _residual_blocks():
    repeat = 'repeat' + (f'_{stage}' if stage else '')
    blocks[name] = 'block8' if last else f'{repeat}.{number - 1}'
    up = f'{blocks[name]}.conv2d'
    up_rules += [
      rules.torch_conv(up, f'{name}/up'),
      rules.bias(f'{up}.bias', f'params/backbone/{name}/up/bias'),
    ]
  layers = []
  for name, block in inception_resnet_v2.blocks():
    if isinstance(block, inception_blocks.Conv):
      layers.append(_torch_layer(name.replace('conv_', 'conv2d_'), name))
    elif isinstance(block, tuple):
      module = blocks.get(name, name)
      layers += [
        _torch_layer(f'{module}.{_timm_conv(conv)}', f'{name}/{conv.name}')
        for conv in inception_blocks.branch_convs(block)
      ]
  return (*up_rules, *rules.torch(layers, 'classif'))


# The convolutions of a module in Cadene's names, which are Caffe's.
_CAFFE_3X3 = ('3x3_reduce', '3x3')
_CAFFE_DOUBLE = ('double_3x3_reduce', 'double_3x3_1', 'double_3x3_2')


def cadene_bn() -> tuple[rules.Rule, ...]:
  """Makes the rules of BN-Inception in pretrainedmodels, by Cadene."""
  modules = ('3a', '3b', '3c', '4a', '4b', '4c', '4d', '4e', '5a', '5b')
  layers = [
    rules.Layer(name, f'{name}_bn', path)
    for name, path in (
      ('conv1_7x7_s2', 'conv_1a'),
      ('conv2_3x3_reduce', 'conv_2b'),
      ('conv2_3x3', 'conv_2c'),
    )
  ]
  blocks = [
    (name, block)
    for name, block in bn_inception.blocks()
    if isinstance(block, tuple)
  ]
  for module, (name, block) in zip(modules, blocks, strict=True):
    convs = list(inception_blocks.branch_convs(block))
    conv_names = (*_CAFFE_3X3, *_CAFFE_DOUBLE)
    reduces = len(convs) == len(conv_names)
    if not reduces:
      conv_names = ('1x1', *conv_names, 'pool_proj')
    for suffix, conv in zip(conv_names, convs, strict=True):
      conv_name = f'inception_{module}_{suffix}'
      path = f'{name}/{conv.name}'
      layers.append(rules.Layer(conv_name, f'{conv_name}_bn', path))
  return rules.torch(layers, 'last_linear')
