"""A small Inception for images of 32 px, which nobody has published.

It has all that the settings study switches on and off, an auxiliary head too,
and trains on a CPU in a minute: for trying things out.
"""

from typing import ClassVar

from tf_transfer.networks import inception_blocks
from tf_transfer.networks.inception_blocks import Pool, conv


def _module(a: int, b: tuple[int, int], c: int):
  """1×1; 1×1 and 3×3; pooling and 1×1: their channels."""
  return (
    (conv(a),),
    (conv(b[0]), conv(b[1], 3)),
    (Pool('average'), conv(c)),
  )


def _reduction(features: int):
  return (conv(features, 3, 2),), (Pool('max', 3, 2),)


STEPS: tuple[inception_blocks.Step, ...] = (
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

  def steps(self) -> tuple[inception_blocks.Step, ...]:
    return STEPS
