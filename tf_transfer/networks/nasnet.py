"""NASNet-A (Zoph et al., 2018), mobile and large.

A cell reads the outputs of the two cells before it: the last is its input, the
other is called the previous output. The cell makes five combinations; each is
the sum of two operations on earlier values of the cell. Combinations that no
other combination reads are concatenated. Values are numbered: the input is 0,
the previous output 1, and the combinations are 2 to 6.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from tf_transfer.networks import layers

_REDUCTION_POOLS = ('same', 'zeros', 'zeros_average')


@dataclasses.dataclass(frozen=True)
class Operation:
  """An operation on one of the values of a cell.

  Attributes:
    kind: 'separable', 'max', 'average' or 'none'.
    value: number of the value that it reads.
    size: rows and columns of the filter or window.
  """

  kind: str
  value: int
  size: int = 3


Combination = tuple[Operation, Operation]


def _separable(value: int, size: int) -> Operation:
  """Describes a separable convolution."""
  return Operation('separable', value, size)


NORMAL: tuple[Combination, ...] = (
  (_separable(0, 5), _separable(1, 3)),
  (_separable(1, 5), _separable(1, 3)),
  (Operation('average', 0), Operation('none', 1)),
  (Operation('average', 1), Operation('average', 1)),
  (_separable(0, 3), Operation('none', 0)),
)
_NORMAL_OUTPUTS = (1, 2, 3, 4, 5, 6)

REDUCTION: tuple[Combination, ...] = (
  (_separable(0, 5), _separable(1, 7)),
  (Operation('max', 0), _separable(1, 7)),
  (Operation('average', 0), _separable(1, 5)),
  (Operation('none', 3), Operation('average', 2)),
  (_separable(2, 3), Operation('max', 0)),
)
_REDUCTION_OUTPUTS = (3, 4, 5, 6)

SIDES = ('left', 'right')


@dataclasses.dataclass(frozen=True)
class CellRow:
  """Describes a cell of a network.

  Attributes:
    name: its submodule's.
    reduction: whether it halves the image.
    features: channels of each of its combinations.
    previous: index of its previous output among the outputs so far, from the
      end (-2 is the one before its input); None where it has only its input.
  """

  name: str
  reduction: bool
  features: int
  previous: int | None


def cells(
  repeats: int, features: int, skip_reduction: bool
) -> tuple[CellRow, ...]:
  """Returns all cells of a network in order.

  Args:
    repeats: normal cells in each of the three stages.
    features: of the first stage; each stage doubles them.
    skip_reduction: whether the previous output of a cell behind a reduction is
      the reduction's own previous output, and not the reduction's input.
  """
  rows = [
    CellRow('stem_cell1', True, features // 4, None),
    CellRow('stem_cell2', True, features // 2, -2),
  ]
  for stage in range(3):
    width = features * 2**stage
    if stage:
      rows.append(CellRow(f'reduction{stage}', True, width, -2))
    for repeat in range(repeats):
      behind = stage > 0 and repeat == 0
      previous = -3 if behind and skip_reduction else -2
      number = stage * repeats + repeat + 1
      rows.append(CellRow(f'cell{number}', False, width, previous))
  return tuple(rows)


class Base(layers.Normalized):
  """Base class of the modules of a NASNet, with the field they share.

  Attributes:
    reduction_pools: what strided poolings do with their padding: 'same' ignores
      it (TF-Slim, pretrainedmodels), 'zeros' counts its zeros as values
      (Keras), 'zeros_average' does so in average poolings only (timm).
  """

  reduction_pools: str = 'same'

  def __post_init__(self) -> None:
    layers.check_option(
      'reduction_pools', self.reduction_pools, _REDUCTION_POOLS
    )
    super().__post_init__()

  def pointwise(
    self, x: jax.Array, features: int, train: bool, name: str
  ) -> jax.Array:
    """Applies a 1×1 convolution and batch norm, without activation."""
    return self.conv_bn(features, activation=None, name=name)(x, train)


class Separable(Base):
  """ReLU, separable convolution and batch norm, twice.

  Attributes:
    features: number of output channels.
    size: rows and columns of the filters.
    strides: of the first convolution.
  """

  features: int = 0
  size: int = 3
  strides: int = 1

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    for number, strides in ((1, self.strides), (2, 1)):
      channels = x.shape[-1]
      x = layers.Conv(
        channels,
        (self.size, self.size),
        strides,
        groups=channels,
        name=f'depthwise{number}',
      )(nn.relu(x))
      x = self.pointwise(x, self.features, train, f'pointwise{number}')
    return x


class Cell(Base):
  """A cell: maps input and previous output to concatenated combinations.

  Attributes:
    features: channels of each combination.
    reduction: whether the cell halves the image.
    drop_path: share of the images for which training drops an operation's
      output; None for none.
  """

  features: int = 0
  reduction: bool = False
  drop_path: float | jax.Array | None = None

  @nn.compact
  def __call__(
    self, x: jax.Array, previous: jax.Array | None, train: bool = False
  ) -> jax.Array:
    """Maps [B, H, W, C] to [B, H', W', 4 or 6 × features].

    Args:
      x: the cell's input.
      previous: the previous output; None takes the input in its place.
      train: whether batch norm uses the batch's statistics.
    """
    previous = x if previous is None else self._fit_previous(previous, x, train)
    x = self.pointwise(nn.relu(x), self.features, train, 'squeeze')
    values = [x, previous]
    rows = REDUCTION if self.reduction else NORMAL
    for number, combination in enumerate(rows, start=1):
      left, right = (
        self._drop_path(
          self._apply(operation, values, train, f'combine{number}_{side}'),
          train and operation.kind != 'none',
        )
        for operation, side in zip(combination, SIDES, strict=True)
      )
      values.append(left + right)
    outputs = _REDUCTION_OUTPUTS if self.reduction else _NORMAL_OUTPUTS
    return jnp.concatenate([values[index] for index in outputs], axis=-1)

  def _fit_previous(
    self, previous: jax.Array, x: jax.Array, train: bool
  ) -> jax.Array:
    """Brings the previous output to the size of x and the cell's channels."""
    if previous.shape[1:3] == x.shape[1:3]:
      return self.pointwise(nn.relu(previous), self.features, train, 'previous')
    previous = nn.relu(previous)
    # The second path reads the pixels that the strides of the first skip.
    shifted = jnp.pad(previous, ((0, 0), (0, 1), (0, 1), (0, 0)))[:, 1:, 1:]
    paths = [
      layers.Conv(self.features // 2, name=f'previous_path{number}')(
        values[:, ::2, ::2]
      )
      for number, values in ((1, previous), (2, shifted))
    ]
    joined = jnp.concatenate(paths, axis=-1)
    return self.batch_norm(train, 'previous_bn')(joined)

  def _drop_path(self, x: jax.Array, active: bool) -> jax.Array:
    """Sets whole images of x [B, H, W, C] to zero, and scales up the rest."""
    if not active or self.drop_path is None:
      return x
    keep = 1 - self.drop_path
    shape = (x.shape[0], 1, 1, 1)
    is_kept = jax.random.bernoulli(self.make_rng('dropout'), keep, shape)
    return jnp.where(is_kept, x / keep, 0)

  def _apply(
    self,
    operation: Operation,
    values: list[jax.Array],
    train: bool,
    name: str,
  ) -> jax.Array:
    """Applies an operation to one of the values of the cell."""
    x = values[operation.value]
    strides = 2 if self.reduction and operation.value < 2 else 1
    if operation.kind == 'separable':
      return Separable(
        features=self.features,
        size=operation.size,
        strides=strides,
        name=name,
        **self.shared(Base),
      )(x, train)
    if operation.kind == 'none':
      return x
    zeros = strides == 2 and self.reduction_pools != 'same'
    if operation.kind == 'average':
      return layers.average_pool(x, 3, strides, 'SAME', count_padding=zeros)
    if zeros and self.reduction_pools == 'zeros':
      return layers.max_pool(x, 3, strides, 'SAME', fill=0.0)
    return layers.max_pool(x, 3, strides, 'SAME')


class NASNet(Base):
  """Backbone: [B, H, W, 3] -> features [B, 24 × features].

  Attributes:
    repeats: normal cells in each of the three stages.
    features: of the first stage; each stage doubles them.
    stem: channels of the first convolution.
    skip_reduction: as for `cells`.
    drop_path: share of the images for which the last cell drops an operation in
      training; earlier cells drop less, in proportion to their depth. It may be
      traced: ScheduledDropPath (Zoph et al., 2018) increases it from 0 in the
      course of training, to 0.3 for the large network.
  """

  repeats: int = 4
  features: int = 44
  stem: int = 32
  skip_reduction: bool = False
  drop_path: float | jax.Array | None = None

  @property
  def auxiliary_after(self) -> str:
    """The cell that an auxiliary head reads: the second stage's last."""
    return f'cell{2 * self.repeats}'

  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    return self.with_auxiliary(x, train)[0]

  @nn.compact
  def with_auxiliary(
    self, x: jax.Array, train: bool = False
  ) -> tuple[jax.Array, jax.Array]:
    """Returns the features and the auxiliary head's input [B, H', W', C]."""
    x = self.conv_bn(
      self.stem, (3, 3), 2, 'VALID', activation=None, name='stem'
    )(x, train)
    outputs = [x]
    rows = cells(self.repeats, self.features, self.skip_reduction)
    for number, row in enumerate(rows, start=1):
      drop_path = self.drop_path
      if drop_path is not None:
        drop_path = drop_path * number / len(rows)
      cell = Cell(
        features=row.features,
        reduction=row.reduction,
        drop_path=drop_path,
        name=row.name,
        **self.shared(Base),
      )
      previous = None if row.previous is None else outputs[row.previous]
      outputs.append(cell(outputs[-1], previous, train))
      if row.name == self.auxiliary_after:
        activations = outputs[-1]
    return nn.relu(outputs[-1]).mean(axis=(1, 2)), activations


# The two networks of the paper, as keywords of NASNet.
MOBILE = {'repeats': 4, 'features': 44, 'stem': 32, 'skip_reduction': False}
LARGE = {'repeats': 6, 'features': 168, 'stem': 96, 'skip_reduction': True}
