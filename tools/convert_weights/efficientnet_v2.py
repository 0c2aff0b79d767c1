"""Rules of EfficientNetV2: Keras and timm."""

from collections.abc import Iterator

from tf_transfer.convert_weights import rules
from tf_transfer.networks import efficientnet_v2

_Architecture = efficientnet_v2.Architecture
_Block = efficientnet_v2.Block


def _gates(architecture: _Architecture) -> Iterator[tuple[_Block, str]]:
  """Yields all 1×1 convolutions that squeeze or excite: they have biases."""
  for block in architecture.blocks():
    if not block.fused:
      yield block, 'squeeze'
      yield block, 'excite'


def _keras_name(block: _Block) -> str:
  """Returns Keras's name of a block, with a letter in its stage: block1a."""
  return f'block{block.stage}{chr(ord("a") + block.repeat - 1)}'


def keras(architecture: _Architecture) -> tuple[rules.Rule, ...]:
  """Makes the rules of Keras's EfficientNetV2."""
  layers = [
    rules.Layer('stem_conv', 'stem_bn', 'stem'),
    rules.Layer('top_conv', 'top_bn', 'top'),
  ]
  names = {
    'expand': ('expand_conv', 'expand_bn'),
    'depthwise': ('dwconv2', 'bn'),
    'project': ('project_conv', 'project_bn'),
  }
  for block in architecture.blocks():
    for part in block.parts:
      conv, bn = (f'{_keras_name(block)}_{name}' for name in names[part])
      layers.append(rules.Layer(conv, bn, f'{block.name}/{part}'))
  result = list(rules.keras(layers, 'predictions'))
  for block, part in _gates(architecture):
    conv = {'squeeze': 'se_reduce', 'excite': 'se_expand'}[part]
    name, path = f'{_keras_name(block)}_{conv}', f'{block.name}/{part}'
    result += rules.gate_conv(name, path, 'keras')
  return tuple(result)


def _timm_name(block: _Block) -> str:
  """Returns timm's name of a block, with numbers from 0: blocks.0.0."""
  return f'blocks.{block.stage - 1}.{block.repeat - 1}'


def timm(architecture: _Architecture) -> tuple[rules.Rule, ...]:
  """Makes the rules of timm's EfficientNetV2."""
  layers = [
    rules.Layer('conv_stem', 'bn1', 'stem'),
    rules.Layer('conv_head', 'bn2', 'top'),
  ]
  names = {
    ('project',): ('conv',),
    ('expand', 'project'): ('conv_exp', 'conv_pwl'),
    ('expand', 'depthwise', 'project'): ('conv_pw', 'conv_dw', 'conv_pwl'),
  }
  for block in architecture.blocks():
    prefix = _timm_name(block)
    pairs = zip(names[block.parts], block.parts, strict=True)
    layers += [
      rules.Layer(f'{prefix}.{conv}', f'{prefix}.bn{i}', f'{block.name}/{part}')
      for i, (conv, part) in enumerate(pairs, start=1)
    ]
  result = list(rules.torch(layers, 'classifier'))
  for block, part in _gates(architecture):
    conv = {'squeeze': 'conv_reduce', 'excite': 'conv_expand'}[part]
    name, path = f'{_timm_name(block)}.se.{conv}', f'{block.name}/{part}'
    result += rules.gate_conv(name, path, 'torch')
  return tuple(result)
