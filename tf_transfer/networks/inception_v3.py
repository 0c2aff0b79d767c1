"""Inception v3 (Szegedy et al., 2016)."""

from typing import ClassVar

from tf_transfer.networks import inception_blocks
from tf_transfer.networks.inception_blocks import Pool, Split, conv


def _module_5(pool: int) -> inception_blocks.Branches:
  """Describes a module of stage 5; `pool` is the last branch's channels."""
  return (
    (conv(64),),
    (conv(48), conv(64, 5)),
    (conv(64), conv(96, 3), conv(96, 3)),
    (Pool('average'), conv(pool)),
  )


def _module_6(width: int) -> inception_blocks.Branches:
  """Describes a module of stage 6; `width` is its inner channels."""
  return (
    (conv(192),),
    (conv(width), conv(width, (1, 7)), conv(192, (7, 1))),
    (
      conv(width),
      conv(width, (7, 1)),
      conv(width, (1, 7)),
      conv(width, (7, 1)),
      conv(192, (1, 7)),
    ),
    (Pool('average'), conv(192)),
  )


_SPLIT = Split((conv(384, (1, 3)), conv(384, (3, 1))))
_MODULE_7 = (
  (conv(320),),
  (conv(384), _SPLIT),
  (conv(448), conv(384, 3), _SPLIT),
  (Pool('average'), conv(192)),
)

_REDUCTION_6 = (
  (conv(384, 3, 2, 'VALID'),),
  (conv(64), conv(96, 3), conv(96, 3, 2, 'VALID')),
  (Pool('max', 3, 2, 'VALID'),),
)

_REDUCTION_7 = (
  (conv(192), conv(320, 3, 2, 'VALID')),
  (
    conv(192),
    conv(192, (1, 7)),
    conv(192, (7, 1)),
    conv(192, 3, 2, 'VALID'),
  ),
  (Pool('max', 3, 2, 'VALID'),),
)

BLOCKS: inception_blocks.Blocks = (
  ('conv_1a', conv(32, 3, 2, 'VALID')),
  ('conv_2a', conv(32, 3, 1, 'VALID')),
  ('conv_2b', conv(64, 3)),
  ('pool_3a', Pool('max', 3, 2, 'VALID')),
  ('conv_3b', conv(80)),
  ('conv_4a', conv(192, 3, 1, 'VALID')),
  ('pool_5a', Pool('max', 3, 2, 'VALID')),
  ('mixed_5b', _module_5(32)),
  ('mixed_5c', _module_5(64)),
  ('mixed_5d', _module_5(64)),
  ('mixed_6a', _REDUCTION_6),
  ('mixed_6b', _module_6(128)),
  ('mixed_6c', _module_6(160)),
  ('mixed_6d', _module_6(160)),
  ('mixed_6e', _module_6(192)),
  ('mixed_7a', _REDUCTION_7),
  ('mixed_7b', _MODULE_7),
  ('mixed_7c', _MODULE_7),
)


class InceptionV3(inception_blocks.Inception):
  """Backbone: [B, H, W, 3] -> features [B, 2048].

  The average poolings of torchvision and timm count their padding (option
  `count_padding`); those of TF-Slim and Keras do not.
  """

  auxiliary_after: ClassVar[str | None] = 'mixed_6e'

  def blocks(self) -> inception_blocks.Blocks:
    return BLOCKS
