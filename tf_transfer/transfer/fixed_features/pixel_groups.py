"""Groups networks that are shown the same pixels, which are decoded once."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from tf_transfer.contract import Contract
from tf_transfer.transfer.fixed_features import features

T = TypeVar('T')


def group(
  items: Iterable[T],
  contract_of: Callable[[T], Contract],
  options: features.Options,
) -> list[list[T]]:
  """Groups items whose networks can share decoded and resized images.

  Args:
    items: such as cells, in order.
    contract_of: returns the contract of an item's network.
    options: of the features.

  Returns:
    The groups, in the order of their first items.
  """
  groups: dict[Contract, list[T]] = {}
  for item in items:
    pixels = features.pixel_contract(contract_of(item), options)
    groups.setdefault(pixels, []).append(item)
  return list(groups.values())
