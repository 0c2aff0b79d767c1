import dataclasses

import hypothesis
import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import strategies

from tests.study.analysis.tables import make_table
from tf_transfer.networks import recipe
from tf_transfer.study.analysis import (
  accuracy_table,
  correlations,
  evidence,
  statistics,
)
from tf_transfer.study.paper import numbers

FAMILIES = ('Inception',) * 4 + ('ResNet',) * 3 + ('DenseNet',) * 2 + ('a',)


def studied(families=FAMILIES, datasets=4, **errors):
  """Makes a table of ten networks whose r is about 0.7."""
  generator = np.random.default_rng(11)
  x = generator.normal(size=10)
  y = x[:, None] + generator.normal(size=(10, 1))
  y = y + 0.7 * generator.normal(size=(10, datasets))
  return make_table(
    scipy.special.expit(x), scipy.special.expit(y), families, **errors
  )


def sides(table):
  return statistics.log_odds(table.imagenet_top1), table.log_odds


def half_width(z, ways):
  """By loops: the widest of each way's interval and that of their sum."""
  parts = [
    (len(way) - 1, (len(way) - 1) / len(way) * sum((w - z) ** 2 for w in way))
    for way in ways
  ]
  total = sum(v for _, v in parts)
  parts.append((total**2 / sum(v**2 / d for d, v in parts), total))
  return max(scipy.stats.t.ppf(0.975, d) * v**0.5 for d, v in parts)


def test_intervals_by_loops_over_what_is_left_out():
  table = studied()
  result = evidence.from_table(table)
  x, y = sides(table)

  def z(rows, columns):
    return np.arctanh(np.corrcoef(x[rows], y[rows][:, columns].mean(1))[0, 1])

  families = np.array(FAMILIES)
  rows, columns = np.arange(10), np.arange(4)
  by_network = [z(rows != i, columns) for i in rows]
  by_family = [z(families != f, columns) for f in dict.fromkeys(FAMILIES)]
  by_dataset = [z(rows, columns != i) for i in columns]
  whole = z(rows, columns)
  for over, ways in (
    (evidence.FAMILIES, [by_family]),
    (evidence.NETWORKS_AND_DATASETS, [by_network, by_dataset]),
    (evidence.FAMILIES_AND_DATASETS, [by_family, by_dataset]),
  ):
    one, half = result.interval(over), half_width(whole, ways)
    assert (one.low, one.high) == pytest.approx(
      tuple(np.tanh([whole - half, whole + half]))
    )
  assert result.without['ResNet'] == pytest.approx(np.tanh(by_family[1]))


def test_the_papers_random_initialization_is_not_shown_over_families():
  table = accuracy_table.build(numbers.records(), 'random_init')
  result = evidence.from_table(table)
  assert result.r == pytest.approx(0.542, abs=0.0005)
  signs = {one.over: one.sign for one in result.intervals}
  assert signs == {
    evidence.NETWORKS: 1,
    evidence.FAMILIES: 0,
    evidence.NETWORKS_AND_DATASETS: 1,
    evidence.FAMILIES_AND_DATASETS: 0,
  }
  assert round(min(result.without.values()), 2) == 0.44
  assert round(max(result.without.values()), 2) == 0.76


def test_without_errors_the_network_interval_is_the_bootstraps():
  table = studied()
  x, y = sides(table)
  expected = correlations.correlation(x, y.mean(axis=1))
  one = evidence.from_table(table).interval(evidence.NETWORKS)
  assert (one.low, one.high) == (expected.low, expected.high)


def test_errors_widen_every_interval_and_change_no_sign():
  plain = evidence.from_table(studied())
  noisy = evidence.from_table(
    studied(top1_error=np.full(10, 0.05), run_error=np.full((10, 4), 0.5))
  )
  assert noisy.r == plain.r
  assert noisy.attenuation.factor < 0.99
  for one, other in zip(plain.intervals, noisy.intervals, strict=True):
    assert (one.over, one.sign) == (other.over, other.sign)
    assert other.low <= one.low
    assert other.high >= one.high
    assert other != one


def test_families_of_one_network_and_few_datasets_have_no_interval_apart():
  alone = evidence.from_table(studied(families=None, datasets=2))
  assert alone.are_independent
  assert [one.over for one in alone.intervals] == [evidence.NETWORKS]
  two = evidence.from_table(studied(['a'] * 5 + ['b'] * 5))
  assert [one.over for one in two.intervals] == [
    evidence.NETWORKS,
    evidence.NETWORKS_AND_DATASETS,
  ]
  assert set(two.without) == {'a', 'b'}
  one = evidence.from_table(studied(['a'] * 10))
  assert one.without == {}


def test_three_networks_have_no_interval():
  table = studied().select_networks(np.arange(10) < 3)
  assert evidence.from_table(table).intervals == ()


def test_recipes_are_looked_at_where_they_are_given():
  table = studied()
  assert evidence.from_table(table).given_recipe is None
  plain = recipe.Recipe(True, False, False, False, 'imagenet')
  smooth = dataclasses.replace(plain, label_smoothing=True)
  given = evidence.from_table(table, [plain, smooth] * 5).given_recipe
  assert given.num_recipes == 2
  assert given.within.low < given.within.r < given.within.high


@hypothesis.given(seed=strategies.integers(0, 2**32 - 1))
def test_evidence_does_not_depend_on_order(seed):
  table = studied()
  generator = np.random.default_rng(seed)
  rows, columns = generator.permutation(10), generator.permutation(4)
  other = dataclasses.replace(
    table,
    networks=tuple(table.networks[i] for i in rows),
    families=tuple(table.families[i] for i in rows),
    imagenet_top1=table.imagenet_top1[rows],
    accuracy=table.accuracy[rows],
  ).select_datasets([table.datasets[i] for i in columns])
  first, second = (
    evidence.from_table(one, resamples=20) for one in (table, other)
  )
  assert second.without == pytest.approx(first.without)
  for one, two in zip(first.intervals[1:], second.intervals[1:], strict=True):
    assert dataclasses.astuple(two) == pytest.approx(dataclasses.astuple(one))
