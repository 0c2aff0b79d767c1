"""Verdicts on made-up predictions."""

import dataclasses

import numpy as np
import pytest
import scipy.stats

from tf_transfer.study.choice import decision, types, verdict
from tf_transfer.transfer import metrics

LABELS = np.zeros(400, int)
IMAGES = decision.Images('top1', LABELS, np.zeros(400, int))
FOLDED = decision.Images('top1', LABELS, np.arange(400) % 5)


def network(name, num_wrong, speed, start=0, parameters=1000):
  """A candidate that is wrong on num_wrong images from start on."""
  predictions = np.zeros(400, int)
  predictions[start : start + num_wrong] = 1
  return types.Candidate(
    network=name,
    title=name.title(),
    weights=name,
    weights_sha256='',
    accuracy=metrics.measure('top1', LABELS, predictions),
    predictions=predictions,
    scores=np.zeros((400, 2), np.float16),
    chosen={},
    converged=True,
    cost=types.Cost(parameters, 1e9, {1: speed / 2, 32: speed}, 10, 1.0),
    estimates={},
  )


def said(*networks, images=IMAGES):
  """The verdict on networks, and its sentences in one text."""
  decided = verdict.reach(networks, images)
  return decided, ' '.join(decided.lines)


def test_the_cheapest_near_the_best_is_recommended():
  slow, fast = network('slow', 20, 10), network('fast', 22, 19, start=4)
  bad = network('bad', 90, 100)
  decided, text = said(slow, bad, fast)
  assert decided.best == 'slow'
  assert decided.tied == ('fast', 'slow')
  assert decided.recommended == 'fast'
  # Slow alone is wrong on 4 images, Fast alone on 6: 2 below, root of 10.
  raw = scipy.stats.binomtest(4, 10).pvalue
  # Holm: the largest of three p-values stays as it is.
  assert decided.p_values['fast'] == pytest.approx(raw)
  assert decided.p_values['bad'] < 1e-6
  assert text.startswith('Take Fast. On 400 images')
  assert 'right for 94.5 %' in text
  assert (
    'Slow is best with 95.0 %. Fast is the cheapest within one standard error '
    'of it: it was 0.5 points lower, and the standard error of the difference '
    'is 0.8 points. The test does not tell them apart (p = 0.75): a difference '
    'below 1.5 points between them cannot be seen with 400 images. '
    '1 other network is less accurate than the best (p < 0.001). '
    'Fast is 1.9 times as fast as Slow, and has about as many parameters. '
    'Where accuracy counts more than cost, take Slow.'
  ) in text


def test_a_tied_network_too_far_below_the_best_is_named():
  """The cheapest of the tied was recommended before."""
  # 10 images below, and the root of 30 is 5.5.
  slow, fast = network('slow', 10, 10), network('fast', 20, 19, start=10)
  decided, text = said(slow, fast)
  assert decided.tied == ('fast', 'slow')
  assert decided.recommended == decided.best == 'slow'
  assert text.endswith(
    'It is the most accurate; the test does not tell it from Fast (p = 0.099): '
    'a difference below 2.7 points between them cannot be seen with 400 '
    'images. Fast is 1.9 times as fast as Slow, and the test does not tell it '
    'from the best either, but it was 2.5 points lower than the best, more '
    'than one standard error of the difference (1.4 points).'
  )


def test_cheaper_networks_too_far_below_the_best_are_named():
  decided, text = said(
    network('a', 20, 40, start=100),
    network('b', 21, 25, start=200),
    network('c', 14, 10, start=300),
    network('d', 10, 5),
    network('e', 13, 2, start=380),
  )
  assert decided.tied == ('a', 'b', 'c', 'd', 'e')
  assert (decided.recommended, decided.best) == ('c', 'd')
  assert 'C is the cheapest within one standard error of it' in text
  assert 'does not tell E from the best either; it is no cheaper.' in text
  assert (
    'A and B are cheaper than C, and the test does not tell them from the best '
    'either, but each was lower than the best by more than one standard error '
    'of the difference: A, which is 4.0 times as fast as C, by 2.5 points '
    '(standard error 1.4).'
  ) in text


def test_a_cheaper_network_may_be_as_fast():
  slow = network('slow', 10, 10, parameters=2000)
  fast = network('fast', 20, 10, start=10)
  decided, text = said(slow, fast)
  assert decided.recommended == 'slow'
  assert 'Fast is about as fast as Slow, and the test' in text


def test_the_best_may_be_the_cheapest_of_several():
  decided, text = said(
    network('a', 10, 50),
    network('b', 12, 20, start=100),
    network('c', 20, 10, start=200),
  )
  assert decided.recommended == decided.best == 'a'
  assert (
    'It is the most accurate, and the cheapest of those that the test does not '
    'tell from it: B and C (the smallest p = 0.3): differences below 2.8 to '
    '3.3 points from it, depending on the network, cannot be seen with 400 '
    'images.'
  ) in text


def test_parameters_are_compared_either_way():
  best = network('best', 10, 5, parameters=1000)
  for parameters, words in (
    (400, '2.5 times fewer parameters'),
    (2500, '2.5 times as many parameters'),
    (1020, 'about as many parameters'),
  ):
    fast = network('fast', 11, 50, start=20, parameters=parameters)
    _, text = said(best, fast)
    assert f'Fast is 10.0 times as fast as Best, and has {words}.' in text


def test_a_mean_over_classes_is_called_so():
  labels = np.repeat([0, 1], [360, 40])
  images = decision.Images('mean_per_class', labels, np.zeros(400, int))
  slow, fast = network('slow', 0, 10), network('fast', 0, 20)
  slow = dataclasses.replace(slow, predictions=labels.copy())
  fast = dataclasses.replace(fast, predictions=labels.copy())
  # Of the small class 4 of 40: 5 points below, and 2 / 80 the standard error.
  fast.predictions[-4:] = 0
  decided, text = said(slow, fast, images=images)
  assert decided.tied == ('fast', 'slow')
  assert decided.recommended == 'slow'
  assert 'as the mean over classes' in text
  assert '5.0 points lower than the best, more than one standard error' in text
  assert '(2.5 points)' in text


def test_decimals_show_which_is_larger():
  made = decision.Decision(
    1, 1, (0, 1), np.ones(2), np.array([0.0131, 0]), np.array([0.0128, 0]), 0.05
  )
  assert verdict._below(made, 0) == ('1.31', '1.28')


def test_of_networks_of_about_one_speed_the_one_with_fewest_operations():
  def costs(name, speed, flops):
    one = network(name, 20, speed)
    return dataclasses.replace(
      one, cost=dataclasses.replace(one.cost, flops=flops)
    )

  ordered = verdict.by_cost(
    [costs('a', 100, 3e9), costs('b', 91, 1e9), costs('c', 89, 0.5e9)]
  )
  assert [one.network for one in ordered] == ['b', 'a', 'c']


def test_nothing_is_tied():
  decided = verdict.reach(
    [network('a', 10, 5), network('b', 90, 50), network('c', 120, 70)], IMAGES
  )
  assert decided.tied == ('a',)
  assert decided.recommended == 'a'
  assert 'the test tells it from each of the 2 others' in ' '.join(
    decided.lines
  )


def test_one_network_alone():
  decided = verdict.reach([network('a', 10, 5)], IMAGES)
  assert decided.recommended == decided.best == 'a'
  assert decided.p_values == {}
  assert 'nothing is compared' in decided.lines[-1]


def test_of_equal_networks_the_cheapest_is_best():
  equal = [network('a', 10, 5), network('b', 10, 5, parameters=10)]
  decided = verdict.reach(equal, IMAGES)
  assert decided.best == decided.recommended == 'b'
  assert decided.tied == ('b', 'a')
  assert 'right on the same images' in ' '.join(decided.lines)


def test_the_choice_is_measured_from_the_cheapest_on():
  networks = [network('slow', 20, 10), network('fast', 22, 19, start=4)]
  correct = np.array([n.predictions == LABELS for n in networks[::-1]])
  for groups in (None, np.arange(400) // 4):
    measured = verdict.measure_choice(networks, FOLDED, groups)
    assert measured == decision.measure_choice(correct, FOLDED, groups)


def test_sentences_on_test_and_on_the_correction():
  decided = verdict.reach([network('a', 10, 5), network('b', 12, 4)], IMAGES)
  tested = verdict.add_test(
    decided, metrics.Measurement(0.9, 0.85, 0.94, 120), 'test of mine'
  )
  assert tested.lines[-1] == (
    'On 120 images kept aside (test of mine), which no choice has looked at, '
    'it is right for 90.0 % (85.0 to 94.0 %).'
  )
  corrected = verdict.add_correction(
    decided, metrics.Measurement(0.9, 0.85, 0.94, 120), 0.93
  )
  assert (
    'expects 90.0 % (85.0 to 94.0 %) in place of 93.0 %'
    in (corrected.lines[-1])
  )


def test_groups_too_few_for_a_correction_are_said():
  decided = verdict.reach([network('a', 10, 5), network('b', 12, 4)], FOLDED)
  corrected = verdict.add_correction(decided, None, 0.93)
  assert 'which flatters it; there are too few groups' in corrected.lines[-1]


def test_a_choice_by_folds_says_how_to_get_a_network():
  decided = verdict.reach([network('a', 10, 5)], FOLDED)
  line = verdict.add_export(decided).lines[-1]
  assert 'each fold has its own' in line
  assert '--config.data.folds=0' in line


def test_a_network_alone_is_not_flattered_by_a_choice():
  alone = verdict.reach([network('a', 10, 5)], FOLDED)
  measured = metrics.Measurement(0.9, 0.8, 0.95, 400)
  assert verdict.add_correction(alone, measured, 0.975) == alone


def test_a_ranking_by_estimate_claims_no_accuracy():
  estimates = {
    'a': types.Estimate(0.1, 1.0),
    'b': types.Estimate(0.3, 1.0),
    'c': types.Estimate(float('nan'), 0.0, 'it has no head'),
  }
  titles = {'a': 'A', 'b': 'B', 'c': 'C'}
  decided = verdict.by_estimate(estimates, titles, 'LogME')
  assert decided.recommended == 'b'
  assert 'LogME ranks it first of 2 networks' in decided.lines[1]
  assert 'no test says' in decided.lines[1]
  assert verdict.by_estimate({'c': estimates['c']}, titles, 'LogME') is None
