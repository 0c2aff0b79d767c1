"""Inception v1 (GoogLeNet; Szegedy et al., 2015), with batch norm.

In all public weights the paper's 5×5 convolutions are 3×3.
"""

from tf_transfer.networks import inception_blocks, layers
from tf_transfer.networks.inception_blocks import Pool, conv


def _module(
  a: int, b: tuple[int, int], c: tuple[int, int], d: int
) -> inception_blocks.Branches:
  """Describes a module by the channels of its four branches.

  Args:
    a: of the branch of a 1×1.
    b: of that of a 1×1 and a 3×3.
    c: of that of a 1×1 and a 3×3.
    d: of that of a pooling and a 1×1.
  """
  return (
    (conv(a),),
    (conv(b[0]), conv(b[1], 3)),
    (conv(c[0]), conv(c[1], 3)),
    (Pool('max'), conv(d)),
  )


def blocks(padding: str = 'same') -> inception_blocks.Blocks:
  """Returns all blocks; `padding` is that of the first convolution."""
  return (
    ('conv_1a', conv(64, 7, 2, layers.get_padding(padding, 7))),
    ('pool_2a', Pool('max', 3, 2)),
    ('conv_2b', conv(64)),
    ('conv_2c', conv(192, 3)),
    ('pool_3a', Pool('max', 3, 2)),
    ('mixed_3b', _module(64, (96, 128), (16, 32), 32)),
    ('mixed_3c', _module(128, (128, 192), (32, 96), 64)),
    ('pool_4a', Pool('max', 3, 2)),
    ('mixed_4b', _module(192, (96, 208), (16, 48), 64)),
    ('mixed_4c', _module(160, (112, 224), (24, 64), 64)),
    ('mixed_4d', _module(128, (128, 256), (24, 64), 64)),
    ('mixed_4e', _module(112, (144, 288), (32, 64), 64)),
    ('mixed_4f', _module(256, (160, 320), (32, 128), 128)),
    ('pool_5a', Pool('max', 2, 2)),
    ('mixed_5b', _module(256, (160, 320), (32, 128), 128)),
    ('mixed_5c', _module(384, (192, 384), (48, 128), 128)),
  )


class InceptionV1(inception_blocks.Inception):
  """Backbone: [B, H, W, 3] -> features [B, 1024].

  Attributes:
    padding: of the first convolution, 'same' (TF-Slim) or 'symmetric'
      (torchvision).
  """

  padding: str = 'same'

  def __post_init__(self) -> None:
    layers.check_option('padding', self.padding, ('same', 'symmetric'))
    super().__post_init__()

  def blocks(self) -> inception_blocks.Blocks:
    return blocks(self.padding)
