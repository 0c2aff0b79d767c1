"""Whether the networks of records were trained alike."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_transfer.networks import recipe as recipe_lib

# What random values are trained from owes nothing to a recipe.
_FRESH = 'random_init'


def of(record: Mapping[str, Any]) -> recipe_lib.Recipe:
  """The recipe of a record's network."""
  found = record['recipe']
  if isinstance(found, str):  # In records of before recipes had fields.
    return recipe_lib.Recipe(notes=found)
  return recipe_lib.Recipe.from_json(found)


def warning(records: Sequence[Mapping[str, Any]]) -> str:
  """What to say beside results of networks that were not trained alike.

  Args:
    records: of a ledger.

  Returns:
    A heading and a line for each factor that differs or is not known, or ''.
  """
  found = {}
  for record in records:
    if record['setting'] != _FRESH:
      found[record['network'], record['weights_sha256']] = of(record)
  return recipe_lib.warning(
    {_name(key, found): given for key, given in found.items()}
  )


def _name(
  key: tuple[str, str], found: Mapping[tuple[str, str], recipe_lib.Recipe]
) -> str:
  """A network's name, with what tells it from others of this name."""
  network, sha256 = key
  others = [r for k, r in found.items() if k[0] == network and k != key]
  own = found[key].configuration
  if not others:
    return network
  if own and own not in [r.configuration for r in others]:
    return f'{network} ({own})'
  return f'{network} ({sha256[:8]})'
