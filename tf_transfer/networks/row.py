"""Defines a row of the table of networks."""

import dataclasses
from collections.abc import Callable

from flax import linen as nn


@dataclasses.dataclass(frozen=True)
class Row:
  """A network of the table.

  Attributes:
    backbone: makes its backbone; takes the backbone's options as keywords.
    image_size: height and width, in pixels, of the images it was trained on.
    feature_dim: number of features, after pooling.
    parameters: number of trainable parameters at the default options, without
      the head. The scale of batch norm counts; tables that leave it out, as
      TF-Slim's of the Inceptions, have smaller numbers.
    title: its name for people, for tables and figures.
    family: of networks by the same authors or of the same design, whose errors
      are alike: statistics do not count them as independent.
    imagenet_top1: accuracy on ImageNet, in 0 to 1, that the architecture
      reached; None if not known. It is the x-axis for networks trained from
      random values. Each weights file has its own.
    imagenet_top1_source: who measured it.
    min_image_size: the smallest images, in pixels, of which anything is left at
      the end, at the default options.
    min_auxiliary_size: likewise at the auxiliary head; 0 where it has none.
    size_multiple: images are of a multiple of this many pixels.
  """

  backbone: Callable[..., nn.Module]
  image_size: int
  feature_dim: int
  parameters: int
  title: str = ''
  family: str = ''
  imagenet_top1: float | None = None
  imagenet_top1_source: str = ''
  min_image_size: int = 1
  min_auxiliary_size: int = 0
  size_multiple: int = 1
