"""Rules of DenseNets: Keras and PyTorch.

torchvision and timm name the variables alike.
"""

import dataclasses
import re
from collections.abc import Sequence

from tf_transfer.convert_weights import rules


@dataclasses.dataclass(frozen=True)
class _Names:
  """A source's names of the parts of the network.

  Attributes:
    stem: its convolution and batch norm.
    norm: the last batch norm.
    layer: format of a layer's name; `stage` is one more than `block`.
    parts: what follows it for norm, 1×1 convolution, norm, 3×3 convolution.
    transition: format of a transition's name.
    transition_parts: what follows it for norm and convolution.
  """

  stem: tuple[str, str]
  norm: str
  layer: str
  parts: tuple[str, str, str, str]
  transition: str
  transition_parts: tuple[str, str]


_TORCH = _Names(
  stem=('features.conv0', 'features.norm0'),
  norm='features.norm5',
  layer='features.denseblock{block}.denselayer{layer}',
  parts=('.norm1', '.conv1', '.norm2', '.conv2'),
  transition='features.transition{block}',
  transition_parts=('.norm', '.conv'),
)
_KERAS = _Names(
  stem=('conv1_conv', 'conv1_bn'),
  norm='bn',
  layer='conv{stage}_block{layer}',
  parts=('_0_bn', '_1_conv', '_1_bn', '_2_conv'),
  transition='pool{stage}',
  transition_parts=('_bn', '_conv'),
)


def _paths(
  names: _Names, depths: Sequence[int]
) -> tuple[dict[str, str], dict[str, str]]:
  """Returns our paths of convolutions and of batch norms, by their names."""
  convs = {names.stem[0]: 'stem/conv'}
  norms = {names.stem[1]: 'stem/bn', names.norm: 'norm'}
  for block, depth in enumerate(depths, start=1):
    for layer in range(1, depth + 1):
      name = names.layer.format(block=block, stage=block + 1, layer=layer)
      path = f'block{block}_layer{layer}'
      norm1, conv1, norm2, conv2 = (name + part for part in names.parts)
      norms |= {norm1: f'{path}_norm', norm2: f'{path}_narrow/bn'}
      convs |= {conv1: f'{path}_narrow/conv', conv2: f'{path}_grow'}
    if block < len(depths):
      name = names.transition.format(block=block, stage=block + 1)
      norm, conv = (name + part for part in names.transition_parts)
      norms[norm] = f'transition{block}_norm'
      convs[conv] = f'transition{block}_conv'
  return convs, norms


def _torch_names(name: str) -> list[str]:
  """Returns a name and torchvision's older one, as norm.1 for norm1."""
  old = re.sub(r'(denselayer\d+\.(?:norm|conv))([12])$', r'\1.\2', name)
  return [name] if old == name else [name, old]


def torch(depths: Sequence[int]) -> tuple[rules.Rule, ...]:
  """Makes the rules of torchvision's and timm's DenseNets."""
  convs, norms = _paths(_TORCH, depths)
  result = list(rules.torch_head('classifier'))
  for conv, path in convs.items():
    result += [rules.torch_conv(name, path) for name in _torch_names(conv)]
  for norm, path in norms.items():
    for name in _torch_names(norm):
      result += rules.torch_batch_norm(name, path)
  return tuple(result)


def keras(depths: Sequence[int]) -> tuple[rules.Rule, ...]:
  """Makes the rules of Keras's DenseNets."""
  convs, norms = _paths(_KERAS, depths)
  result = list(rules.keras_head('predictions'))
  result += [rules.tf_conv(name, path) for name, path in convs.items()]
  for norm, path in norms.items():
    result += rules.tf_batch_norm(norm, path)
  return tuple(result)
