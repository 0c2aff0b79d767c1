"""Rules of EfficientNet (Keras, torchvision, timm) and of EfficientNet-Lite."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tf_transfer.convert_weights import rules
from tf_transfer.networks import efficientnet

# What the images are scaled by in Keras's files, after a division by 255.
_KERAS_MEAN = (0.485, 0.456, 0.406)
_KERAS_VARIANCE = (0.229, 0.224, 0.225)


def _layers(width: float, depth: float) -> Iterator[rules.Layer]:
  """Yields all layers under the names in the PyTorch files."""
  yield rules.Layer('_conv_stem', '_bn0', 'stem')
  yield rules.Layer('_conv_head', '_bn1', 'top')
  for index, block in enumerate(efficientnet.blocks(width, depth)):
    # The source numbers a block's batch norms from 0, expanding or not.
    for bn, name in enumerate(('expand', 'depthwise', 'project')):
      if name != 'expand' or block.expansion > 1:
        prefix = f'_blocks.{index}'
        yield rules.Layer(
          f'{prefix}._{name}_conv',
          f'{prefix}._bn{bn}',
          f'{block.name}/{name}',
        )


def pytorch(width: float, depth: float) -> tuple[rules.Rule, ...]:
  """Makes the rules of the Lite networks' PyTorch files."""
  return rules.torch(_layers(width, depth), '_fc')


def _blocks(
  width: float, depth: float
) -> Iterator[tuple[efficientnet.Block, int, int]]:
  """Yields the blocks, with the numbers of stage and of block in it, from 0."""
  blocks = efficientnet.blocks(width, depth, fixed_ends=False)
  stages = itertools.groupby(blocks, lambda b: b.name.partition('_')[0])
  for stage, (_, members) in enumerate(stages):
    for number, block in enumerate(members):
      yield block, stage, number


def _parts(block: efficientnet.Block) -> tuple[str, ...]:
  """Returns the convolutions with batch norm of a block, in order."""
  parts = ('expand', 'depthwise', 'project')
  return parts if block.expansion > 1 else parts[1:]


def _is_near(values: Sequence[float]) -> Callable[[np.ndarray], np.ndarray]:
  """Makes a transform that refuses an array of other values."""

  def check(array: np.ndarray) -> np.ndarray:
    if not np.allclose(np.ravel(array), values, rtol=1e-5):
      raise ValueError(
        f'expected {", ".join(map(str, values))}, found '
        f'{", ".join(f"{v:g}" for v in np.ravel(array)[:3])}: it scales images '
        'otherwise than the published network'
      )
    return array

  return check


def keras(width: float, depth: float) -> tuple[rules.Rule, ...]:
  """Makes the rules of Keras's EfficientNets.

  The model scales its images itself, which here the contract does. It computes
  (x / 255 - mean) / sqrt(variance), with the standard deviations of ImageNet's
  colors in the place of the variances; behind that it divides by the square
  root of the deviations once more, if it is built for the published weights.
  Both together are the usual (x / 255 - mean) / deviation. A file with other
  values in that layer is refused: the contract would not be its own.
  """
  layers = [
    rules.Layer('stem_conv', 'stem_bn', 'stem'),
    rules.Layer('top_conv', 'top_bn', 'top'),
  ]
  gates: list[rules.Rule] = []
  names = {
    'expand': ('expand_conv', 'expand_bn'),
    'depthwise': ('dwconv', 'bn'),
    'project': ('project_conv', 'project_bn'),
  }
  for block, stage, number in _blocks(width, depth):
    prefix = f'block{stage + 1}{chr(ord("a") + number)}'
    for part in _parts(block):
      conv, bn = (f'{prefix}_{name}' for name in names[part])
      layers.append(rules.Layer(conv, bn, f'{block.name}/{part}'))
    for part, conv in (('squeeze', 'se_reduce'), ('excite', 'se_expand')):
      path = f'{block.name}/{part}'
      gates += rules.gate_conv(f'{prefix}_{conv}', path, 'keras')
  return (
    *rules.keras(layers, 'predictions'),
    *gates,
    rules.Rule('normalization_1/mean', None, _is_near(_KERAS_MEAN)),
    rules.Rule('normalization_1/variance', None, _is_near(_KERAS_VARIANCE)),
    *rules.drop('normalization_1/count'),
  )


def timm(width: float, depth: float) -> tuple[rules.Rule, ...]:
  """Makes the rules of timm's EfficientNets, of both paddings."""
  layers = [
    rules.Layer('conv_stem', 'bn1', 'stem'),
    rules.Layer('conv_head', 'bn2', 'top'),
  ]
  gates: list[rules.Rule] = []
  for block, stage, number in _blocks(width, depth):
    prefix, parts = f'blocks.{stage}.{number}', _parts(block)
    convs = ('pw', 'dw', 'pwl') if len(parts) == 3 else ('dw', 'pw')
    layers += [
      rules.Layer(
        f'{prefix}.conv_{conv}', f'{prefix}.bn{i}', f'{block.name}/{part}'
      )
      for i, (conv, part) in enumerate(zip(convs, parts, strict=True), start=1)
    ]
    for part, conv in (('squeeze', 'reduce'), ('excite', 'expand')):
      name, path = f'{prefix}.se.conv_{conv}', f'{block.name}/{part}'
      gates += rules.gate_conv(name, path, 'torch')
  return (*rules.torch(layers, 'classifier'), *gates)


def torchvision(width: float, depth: float) -> tuple[rules.Rule, ...]:
  """Makes the rules of torchvision's EfficientNets."""
  layers = [
    rules.Layer('features.0.0', 'features.0.1', 'stem'),
    rules.Layer('features.8.0', 'features.8.1', 'top'),
  ]
  gates: list[rules.Rule] = []
  for block, stage, number in _blocks(width, depth):
    prefix = f'features.{stage + 1}.{number}.block'
    *inner, last = _parts(block)
    # Squeeze and excitation are between the last two.
    for i, part in (*enumerate(inner), (len(inner) + 1, last)):
      name = f'{prefix}.{i}'
      layers.append(
        rules.Layer(f'{name}.0', f'{name}.1', f'{block.name}/{part}')
      )
    for part, conv in (('squeeze', 'fc1'), ('excite', 'fc2')):
      name, path = f'{prefix}.{len(inner)}.{conv}', f'{block.name}/{part}'
      gates += rules.gate_conv(name, path, 'torch')
  return (*rules.torch(layers, 'classifier.1'), *gates)
