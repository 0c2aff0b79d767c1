"""Random splits: every example in one, the same in any order."""

import hashlib

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest

from tf_transfer.datasets import splits
from tf_transfer.errors import InputError

contents = st.lists(st.binary(max_size=4), max_size=60)
seeds = st.integers(-(2**40), 2**40)
fractions = st.floats(0.01, 0.49)


def digests_for(count, start=0):
  return splits.content_digests(
    [str(i).encode() for i in range(start, start + count)]
  )


def sides(items, random_split):
  """content -> the names of the splits that it is in."""
  names = {}
  chosen = splits.train_val_test(splits.content_digests(items), random_split)
  for name, positions in chosen.items():
    for i in positions:
      names.setdefault(items[i], set()).add(name)
  return names


@hypothesis.given(contents, seeds, fractions, fractions)
def test_every_example_is_in_one_split_and_copies_are_together(
  items, seed, val, test
):
  random_split = splits.RandomSplit(seed, val, test)
  chosen = splits.train_val_test(splits.content_digests(items), random_split)
  positions_of_all = np.concatenate(list(chosen.values()))
  assert sorted(positions_of_all) == list(range(len(items)))
  assert all(len(names) == 1 for names in sides(items, random_split).values())


@hypothesis.given(contents, contents, seeds, st.randoms())
def test_other_examples_and_their_order_change_nothing(
  items, more, seed, random
):
  random_split = splits.RandomSplit(seed)
  before = sides(items, random_split)
  mixed = items + more
  random.shuffle(mixed)
  after = sides(mixed, random_split)
  assert {content: after[content] for content in items} == before


@hypothesis.given(contents, seeds, fractions, fractions)
def test_test_does_not_depend_on_the_validation_fraction(
  items, seed, one, other
):
  digests = splits.content_digests(items)
  chosen = [
    splits.train_val_test(digests, splits.RandomSplit(seed, fraction, 0.3))[
      'test'
    ]
    for fraction in (one, other)
  ]
  np.testing.assert_array_equal(*chosen)


@hypothesis.given(
  hnp.arrays(np.uint8, st.tuples(st.integers(0, 30), st.just(32))), seeds
)
def test_uniforms_are_in_the_unit_interval(digests, seed):
  number = splits.uniform_numbers(digests, seed)
  assert number.shape == (len(digests),)
  assert ((number >= 0) & (number < 1)).all()


def test_a_uniform_is_what_its_definition_says():
  digest = hashlib.sha256(b'content').digest()
  bits = int(hashlib.sha256(b'7:' + digest).hexdigest()[:16], 16)
  result = splits.uniform_numbers(splits.content_digests([b'content']), 7)
  assert result[0] == (bits >> 11) / 2**53


def test_shares_are_the_fractions_within_four_standard_errors():
  count = 20_000
  digests = digests_for(count)
  chosen = splits.train_val_test(digests, splits.RandomSplit(3, 0.1, 0.25))
  for name, share in (('train', 0.65), ('val', 0.1), ('test', 0.25)):
    error = 4 * np.sqrt(share * (1 - share) / count)
    assert abs(len(chosen[name]) / count - share) < error
  held_out = splits.train_val(digests, 3, 1 / 6)
  error = 4 * np.sqrt(5 / 36 / count)
  assert abs(len(held_out['val']) / count - 1 / 6) < error
  assert len(held_out['val']) + len(held_out['train']) == count


def test_seeds_draw_independently():
  digests = digests_for(20_000)
  one, other = (splits.uniform_numbers(digests, seed) for seed in (0, 1))
  assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(20_000)


def test_occurs_in():
  result = splits.occurs_in(digests_for(5), digests_for(4, start=3))
  np.testing.assert_array_equal(result, [False, False, False, True, True])
  assert splits.occurs_in(digests_for(0), digests_for(2)).shape == (0,)


@hypothesis.given(
  st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=1)), max_size=30),
  st.randoms(),
)
def test_sort_order_does_not_depend_on_the_given_order(rows, random):
  def ordered(rows):
    labels = np.array([label for label, _ in rows], int)
    digests = splits.content_digests([content for _, content in rows])
    order = splits.sort_order(labels, digests)
    return labels[order].tolist(), digests[order].tobytes()

  shuffled = list(rows)
  random.shuffle(shuffled)
  assert ordered(rows) == ordered(shuffled)
  assert ordered(rows)[0] == sorted(label for label, _ in rows)


def test_names_decide_between_copies():
  digests = splits.content_digests([b'same', b'same', b'other'])
  order = splits.sort_order(np.zeros(3, int), digests, ['b', 'a', 'c'])
  assert list(order).index(1) < list(order).index(0)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'seed': 0.5}, 'seed: expected an integer'),
    ({'seed': True}, 'seed: expected an integer'),
    ({'val_fraction': 0}, 'val_fraction: expected a number above 0'),
    ({'val_fraction': '0.2'}, 'val_fraction: expected a number'),
    ({'test_fraction': 1.0}, 'test_fraction: expected a number'),
    ({'test_fraction': float('nan')}, 'test_fraction: expected a number'),
    ({'val_fraction': 0.5, 'test_fraction': 0.5}, 'sum must be below 1'),
  ],
)
def test_draws_that_make_no_sense(fields, message):
  with pytest.raises(InputError, match=message):
    splits.RandomSplit(**fields)


@hypothesis.given(
  contents=st.sets(st.binary(max_size=8), min_size=1, max_size=30),
  seed=st.integers(0, 5),
  count=st.integers(0, 31),
  data=st.data(),
)
def test_lowest_draws_so_many_whatever_the_order(contents, seed, count, data):
  contents = sorted(contents)
  shuffled = data.draw(st.permutations(contents))
  drawn = []
  for order in (contents, shuffled):
    digests = splits.content_digests(order)
    mask = splits.draw_lowest(digests, seed, count)
    assert mask.sum() == min(count, len(contents))
    drawn.append({c for c, m in zip(order, mask, strict=True) if m})
  assert drawn[0] == drawn[1]
  more = splits.draw_lowest(splits.content_digests(contents), seed, count + 1)
  assert drawn[0] <= {c for c, m in zip(contents, more, strict=True) if m}


def test_lowest_of_each_class():
  digests = splits.content_digests([bytes([i]) for i in range(60)])
  labels = np.arange(60) % 7
  drawn = splits.draw_lowest(digests, 0, 3, labels)
  assert np.bincount(labels[drawn]).tolist() == [3] * 7
  for label in range(7):
    alone = splits.draw_lowest(digests[labels == label], 0, 3)
    np.testing.assert_array_equal(drawn[labels == label], alone)
