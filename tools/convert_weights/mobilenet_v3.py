"""Rules of MobileNet v3 large: Keras, torchvision and timm."""

import itertools
from collections.abc import Iterator

import numpy as np

from tf_transfer.convert_weights import rules
from tf_transfer.networks import mobilenet_v3

_Block = mobilenet_v3.Block


def _blocks() -> Iterator[tuple[int, _Block, tuple[str, ...]]]:
  """Yields our number of each block, from 1, the block, and its layers."""
  for number, block in enumerate(mobilenet_v3.BLOCKS, start=1):
    parts = ('expand', 'depthwise', 'project')
    yield number, block, parts if number > 1 else parts[1:]


def _linear_kernel(array: np.ndarray) -> np.ndarray:
  """Transposes [out, in], or that of a 1×1 convolution, to [1, 1, in, out]."""
  return array.reshape(array.shape[:2]).T[None, None]


def _torch_conv_head(name: str) -> tuple[rules.Rule, ...]:
  """Makes the rules of PyTorch's last layer before the logits."""
  path = 'params/backbone/conv_head'
  return (
    rules.Rule(rf'{name}\.weight', f'{path}/kernel', _linear_kernel),
    rules.Rule(rf'{name}\.bias', f'{path}/bias'),
  )


def keras() -> tuple[rules.Rule, ...]:
  """Makes the rules of Keras's."""
  layers = [
    rules.Layer('conv', 'conv_bn', 'stem'),
    rules.Layer('conv_1', 'conv_1_bn', 'top'),
  ]
  gates = list(rules.gate_conv('conv_2', 'conv_head', 'keras'))
  for number, block, parts in _blocks():
    prefix = 'expanded_conv' + (f'_{number - 1}' if number > 1 else '')
    layers += [
      rules.Layer(
        f'{prefix}_{part}', f'{prefix}_{part}_bn', f'block{number}/{part}'
      )
      for part in parts
    ]
    if block.squeezes:
      for part, conv in (('squeeze', 'conv'), ('excite', 'conv_1')):
        name = f'{prefix}_squeeze_excite_{conv}'
        gates += rules.gate_conv(name, f'block{number}/{part}', 'keras')
  return (*rules.keras(layers, 'logits'), *gates)


def torchvision() -> tuple[rules.Rule, ...]:
  """Makes the rules of torchvision's."""
  layers = [
    rules.Layer('features.0.0', 'features.0.1', 'stem'),
    rules.Layer('features.16.0', 'features.16.1', 'top'),
  ]
  gates = list(_torch_conv_head(r'classifier\.0'))
  for number, block, (*inner, last) in _blocks():
    prefix = f'features.{number}.block'
    # Squeeze and excitation, if there, are between the last two.
    final = len(inner) + block.squeezes
    for i, part in (*enumerate(inner), (final, last)):
      name = f'{prefix}.{i}'
      layers.append(
        rules.Layer(f'{name}.0', f'{name}.1', f'block{number}/{part}')
      )
    if block.squeezes:
      for part, conv in (('squeeze', 'fc1'), ('excite', 'fc2')):
        name = f'{prefix}.{len(inner)}.{conv}'
        gates += rules.gate_conv(name, f'block{number}/{part}', 'torch')
  return (*rules.torch(layers, 'classifier.3'), *gates)


def timm() -> tuple[rules.Rule, ...]:
  """Makes the rules of timm's, which groups the blocks by their channels."""
  layers = [
    rules.Layer('conv_stem', 'bn1', 'stem'),
    rules.Layer('blocks.6.0.conv', 'blocks.6.0.bn1', 'top'),
  ]
  gates = list(_torch_conv_head('conv_head'))
  stages = itertools.groupby(_blocks(), lambda row: row[1].features)
  for stage, (_, members) in enumerate(stages):
    for i, (number, block, parts) in enumerate(members):
      prefix = f'blocks.{stage}.{i}'
      convs = ('pw', 'dw', 'pwl') if len(parts) == 3 else ('dw', 'pw')
      layers += [
        rules.Layer(
          f'{prefix}.conv_{conv}', f'{prefix}.bn{k}', f'block{number}/{part}'
        )
        for k, (conv, part) in enumerate(
          zip(convs, parts, strict=True), start=1
        )
      ]
      if block.squeezes:
        for part, conv in (('squeeze', 'reduce'), ('excite', 'expand')):
          name = f'{prefix}.se.conv_{conv}'
          gates += rules.gate_conv(name, f'block{number}/{part}', 'torch')
  return (*rules.torch(layers, 'classifier'), *gates)
