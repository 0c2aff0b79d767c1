"""Draws examples, whatever order they are in."""

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.transfer.estimators.examples import Examples


def order(examples: Examples) -> np.ndarray:
  """Returns the positions of examples in a random order, int [N].

  It goes by a hash of each example's digest and the seed, then by the label.
  """
  digests = examples.digests
  if digests is None:
    rows = np.ascontiguousarray(examples.features)
    digests = splits.content_digests(row.tobytes() for row in rows)
  numbers = splits.uniform_numbers(np.asarray(digests), examples.seed)
  return np.lexsort((examples.labels, numbers))


def tenth_of_each_class(examples: Examples) -> np.ndarray:
  """Draws a tenth of each class's examples, at least one: bool [N]."""
  drawn = np.zeros(len(examples), bool)
  ranked = order(examples)
  for label in np.unique(examples.labels):
    members = ranked[examples.labels[ranked] == label]
    drawn[members[: max(1, round(len(members) / 10))]] = True
  return drawn
