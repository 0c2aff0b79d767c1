"""Turns a checkpoint's arrays into the variables of one of our networks."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

import ml_dtypes
import numpy as np

from tf_transfer import networks
from tf_transfer.convert_weights import publishers, rules
from tf_transfer.networks import weights
from tf_transfer.runtime import units

Arrays = Mapping[str, np.ndarray]

_HEAD = ('params/head/kernel', 'params/head/bias')
# Types of which every value is one of float32's.
_NARROWER = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64), *_NARROWER)
# Never zero throughout in a network that was trained.
_NONZERO = ('/kernel', '/var')
# What a problem begins with, and what an error calls it.
_KINDS = ('unknown variable', 'missing')


@dataclasses.dataclass(frozen=True)
class Conversion:
  """The variables of a network, and what is to be said of them.

  Attributes:
    arrays: float32, by path.
    num_classes: of the head; 0 where there is none.
    notes: sentences on what was cast or is missing.
    problems: a line for each reason not to use them.
  """

  arrays: Arrays
  num_classes: int
  notes: tuple[str, ...]
  problems: tuple[str, ...]


def _widen(tensors: Arrays) -> tuple[dict[str, np.ndarray], list[str]]:
  """Casts 16-bit floats to float32, which holds all of their values."""
  counts = collections.Counter(
    array.dtype.name for array in tensors.values() if array.dtype in _NARROWER
  )
  notes = [
    f'{units.counted(count, "variable")} of {name} become float32, exactly'
    for name, count in sorted(counts.items())
  ]
  widened = {
    name: array.astype(np.float32) if array.dtype in _NARROWER else array
    for name, array in tensors.items()
  }
  return widened, notes


def _cast(arrays: Arrays) -> tuple[dict[str, np.ndarray], list[str], list[str]]:
  """Casts variables to float32.

  Returns:
    The arrays, notes, and a line for each that is of no floating point type
    or zero throughout where none is.
  """
  cast, problems, num_rounded = {}, [], 0
  for path, array in arrays.items():
    if array.dtype.newbyteorder('=') not in _FLOATS:
      problems.append(f'{path}: expected floating point, found {array.dtype}')
      cast[path] = np.zeros(array.shape, np.float32)
      continue
    # What is out of float32's range becomes infinity, which is refused.
    with np.errstate(over='ignore', invalid='ignore'):
      cast[path] = np.asarray(array, np.float32)
    num_rounded += not np.array_equal(cast[path], array, equal_nan=True)
    if path.endswith(_NONZERO) and array.size and not np.any(array):
      problems.append(f'{path}: zero throughout')
  notes = []
  if num_rounded:
    noun = units.counted(num_rounded, 'variable')
    notes.append(f'{noun} of float64 are rounded to float32')
  return cast, notes, problems


def _count_classes(
  arrays: Arrays, source: publishers.Source, feature_dim: int
) -> int:
  """Returns the number of logits: 0 without a head.

  A head that does not fit counts as the source's, so that it is an error.
  """
  if not any(path in arrays for path in _HEAD):
    return 0
  kernel, bias = (arrays.get(path, np.zeros(())) for path in _HEAD)
  if kernel.shape == (feature_dim, bias.size) and bias.ndim == 1:
    return bias.size
  return source.num_classes


def has_published_head(arrays: Arrays, source: publishers.Source) -> bool:
  """Says whether a head has the classes of the published one.

  Args:
    arrays: of a head, by the source's names.
    source: whose names they are.
  """
  converted, _ = rules.apply_rules(arrays, source.rules)
  return converted.get(_HEAD[1], np.zeros(0)).size == source.num_classes


def _describe_head(num_classes: int, source: publishers.Source) -> list[str]:
  """Says what a head is that is not the published one."""
  if num_classes == source.num_classes:
    return []
  if not num_classes:
    return [
      'no head fits the network: it is converted without; it has '
      'features, and no logits'
    ]
  return [
    f'the head has {num_classes:,} classes, where that of {source.file} has '
    f'{source.num_classes:,}'
  ]


def convert(
  tensors: Arrays,
  network: str,
  source: publishers.Source,
  no_head: bool = False,
) -> Conversion:
  """Converts a checkpoint's arrays to the network's variables by path.

  Args:
    tensors: by the source's names.
    network: in the table.
    source: whose names they are.
    no_head: whether the head was left out, so that nothing is said of it.
  """
  tensors, notes = _widen(tensors)
  arrays, problems = rules.apply_rules(tensors, source.rules)
  arrays, more_notes, more_problems = _cast(arrays)
  feature_dim = networks.row(network).feature_dim
  num_classes = _count_classes(arrays, source, feature_dim)
  model = networks.build(network, num_classes=num_classes, **source.options)
  expected = networks.expected_variables(model, source.contract.image_size)
  # One line for each variable, though a zero one may be wrong for both.
  named = {problem.partition(':')[0] for problem in more_problems}
  problems += more_problems + [
    problem
    for problem in weights.mismatches(arrays, expected)
    if problem.partition(':')[0] not in named
  ]
  return Conversion(
    arrays,
    num_classes,
    (
      *notes,
      *more_notes,
      *([] if no_head else _describe_head(num_classes, source)),
    ),
    tuple(problems),
  )


def summarize(problems: Sequence[str]) -> str:
  """Joins the first problem of each kind, a line each, and counts the others.

  Unknown variables can be left out, and the line says how.
  """
  lines = []
  groups: dict[str, list[str]] = {}
  for problem in problems:
    kind = next((k for k in _KINDS if problem.startswith(k)), '')
    groups.setdefault(kind, []).append(problem)
  for kind in (*_KINDS, ''):
    if kind in groups:
      first, *others = groups[kind]
      more = f', and {len(others):,} more' if others else ''
      hint = ''
      if kind == _KINDS[0]:
        hint = ' (--ignore=PATTERN leaves variables out by their names)'
      lines.append(f'{first}{more}{hint}')
  return '\n  '.join(['', *lines])
