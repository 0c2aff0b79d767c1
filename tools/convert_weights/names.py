"""Takes a network's variables out of those of a checkpoint, by their names.

Wrappers put a prefix before every name (`module.` of DataParallel, `_orig_mod.`
of torch.compile, `backbone.` of a class around the network), and checkpoints
hold other networks beside the one that is meant.
"""

import collections
import dataclasses
import fnmatch
import re
from collections.abc import Mapping, Sequence

import numpy as np

from tf_transfer.convert_weights import publishers, rules
from tf_transfer.runtime import units

Tensors = Mapping[str, np.ndarray]

_SEPARATOR = re.compile(r'[./]')
_MAX_DEPTH = 5  # parts of a prefix
# A prefix is one that a part of all names has, at least, and below which at
# least this part of the names is known.
_MIN_SHARE = 0.2
_MIN_KNOWN = 0.5
# Another prefix below which nearly as many names are known as below the best.
_RIVAL = 0.9
_MAX_LISTED = 6  # prefixes in an error
_MAX_SHOWN = 3  # names of variables in a note
_HEAD_PATH = 'params/head/'
# What training puts on top of a backbone: the first part of a name.
_HEADS = re.compile(
  r'(\w+_)?(head|heads|projector|predictor|projection|prediction|classifier|'
  r'fc|mlp|linear|prototypes|queue|queue_ptr|last_layer|center|dense|logits|'
  r'predictions)(_?\d+)?'
)


def take_key(tensors: Tensors, key: str) -> dict[str, np.ndarray]:
  """Returns the variables below a key, by their names without it.

  Raises:
    ValueError: there are none.
  """
  below = {
    name[len(key) + 1 :]: array
    for name, array in tensors.items()
    if re.match(rf'{re.escape(key)}[./]', name)
  }
  if not below:
    starts = collections.Counter(_SEPARATOR.split(n)[0] for n in tensors)
    listed = ', '.join(name for name, _ in starts.most_common(_MAX_LISTED))
    raise ValueError(
      f'no variable is below the key {key}; names begin with {listed}'
    )
  return below


def ignore(
  tensors: Tensors, patterns: Sequence[str]
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
  """Leaves out the variables that match a pattern such as `head.*`.

  Returns:
    The other variables, and how many each pattern left out.
  """
  kept, counts = {}, dict.fromkeys(patterns, 0)
  for name, array in tensors.items():
    matches = [p for p in patterns if fnmatch.fnmatchcase(name, p)]
    for pattern in matches:
      counts[pattern] += 1
    if not matches:
      kept[name] = array
  return kept, counts


def _list_prefixes(name: str) -> list[str]:
  """Returns the prefixes of a name: of `a.b.c`, `a.` and `a.b.`."""
  ends = [match.end() for match in _SEPARATOR.finditer(name)]
  return [name[:end] for end in ends[:_MAX_DEPTH]]


def _count_known(
  names: Sequence[str], matchers: Sequence[rules.Matcher]
) -> tuple[int, collections.Counter, collections.Counter]:
  """Counts names that the rules know, as they are and without each prefix.

  Returns:
    How many are known as they are; of each prefix, how many are known without
    it, and how many have it.
  """

  def is_known(name: str) -> bool:
    return any(matcher.find(name)[0] is not None for matcher in matchers)

  known, have = collections.Counter(), collections.Counter()
  for name in names:
    for prefix in _list_prefixes(name):
      have[prefix] += 1
      known[prefix] += is_known(name[len(prefix) :])
  return sum(is_known(name) for name in names), known, have


def find_prefix(
  names: Sequence[str], candidates: Sequence[publishers.Source]
) -> str:
  """Returns the prefix without which most names are known; '' for none.

  Raises:
    ValueError: there are several such prefixes, as of a network and its
      average.
  """
  matchers = [rules.Matcher(source.rules) for source in candidates]
  plain, known, have = _count_known(names, matchers)
  likely = {
    prefix: count
    for prefix, count in known.items()
    if count > plain
    and count >= _MIN_SHARE * len(names)
    and count >= _MIN_KNOWN * have[prefix]
  }
  if not likely:
    return ''
  best = max(likely, key=lambda prefix: (likely[prefix], -len(prefix)))
  rivals = [
    prefix
    for prefix, count in likely.items()
    if count >= _RIVAL * likely[best]
    and not prefix.startswith(best)
    and not best.startswith(prefix)
  ]
  if rivals:
    listed = ', '.join(
      f'{prefix[:-1]} ({units.counted(likely[prefix], "variable")})'
      for prefix in [best, *rivals][:_MAX_LISTED]
    )
    raise ValueError(
      f'there is a network below several names: {listed}. Choose one with '
      '--key=NAME'
    )
  return best


def strip_prefix(tensors: Tensors, prefix: str) -> dict[str, np.ndarray]:
  """Removes a prefix, or the beginning of it that a name has.

  Names without any stay: of `model.backbone.a` and `model.fc`, the prefix
  `model.backbone.` leaves `a` and `fc`.

  Raises:
    ValueError: two variables would have one name.
  """
  starts = [prefix, *reversed(_list_prefixes(prefix))]
  stripped = {}
  for name, array in tensors.items():
    start = next((s for s in starts if s and name.startswith(s)), '')
    short = name.removeprefix(start)
    if short in stripped:
      raise ValueError(
        f'without the prefix {prefix} there are two variables {short}: leave '
        'one out with --ignore=PATTERN'
      )
    stripped[short] = array
  return stripped


def drop_heads(
  tensors: Tensors, candidates: Sequence[publishers.Source]
) -> tuple[dict[str, np.ndarray], list[str]]:
  """Leaves out heads that no source has, as a projection head.

  Returns:
    The other variables, and the names of those that were left out.
  """
  matchers = [rules.Matcher(source.rules) for source in candidates]
  dropped = {
    name
    for name in tensors
    if _HEADS.fullmatch(_SEPARATOR.split(name)[0])
    and all(matcher.find(name)[0] is None for matcher in matchers)
  }
  kept = {n: a for n, a in tensors.items() if n not in dropped}
  return kept, sorted(dropped)


def select(
  tensors: Tensors,
  candidates: Sequence[publishers.Source],
  key: str | None,
  patterns: Sequence[str],
) -> tuple[dict[str, np.ndarray], list[str]]:
  """Returns a network's variables by the names that its sources give them.

  Args:
    tensors: of a checkpoint.
    candidates: sources that it may be from.
    key: the beginning of the names of the network's variables, or None.
    patterns: of names to leave out, with the prefix or without it.

  Returns:
    The variables, and notes on what was left out.

  Raises:
    ValueError: a key or a pattern fits no name, or a network is there twice.
  """
  notes = []
  tensors, counts = ignore(tensors, patterns)
  if key is not None:
    below = take_key(tensors, key)
    others = units.counted(len(tensors) - len(below), 'variable')
    notes.append(f'the variables below {key} are read; {others} left out')
    tensors = below
  prefix = find_prefix(tuple(tensors), candidates)
  if prefix:
    num_names = sum(name.startswith(prefix) for name in tensors)
    which = 'every name'
    if num_names < len(tensors):
      which = f'{num_names:,} of {len(tensors):,} names'
    notes.append(f'the prefix {prefix} of {which} is left out')
    tensors, more = ignore(strip_prefix(tensors, prefix), patterns)
    counts = {pattern: counts[pattern] + more[pattern] for pattern in counts}
  for pattern, count in counts.items():
    if not count:
      raise ValueError(f'--ignore={pattern} matches no variable')
    noun = units.counted(count, 'variable')
    notes.append(f'--ignore={pattern} leaves out {noun}')
  tensors, dropped = drop_heads(tensors, candidates)
  if dropped:
    noun = units.counted(len(dropped), 'variable')
    notes.append(f'{noun} of other heads left out, as {dropped[0]}')
  return tensors, notes


@dataclasses.dataclass(frozen=True)
class Backbone:
  """The variables of a backbone alone, and what was beside them.

  Attributes:
    tensors: of the backbone, by the names that its sources give them.
    heads: variables of a head as the sources name it.
    notes: on what was left out.
  """

  tensors: Mapping[str, np.ndarray]
  heads: Mapping[str, np.ndarray]
  notes: tuple[str, ...]


def select_backbone(
  tensors: Tensors,
  candidates: Sequence[publishers.Source],
  key: str | None,
  patterns: Sequence[str],
) -> Backbone:
  """Returns a backbone's variables, whatever else a checkpoint holds.

  What lies among the backbone's own variables and is unknown is not left out:
  a deeper network of the same design, or one with more in its blocks, is not
  this network.

  Args:
    tensors: of a checkpoint.
    candidates: sources that it may be from.
    key: as for `select`.
    patterns: as for `select`.

  Raises:
    ValueError: as in `select`; or there is such a variable.
  """
  notes = []
  tensors, counts = ignore(tensors, patterns)
  if key is not None:
    tensors = take_key(tensors, key)
  prefix = find_prefix(tuple(tensors), candidates)
  below = {
    name.removeprefix(prefix): array
    for name, array in tensors.items()
    if name.startswith(prefix)
  }
  below, more = ignore(below, patterns)
  for pattern in patterns:
    if not counts[pattern] + more[pattern]:
      raise ValueError(f'--ignore={pattern} matches no variable')
  backbone, heads, others = _divide(below, candidates)
  inside = {_place(name) for name in backbone}
  strange = [name for name in others if _place(name) in inside]
  if strange:
    raise ValueError(
      f'{units.counted(len(strange), "variable")} among those of the backbone, '
      f'such as {strange[0]}, that this network does not have: this is another '
      'network. If it is not, --ignore=PATTERN leaves variables out by their '
      'names'
    )
  where = f' below {prefix[:-1]}' if prefix else ''
  notes.append(
    f'{units.counted(len(backbone), "variable")} of the backbone{where}'
  )
  outside = [name for name in tensors if not name.startswith(prefix)]
  left_out = [*(prefix + name for name in (*heads, *others)), *outside]
  if left_out:
    shown = ', '.join(left_out[:_MAX_SHOWN])
    dots = ', ...' if len(left_out) > _MAX_SHOWN else ''
    noun = units.counted(len(left_out), 'variable')
    notes.append(f'{noun} left out: {shown}{dots}')
  return Backbone(backbone, heads, tuple(notes))


def _divide(
  tensors: Tensors, candidates: Sequence[publishers.Source]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], list[str]]:
  """Divides variables into a backbone's, a head's, and the names of others."""
  matchers = [rules.Matcher(source.rules) for source in candidates]
  backbone, heads, others = {}, {}, []
  for name, array in tensors.items():
    matches = [matcher.find(name) for matcher in matchers]
    paths = [path or '' for rule, path in matches if rule is not None]
    if not paths:
      others.append(name)
    elif all(path.startswith(_HEAD_PATH) for path in paths):
      heads[name] = array
    else:
      backbone[name] = array
  return backbone, heads, others


def _place(name: str) -> tuple[str, ...]:
  """Returns the first two parts of a name, with # for numbers."""
  parts = _SEPARATOR.split(name)[:2]
  return tuple(re.sub(r'\d+', '#', part) for part in parts)
