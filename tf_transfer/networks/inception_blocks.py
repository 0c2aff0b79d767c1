"""What the Inceptions are written in: tables of steps, some of them parallel.

A step is a convolution, a pooling, or a module of parallel branches whose
outputs are concatenated. A branch is a row of convolutions and poolings, whose
last element may split in two. Convolutions of a module are named
`branchB_N_RxC`, the Nth of branch B with R rows and C columns.
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
Step = tuple[str, Conv | Pool | Branches]


def conv(
  features: int,
  size: int | tuple[int, int] = 1,
  strides: int = 1,
  padding: layers.Padding = 'SAME',
) -> Conv:
  """A convolution; `size` may be the side of a square."""
  size = (size, size) if isinstance(size, int) else size
  return Conv(features, size, strides, padding)


def convs_of(element: Conv | Pool | Split) -> tuple[Conv, ...]:
  """The convolutions of one element of a branch."""
  if isinstance(element, Split):
    return element.convs
  return (element,) if isinstance(element, Conv) else ()


@dataclasses.dataclass(frozen=True)
class Place:
  """Where a convolution of a module stands.

  Attributes:
    name: its submodule's.
    branch: from 1.
    number: of the convolution in its branch, from 1.
    alone: whether the branch has no other element.
    after_pool: whether the branch begins with a pooling.
    conv: what it is.
  """

  name: str
  branch: int
  number: int
  alone: bool
  after_pool: bool
  conv: Conv


def places(branches: Branches) -> Iterator[Place]:
  """All convolutions of a module, branch by branch."""
  for index, branch in enumerate(branches, start=1):
    found = [conv for element in branch for conv in convs_of(element)]
    for number, conv in enumerate(found, start=1):
      rows, columns = conv.size
      yield Place(
        f'branch{index}_{number}_{rows}x{columns}',
        index,
        number,
        len(branch) == 1,
        isinstance(branch[0], Pool),
        conv,
      )


def paths(steps: tuple[Step, ...]) -> Iterator[str]:
  """The paths of all convolutions of a network, in its order."""
  for name, step in steps:
    if isinstance(step, Conv):
      yield name
    elif isinstance(step, tuple):
      yield from (f'{name}/{place.name}' for place in places(step))


class Base(layers.Normalized):
  """What all modules of a network share.

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
    if pool.kind == 'max':
      return layers.max_pool(x, pool.size, pool.strides, pool.padding)
    return layers.average_pool(
      x, pool.size, pool.strides, pool.padding, self.count_padding
    )


class Mixed(Base):
  """Parallel branches: [B, H, W, C] -> [B, H', W', sum of the branches']."""

  branches: Branches = ()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    names = iter(place.name for place in places(self.branches))
    outputs = []
    for branch in self.branches:
      y = x
      for element in branch:
        if isinstance(element, Pool):
          y = self.pool(y, element)
        else:
          found = [
            self.conv(y, conv, train, next(names)) for conv in convs_of(element)
          ]
          y = found[0] if len(found) == 1 else jnp.concatenate(found, axis=-1)
      outputs.append(y)
    return jnp.concatenate(outputs, axis=-1)


class Inception(Base):
  """A backbone that is a row of steps: [B, H, W, 3] -> features [B, D]."""

  # The step whose output an auxiliary head reads, where the network has one.
  auxiliary_after: ClassVar[str | None] = None

  def steps(self) -> tuple[Step, ...]:
    raise NotImplementedError

  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    return self.with_auxiliary(x, train)[0]

  @nn.compact
  def with_auxiliary(
    self, x: jax.Array, train: bool = False
  ) -> tuple[jax.Array, jax.Array | None]:
    """The features, and what an auxiliary head reads [B, H', W', C]."""
    activations = None
    for step in self.steps():
      x = self.run(x, (step,), train)
      if step[0] == self.auxiliary_after:
        activations = x
    return x.mean(axis=(1, 2)), activations

  def run(
    self, x: jax.Array, steps: tuple[Step, ...], train: bool
  ) -> jax.Array:
    """Applies steps to x [B, H, W, C]."""
    mixed = functools.partial(Mixed, **self.shared(Base))
    for name, step in steps:
      if isinstance(step, Conv):
        x = self.conv(x, step, train, name)
      elif isinstance(step, Pool):
        x = self.pool(x, step)
      else:
        x = mixed(branches=step, name=name)(x, train)
    return x
