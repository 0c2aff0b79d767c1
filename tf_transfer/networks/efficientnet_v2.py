"""EfficientNetV2 (Tan and Le, 2021): B0 to B3, S, M and L.

Early stages are fused: one 3×3 convolution replaces the 1×1 that expands and
the depthwise 3×3 behind it. The others squeeze and excite.
"""

import dataclasses
import functools
import math

import jax
from flax import linen as nn

from tf_transfer.networks import inverted_residual, layers


@dataclasses.dataclass(frozen=True)
class Stage:
  """Describes a sequence of equal blocks; the first has the strides."""

  fused: bool
  repeats: int
  features: int
  expansion: int
  strides: int


@dataclasses.dataclass(frozen=True)
class Block:
  """Describes a block and its position.

  Attributes:
    stage: number of its stage, from 1.
    repeat: its number in the stage, from 1.
    fused: whether one 3×3 convolution expands and filters.
    features: channels of its output.
    expansion: of the channels of its input.
    strides: of its 3×3 convolution.
  """

  stage: int
  repeat: int
  fused: bool
  features: int
  expansion: int
  strides: int

  @property
  def name(self) -> str:
    """The submodule's name."""
    return f'stage{self.stage}_block{self.repeat}'

  @property
  def parts(self) -> tuple[str, ...]:
    """Names of its convolutions with batch norm, in order."""
    if not self.fused:
      return ('expand', 'depthwise', 'project')
    return ('expand', 'project') if self.expansion > 1 else ('project',)


@dataclasses.dataclass(frozen=True)
class Architecture:
  """Describes a network of the family.

  Attributes:
    stages: in order.
    stem: channels of the first convolution.
    top: channels of the last one: the features.
  """

  stages: tuple[Stage, ...]
  stem: int
  top: int = 1280

  def scaled(self, width: float, depth: float) -> 'Architecture':
    """Returns this network with its channels and blocks multiplied."""

    def scale(channels: int) -> int:
      return layers.scaled_width(channels, width, least=0)

    stages = tuple(
      dataclasses.replace(
        stage,
        repeats=math.ceil(stage.repeats * depth),
        features=scale(stage.features),
      )
      for stage in self.stages
    )
    return Architecture(stages, scale(self.stem), scale(self.top))

  def blocks(self) -> tuple[Block, ...]:
    """Returns all blocks in order."""
    return tuple(
      Block(
        number,
        repeat,
        stage.fused,
        stage.features,
        stage.expansion,
        stage.strides if repeat == 1 else 1,
      )
      for number, stage in enumerate(self.stages, start=1)
      for repeat in range(1, stage.repeats + 1)
    )


B0 = Architecture(
  (
    Stage(True, 1, 16, 1, 1),
    Stage(True, 2, 32, 4, 2),
    Stage(True, 2, 48, 4, 2),
    Stage(False, 3, 96, 4, 2),
    Stage(False, 5, 112, 6, 1),
    Stage(False, 8, 192, 6, 2),
  ),
  stem=32,
)
B1 = B0.scaled(1.0, 1.1)
B2 = B0.scaled(1.1, 1.2)
B3 = B0.scaled(1.2, 1.4)
S = Architecture(
  (
    Stage(True, 2, 24, 1, 1),
    Stage(True, 4, 48, 4, 2),
    Stage(True, 4, 64, 4, 2),
    Stage(False, 6, 128, 4, 2),
    Stage(False, 9, 160, 6, 1),
    Stage(False, 15, 256, 6, 2),
  ),
  stem=24,
)
M = Architecture(
  (
    Stage(True, 3, 24, 1, 1),
    Stage(True, 5, 48, 4, 2),
    Stage(True, 5, 80, 4, 2),
    Stage(False, 7, 160, 4, 2),
    Stage(False, 14, 176, 6, 1),
    Stage(False, 18, 304, 6, 2),
    Stage(False, 5, 512, 6, 1),
  ),
  stem=24,
)
L = Architecture(
  (
    Stage(True, 4, 32, 1, 1),
    Stage(True, 7, 64, 4, 2),
    Stage(True, 7, 96, 4, 2),
    Stage(False, 10, 192, 4, 2),
    Stage(False, 19, 224, 6, 1),
    Stage(False, 25, 384, 6, 2),
    Stage(False, 7, 640, 6, 1),
  ),
  stem=32,
)


class FusedInvertedResidual(layers.Normalized):
  """A fused block: a 3×3 convolution that expands and filters, and a 1×1.

  The input is added where the shapes agree.

  Attributes:
    block: its description.
    drop_rate: share of the examples for which training drops all but the input.
  """

  block: Block
  drop_rate: float

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    conv_bn = functools.partial(self.conv_bn, activation=nn.silu)
    block, inputs = self.block, x
    spatial = {'kernel_size': (3, 3), 'strides': block.strides}
    if block.expansion > 1:
      width = x.shape[-1] * block.expansion
      x = conv_bn(width, name='expand', **spatial)(x, train)
      x = conv_bn(block.features, activation=None, name='project')(x, train)
    else:
      x = conv_bn(block.features, name='project', **spatial)(x, train)
    if block.strides == 1 and inputs.shape[-1] == block.features:
      x = layers.DropPath(self.drop_rate)(x, train) + inputs
    return x


class EfficientNetV2(layers.Normalized):
  """Backbone: [B, H, W, 3] -> features [B, architecture.top].

  Attributes:
    architecture: one of this module's.
    drop_path: share of the examples for which training drops a block. It grows
      from 0 at the first block to this value; 0.2 in the paper. (Keras always
      divides a block's number by B0's number of blocks, so that the shares of
      its B1 to B3 grow beyond this value.)
  """

  architecture: Architecture
  drop_path: float = 0.0

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    conv_bn = functools.partial(self.conv_bn, activation=nn.silu)
    stem, top = self.architecture.stem, self.architecture.top
    x = conv_bn(stem, (3, 3), 2, name='stem')(x, train)
    blocks = self.architecture.blocks()
    for index, block in enumerate(blocks):
      fields = {'name': block.name, **self.shared(layers.Normalized)}
      drop_rate = self.drop_path * index / len(blocks)
      if block.fused:
        x = FusedInvertedResidual(block, drop_rate, **fields)(x, train)
      else:
        x = inverted_residual.InvertedResidual(
          block.features,
          x.shape[-1] * block.expansion,
          3,
          block.strides,
          squeezed=x.shape[-1] // 4,
          drop_rate=drop_rate,
          **fields,
        )(x, train)
    return conv_bn(top, name='top')(x, train).mean(axis=(1, 2))
