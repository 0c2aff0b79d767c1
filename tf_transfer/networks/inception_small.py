"""A small Inception of our own for images of 32 px, to try things out.

It has every regularizer that a recipe may switch on, the auxiliary head too,
and trains on a CPU in a minute.
"""

from typing import ClassVar

from tf_transfer.networks import inception_blocks
from tf_transfer.networks.inception_blocks import Pool, conv


def _module(a: int, b: tuple[int, int], c: int) -> inception_blocks.Branches:
  """Describes a module by the channels of its three branches.

  Args:
    a: of the branch of a 1×1.
    b: of that of a 1×1 and a 3×3.
    c: of that of a pooling and a 1×1.
  """
  return (
    (conv(a),),
    (conv(b[0]), conv(b[1], 3)),
    (Pool('average'), conv(c)),
  )


def _reduction(features: int) -> inception_blocks.Branches:
  """Describes a module that halves the image."""
  return (conv(features, 3, 2),), (Pool('max', 3, 2),)


BLOCKS: inception_blocks.Blocks = (
  ('conv_1a', conv(24, 3, 2)),
  ('mixed_2a', _module(16, (16, 24), 8)),
  ('mixed_3a', _reduction(32)),
  ('mixed_3b', _module(32, (24, 48), 16)),
  ('mixed_4a', _reduction(48)),
  ('mixed_4b', _module(48, (32, 64), 16)),
)


class InceptionSmall(inception_blocks.Inception):
  """Backbone: [B, H, W, 3] -> features [B, 128]."""

  auxiliary_after: ClassVar[str | None] = 'mixed_3b'

  def blocks(self) -> inception_blocks.Blocks:
    return BLOCKS
