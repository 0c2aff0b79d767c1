"""Rules of MobileNets: TF-Slim, Keras, torchvision (v2 only) and timm."""

import itertools
from collections.abc import Iterator, Sequence

from tf_transfer.convert_weights import rules
from tf_transfer.networks import mobilenet

_V1 = range(1, len(mobilenet.BLOCKS_V1) + 1)
_V2 = range(1, 1 + sum(stage[0] for stage in mobilenet.STAGES_V2))

# timm groups the blocks of v1 by their channels.
_TIMM_V1 = tuple(
  len(list(group))
  for _, group in itertools.groupby(width for width, _ in mobilenet.BLOCKS_V1)
)
_TIMM_V2 = tuple(stage[0] for stage in mobilenet.STAGES_V2)


def _parts_v2(block: int) -> tuple[str, ...]:
  """Returns the layers of a block of v2; the first does not expand."""
  parts = ('expand', 'depthwise', 'project')
  return parts[1:] if block == 1 else parts


def slim_v1() -> tuple[rules.Rule, ...]:
  """Makes the rules of TF-Slim's MobileNet v1."""
  layers = [('MobilenetV1/Conv2d_0', 'stem')]
  layers += [
    (f'MobilenetV1/Conv2d_{block}_{part}', f'block{block}_{part}')
    for block in _V1
    for part in ('depthwise', 'pointwise')
  ]
  return rules.slim(layers, 'MobilenetV1/Logits/Conv2d_1c_1x1')


def keras_v1() -> tuple[rules.Rule, ...]:
  """Makes the rules of Keras's MobileNet v1."""
  layers = [rules.Layer('conv1', 'conv1_bn', 'stem')]
  layers += [
    rules.Layer(
      f'conv_{short}_{block}',
      f'conv_{short}_{block}_bn',
      f'block{block}_{part}',
    )
    for block in _V1
    for short, part in (('dw', 'depthwise'), ('pw', 'pointwise'))
  ]
  return rules.keras(layers, 'conv_preds')


def _timm_blocks(repeats: Sequence[int]) -> Iterator[tuple[int, str]]:
  """Yields our number of each block, from 1, and timm's name of it.

  Args:
    repeats: number of blocks in each of timm's stages.
  """
  numbers = itertools.count(1)
  for stage, count in enumerate(repeats):
    for repeat in range(count):
      yield next(numbers), f'blocks.{stage}.{repeat}'


def timm_v1() -> tuple[rules.Rule, ...]:
  """Makes the rules of timm's MobileNet v1."""
  layers = [rules.Layer('conv_stem', 'bn1', 'stem')]
  for block, name in _timm_blocks(_TIMM_V1):
    layers += [
      rules.Layer(f'{name}.conv_dw', f'{name}.bn1', f'block{block}_depthwise'),
      rules.Layer(f'{name}.conv_pw', f'{name}.bn2', f'block{block}_pointwise'),
    ]
  return rules.torch(layers, 'classifier')


def slim_v2() -> tuple[rules.Rule, ...]:
  """Makes the rules of TF-Slim's MobileNet v2."""
  layers = [('MobilenetV2/Conv', 'stem'), ('MobilenetV2/Conv_1', 'top')]
  for block in _V2:
    scope = 'expanded_conv' + (f'_{block - 1}' if block > 1 else '')
    layers += [
      (f'MobilenetV2/{scope}/{part}', f'block{block}_{part}')
      for part in _parts_v2(block)
    ]
  return rules.slim(layers, 'MobilenetV2/Logits/Conv2d_1c_1x1')


def keras_v2() -> tuple[rules.Rule, ...]:
  """Makes the rules of Keras's MobileNet v2."""
  layers = [
    rules.Layer('Conv1', 'bn_Conv1', 'stem'),
    rules.Layer('Conv_1', 'Conv_1_bn', 'top'),
  ]
  for block in _V2:
    name = f'block_{block - 1}' if block > 1 else 'expanded_conv'
    layers += [
      rules.Layer(f'{name}_{part}', f'{name}_{part}_BN', f'block{block}_{part}')
      for part in _parts_v2(block)
    ]
  return rules.keras(layers, 'predictions')


def torchvision_v2() -> tuple[rules.Rule, ...]:
  """Makes the rules of torchvision's MobileNet v2."""
  layers = [
    rules.Layer('features.0.0', 'features.0.1', 'stem'),
    rules.Layer('features.18.0', 'features.18.1', 'top'),
  ]
  for block in _V2:
    *inner, last = _parts_v2(block)
    prefix = f'features.{block}.conv'
    layers += [
      rules.Layer(f'{prefix}.{i}.0', f'{prefix}.{i}.1', f'block{block}_{part}')
      for i, part in enumerate(inner)
    ]
    n = len(inner)
    layers.append(
      rules.Layer(f'{prefix}.{n}', f'{prefix}.{n + 1}', f'block{block}_{last}')
    )
  return rules.torch(layers, 'classifier.1')


def timm_v2() -> tuple[rules.Rule, ...]:
  """Makes the rules of timm's MobileNet v2."""
  layers = [
    rules.Layer('conv_stem', 'bn1', 'stem'),
    rules.Layer('conv_head', 'bn2', 'top'),
  ]
  for block, name in _timm_blocks(_TIMM_V2):
    parts = _parts_v2(block)
    convs = ('pw', 'dw', 'pwl') if len(parts) == 3 else ('dw', 'pw')
    layers += [
      rules.Layer(
        f'{name}.conv_{conv}', f'{name}.bn{i}', f'block{block}_{part}'
      )
      for i, (conv, part) in enumerate(zip(convs, parts, strict=True), start=1)
    ]
  return rules.torch(layers, 'classifier')
