"""Inception v4 (Szegedy et al., 2017)."""

from typing import ClassVar

from tf_transfer.networks import inception_blocks
from tf_transfer.networks.inception_blocks import Pool, Split, conv

_POOL = Pool('max', 3, 2, 'VALID')

_MODULE_4A = (
  (conv(64), conv(96, 3, 1, 'VALID')),
  (
    conv(64),
    conv(64, (1, 7)),
    conv(64, (7, 1)),
    conv(96, 3, 1, 'VALID'),
  ),
)

_MODULE_5 = (
  (conv(96),),
  (conv(64), conv(96, 3)),
  (conv(64), conv(96, 3), conv(96, 3)),
  (Pool('average'), conv(96)),
)

_REDUCTION_6 = (
  (conv(384, 3, 2, 'VALID'),),
  (conv(192), conv(224, 3), conv(256, 3, 2, 'VALID')),
  (_POOL,),
)

_MODULE_6 = (
  (conv(384),),
  (conv(192), conv(224, (1, 7)), conv(256, (7, 1))),
  (
    conv(192),
    conv(192, (7, 1)),
    conv(224, (1, 7)),
    conv(224, (7, 1)),
    conv(256, (1, 7)),
  ),
  (Pool('average'), conv(128)),
)

_REDUCTION_7 = (
  (conv(192), conv(192, 3, 2, 'VALID')),
  (
    conv(256),
    conv(256, (1, 7)),
    conv(320, (7, 1)),
    conv(320, 3, 2, 'VALID'),
  ),
  (_POOL,),
)

_SPLIT = Split((conv(256, (1, 3)), conv(256, (3, 1))))
_MODULE_7 = (
  (conv(256),),
  (conv(384), _SPLIT),
  (conv(384), conv(448, (3, 1)), conv(512, (1, 3)), _SPLIT),
  (Pool('average'), conv(256)),
)

BLOCKS: inception_blocks.Blocks = (
  ('conv_1a', conv(32, 3, 2, 'VALID')),
  ('conv_2a', conv(32, 3, 1, 'VALID')),
  ('conv_2b', conv(64, 3)),
  ('mixed_3a', ((_POOL,), (conv(96, 3, 2, 'VALID'),))),
  ('mixed_4a', _MODULE_4A),
  ('mixed_5a', ((conv(192, 3, 2, 'VALID'),), (_POOL,))),
  *((f'mixed_5{letter}', _MODULE_5) for letter in 'bcde'),
  ('mixed_6a', _REDUCTION_6),
  *((f'mixed_6{letter}', _MODULE_6) for letter in 'bcdefgh'),
  ('mixed_7a', _REDUCTION_7),
  *((f'mixed_7{letter}', _MODULE_7) for letter in 'bcd'),
)


class InceptionV4(inception_blocks.Inception):
  """Backbone: [B, H, W, 3] -> features [B, 1536]."""

  auxiliary_after: ClassVar[str | None] = 'mixed_6h'

  def blocks(self) -> inception_blocks.Blocks:
    return BLOCKS
