"""Rules of EfficientNet-Lite: PyTorch files with the authors' weights."""

from collections.abc import Iterator

from tf_transfer.convert_weights import rules
from tf_transfer.networks import efficientnet


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
  """Makes the rules of the PyTorch files, for the network's multipliers."""
  return rules.torch(_layers(width, depth), '_fc')
