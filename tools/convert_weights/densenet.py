"""DenseNet: Keras, and PyTorch (torchvision and timm name it alike)."""

import re
from collections.abc import Iterator, Sequence

from tools.convert_weights import rules


def _layers(depths: Sequence[int]) -> Iterator[tuple[int, int]]:
  for block, depth in enumerate(depths, start=1):
    for layer in range(1, depth + 1):
      yield block, layer


def _torch_names(name: str) -> list[str]:
  """A name, and the one in torchvision's older files, as norm.1 for norm1."""
  old = re.sub(r'(denselayer\d+\.(?:norm|conv))([12])$', r'\1.\2', name)
  return [name] if old == name else [name, old]


def torch(depths: Sequence[int]) -> tuple[rules.Rule, ...]:
  convs = {'features.conv0': 'stem/conv'}
  norms = {'features.norm0': 'stem/bn', 'features.norm5': 'norm'}
  for block, layer in _layers(depths):
    name = f'features.denseblock{block}.denselayer{layer}'
    path = f'block{block}_layer{layer}'
    norms[f'{name}.norm1'] = f'{path}_norm'
    convs[f'{name}.conv1'] = f'{path}_narrow/conv'
    norms[f'{name}.norm2'] = f'{path}_narrow/bn'
    convs[f'{name}.conv2'] = f'{path}_grow'
  for number in range(1, len(depths)):
    name = f'features.transition{number}'
    norms[f'{name}.norm'] = f'transition{number}_norm'
    convs[f'{name}.conv'] = f'transition{number}_conv'
  found = list(rules.torch_head('classifier'))
  for conv, path in convs.items():
    found += [rules.torch_conv(name, path) for name in _torch_names(conv)]
  for norm, path in norms.items():
    for name in _torch_names(norm):
      found += rules.torch_batch_norm(name, path)
  return tuple(found)


def keras(depths: Sequence[int]) -> tuple[rules.Rule, ...]:
  convs = {'conv1_conv': 'stem/conv'}
  norms = {'conv1_bn': 'stem/bn', 'bn': 'norm'}
  for block, layer in _layers(depths):
    name = f'conv{block + 1}_block{layer}'
    path = f'block{block}_layer{layer}'
    norms[f'{name}_0_bn'] = f'{path}_norm'
    convs[f'{name}_1_conv'] = f'{path}_narrow/conv'
    norms[f'{name}_1_bn'] = f'{path}_narrow/bn'
    convs[f'{name}_2_conv'] = f'{path}_grow'
  for number in range(1, len(depths)):
    name = f'pool{number + 1}'
    norms[f'{name}_bn'] = f'transition{number}_norm'
    convs[f'{name}_conv'] = f'transition{number}_conv'
  found = list(rules.keras_head('predictions'))
  found += [rules.tf_conv(name, path) for name, path in convs.items()]
  for norm, path in norms.items():
    found += rules.tf_batch_norm(norm, path)
  return tuple(found)
