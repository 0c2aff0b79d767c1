"""NASNet-A: TF-Slim, Keras, and PyTorch (timm and pretrainedmodels)."""

import re
from collections.abc import Iterator

from tf_transfer.convert_weights import rules
from tf_transfer.networks import nasnet


def _separables(reduction: bool) -> Iterator[tuple[int, str, int]]:
  """Combination from 1, side and size of a cell's separable convolutions."""
  rows = nasnet.REDUCTION if reduction else nasnet.NORMAL
  for number, combination in enumerate(rows, start=1):
    for side, operation in zip(nasnet.SIDES, combination, strict=True):
      if operation.kind == 'separable':
        yield number, side, operation.size


def _rows(repeats: int) -> tuple[nasnet.CellRow, ...]:
  # Names alone are of interest here, and are the same at any width.
  return nasnet.cells(repeats, 4, False)


def _tf_separable(scope: str, path: str, number: int) -> list[rules.Rule]:
  """TensorFlow's two kernels of a separable convolution, as it names them."""
  scope, ours = re.escape(scope), f'params/backbone/{path}'
  depthwise = f'{ours}/depthwise{number}/kernel'
  pointwise = f'{ours}/pointwise{number}/conv/kernel'
  return [
    rules.Rule(rf'{scope}/depthwise_{kind}', depthwise, rules.depthwise_kernel)
    for kind in ('weights', 'kernel')
  ] + [
    rules.Rule(rf'{scope}/pointwise_{kind}', pointwise)
    for kind in ('weights', 'kernel')
  ]


def _slim_cell(row: nasnet.CellRow) -> str:
  """TF-Slim's scope of a cell, as cell_stem_0; its numbers begin at 0."""
  kind, number = re.fullmatch(r'(\D+)(\d+)', row.name).groups()
  kinds = {
    'stem_cell': 'cell_stem',
    'reduction': 'reduction_cell',
    'cell': 'cell',
  }
  return f'{kinds[kind]}_{int(number) - 1}'


def slim(repeats: int) -> tuple[rules.Rule, ...]:
  convs, norms, found = {'conv0': 'stem/conv'}, {'conv0_bn': 'stem/bn'}, []
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
      ours = f'{path}/combine{combine}_{side}'
      theirs = f'{scope}/comb_iter_{combine - 1}/{side}'
      for n in (1, 2):
        kind = f'{size}x{size}_{n}'
        found += _tf_separable(f'{theirs}/separable_{kind}', ours, n)
        norms[f'{theirs}/bn_sep_{kind}'] = f'{ours}/pointwise{n}/bn'
  for name, path in convs.items():
    pattern = rf'{re.escape(name)}/weights'
    found.append(rules.Rule(pattern, f'params/backbone/{path}/kernel'))
  for name, path in norms.items():
    found += rules.tf_batch_norm(name, path)
  return (
    *found,
    *rules.slim_head('final_layer/FC'),
    *rules.drop(r'aux_\d+/.*'),
  )


def _keras_cell(row: nasnet.CellRow, repeats: int) -> str:
  """What ends the names of a cell: stem_1, reduce_4, or a number."""
  kind, number = re.fullmatch(r'(\D+)(\d+)', row.name).groups()
  number = int(number)
  if kind == 'stem_cell':
    return f'stem_{number}'
  if kind == 'reduction':
    return f'reduce_{number * repeats}'
  # The first stage counts from 0; the others leave a number out before it.
  return str(number - 1 if number <= repeats else number)


def keras(repeats: int) -> tuple[rules.Rule, ...]:
  convs, norms = {'stem_conv1': 'stem/conv'}, {'stem_bn1': 'stem/bn'}
  found = []
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
      ours = f'{path}/combine{combine}_{side}'
      for n in (1, 2):
        place = f'{kind}_{side}{number}_{end}'
        found += _tf_separable(f'separable_conv_{n}_{place}', ours, n)
        norms[f'separable_conv_{n}_bn_{place}'] = f'{ours}/pointwise{n}/bn'
    # One name for two layers of ours: a cell has one or the other.
    shrinks = row.name in _shrinking(repeats)
    norms[f'adjust_bn_{end}'] = (
      f'{path}/previous_bn' if shrinks else f'{path}/previous/bn'
    )
  found += [rules.tf_conv(name, path) for name, path in convs.items()]
  for name, path in norms.items():
    found += rules.tf_batch_norm(name, path)
  return (*found, *rules.keras_head('predictions'))


def _shrinking(repeats: int) -> tuple[str, ...]:
  """The cells behind a reduction, whose previous output is larger."""
  return (
    'stem_cell2',
    'cell1',
    f'cell{repeats + 1}',
    f'cell{2 * repeats + 1}',
  )


def _torch_cell(row: nasnet.CellRow, repeats: int) -> str:
  """As TF-Slim, but each stage has six numbers, used or not."""
  if not row.name.startswith('cell'):
    return _slim_cell(row)
  stage, repeat = divmod(int(row.name.removeprefix('cell')) - 1, repeats)
  return f'cell_{6 * stage + repeat}'


def torch(repeats: int) -> tuple[rules.Rule, ...]:
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
      ours = f'{path}/combine{combine}_{side}'
      theirs = f'{scope}.comb_iter_{combine - 1}_{side}'
      for n in (1, 2):
        kernels = f'{theirs}.separable_{n}'
        convs[f'{kernels}.depthwise_conv2d'] = f'{ours}/depthwise{n}'
        convs[f'{kernels}.pointwise_conv2d'] = f'{ours}/pointwise{n}/conv'
        norms[f'{theirs}.bn_sep_{n}'] = f'{ours}/pointwise{n}/bn'
  found = [rules.torch_conv(name, path) for name, path in convs.items()]
  for name, path in norms.items():
    found += rules.torch_batch_norm(name, path)
  return (*found, *rules.torch_head('last_linear'))
