"""Tells whether the networks of records were pretrained alike."""

from collections.abc import Mapping, Sequence

from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.study.analysis import accuracy_table
from tf_transfer.transfer import settings

_HASH_LETTERS = 8


def uses_weights(record: accuracy_table.Record) -> bool:
  """Returns whether a record's network began with pretrained weights."""
  setting = settings.SETTINGS.get(record['setting'])
  return setting is None or setting.needs_weights


def from_record(record: accuracy_table.Record) -> recipe_lib.Recipe:
  """Returns the recipe by which a record's network was pretrained."""
  recipe = record['recipe']
  if isinstance(recipe, str):  # Before recipes had fields they were a text.
    return recipe_lib.Recipe(notes=recipe)
  return recipe_lib.Recipe.from_json(recipe)


def of_networks(
  records: Sequence[accuracy_table.Record],
  setting: str,
  networks: Sequence[str],
) -> list[recipe_lib.Recipe] | None:
  """Returns the recipes of networks of a table.

  Args:
    records: from which the table was built, of all settings: where one of them
      has several weights of a network, its label has the hash in each.
    setting: of the table.
    networks: of the table.

  Returns:
    A recipe each; None where they have no effect, since the setting starts from
    random values, or where the records tell of none.
  """
  own = [record for record in records if record['setting'] == setting]
  if not all(uses_weights(record) and 'recipe' in record for record in own):
    return None
  by_name = {
    name: from_record(record)
    for record, (name, *_) in zip(
      records, accuracy_table.cell_names(records), strict=True
    )
    if record['setting'] == setting
  }
  return [by_name[name] for name in networks]


def warning(records: Sequence[accuracy_table.Record]) -> str:
  """Returns a warning where networks were not pretrained alike.

  Args:
    records: of a ledger.

  Returns:
    A heading and a line for each factor that differs or is not known, or ''.
  """
  recipes = {
    (record['network'], record['weights_sha256']): from_record(record)
    for record in records
    if uses_weights(record)
  }
  return recipe_lib.warning(
    {_label(key, recipes): recipe for key, recipe in recipes.items()}
  )


def _label(
  key: tuple[str, str],
  recipes: Mapping[tuple[str, str], recipe_lib.Recipe],
) -> str:
  """Returns a network's name, and what tells it from others of this name."""
  network, sha256 = key
  others = [r for k, r in recipes.items() if k[0] == network and k != key]
  configuration = recipes[key].configuration
  if not others:
    return network
  if configuration and configuration not in [r.configuration for r in others]:
    return f'{network} ({configuration})'
  return f'{network} ({sha256[:_HASH_LETTERS]})'
