from tests.study.report.table_records import PLAIN, record
from tf_transfer.networks import recipe
from tf_transfer.study.analysis import accuracy_table, recipes
from tf_transfer.study.report import text_table

FIXED = 'logistic_regression'


def test_warning_of_networks_that_were_not_trained_alike():
  smooth = recipe.Recipe(True, True, False, None, 'imagenet')
  records = [
    record('a', 0.7, 0.9),
    record('b', 0.8, 0.9, recipe=smooth.to_json()),
    record('a', 0.7, 0.9, dataset='pets'),
  ]
  warning = recipes.warning(records)
  assert text_table.render(records).endswith(warning)
  assert 'were not trained alike' in warning.splitlines()[0]
  assert warning.splitlines()[1:] == [
    '  label smoothing: without: a; with: b',
    '  auxiliary head: without: a; not known: b',
  ]
  assert recipes.warning(records[::2]) == ''
  fresh = [{**r, 'setting': 'random_init'} for r in records]
  assert recipes.warning(fresh) == ''
  # The same network with two weights, one from before recipes had fields.
  old = record('a', 0.7, 0.9, weights_sha256='1234567890', recipe='a sentence')
  warning = recipes.warning([records[0], old])
  assert 'BN scale: with: a (C5); not known: a (12345678)' in warning
  unknown = [{**r, 'recipe': 'a sentence'} for r in records]
  warning = recipes.warning(unknown)
  assert 'it is not known whether' in warning.splitlines()[0]
  assert '  dropout: not known of any' in warning.splitlines()
  again = {**records[0], 'weights_sha256': '987654321'}
  assert recipes.warning([records[0], again]) == ''
  assert 'with: a (sha of a), a (98765432); not known: a (12345678)' in (
    recipes.warning([records[0], again, old])
  )


def test_a_recipe_from_before_recipes_had_fields_is_a_note():
  old = record('a', 0.7, 0.9, recipe='a sentence')
  assert recipes.from_record(old) == recipe.Recipe(notes='a sentence')
  new = record('a', 0.7, 0.9)
  assert recipes.from_record(new).to_json() == new['recipe']


def test_recipes_of_the_networks_of_a_table():
  smooth = recipe.Recipe(True, True, False, None, 'imagenet')
  records = [
    record('a', 0.7, 0.9),
    record('b', 0.8, 0.9, recipe=smooth.to_json()),
    record('a', 0.7, 0.9, recipe='a sentence', weights_sha256='1234567890'),
  ]
  table = accuracy_table.build(records, FIXED)
  assert table.networks == ('a (sha of)', 'b', 'a (123456)')
  assert recipes.of_networks(records, FIXED, table.networks) == [
    PLAIN,
    smooth,
    recipe.Recipe(notes='a sentence'),
  ]
  assert recipes.of_networks(records, FIXED, ['b']) == [smooth]
  fresh = [{**one, 'setting': 'random_init'} for one in records]
  assert recipes.of_networks(fresh, 'random_init', ['b']) is None
  del records[0]['recipe']
  assert recipes.of_networks(records, FIXED, ['b']) is None


def test_recipes_where_only_another_setting_has_several_weights():
  records = [
    record('a', 0.7, 0.9),
    record('a', 0.7, 0.9, weights_sha256='1234567890'),
    record('a', 0.7, 0.9, setting='fine_tuned'),
  ]
  table = accuracy_table.build(records, 'fine_tuned')
  assert table.networks == ('a (sha of)',)
  assert recipes.of_networks(records, 'fine_tuned', table.networks) == [PLAIN]


def test_random_values_owe_nothing_to_a_recipe():
  assert recipes.uses_weights(record('a', 0.7, 0.9, setting='fine_tuned'))
  assert not recipes.uses_weights(record('a', 0.7, 0.9, setting='random_init'))
