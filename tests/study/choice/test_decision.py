"""Decisions among networks, from where they are right."""

import itertools

import numpy as np
import pytest
import scipy.stats

from tf_transfer.study.analysis import paired_tests
from tf_transfer.study.choice import decision
from tf_transfer.transfer import cross_validation, metrics

LABELS = np.zeros(400, int)
IMAGES = decision.Images('top1', LABELS, np.zeros(400, int))
FOLDED = decision.Images('top1', LABELS, np.arange(400) % 5)


def wrong_on(*ranges):
  """Networks that are wrong on these images of 400, bool [M, 400]."""
  correct = np.ones((len(ranges), 400), bool)
  for row, (start, stop) in zip(correct, ranges, strict=True):
    row[start:stop] = False
  return correct


def test_the_cheapest_within_one_standard_error_is_recommended():
  # 30, 15, 13 and 10 wrong, on images of their own. Below the best by 20, 5, 3
  # images; one standard error is the root of 40, 25, 23: 6.3, 5 and 4.8.
  correct = wrong_on((0, 30), (30, 45), (45, 58), (60, 70))
  decided = decision.decide(correct, IMAGES)
  assert decided.best == 3
  # The smallest of six p-values.
  p = 6 * scipy.stats.binomtest(10, 40).pvalue
  assert decided.p_values[0] == pytest.approx(p)
  assert decided.tied == (1, 2, 3)
  np.testing.assert_allclose(decided.differences * 400, [20, 5, 3, 0])
  np.testing.assert_allclose(
    (decided.standard_errors * 400) ** 2, [40, 25, 23, 0], atol=1e-9
  )
  # Five of five is within it.
  assert decided.recommended == 1


def test_a_tied_network_beyond_one_standard_error_is_not_recommended():
  # 20 and 10 wrong: 10 images below, and the root of 30 is 5.5.
  correct = wrong_on((0, 20), (20, 30))
  decided = decision.decide(correct, IMAGES)
  p = scipy.stats.binomtest(10, 30).pvalue
  assert decided.p_values == pytest.approx([p, 1])
  assert p > 0.05
  assert decided.tied == (0, 1)
  assert decided.recommended == decided.best == 1


def test_cross_validation_raises_the_standard_error():
  # Of five folds the variance is 2.25 times as large. Nine images below are
  # more than 1.5 * sqrt(29) = 8.1, seven less than 1.5 * sqrt(27) = 7.8.
  for num_wrong, recommended in ((19, 1), (17, 0)):
    correct = wrong_on((0, num_wrong), (20, 30))
    decided = decision.decide(correct, FOLDED)
    assert decided.standard_errors[0] * 400 == pytest.approx(
      1.5 * (num_wrong + 10) ** 0.5
    )
    assert decided.recommended == recommended
    # On val alone both are more than one standard error below.
    assert decision.decide(correct, IMAGES).recommended == 1


def test_of_mean_per_class_an_image_of_a_small_class_counts_more():
  labels = np.repeat([0, 1], [90, 10])
  images = decision.Images('mean_per_class', labels, np.zeros(100, int))
  correct = np.ones((3, 100), bool)
  correct[0, 98:] = False  # 2 of 10
  correct[1, :9] = False  # 9 of 90
  pairs = decision.compare(correct, images)
  assert pairs.values == pytest.approx([0.9, 0.95, 1])
  # An image of the small class counts 1 / 20, one of the large 1 / 180.
  assert pairs.standard_errors[0, 2] == pytest.approx(2**0.5 / 20)
  assert pairs.standard_errors[1, 2] == pytest.approx(9**0.5 / 180)
  assert pairs.standard_errors[0, 1] == pytest.approx(
    (2 / 20**2 + 9 / 180**2) ** 0.5
  )
  decided = decision.decide(correct, images)
  # 0.1 and 0.05 below; 0.071 and 0.017 are the standard errors.
  assert decided.tied[0] == 0
  assert decided.recommended == 2
  top1 = decision.Images('top1', labels, np.zeros(100, int))
  # Two images of a hundred, and a standard error of 1.4.
  assert decision.decide(correct[[0, 2]], top1).recommended == 1


def test_networks_that_are_right_on_the_same_images():
  for metric in ('top1', 'mean_per_class'):
    for folds in (np.zeros(400, int), np.arange(400) % 5):
      labels = np.arange(400) % 7
      images = decision.Images(metric, labels, folds)
      decided = decision.decide(wrong_on((3, 50), (3, 50), (3, 50)), images)
      assert decided.best == decided.recommended == 0
      assert decided.tied == (0, 1, 2)
      assert not decided.standard_errors.any()
      assert decided.p_values.tolist() == [1, 1, 1]


def one_by_one(correct, images):
  """Decides with a test for each pair: best, tied, recommended, p-values."""
  scores = [
    metrics.example_scores(images.metric, images.labels, row) for row in correct
  ]
  values = np.round([s.sum() for s in scores], 12)
  best = int(np.argmax(values))
  have_folds = len(np.unique(images.folds)) > 1
  factor = cross_validation.variance_factor(images.folds) if have_folds else 1.0
  pairs = list(itertools.combinations(range(len(correct)), 2))
  p_values = []
  for i, j in pairs:
    arguments = images.metric, images.labels, correct[i], correct[j]
    if have_folds:
      p_values.append(cross_validation.paired_p(*arguments, images.folds))
    else:
      p_values.append(paired_tests.compare(*arguments))
  adjusted = dict(zip(pairs, paired_tests.holm(p_values), strict=True))
  p_values = np.array(
    [
      1.0 if i == best else adjusted[min(i, best), max(i, best)]
      for i in range(len(correct))
    ]
  )
  tied = tuple(np.flatnonzero(p_values > 0.05).tolist())
  for i in tied:
    error = (factor * np.sum((scores[best] - scores[i]) ** 2)) ** 0.5
    if values[best] - values[i] <= error + 1e-12:
      return best, tied, i, p_values
  raise AssertionError


@pytest.mark.parametrize(
  ('metric', 'num_folds', 'cases'),
  [
    ('top1', 1, 60),
    ('top1', 4, 60),
    ('mean_per_class', 4, 60),
    ('mean_per_class', 1, 3),
  ],
)
def test_all_pairs_at_once_decide_as_one_after_another(
  metric, num_folds, cases
):
  rng = np.random.default_rng(0)
  recommended = set()
  for _ in range(cases):
    count = int(rng.integers(20, 300))
    labels = rng.integers(4, size=count)
    images = decision.Images(metric, labels, np.arange(count) % num_folds)
    rates = rng.uniform(0.5, 0.95, 6 if cases > 9 else 3)
    correct = rng.random(count) < rates[:, None]
    correct[-1] = correct[0]  # Two that are right on the same images.
    best, tied, chosen, p_values = one_by_one(correct, images)
    decided = decision.decide(correct, images)
    assert (decided.best, decided.tied) == (best, tied)
    assert decided.recommended == chosen
    np.testing.assert_allclose(decided.p_values, p_values, rtol=1e-9)
    recommended.add((chosen == best, chosen == tied[0]))
  if cases > 9:
    assert recommended == {
      (False, False),
      (False, True),
      (True, False),
      (True, True),
    }


def test_cross_validation_widens_what_cannot_be_seen():
  correct = wrong_on((0, 20), (10, 34))
  alone = decision.decide(correct, IMAGES).standard_errors[1]
  folded = decision.decide(correct, FOLDED).standard_errors[1]
  # The folds' five-fold factor, 1 + 5 / 4.
  assert folded == pytest.approx(1.5 * alone, rel=1e-9)
  # 24 images differ: 1.96 * sqrt(24) / 400.
  assert decision.visible_difference(alone) == pytest.approx(
    1.959964 * 24**0.5 / 400
  )


def test_a_visible_difference_is_where_p_is_five_percent():
  rng = np.random.default_rng(0)
  first = rng.random(400) < 0.8
  second = first.copy()
  second[:60] = ~second[:60]
  pairs = decision.compare(np.array([first, second]), FOLDED)
  seen = decision.visible_difference(pairs.standard_errors[0, 1])
  z = 1.959964 * abs(pairs.values[0] - pairs.values[1]) / seen
  assert pairs.p_values[0, 1] == pytest.approx(
    2 * scipy.stats.norm.sf(z), rel=1e-6
  )


def test_no_tied_network_is_behind_by_more_than_what_can_be_seen():
  """Many pairs take a lower p than 0.05: the sentence must say that."""
  rng = np.random.default_rng(0)
  beyond_one_test = 0
  for _ in range(40):
    correct = rng.random((9, 400)) < np.array([0.75] * 8 + [0.83])[:, None]
    decided = decision.decide(correct, FOLDED)
    for other in decided.tied:
      error = decided.standard_errors[other]
      below = decided.differences[other]
      assert below <= decision.visible_difference(error, decided.level)
      beyond_one_test += below > decision.visible_difference(error)
  assert beyond_one_test  # One test alone would have told these apart.


def test_the_level_is_that_of_holm():
  rng = np.random.default_rng(1)
  rates = np.array([0.6, 0.85, 0.86])
  correct = rng.random((3, 400)) < rates[:, None]
  # Two of the three pairs are told apart: the third is tested at 0.05.
  decided = decision.decide(correct, FOLDED)
  assert len(decided.tied) == 2
  assert decided.level == 0.05
  # Of three equal networks' pairs none is: the next takes 0.05 / 3.
  equal = rng.random((3, 400)) < 0.8
  assert decision.decide(equal, FOLDED).level == pytest.approx(0.05 / 3)


def test_the_winner_of_equal_guessers_is_not_better_than_chance():
  """The bias correction undoes most of the luck of the best of six."""
  rng = np.random.default_rng(0)
  reported, expected = [], []
  for _ in range(4):
    correct = rng.random((6, 400)) < 0.5
    reported.append(correct.mean(axis=1).max())
    measured = decision.measure_choice(correct, IMAGES, None)
    assert measured.low < 0.5 < measured.high
    expected.append(measured.value)
  assert np.mean(reported) > 0.52
  assert abs(np.mean(expected) - 0.5) < 0.02


def test_near_duplicates_are_drawn_together():
  """Forty images, each ten times: their luck is not that of 400 images."""
  rng = np.random.default_rng(0)
  correct = np.repeat(rng.random((6, 40)) < 0.5, 10, axis=1)
  groups = np.repeat(np.arange(40), 10)
  single = decision.measure_choice(correct, IMAGES, None)
  grouped = decision.measure_choice(correct, IMAGES, groups)
  best = correct.mean(axis=1).max()
  assert best > 0.55
  # Drawn singly, a copy of nearly every image is in the resample.
  assert single.value > best - 0.01
  assert grouped.value < best - 0.03
  assert grouped.high - grouped.low > 2 * (single.high - single.low)
  # Other numbers for the same groups, and a group for each image.
  again = decision.measure_choice(correct, IMAGES, 7 * groups + 3)
  assert again == grouped
  own = decision.measure_choice(correct, IMAGES, np.arange(400))
  assert own == single


def test_too_few_groups_cannot_be_measured():
  correct = wrong_on((0, 10), (10, 30))
  images = decision.Images('top1', LABELS, np.arange(400) % 2)
  groups = images.folds  # Both are drawn, and none is left out; or one fold.
  assert decision.measure_choice(correct, images, groups) is None


def test_pairs_of_many_networks_are_not_tested_one_after_another(monkeypatch):
  """Forty networks have 780 pairs in each of 500 resamples: a minute."""

  def fail(*_, **__):
    raise AssertionError

  monkeypatch.setattr(paired_tests, 'compare', fail)
  monkeypatch.setattr(cross_validation, 'paired_p', fail)
  rng = np.random.default_rng(0)
  labels = np.arange(150) % 7
  for metric in ('top1', 'mean_per_class'):
    images = decision.Images(metric, labels, np.arange(150) % 5)
    correct = rng.random((40, 150)) < np.linspace(0.8, 0.95, 40)[:, None]
    measured = decision.measure_choice(correct, images, None)
    assert 0.8 < measured.value < 1
