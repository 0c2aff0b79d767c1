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


# Contents, the class of each, and the group of each.
grouped = st.lists(
  st.tuples(st.integers(0, 40), st.sampled_from('abcd'), st.integers(0, 20)),
  max_size=80,
)


def arrays_of(items, has_groups):
  """Contents, labels and groups; identical contents are of one group."""
  contents = [str(content).encode() for content, _, _ in items]
  group_of = dict(zip(contents, (group for *_, group in items), strict=True))
  labels = np.array(['abcd'.index(label) for _, label, _ in items], int)
  groups = np.array([group_of[content] for content in contents], int)
  digests = splits.content_digests(contents)
  return digests, labels, groups if has_groups else None


def parts_of(chosen):
  """The name of each example's part [N]; each is in exactly one."""
  positions = np.concatenate(list(chosen.values()))
  assert sorted(positions.tolist()) == list(range(len(positions)))
  names = np.empty(len(positions), object)
  for name, members in chosen.items():
    assert np.all(np.diff(members) > 0)
    names[members] = name
  return names


def assert_whole(digests, groups, parts):
  """Contents and groups are in one part each."""
  keys = [row.tobytes() for row in digests]
  for key_list in (keys, keys if groups is None else groups.tolist()):
    part_of = {}
    for key, part in zip(key_list, parts, strict=True):
      assert part_of.setdefault(key, part) == part


@hypothesis.given(grouped, st.booleans(), seeds, fractions, fractions)
def test_a_stratified_draw_keeps_groups_whole(
  items, has_groups, seed, val, test
):
  digests, labels, groups = arrays_of(items, has_groups)
  random_split = splits.RandomSplit(seed, val, test)
  chosen = splits.stratified(digests, labels, groups, random_split)
  assert_whole(digests, groups, parts_of(chosen))
  chosen = splits.stratified_val(digests, labels, groups, seed, val)
  assert_whole(digests, groups, parts_of(chosen))


@hypothesis.given(
  grouped, st.booleans(), seeds, st.randoms(), st.permutations(range(4))
)
def test_order_and_names_of_classes_change_no_stratified_draw(
  items, has_groups, seed, random, renamed
):
  digests, labels, groups = arrays_of(items, has_groups)
  # Classes of the same contents are told apart by their names alone.
  contents = {
    label: sorted(row.tobytes() for row in digests[labels == label])
    for label in set(labels.tolist())
  }
  hypothesis.assume(
    len({b','.join(x) for x in contents.values()}) == len(contents)
  )
  order = list(range(len(items)))
  random.shuffle(order)
  others = (
    digests[order],
    np.array(renamed)[labels[order]],
    None if groups is None else 1000 - groups[order],
  )
  random_split = splits.RandomSplit(seed)
  before = parts_of(splits.stratified(digests, labels, groups, random_split))
  after = parts_of(splits.stratified(*others, random_split))
  assert np.array_equal(before[order], after)
  before = splits.assign_folds(digests, labels, groups, 3, seed)
  assert np.array_equal(before[order], splits.assign_folds(*others, 3, seed))


@hypothesis.given(st.integers(1, 40), st.integers(1, 40), seeds)
def test_each_class_is_tested_by_its_share(few, many, seed):
  digests, labels = digests_for(few + many), np.repeat([0, 1], [few, many])
  chosen = splits.stratified(digests, labels, None, splits.RandomSplit(seed))
  for label, count in enumerate([few, many]):
    sizes = {
      name: int((labels[positions] == label).sum())
      for name, positions in chosen.items()
    }
    assert abs(sizes['test'] - 0.2 * count) <= 0.5 or count in (1, 2)
    assert sizes['test'] >= (count >= 2)
    assert sizes['val'] >= (count >= 3)
    assert sizes['train'] >= 1
    if count == 20:
      assert sizes == {'train': 12, 'val': 4, 'test': 4}


@hypothesis.given(seeds)
def test_no_class_of_20_has_fewer_than_3_test_images(seed):
  # The old draw leaves a class of 20 with fewer in 1 of 5 draws.
  digests, labels = digests_for(2000), np.repeat(np.arange(100), 20)
  chosen = splits.stratified(digests, labels, None, splits.RandomSplit(seed))
  assert np.bincount(labels[chosen['test']], minlength=100).min() >= 3
  old = splits.train_val_test(digests, splits.RandomSplit(seed))
  assert np.bincount(labels[old['test']], minlength=100).min() < 3


@hypothesis.given(grouped, seeds, fractions, fractions)
def test_a_stratified_test_does_not_depend_on_the_validation_fraction(
  items, seed, one, other
):
  tests = [
    splits.stratified(
      *arrays_of(items, True), splits.RandomSplit(seed, fraction, 0.3)
    )['test'].tolist()
    for fraction in (one, other)
  ]
  assert tests[0] == tests[1]


def test_a_large_group_is_passed_over_while_others_remain():
  digests, labels = digests_for(30), np.zeros(30, int)
  groups = np.array([100] * 15 + list(range(15)))
  for seed in range(20):
    chosen = splits.stratified(
      digests, labels, groups, splits.RandomSplit(seed)
    )
    assert len(chosen['test']) == len(chosen['val']) == 6
    assert set(range(15)) <= set(chosen['train'].tolist())


def test_a_class_of_two_groups_tests_the_smaller():
  digests, labels = digests_for(10), np.zeros(10, int)
  groups = np.repeat([0, 1], [7, 3])
  chosen = splits.stratified(digests, labels, groups, splits.RandomSplit(0))
  sizes = {name: len(positions) for name, positions in chosen.items()}
  assert sizes == {'train': 7, 'val': 0, 'test': 3}


@hypothesis.given(grouped, st.booleans(), st.integers(1, 6), seeds)
def test_folds_keep_groups_whole(items, has_groups, num_folds, seed):
  digests, labels, groups = arrays_of(items, has_groups)
  folds = splits.assign_folds(digests, labels, groups, num_folds, seed)
  assert folds.shape == (len(items),)
  assert np.all((folds >= 0) & (folds < num_folds))
  assert_whole(digests, groups, folds)


@hypothesis.given(
  st.lists(st.integers(1, 30), min_size=1, max_size=6),
  st.integers(2, 7),
  seeds,
)
def test_folds_are_balanced_by_class_and_in_total(counts, num_folds, seed):
  labels = np.repeat(np.arange(len(counts)), counts)
  folds = splits.assign_folds(
    digests_for(len(labels)), labels, None, num_folds, seed
  )
  totals = np.bincount(folds, minlength=num_folds)
  assert np.ptp(totals) <= 1
  for label in range(len(counts)):
    sizes = np.bincount(folds[labels == label], minlength=num_folds)
    assert np.ptp(sizes) <= 1


def test_folds_and_draws_differ_by_seed():
  digests, labels = digests_for(100), np.zeros(100, int)
  folds = [splits.assign_folds(digests, labels, None, 5, s) for s in (0, 1)]
  assert np.mean(folds[0] == folds[1]) < 0.5


@pytest.mark.parametrize('seed', range(20))
def test_a_class_that_is_the_smaller_part_of_each_group_is_drawn(seed):
  """Patients with five images of healthy tissue, one in four with two of ill.

  By the most frequent class of each, a draw in five had no ill one in test.
  """
  ill = [2 if patient % 4 == 0 else 0 for patient in range(24)]
  labels = np.concatenate([[0] * 5 + [1] * count for count in ill])
  groups = np.repeat(np.arange(24), [5 + count for count in ill])
  digests = digests_for(len(labels), start=1000 * seed)
  drawn = splits.stratified(
    digests, labels, groups, splits.RandomSplit(seed=seed)
  )
  counts = {name: int(labels[rows].sum()) for name, rows in drawn.items()}
  assert counts == {'train': 8, 'val': 2, 'test': 2}
  folds = splits.assign_folds(digests, labels, groups, 5, seed)
  ill_in_fold = np.bincount(folds[labels == 1], minlength=5)
  assert sorted(ill_in_fold) == [2, 2, 2, 2, 4]
