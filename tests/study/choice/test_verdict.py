"""Verdicts on made-up predictions."""

import dataclasses

import numpy as np
import pytest
import scipy.stats

from tf_transfer.study.choice import types, verdict
from tf_transfer.transfer import metrics

LABELS = np.zeros(400, int)
IMAGES = verdict.Images('top1', LABELS, np.zeros(400, int))
FOLDED = verdict.Images('top1', LABELS, np.arange(400) % 5)


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


def test_the_cheapest_of_the_tied_is_recommended():
  slow, fast = network('slow', 20, 10), network('fast', 24, 19, start=4)
  bad = network('bad', 90, 100)
  decided = verdict.reach([slow, bad, fast], IMAGES)
  assert decided.best == 'slow'
  assert decided.tied == ('fast', 'slow')
  assert decided.recommended == 'fast'
  only_slow = np.sum((slow.predictions == 0) & (fast.predictions == 1))
  only_fast = np.sum((slow.predictions == 1) & (fast.predictions == 0))
  raw = scipy.stats.binomtest(int(only_slow), int(only_slow + only_fast)).pvalue
  # Holm: the largest of three p-values stays as it is.
  assert decided.p_values['fast'] == pytest.approx(raw)
  assert decided.p_values['bad'] < 1e-6
  text = ' '.join(decided.lines)
  assert text.startswith('Take Fast. On 400 images')
  assert 'right for 94.0 %' in text
  assert 'Slow is best with 95.0 %' in text
  assert 'does not tell them apart' in text
  assert '1 other network is less accurate than the best (p < 0.001)' in text
  assert 'Fast is 1.9 times as fast, and has about as many parameters' in text


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


def test_cross_validation_widens_what_cannot_be_seen():
  first, second = (
    network('a', 20, 5).predictions == 0,
    network('b', 24, 5, start=10).predictions == 0,
  )
  alone = verdict.visible_difference(first, second, IMAGES)
  # The folds' five-fold factor, 1 + 5 / 4.
  assert verdict.visible_difference(first, second, FOLDED) == pytest.approx(
    alone * 1.5, rel=1e-9
  )
  # 24 images differ: 1.96 * sqrt(24) / 400.
  assert alone == pytest.approx(1.959964 * 24**0.5 / 400)
  assert FOLDED.p_value(first, second) > 0.05


def test_a_visible_difference_is_where_p_is_five_percent():
  rng = np.random.default_rng(0)
  first = rng.random(400) < 0.8
  second = first.copy()
  second[:60] = ~second[:60]
  seen = verdict.visible_difference(first, second, FOLDED)
  difference = abs(FOLDED.value(first) - FOLDED.value(second))
  z = 1.959964 * difference / seen
  assert FOLDED.p_value(first, second) == pytest.approx(
    2 * scipy.stats.norm.sf(z), rel=1e-6
  )


def test_no_tied_network_is_behind_by_more_than_what_can_be_seen():
  """Many pairs take a lower p than 0.05: the sentence must say that."""
  rng = np.random.default_rng(0)
  found = 0
  for _ in range(40):
    correct = rng.random((9, 400)) < np.array([0.75] * 8 + [0.83])[:, None]
    decision = verdict.decide(correct, FOLDED)
    best = correct[decision.best]
    for other in decision.tied:
      gap = FOLDED.value(best) - FOLDED.value(correct[other])
      seen = verdict.visible_difference(
        best, correct[other], FOLDED, decision.level
      )
      assert gap <= seen
      found += gap > verdict.visible_difference(best, correct[other], FOLDED)
  assert found  # One test alone would have told these apart.


def test_the_level_is_that_of_holm():
  rng = np.random.default_rng(1)
  rates = np.array([0.6, 0.85, 0.86])
  correct = rng.random((3, 400)) < rates[:, None]
  # Two of the three pairs are told apart: the third is tested at 0.05.
  decision = verdict.decide(correct, FOLDED)
  assert len(decision.tied) == 2
  assert decision.level == 0.05
  # Of three equal networks' pairs none is: the next takes 0.05 / 3.
  equal = rng.random((3, 400)) < 0.8
  assert verdict.decide(equal, FOLDED).level == pytest.approx(0.05 / 3)


def test_mean_per_class_counts_classes_alike():
  labels = np.array([0] * 8 + [1] * 2)
  images = verdict.Images('mean_per_class', labels, np.zeros(10, int))
  assert images.value(labels == 0) == pytest.approx(0.5)


def test_the_winner_of_equal_guessers_is_not_better_than_chance():
  """The bias correction undoes most of the luck of the best of six."""
  rng = np.random.default_rng(0)
  reported, expected = [], []
  for _ in range(4):
    networks = []
    for i in range(6):
      predictions = (rng.random(400) < 0.5).astype(int)
      networks.append(
        dataclasses.replace(
          network(str(i), 0, 5),
          predictions=predictions,
          accuracy=metrics.measure('top1', LABELS, predictions),
        )
      )
    best = max(n.accuracy.value for n in networks)
    reported.append(best)
    measured = verdict.corrected(networks, IMAGES)
    assert measured.low < 0.5 < measured.high
    expected.append(measured.value)
  assert np.mean(reported) > 0.52
  assert abs(np.mean(expected) - 0.5) < 0.02


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
