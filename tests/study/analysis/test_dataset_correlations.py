import itertools

import numpy as np
import pytest
import scipy.stats

from tests.study.analysis.table_records import record
from tf_transfer.study.analysis import dataset_correlations, paired_tests
from tf_transfer.study.paper import numbers


@pytest.fixture(scope='module')
def papers():
  return dataset_correlations.by_dataset(numbers.records(), 'random_init')


def test_the_papers_small_and_large_datasets():
  """Section 4.6 prints 0.29 and 0.86."""
  small, large = dataset_correlations.by_size(numbers.records(), 'random_init')
  found = [
    (one.name, one.num_datasets, round(one.r.over_networks.r, 2))
    for one in (small, large)
  ]
  assert found == [('small', 7, 0.29), ('large', 5, 0.86)]
  # Families of networks leave much less certain.
  assert large.r.over_families.low < large.r.over_networks.low
  assert small.p > 0.05 > large.p


def test_each_dataset(papers):
  assert len(papers) == 12
  by_name = {one.name: one for one in papers}
  records = [
    r
    for r in numbers.records()
    if (r['setting'], r['dataset']) == ('random_init', 'cars')
  ]
  x, y = (
    scipy.special.logit(values)
    for values in (
      [r['imagenet_top1'] for r in records],
      [r['test']['value'] for r in records],
    )
  )
  r = scipy.stats.pearsonr(x, y)
  cars = by_name['cars']
  assert cars.r.over_networks.r == pytest.approx(r.statistic)
  # Student's p is that of normal values; the permutation's is near.
  assert cars.p == pytest.approx(r.pvalue, abs=0.02)
  assert cars.num_images == 8144
  np.testing.assert_allclose(
    [one.holm for one in papers],
    paired_tests.holm([one.p for one in papers]),
  )


def test_permutations_of_few_networks_are_counted():
  x, y = np.array([1.0, 2, 3, 5]), np.array([1.0, 3, 2, 4])
  observed = abs(np.corrcoef(x, y)[0, 1])
  as_large = [
    abs(np.corrcoef(x[list(order)], y)[0, 1]) >= observed - 1e-12
    for order in itertools.permutations(range(4))
  ]
  assert dataset_correlations.permutation_p(x, y) == pytest.approx(
    np.mean(as_large)
  )


def test_size_of_the_permutation_test():
  generator = np.random.default_rng(0)
  p = [
    dataset_correlations.permutation_p(*generator.normal(size=(2, 6)))
    for _ in range(200)
  ]
  # Three standard errors of 200 draws are 4.6 %.
  assert np.mean(np.array(p) <= 0.05) <= 0.096


def test_number_of_training_images():
  count = dataset_correlations.num_training_images
  assert count({'dataset': 'pets'}) == 3680
  assert count({'dataset': 'folder:/x'}) is None
  assert count({'dataset': 'digits'}) is None
  few = {'dataset': 'pets', 'examples_per_class': 4, 'num_classes': 37}
  assert count(few) == 148


def made(setting, slope, networks='abcdef', dataset='pets'):
  return [
    record(
      name,
      dataset,
      0.5 + slope * i / 50 + 0.01 * (i % 2),
      setting,
      imagenet_top1=0.6 + i / 50,
    )
    for i, name in enumerate(networks)
  ]


def test_too_few_networks_have_no_row():
  assert not dataset_correlations.by_dataset(made('ridge', 1, 'ab'), 'ridge')
  assert not dataset_correlations.by_size(made('ridge', 1), 'ridge')


def test_settings_are_compared_on_the_same_cells():
  records = [
    *made('fine_tuned', 1),
    *made('fine_tuned', 1, dataset='dtd'),
    *reversed(made('random_init', 0.1, 'abcdefg')),
  ]
  (one,) = dataset_correlations.between_settings(records)
  assert one.settings == ('fine_tuned', 'random_init')
  assert one.datasets == ('pets',)
  assert one.change.num_networks == 6
  x, first, second = (
    scipy.special.logit(values)
    for values in (
      [r['imagenet_top1'] for r in made('fine_tuned', 1)],
      [r['test']['value'] for r in made('fine_tuned', 1)],
      [r['test']['value'] for r in made('random_init', 0.1)],
    )
  )
  assert one.change.first == pytest.approx(np.corrcoef(x, first)[0, 1])
  assert one.change.second == pytest.approx(np.corrcoef(x, second)[0, 1])


def test_the_papers_settings():
  """Random initialization differs, but not beyond what families may do."""
  changes = {
    one.settings: one.change
    for one in dataset_correlations.between_settings(numbers.records())
  }
  change = changes['fine_tuned', 'random_init']
  assert change.p < 0.001
  assert change.low > 0
  assert change.family_low < 0 < change.family_high
