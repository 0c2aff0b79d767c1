"""Checks results on disk, and what is chosen of them."""

import json

import pytest

from tests.transfer.training import searches
from tf_transfer.transfer.training import search_results


def test_damaged_results_are_searched_again(tmp_path, caplog):
  path = tmp_path / 'trials.json'
  assert search_results.read_results(path, 'a') == {}
  trials = {'0': trial_result(30, {30: (0.5, 0.6)})}
  path.write_text(json.dumps({'identity': 'a', 'trials': trials}))
  assert search_results.read_results(path, 'a') == trials
  assert search_results.read_results(path, 'b') == {}
  assert not caplog.text


@pytest.mark.parametrize(
  'content',
  [
    *('{"identity"', '[]', '{}', '7', '[' * 100_000, '\x00'),
    *('{"identity": "a"}', '{"identity": "a", "trials": []}'),
    *('{"identity": "a", "trials": {"0": {}}}',),
    '{"identity": "a", "trials": {"zero": {}}}',
  ],
)
def test_any_other_content_is_searched_again(tmp_path, caplog, content):
  path = tmp_path / 'trials.json'
  path.write_text(content)
  assert search_results.read_results(path, 'a') == {}
  assert f'{path}: ' in caplog.text
  assert 'searched again' in caplog.text


def trial_result(steps, scores, diverged=None):
  """Returns a trial's result, with scores on val by step in two views."""
  return {
    'learning_rate': 0.1,
    'weight_decay': 0.0,
    'steps': steps,
    'diverged': diverged,
    'losses': [1.0],
    'evaluations': [
      {
        'step': step,
        'views': {'whole_image': {'value': whole}, 'central': {'value': crop}},
      }
      for step, (whole, crop) in scores.items()
    ],
    'group': [0, 1, 2, 3],
  }


@pytest.fixture
def results_by_trial():
  return {
    0: trial_result(30, {10: (0.5, 0.4), 30: (0.6, 0.7)}),
    1: trial_result(30, {10: (0.9, 0.8), 30: (0.7, 0.7)}),
    2: trial_result(9, {9: (1.0, 1.0)}),
    3: trial_result(15, {10: (1.0, 1.0)}, diverged=15),
  }


@pytest.mark.parametrize(
  ('changes', 'expected'),
  [
    # Of equals the first trial; those that did not reach the end do not count.
    ({}, (0, 30, 'central')),
    (
      {'early_stopping': True, 'evaluate_every': 10},
      (1, 10, 'whole_image'),
    ),
  ],
)
def test_choice(tmp_path, tiny_net, results_by_trial, changes, expected):
  search = searches.build_search(tiny_net, tmp_path, **changes)
  results = search_results.TrialResults(search)
  assert search_results.choose(search, results) is None
  results.by_trial.update(results_by_trial)
  choice = search_results.choose(search, results)
  assert (choice.number, choice.step, choice.view) == expected


def test_results_are_read_again(tmp_path, tiny_net, results_by_trial):
  search = searches.build_search(tiny_net, tmp_path)
  results = search_results.TrialResults(search)
  results.by_trial.update(results_by_trial)
  results.write()
  results = search_results.TrialResults(search)
  assert results.by_trial == results_by_trial
  assert [results.has_reached(n, 20) for n in range(5)] == [
    *(True, True, False, True, False)
  ]
  assert results.scores(0) == {10: 0.5, 30: 0.7}
  assert results.record(2)['validation'] == {}
  assert results.record(3)['validation'] == {}
  record = results.record(0)
  assert record['validation']['central'] == {'value': 0.7}
  assert 'group' not in record


def test_halving_that_keeps_only_trials_that_diverge(tmp_path, tiny_net):
  search = searches.build_search(
    tiny_net, tmp_path, search='both', halving_first=0.3, halving_keep=0.4
  )
  results = search_results.TrialResults(search)
  results.by_trial[0] = trial_result(9, {9: (0.9, 0.9)}, diverged=15)
  results.by_trial[1] = trial_result(30, {9: (0.1, 0.1), 30: (0.8, 0.8)})
  report = search_results.halving_report(search, results)
  assert report.endswith('and kept only trials that diverge')
