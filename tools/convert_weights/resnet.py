"""Rules of ResNets: TF-Slim, Keras and PyTorch.

torchvision and timm name the variables alike. Another ResNet of the same blocks
needs only its depths, in the table of sources.
"""

from collections.abc import Iterable, Iterator, Sequence

from tf_transfer.convert_weights import rules


def _parts(depths: Sequence[int]) -> Iterator[tuple[int, int, str]]:
  """Yields stage, block and layer of all convolutions of the blocks."""
  for stage, depth in enumerate(depths, start=1):
    for block in range(1, depth + 1):
      for layer in ('shortcut', 'conv1', 'conv2', 'conv3'):
        if layer != 'shortcut' or block == 1:
          yield stage, block, layer


def _basic_parts(depths: Sequence[int]) -> Iterator[tuple[int, int, str]]:
  """Yields the same of basic blocks.

  They have no third convolution, and no projection in the first stage: the stem
  has as many channels.
  """
  for stage, block, layer in _parts(depths):
    if layer != 'conv3' and (stage, layer) != (1, 'shortcut'):
      yield stage, block, layer


def _torch_layers(
  parts: Iterable[tuple[int, int, str]],
) -> Iterator[rules.Layer]:
  """Yields all layers under the names of torchvision and timm."""
  yield rules.Layer('conv1', 'bn1', 'stem')
  for stage, block, layer in parts:
    prefix = f'layer{stage}.{block - 1}'
    conv, bn = f'{prefix}.{layer}', f'{prefix}.bn{layer[-1]}'
    if layer == 'shortcut':
      conv, bn = f'{prefix}.downsample.0', f'{prefix}.downsample.1'
    yield rules.Layer(conv, bn, f'stage{stage}_block{block}/{layer}')


def _slim_layers(
  scope: str, depths: Sequence[int]
) -> Iterator[tuple[str, str]]:
  """Yields TF-Slim's scope and our path of all layers."""
  yield f'{scope}/conv1', 'stem'
  for stage, block, layer in _parts(depths):
    yield (
      f'{scope}/block{stage}/unit_{block}/bottleneck_v1/{layer}',
      f'stage{stage}_block{block}/{layer}',
    )


def _keras_layers(depths: Sequence[int]) -> Iterator[rules.Layer]:
  """Yields all layers under Keras's names."""
  yield rules.Layer('conv1_conv', 'conv1_bn', 'stem')
  for stage, block, layer in _parts(depths):
    number = 0 if layer == 'shortcut' else layer[-1]
    prefix = f'conv{stage + 1}_block{block}_{number}'
    path = f'stage{stage}_block{block}/{layer}'
    yield rules.Layer(f'{prefix}_conv', f'{prefix}_bn', path)


def torch(depths: Sequence[int]) -> tuple[rules.Rule, ...]:
  """Makes the rules of torchvision's and timm's ResNets of bottlenecks."""
  return rules.torch(_torch_layers(_parts(depths)), 'fc')


def torch_basic(depths: Sequence[int]) -> tuple[rules.Rule, ...]:
  """Makes the rules of torchvision's and timm's ResNets of basic blocks."""
  return rules.torch(_torch_layers(_basic_parts(depths)), 'fc')


def slim(scope: str, depths: Sequence[int]) -> tuple[rules.Rule, ...]:
  """Makes the rules of TF-Slim's ResNets v1."""
  # Checkpoints of the training script carry the mean of RGB as well.
  return rules.slim(
    _slim_layers(scope, depths), f'{scope}/logits'
  ) + rules.drop(f'{scope}/mean_rgb')


def keras(depths: Sequence[int]) -> tuple[rules.Rule, ...]:
  """Makes the rules of Keras's ResNets."""
  return rules.keras(_keras_layers(depths), 'predictions')
