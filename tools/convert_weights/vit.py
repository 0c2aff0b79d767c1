"""Rules of vision transformers: timm and torchvision."""

import re
from collections.abc import Callable, Mapping

import numpy as np

from tf_transfer.convert_weights import rules
from tf_transfer.networks import vit

# Of each kind of layer, the ends of its variables' names: ours, PyTorch's.
_LINEAR = (('kernel', '.weight'), ('bias', '.bias'))
_NORM = (('scale', '.weight'), ('bias', '.bias'))
# In a block, at our paths.
_TIMM_LAYERS = {
  'attention/query_key_value': 'attn.qkv',
  'attention/out': 'attn.proj',
  'mlp/expand': 'mlp.fc1',
  'mlp/project': 'mlp.fc2',
}
_TIMM_NORMS = {'norm1': 'norm1', 'norm2': 'norm2'}
_TIMM_POOL_LAYERS = {
  'query': 'q',
  'key_value': 'kv',
  'out': 'proj',
  'mlp/expand': 'mlp.fc1',
  'mlp/project': 'mlp.fc2',
}
_TORCHVISION_LAYERS = {
  'attention/out': 'self_attention.out_proj',
  'mlp/expand': 'mlp.0',
  'mlp/project': 'mlp.3',
}
# As the published files name them; torchvision renames them as it loads.
_TORCHVISION_OLD_LAYERS = {
  'mlp/expand': 'mlp.linear_1',
  'mlp/project': 'mlp.linear_2',
}
_TORCHVISION_NORMS = {'norm1': 'ln_1', 'norm2': 'ln_2'}


def _first(array: np.ndarray) -> np.ndarray:
  """Returns the vectors [N, D] of an embedding [1, N, D]."""
  if array.ndim != 3 or array.shape[0] != 1:
    raise ValueError('expected an embedding of shape (1, N, D)')
  return array[0]


def _variable(
  name: str, path: str, transform: Callable[[np.ndarray], np.ndarray]
) -> rules.Rule:
  """Makes the rule of one variable of the backbone."""
  return rules.Rule(re.escape(name), f'params/backbone/{path}', transform)


def _layers(
  names: Mapping[str, str], path: str = '', prefix: str = ''
) -> list[rules.Rule]:
  """Makes the rules of linear layers, given their names by our paths."""
  return [
    _variable(
      f'{prefix}{name}{theirs}',
      f'{path}{layer}/{ours}',
      np.transpose if ours == 'kernel' else np.asarray,
    )
    for layer, name in names.items()
    for ours, theirs in _LINEAR
  ]


def _norms(
  names: Mapping[str, str], path: str = '', prefix: str = ''
) -> list[rules.Rule]:
  """Makes the rules of layer norms, given their names by our paths."""
  return [
    _variable(f'{prefix}{name}{theirs}', f'{path}{norm}/{ours}', np.asarray)
    for norm, name in names.items()
    for ours, theirs in _NORM
  ]


def _patch_embedding(name: str, has_bias: bool) -> list[rules.Rule]:
  """Makes the rules of the embedding of patches, a convolution."""
  result = [rules.torch_conv(name, 'patch_embedding')]
  if has_bias:
    path = 'params/backbone/patch_embedding/bias'
    result.append(rules.bias(f'{name}.bias', path))
  return result


def _timm_block(number: int, has_layer_scale: bool) -> list[rules.Rule]:
  """Makes the rules of a block, whose number counts from 1."""
  path, prefix = f'block{number}/', f'blocks.{number - 1}.'
  result = _layers(_TIMM_LAYERS, path, prefix)
  result += _norms(_TIMM_NORMS, path, prefix)
  for part in (1, 2) if has_layer_scale else ():
    result.append(
      _variable(
        f'{prefix}ls{part}.gamma', f'{path}layer_scale{part}/scale', np.asarray
      )
    )
  return result


def timm(
  architecture: vit.Architecture, has_head: bool = True
) -> tuple[rules.Rule, ...]:
  """Makes the rules of timm's vision transformers.

  Args:
    architecture: of the network.
    has_head: whether its head is of classes, and not of CLIP's embedding, which
      is left out.
  """
  result = _patch_embedding('patch_embed.proj', architecture.has_patch_bias)
  result.append(_variable('pos_embed', 'position_embedding', _first))
  if architecture.has_class_token:
    result.append(_variable('cls_token', 'class_token', np.ravel))
  if architecture.registers:
    result.append(_variable('reg_token', 'registers', _first))
  norms = {'norm': 'norm'}
  if architecture.norm_first:
    norms['first_norm'] = 'norm_pre'
  result += _norms(norms)
  for number in range(1, architecture.depth + 1):
    result += _timm_block(number, architecture.layer_scale is not None)
  if architecture.attention_pool:
    path, prefix = 'attention_pool/', 'attn_pool.'
    result.append(_variable(f'{prefix}latent', f'{path}latent', np.ravel))
    result += _layers(_TIMM_POOL_LAYERS, path, prefix)
    result += _norms({'norm': 'norm'}, path, prefix)
  # Pretraining alone has it, in the files of DINOv2's authors.
  result += rules.drop('mask_token')
  head = rules.torch_head('head') if has_head else rules.drop(r'head\..*')
  return (*result, *head)


def torchvision(architecture: vit.Architecture) -> tuple[rules.Rule, ...]:
  """Makes the rules of torchvision's vision transformers."""
  result = _patch_embedding('conv_proj', architecture.has_patch_bias)
  result += [
    _variable('class_token', 'class_token', np.ravel),
    _variable('encoder.pos_embedding', 'position_embedding', _first),
    *_norms({'norm': 'encoder.ln'}),
  ]
  for number in range(1, architecture.depth + 1):
    path = f'block{number}/'
    prefix = f'encoder.layers.encoder_layer_{number - 1}.'
    for names in (_TORCHVISION_LAYERS, _TORCHVISION_OLD_LAYERS):
      result += _layers(names, path, prefix)
    result += _norms(_TORCHVISION_NORMS, path, prefix)
    name, layer = f'{prefix}self_attention.', f'{path}attention/query_key_value'
    result += [
      _variable(f'{name}in_proj_weight', f'{layer}/kernel', np.transpose),
      _variable(f'{name}in_proj_bias', f'{layer}/bias', np.asarray),
    ]
  return (*result, *rules.torch_head('heads.head'))
