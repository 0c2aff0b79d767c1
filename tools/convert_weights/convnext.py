"""Rules of ConvNeXt: Keras, torchvision and timm."""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tf_transfer.convert_weights import rules
from tf_transfer.networks import convnext

# The parts of a block at our paths, in the order of the sources' tuples below.
_PARTS = ('depthwise', 'expand', 'project', 'norm', 'layer_scale')


def _names(
  depths: Sequence[int],
  outer: Mapping[str, str],
  block: Callable[[int, int], str],
  parts: Sequence[str],
) -> dict[str, str]:
  """Returns a source's names of all layers and scales, by our paths.

  Args:
    depths: blocks of each stage.
    outer: its names of what is around the blocks; a stage is {0}.
    block: its name of a block, by stage and number, both from 1.
    parts: what follows that, in the order of _PARTS.
  """
  names = {}
  for path, name in outer.items():
    # The first stage has the stem in place of the downsampling.
    stages = range(2, len(depths) + 1) if '{0}' in path else (1,)
    names |= {path.format(n): name.format(n, n - 1, n - 2) for n in stages}
  for stage, depth in enumerate(depths, start=1):
    for number in range(1, depth + 1):
      path = convnext.block_name(stage, number)
      names |= {
        f'{path}/{ours}': block(stage, number) + theirs
        for ours, theirs in zip(_PARTS, parts, strict=True)
      }
  return names


def _kernel(array: np.ndarray) -> np.ndarray:
  """Transposes PyTorch's kernel of a convolution or of a linear layer.

  A linear layer [out, in] is our 1×1 convolution.
  """
  return rules.torch_kernel(
    array[..., None, None] if array.ndim == 2 else array
  )


def _keras_kernel(array: np.ndarray) -> np.ndarray:
  """Returns Keras's kernel; a dense one [in, out] is our 1×1 convolution."""
  return array[None, None] if array.ndim == 2 else np.asarray(array)


def _rules(
  names: Mapping[str, str],
  transform: Callable[[np.ndarray], np.ndarray],
  variables: Sequence[str],
) -> list[rules.Rule]:
  """Makes the rules of the backbone.

  Args:
    names: of layers and layer scales, by path.
    transform: of kernels.
    variables: what follows the names for a kernel, the bias behind it, a norm's
      scale, its bias, and a layer scale.
  """
  kernel, bias, scale, shift, layer_scale = variables
  result = []
  for path, name in names.items():
    ends = {'kernel': kernel, 'bias': bias}
    if path.endswith('norm'):
      ends = {'scale': scale, 'bias': shift}
    elif path.endswith('layer_scale'):
      ends = {'scale': layer_scale}
    for ours, theirs in ends.items():
      change = transform if ours == 'kernel' else np.ravel
      target = f'params/backbone/{path}/{ours}'
      result.append(rules.Rule(re.escape(name + theirs), target, change))
  return result


_TORCH = ('.weight', '.bias', '.weight', '.bias', '')
_KERAS = ('/kernel', '/bias', '/gamma', '/beta', '/gamma')


def timm(depths: Sequence[int]) -> tuple[rules.Rule, ...]:
  """Makes the rules of timm's ConvNeXt."""
  names = _names(
    depths,
    {
      'stem': 'stem.0',
      'stem_norm': 'stem.1',
      'stage{0}_norm': 'stages.{1}.downsample.0',
      'stage{0}_downsample': 'stages.{1}.downsample.1',
      'norm': 'head.norm',
    },
    lambda stage, number: f'stages.{stage - 1}.blocks.{number - 1}',
    ('.conv_dw', '.mlp.fc1', '.mlp.fc2', '.norm', '.gamma'),
  )
  return (*_rules(names, _kernel, _TORCH), *rules.torch_head('head.fc'))


def torchvision(depths: Sequence[int]) -> tuple[rules.Rule, ...]:
  """Makes the rules of torchvision's ConvNeXt.

  Its list of features has stem, stage, downsampling, stage and so on.
  """
  outer = {
    'stem': 'features.0.0',
    'stem_norm': 'features.0.1',
    'norm': 'classifier.0',
  }
  for stage in range(2, len(depths) + 1):
    outer[f'stage{stage}_norm'] = f'features.{2 * stage - 2}.0'
    outer[f'stage{stage}_downsample'] = f'features.{2 * stage - 2}.1'
  names = _names(
    depths,
    outer,
    lambda stage, number: f'features.{2 * stage - 1}.{number - 1}',
    ('.block.0', '.block.3', '.block.5', '.block.2', '.layer_scale'),
  )
  return (*_rules(names, _kernel, _TORCH), *rules.torch_head('classifier.2'))


def keras(name: str, depths: Sequence[int]) -> tuple[rules.Rule, ...]:
  """Makes the rules of Keras's ConvNeXt.

  Args:
    name: with which its layers' names begin, as convnext_tiny.
    depths: blocks of each stage.
  """
  names = _names(
    depths,
    {
      'stem': f'{name}_stem_conv',
      'stem_norm': f'{name}_stem_layernorm',
      'stage{0}_norm': f'{name}_downsampling_layernorm_{{2}}',
      'stage{0}_downsample': f'{name}_downsampling_conv_{{2}}',
      'norm': f'{name}_head_layernorm',
    },
    lambda stage, number: f'{name}_stage_{stage - 1}_block_{number - 1}',
    (
      *('_depthwise_conv', '_pointwise_conv_1', '_pointwise_conv_2'),
      *('_layernorm', '_layer_scale'),
    ),
  )
  result = _rules(names, _keras_kernel, _KERAS)
  return (*result, *rules.keras_head(f'{name}_head_dense'))
