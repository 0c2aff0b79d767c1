"""Tests of recipes: the configurations, their text, and the warning."""

import pytest

from tf_transfer.networks import recipe


def test_the_five_configurations_are_the_papers():
  """Each switches one factor more off, as figure 3 says below its axis."""
  signs = {
    name: ''.join('-+'[v] for v in factors.values())
    for name, factors in recipe.CONFIGURATIONS.items()
  }
  assert list(recipe.FACTORS) == [
    *('bn_scale', 'label_smoothing', 'dropout', 'auxiliary_head')
  ]
  assert signs == {
    'C1': '-+++',
    'C2': '++++',
    'C3': '+-++',
    'C4': '+--+',
    'C5': '+---',
  }
  for name, factors in recipe.CONFIGURATIONS.items():
    assert recipe.Recipe(**factors).configuration == name


def test_round_trip_and_words():
  given = recipe.Recipe(
    *(True, False, None, False),
    trained_on='digits',
    notes='drop path',
    details={'steps': 3},
  )
  assert recipe.Recipe.from_json(given.to_json()) == given
  assert str(given) == (
    'with BN scale; without label smoothing, auxiliary head; not known '
    'dropout; drop path'
  )
  assert str(recipe.Recipe(**recipe.CONFIGURATIONS['C5'])) == (
    'C5: with BN scale; without label smoothing, dropout, auxiliary head'
  )
  with pytest.raises(ValueError, match='dropout: expected true'):
    recipe.Recipe(dropout=0.2)


def test_warning():
  plain = recipe.Recipe(True, False, False, False, 'imagenet')
  assert recipe.warning({'a': plain}) == ''
  assert recipe.warning({'a': plain, 'b': plain}) == ''
  other = recipe.Recipe(False, False, False, False, 'digits')
  assert recipe.warning({'a': plain, 'b': other, 'c': plain}).splitlines()[
    1:
  ] == [
    '  BN scale: with: a, c; without: b',
    '  trained on: imagenet: a, c; digits: b',
  ]
  # Nothing differs, and nothing is known.
  unknown = {'a': recipe.UNKNOWN, 'b': recipe.UNKNOWN}
  heading, *lines = recipe.warning(unknown).splitlines()
  assert 'not known whether these networks were trained alike' in heading
  assert '  dropout: not known of any' in lines
  # Nothing is known of one: whether they differ is not known either.
  some = recipe.warning({'a': plain, 'b': recipe.UNKNOWN})
  assert 'not known whether' in some
  assert '  dropout: without: a; not known: b' in some


def test_ingredients_of_today():
  """They are named and warned of where one recipe tells of them."""
  plain = recipe.Recipe(True, False, False, False, 'imagenet')
  mixed = recipe.Recipe(
    *(True, False, False, False, 'imagenet'), mixup=True, ema=False
  )
  assert str(mixed) == (
    'C5: with BN scale, mixup; without label smoothing, dropout, auxiliary '
    'head, averaged weights'
  )
  lines = recipe.warning({'a': plain, 'b': mixed}).splitlines()[1:]
  assert lines == [
    '  mixup: not known: a; with: b',
    '  CutMix: not known of any',
    '  binary cross-entropy: not known of any',
    '  averaged weights: not known: a; without: b',
    '  distillation: not known of any',
  ]


def test_what_is_stated():
  stated = recipe.Recipe(
    bn_scale=True, mixup=False, trained_on='imagenet', epochs=90, notes='x'
  ).stated
  assert stated == ('trained_on', 'bn_scale', 'mixup', 'epochs')
  assert recipe.UNKNOWN.stated == ()
