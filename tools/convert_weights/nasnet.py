"""Rules of NASNet-A: TF-Slim, Keras and PyTorch.

timm and pretrainedmodels name the variables alike.
"""

import re
from collections.abc import Iterator

from tf_transfer.convert_weights import rules
from tf_transfer.networks import nasnet


def _separables(reduction: bool) -> Iterator[tuple[int, str, int]]:
  """Yields the separable convolutions of a cell.

  Yields:
    The number of the combination, from 1, the side, and the kernel's size.
  """
  rows = nasnet.REDUCTION if reduction else nasnet.NORMAL
  for number, combination in enumerate(rows, start=1):
    for side, operation in zip(nasnet.SIDES, combination, strict=True):
      if operation.kind == 'separable':
        yield number, side, operation.size


def _rows(repeats: int) -> tuple[nasnet.CellRow, ...]:
  """Returns the cells of a network with `repeats` in each stage."""
  # Names alone are of interest here, and are the same at any width.
  return nasnet.cells(repeats, 4, False)


def _tf_separable(scope: str, path: str, number: int) -> list[rules.Rule]:
  """Makes the rules of TensorFlow's two kernels of a separable convolution."""
  scope = re.escape(scope)
  depthwise = f'params/backbone/{path}/depthwise{number}/kernel'
  pointwise = f'params/backbone/{path}/pointwise{number}/conv/kernel'
  return [
    rules.Rule(rf'{scope}/depthwise_{kind}', depthwise, rules.depthwise_kernel)
    for kind in ('weights', 'kernel')
  ] + [
    rules.Rule(rf'{scope}/pointwise_{kind}', pointwise)
    for kind in ('weights', 'kernel')
  ]


def _slim_cell(row: nasnet.CellRow) -> str:
  """Returns TF-Slim's scope of a cell, with numbers from 0: cell_stem_0."""
  kind, number = re.fullmatch(r'(\D+)(\d+)', row.name).groups()
  kinds = {
    'stem_cell': 'cell_stem',
    'reduction': 'reduction_cell',
    'cell': 'cell',
  }
  return f'{kinds[kind]}_{int(number) - 1}'


def slim(repeats: int) -> tuple[rules.Rule, ...]:
  """Makes the rules of TF-Slim's NASNets."""
  convs, norms, result = {'conv0': 'stem/conv'}, {'conv0_bn': 'stem/bn'}, []
  for row in _rows(repeats):
    scope, path = _slim_cell(row), row.name
    convs |= {
      f'{scope}/1x1': f'{path}/squeeze/conv',
      f'{scope}/prev_1x1': f'{path}/previous/conv',
      f'{scope}/path1_conv': f'{path}/previous_path1',
      f'{scope}/path2_conv': f'{path}/previous_path2',
    }
    norms |= {
      f'{scope}/beginning_bn': f'{path}/squeeze/bn',
      f'{scope}/prev_bn': f'{path}/previous/bn',
      f'{scope}/final_path_bn': f'{path}/previous_bn',
    }
    for combine, side, size in _separables(row.reduction):
      target = f'{path}/combine{combine}_{side}'
      prefix = f'{scope}/comb_iter_{combine - 1}/{side}'
      for n in (1, 2):
        kind = f'{size}x{size}_{n}'
        result += _tf_separable(f'{prefix}/separable_{kind}', target, n)
        norms[f'{prefix}/bn_sep_{kind}'] = f'{target}/pointwise{n}/bn'
  for name, path in convs.items():
    pattern = rf'{re.escape(name)}/weights'
    result.append(rules.Rule(pattern, f'params/backbone/{path}/kernel'))
  for name, path in norms.items():
    result += rules.tf_batch_norm(name, path)
  return (
    *result,
    *rules.slim_head('final_layer/FC'),
    *rules.drop(r'aux_\d+/.*'),
  )


def _keras_cell(row: nasnet.CellRow, repeats: int) -> str:
  """Returns how Keras's names of a cell end: stem_1, reduce_4, or a number."""
  kind, number = re.fullmatch(r'(\D+)(\d+)', row.name).groups()
  number = int(number)
  if kind == 'stem_cell':
    return f'stem_{number}'
  if kind == 'reduction':
    return f'reduce_{number * repeats}'
  # The first stage counts from 0; the others leave a number out before it.
  return str(number - 1 if number <= repeats else number)


def keras(repeats: int) -> tuple[rules.Rule, ...]:
  """Makes the rules of Keras's NASNets."""
  convs, norms = {'stem_conv1': 'stem/conv'}, {'stem_bn1': 'stem/bn'}
  result = []
  for row in _rows(repeats):
    end, path = _keras_cell(row, repeats), row.name
    kind = 'reduction' if row.reduction else 'normal'
    convs |= {
      f'{kind}_conv_1_{end}': f'{path}/squeeze/conv',
      f'adjust_conv_projection_{end}': f'{path}/previous/conv',
      f'adjust_conv_1_{end}': f'{path}/previous_path1',
      f'adjust_conv_2_{end}': f'{path}/previous_path2',
    }
    norms[f'{kind}_bn_1_{end}'] = f'{path}/squeeze/bn'
    for combine, side, _ in _separables(row.reduction):
      # In reductions Keras calls the left of the fifth that of the fourth.
      number = 4 if row.reduction and combine == 5 else combine
      target = f'{path}/combine{combine}_{side}'
      for n in (1, 2):
        position = f'{kind}_{side}{number}_{end}'
        result += _tf_separable(f'separable_conv_{n}_{position}', target, n)
        norms[f'separable_conv_{n}_bn_{position}'] = f'{target}/pointwise{n}/bn'
    # One name for two layers of ours: a cell has one or the other.
    shrinks = row.name in _shrinking(repeats)
    norms[f'adjust_bn_{end}'] = (
      f'{path}/previous_bn' if shrinks else f'{path}/previous/bn'
    )
  result += [rules.tf_conv(name, path) for name, path in convs.items()]
  for name, path in norms.items():
    result += rules.tf_batch_norm(name, path)
  return (*result, *rules.keras_head('predictions'))


def _shrinking(repeats: int) -> tuple[str, ...]:
  """Returns the cells behind a reduction, whose previous output is larger."""
  return (
    'stem_cell2',
    'cell1',
    f'cell{repeats + 1}',
    f'cell{2 * repeats + 1}',
  )


def _torch_cell(row: nasnet.CellRow, repeats: int) -> str:
  """Returns PyTorch's name of a cell.

  It is TF-Slim's, but each stage has six numbers, whether it uses all or not.
  """
  if not row.name.startswith('cell'):
    return _slim_cell(row)
  stage, repeat = divmod(int(row.name.removeprefix('cell')) - 1, repeats)
  return f'cell_{6 * stage + repeat}'


def torch(repeats: int) -> tuple[rules.Rule, ...]:
  """Makes the rules of timm's and pretrainedmodels' NASNets."""
  convs, norms = {'conv0.conv': 'stem/conv'}, {'conv0.bn': 'stem/bn'}
  for row in _rows(repeats):
    scope, path = _torch_cell(row, repeats), row.name
    convs |= {
      f'{scope}.conv_1x1.conv': f'{path}/squeeze/conv',
      f'{scope}.conv_prev_1x1.conv': f'{path}/previous/conv',
      f'{scope}.path_1.conv': f'{path}/previous_path1',
      f'{scope}.path_2.conv': f'{path}/previous_path2',
    }
    norms |= {
      f'{scope}.conv_1x1.bn': f'{path}/squeeze/bn',
      f'{scope}.conv_prev_1x1.bn': f'{path}/previous/bn',
      f'{scope}.final_path_bn': f'{path}/previous_bn',
    }
    for combine, side, _ in _separables(row.reduction):
      target = f'{path}/combine{combine}_{side}'
      prefix = f'{scope}.comb_iter_{combine - 1}_{side}'
      for n in (1, 2):
        kernels = f'{prefix}.separable_{n}'
        convs[f'{kernels}.depthwise_conv2d'] = f'{target}/depthwise{n}'
        convs[f'{kernels}.pointwise_conv2d'] = f'{target}/pointwise{n}/conv'
        norms[f'{prefix}.bn_sep_{n}'] = f'{target}/pointwise{n}/bn'
  result = [rules.torch_conv(name, path) for name, path in convs.items()]
  for name, path in norms.items():
    result += rules.torch_batch_norm(name, path)
  return (*result, *rules.torch_head('last_linear'))
