"""Tells which network of the table a checkpoint of another name looks like."""

from collections.abc import Iterable, Mapping

import numpy as np

from tf_transfer import networks
from tf_transfer.convert_weights import publishers, rules, table
from tf_transfer.networks import weights

# Shares of names that are known and of kernels that are present: below it, a
# checkpoint looks like no network of the table.
_MIN_LIKENESS = 0.8
_ALIKE = 0.99  # of the highest likeness
# Of networks that are named alike, this many are compared by shapes.
_MAX_TRACED = 4


def _measure_likeness(names: Iterable[str], source: publishers.Source) -> float:
  """Measures how well a source's rules fit the names of variables.

  Returns:
    In 0 to 1: the share of names that are known, times the share of the
    source's kernels that are present.
  """
  names = tuple(names)
  matcher = rules.Matcher(source.rules)
  matches = [matcher.find(name) for name in names]
  known = sum(rule is not None for rule, _ in matches)
  kernels = {
    rule.path
    for rule in source.rules
    if rule.path and rule.path.endswith('kernel') and '\\' not in rule.path
  }
  present = kernels & {path for _, path in matches}
  if not names or not kernels:
    return 0.0
  return known / len(names) * len(present) / len(kernels)


def _count_mismatches(
  tensors: Mapping[str, np.ndarray], network: str, source: publishers.Source
) -> int:
  """Counts what is missing, left over or misshapen for a network."""
  variables, problems = rules.apply_rules(tensors, source.rules)
  model = networks.build(
    network, num_classes=source.num_classes, **source.options
  )
  expected = networks.expected_variables(model, source.contract.image_size)
  return len(problems) + len(weights.mismatches(variables, expected))


def find(tensors: Mapping[str, np.ndarray], network: str) -> str:
  """Returns the network that variables look like, or ''.

  Args:
    tensors: the variables by the names in a checkpoint.
    network: the one that they do not fit.
  """
  likeness = [
    (_measure_likeness(tensors, source), name, source)
    for name, candidates in table.SOURCES.items()
    for source in candidates
  ]
  highest = max(value for value, _, _ in likeness)
  if highest < _MIN_LIKENESS:
    return ''
  alike: dict[str, publishers.Source] = {}
  for value, name, source in likeness:
    if value > _ALIKE * highest:
      alike.setdefault(name, source)
  compared = list(alike.items())[:_MAX_TRACED]
  if len(compared) > 1:
    compared.sort(key=lambda pair: _count_mismatches(tensors, *pair))
  name, _ = compared[0]
  return '' if name == network else name
