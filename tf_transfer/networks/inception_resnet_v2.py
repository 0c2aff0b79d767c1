"""Inception-ResNet v2 (Szegedy et al., 2017)."""

import dataclasses
from typing import ClassVar

import jax
from flax import linen as nn

from tf_transfer.networks import inception_blocks, layers
from tf_transfer.networks.inception_blocks import Pool, conv

_POOL = Pool('max', 3, 2, 'VALID')

_STEM: inception_blocks.Blocks = (
  ('conv_1a', conv(32, 3, 2, 'VALID')),
  ('conv_2a', conv(32, 3, 1, 'VALID')),
  ('conv_2b', conv(64, 3)),
  ('pool_3a', _POOL),
  ('conv_3b', conv(80)),
  ('conv_4a', conv(192, 3, 1, 'VALID')),
  ('pool_5a', _POOL),
  (
    'mixed_5b',
    (
      (conv(96),),
      (conv(48), conv(64, 5)),
      (conv(64), conv(96, 3), conv(96, 3)),
      (Pool('average'), conv(64)),
    ),
  ),
)

_BLOCK_35 = (
  (conv(32),),
  (conv(32), conv(32, 3)),
  (conv(32), conv(48, 3), conv(64, 3)),
)
_BLOCK_17 = ((conv(192),), (conv(128), conv(160, (1, 7)), conv(192, (7, 1))))
_BLOCK_8 = ((conv(192),), (conv(192), conv(224, (1, 3)), conv(256, (3, 1))))

_MIXED_6A = (
  (conv(384, 3, 2, 'VALID'),),
  (conv(256), conv(256, 3), conv(384, 3, 2, 'VALID')),
  (_POOL,),
)
_MIXED_7A = (
  (conv(256), conv(384, 3, 2, 'VALID')),
  (conv(256), conv(288, 3, 2, 'VALID')),
  (conv(256), conv(288, 3), conv(320, 3, 2, 'VALID')),
  (_POOL,),
)


@dataclasses.dataclass(frozen=True)
class Stage:
  """A sequence of residual blocks, and the block that comes after them.

  Attributes:
    name: the residual blocks' is `name_N`.
    repeats: number of residual blocks.
    scale: of what a residual block adds to its input.
    branches: of a residual block.
    after: the block behind them.
  """

  name: str
  repeats: int
  scale: float
  branches: inception_blocks.Branches
  after: inception_blocks.Block


STAGES = (
  Stage('block35', 10, 0.17, _BLOCK_35, ('mixed_6a', _MIXED_6A)),
  Stage('block17', 20, 0.10, _BLOCK_17, ('mixed_7a', _MIXED_7A)),
  # The last of these has a scale of 1 and no ReLU.
  Stage('block8', 10, 0.20, _BLOCK_8, ('conv_7b', conv(1536))),
)


def blocks() -> inception_blocks.Blocks:
  """Returns all blocks, a residual block as its branches alone."""
  result = list(_STEM)
  for stage in STAGES:
    for number in range(1, stage.repeats + 1):
      result.append((f'{stage.name}_{number}', stage.branches))
    result.append(stage.after)
  return tuple(result)


class Residual(inception_blocks.Mixed):
  """A residual block: branches and a 1×1 with bias, added to the input.

  Attributes:
    scale: of what is added.
    activate: whether a ReLU follows.
  """

  scale: float = 1.0
  activate: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    y = super().__call__(x, train)
    y = layers.Conv(x.shape[-1], use_bias=True, name='up')(y)
    x = x + self.scale * y
    return nn.relu(x) if self.activate else x


class InceptionResNetV2(inception_blocks.Inception):
  """Backbone: [B, H, W, 3] -> features [B, 1536]."""

  auxiliary_after: ClassVar[str | None] = 'block17_20'

  @nn.compact
  def with_auxiliary(
    self, x: jax.Array, train: bool = False
  ) -> tuple[jax.Array, jax.Array]:
    x = self.apply_blocks(x, _STEM, train)
    for stage in STAGES:
      for number in range(1, stage.repeats + 1):
        last = stage is STAGES[-1] and number == stage.repeats
        name = f'{stage.name}_{number}'
        x = Residual(
          branches=stage.branches,
          scale=1.0 if last else stage.scale,
          activate=not last,
          name=name,
          **self.shared(inception_blocks.Base),
        )(x, train)
        if name == self.auxiliary_after:
          activations = x
      x = self.apply_blocks(x, (stage.after,), train)
    return x.mean(axis=(1, 2)), activations
