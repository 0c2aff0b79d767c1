"""The language in which the Inceptions are written: tables of named blocks.

A block is a convolution, a pooling, or a module: parallel branches whose
outputs are concatenated. A branch is a sequence of convolutions and poolings;
its last element may be a split, two convolutions of the same input. A
convolution in a module is named `branchB_N_RxC`: the Nth of branch B, with R
rows and C columns.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from tf_transfer.networks import layers


@dataclasses.dataclass(frozen=True)
class Conv:
  """Convolution, batch norm and ReLU; `size` is rows and columns."""

  features: int
  size: tuple[int, int]
  strides: int = 1
  padding: layers.Padding = 'SAME'


@dataclasses.dataclass(frozen=True)
class Pool:
  """Pooling, 'max' or 'average', over square windows."""

  kind: str
  size: int = 3
  strides: int = 1
  padding: layers.Padding = 'SAME'


@dataclasses.dataclass(frozen=True)
class Split:
  """Convolutions that all read the same input; outputs are concatenated."""

  convs: tuple[Conv, ...]


Branch = tuple[Conv | Pool | Split, ...]
Branches = tuple[Branch, ...]
# The name of a block, and what it is.
Block = tuple[str, Conv | Pool | Branches]
Blocks = tuple[Block, ...]


def conv(
  features: int,
  size: int | tuple[int, int] = 1,
  strides: int = 1,
  padding: layers.Padding = 'SAME',
) -> Conv:
  """Describes a convolution; `size` may be the side of a square."""
  size = (size, size) if isinstance(size, int) else size
  return Conv(features, size, strides, padding)


def element_convs(element: Conv | Pool | Split) -> tuple[Conv, ...]:
  """Returns the convolutions of one element of a branch."""
  if isinstance(element, Split):
    return element.convs
  return (element,) if isinstance(element, Conv) else ()


@dataclasses.dataclass(frozen=True)
class BranchConv:
  """A convolution of a module, with its position in it.

  Attributes:
    name: its submodule's.
    branch: number of its branch, from 1.
    number: of the convolution in its branch, from 1.
    alone: whether the branch has no other element.
    after_pool: whether the branch begins with a pooling.
    conv: its channels, size, strides and padding.
  """

  name: str
  branch: int
  number: int
  alone: bool
  after_pool: bool
  conv: Conv


def branch_convs(branches: Branches) -> Iterator[BranchConv]:
  """Yields all convolutions of a module, branch by branch."""
  for index, branch in enumerate(branches, start=1):
    convs = [conv for element in branch for conv in element_convs(element)]
    for number, conv in enumerate(convs, start=1):
      rows, columns = conv.size
      yield BranchConv(
        f'branch{index}_{number}_{rows}x{columns}',
        index,
        number,
        len(branch) == 1,
        isinstance(branch[0], Pool),
        conv,
      )


def conv_paths(blocks: Blocks) -> Iterator[str]:
  """Yields the paths of all convolutions of a network, in its order."""
  for name, block in blocks:
    if isinstance(block, Conv):
      yield name
    elif isinstance(block, tuple):
      yield from (f'{name}/{conv.name}' for conv in branch_convs(block))


class Base(layers.Normalized):
  """Base class of the modules of an Inception, with the fields they share.

  Attributes:
    count_padding: whether the zeros around an average pooling count.
  """

  count_padding: bool = False

  def conv(self, x: jax.Array, conv: Conv, train: bool, name: str) -> jax.Array:
    """Applies a convolution of the table, with its batch norm and ReLU."""
    return self.conv_bn(
      conv.features, conv.size, conv.strides, conv.padding, name=name
    )(x, train)

  def pool(self, x: jax.Array, pool: Pool) -> jax.Array:
    """Applies a pooling of the table."""
    if pool.kind == 'max':
      return layers.max_pool(x, pool.size, pool.strides, pool.padding)
    return layers.average_pool(
      x, pool.size, pool.strides, pool.padding, self.count_padding
    )


class Mixed(Base):
  """A module of parallel branches: [B, H, W, C] -> [B, H', W', C'].

  Attributes:
    branches: their outputs are concatenated; C' is the sum of their channels.
  """

  branches: Branches = ()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    names = iter(conv.name for conv in branch_convs(self.branches))
    outputs = []
    for branch in self.branches:
      y = x
      for element in branch:
        if isinstance(element, Pool):
          y = self.pool(y, element)
        else:
          parts = [
            self.conv(y, conv, train, next(names))
            for conv in element_convs(element)
          ]
          y = parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1)
      outputs.append(y)
    return jnp.concatenate(outputs, axis=-1)


class Inception(Base):
  """A backbone that is a sequence of blocks: [B, H, W, 3] -> [B, D]."""

  # The block whose output an auxiliary head reads, where the network has one.
  auxiliary_after: ClassVar[str | None] = None

  def blocks(self) -> Blocks:
    """Returns all blocks of the network, in order."""
    raise NotImplementedError

  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    return self.with_auxiliary(x, train)[0]

  @nn.compact
  def with_auxiliary(
    self, x: jax.Array, train: bool = False
  ) -> tuple[jax.Array, jax.Array | None]:
    """Returns the features and the auxiliary head's input [B, H', W', C]."""
    activations = None
    for block in self.blocks():
      x = self.apply_blocks(x, (block,), train)
      if block[0] == self.auxiliary_after:
        activations = x
    return x.mean(axis=(1, 2)), activations

  def apply_blocks(
    self, x: jax.Array, blocks: Blocks, train: bool
  ) -> jax.Array:
    """Applies blocks one after another to x [B, H, W, C]."""
    mixed = functools.partial(Mixed, **self.shared(Base))
    for name, block in blocks:
      if isinstance(block, Conv):
        x = self.conv(x, block, train, name)
      elif isinstance(block, Pool):
        x = self.pool(x, block)
      else:
        x = mixed(branches=block, name=name)(x, train)
    return x
