"""Finds the state dict in what a training script saved.

Scripts save the network's variables beside an optimizer's state, options and
counters, under a key of their own choice. Where variables are under one key
alone, that is the state dict; where they are under several (a student and a
teacher, a network and its average), only the user knows which.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tf_transfer import errors
from tf_transfer.runtime import pickles

# Keys under which scripts save a network.
_WRAPPERS = re.compile(
  r'(\w+_)?(model|net|network|state_dict|state|module|params|weights|teacher|'
  r'student|ema|swa|average|averaged|shadow|backbone|encoder|generator)(_\w+)?'
)
# Keys under which they save what is no network.
_NO_NETWORK = re.compile(
  r'optim.*|.*optimizer.*|opt|.*sched.*|.*scaler|amp|callbacks|loops|'
  r'hyper_parameters|rng_.*|.*criterion|.*_loss'
)
# Classes of networks, with their modules.
_MODELS = re.compile(r'net|model|module', re.IGNORECASE)
_MAX_DEPTH = 6
_MAX_LISTED = 8  # keys in an error


@dataclasses.dataclass(frozen=True)
class StateDict:
  """The variables of a network, out of what a script saved.

  Attributes:
    tensors: by name.
    key: the keys that lead to them, joined by dots; '' for none.
    num_others: tensors under other keys, an optimizer's left out of account.
  """

  tensors: Mapping[str, Any]
  key: str = ''
  num_others: int = 0


def _is_weight(value: Any, tensor_type: type) -> bool:
  """Tells whether a value is a tensor of one axis or more."""
  return isinstance(value, tensor_type) and len(value.shape) > 0


def _list_candidates(
  root: Any,
  tensor_type: type,
  path: tuple[str, ...] = (),
  seen: set[int] | None = None,
) -> Iterator[tuple[tuple[str, ...], Mapping]]:
  """Yields the dicts that hold weights, with their keys from the root.

  One that is under several keys is yielded once, and one that holds itself
  ends.
  """
  seen = set() if seen is None else seen
  if not isinstance(root, Mapping) or id(root) in seen:
    return
  if len(path) > _MAX_DEPTH:
    return
  seen.add(id(root))
  if any(_is_weight(value, tensor_type) for value in root.values()):
    yield path, root
  for key, value in root.items():
    # The entries of an optimizer's state are numbered.
    if isinstance(key, str) and not _NO_NETWORK.fullmatch(key):
      yield from _list_candidates(value, tensor_type, (*path, key), seen)


def _count(root: Mapping, tensor_type: type) -> int:
  """Counts the tensors in a dict, without the dicts in it."""
  return sum(isinstance(value, tensor_type) for value in root.values())


def _describe(root: Any, tensor_type: type) -> str:
  """Describes the keys that there are, with the number of tensors of each."""
  candidates = _list_candidates(root, tensor_type)
  keys = [
    f'{".".join(path)} ({_count(state, tensor_type)} tensors)'
    for path, state in candidates
    if path
  ]
  more = ', ...' if len(keys) > _MAX_LISTED else ''
  return ', '.join(keys[:_MAX_LISTED]) + more


def _follow(root: Any, key: str) -> Any:
  """Returns what is under keys joined by dots, some with dots; else None."""
  if not isinstance(root, Mapping):
    return None
  if key in root:
    return root[key]
  for index in (match.start() for match in re.finditer(r'\.', key)):
    if key[:index] in root:
      value = _follow(root[key[:index]], key[index + 1 :])
      if value is not None:
        return value
  return None


def _pick(root: Any, tensor_type: type) -> tuple[tuple[str, ...], Mapping]:
  """Returns the one state dict, and its keys from the root.

  Raises:
    InputError: weights are under several keys.
    ValueError: they are under none.
  """
  candidates = list(_list_candidates(root, tensor_type))
  wrapped = [
    (path, state)
    for path, state in candidates
    if path and all(_WRAPPERS.fullmatch(key) for key in path)
  ]
  for chosen in (wrapped, candidates):
    if len(chosen) == 1:
      return chosen[0]
  if candidates and not candidates[0][0] and not wrapped:
    return candidates[0]
  if candidates:
    raise errors.InputError(
      f'there are weights under several keys: {_describe(root, tensor_type)}. '
      'Name one with --key=KEY'
    )
  if isinstance(root, Mapping) and _count(root, tensor_type):
    return (), root
  raise ValueError(_explain_absence(root))


def _explain_absence(root: Any) -> str:
  """Says what is there in place of tensors."""
  values = [root, *(root.values() if isinstance(root, Mapping) else ())]
  for value in values:
    name = type(value).__name__
    if isinstance(value, pickles.StandIn) and _MODELS.search(name):
      return (
        f'an object of the class {name}, not a dict of tensors: load it '
        'where that class is, and save its state_dict()'
      )
  if not isinstance(root, Mapping):
    return f'a {type(root).__name__}, not a dict of tensors'
  keys = ', '.join(repr(key) for key in list(root)[:_MAX_LISTED])
  return f'a dict without tensors, of the keys {keys or "(none)"}'


def _pick_below(
  root: Any, tensor_type: type, key: str | None
) -> tuple[tuple[str, ...], Mapping]:
  """Returns a state dict, of which names begin with a key that is no key.

  Raises:
    InputError: there is none; or several, and no key says which.
    ValueError: there are no weights.
  """
  if key is None:
    return _pick(root, tensor_type)
  candidates = [
    (path, state)
    for path, state in _list_candidates(root, tensor_type)
    if any(str(name).startswith(f'{key}.') for name in state)
  ]
  if len(candidates) != 1:
    keys = _describe(root, tensor_type) or 'none'
    raise errors.InputError(
      f'there is no state dict under the key {key}; there are: {keys}'
    )
  return candidates[0]


def find(root: Any, tensor_type: type, key: str | None) -> StateDict:
  """Finds the tensors of a network in what a script saved.

  Args:
    root: the unpickled object.
    tensor_type: the class of its tensors.
    key: keys from the root, joined by dots, as the user names them; None to
      tell by the content.

  Raises:
    InputError: there are several state dicts, or none under `key`.
    ValueError: there is none.
  """
  path, state = (), None
  if key is not None:
    state = _follow(root, key)
  below = ''
  if not isinstance(state, Mapping) or not _count(state, tensor_type):
    path, state = _pick_below(root, tensor_type, key)
    below = f'{key}.' if key else ''
    key = '.'.join((*path, key) if key else path)
  tensors = {
    name.removeprefix(below): value
    for name, value in state.items()
    if isinstance(value, tensor_type)
    and isinstance(name, str)
    and name.startswith(below)
  }
  others = sum(
    _count(other, tensor_type)
    for _, other in _list_candidates(root, tensor_type)
    if other is not state
  )
  others += _count(state, tensor_type) - len(tensors)
  return StateDict(tensors, key, others)
