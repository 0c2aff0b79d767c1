"""A cell against scikit-learn on the same features of real weights."""

import numpy as np
import pytest
import sklearn.linear_model
import threadpoolctl

from configs import logistic_regression
from tf_transfer import datasets
from tf_transfer.transfer import features, fixed_features, metrics


def test_grid_is_the_papers():
  grid = fixed_features.penalties(
    logistic_regression.get_config().logistic_regression
  )
  assert len(grid) == 45
  np.testing.assert_allclose(grid[[0, -1]], [1e-6, 1e5])
  np.testing.assert_allclose(np.diff(np.log10(grid)), 0.25)


def sklearn_cell(splits, grid):
  """Chosen penalty, validation curve and test accuracy, all by its means."""
  train, val, test = splits
  model = sklearn.linear_model.LogisticRegression(
    warm_start=True, tol=1e-6, max_iter=100_000
  )
  curve = {}
  # More threads than one spin on a busy machine instead of computing.
  with threadpoolctl.threadpool_limits(1):
    for penalty in sorted(grid, reverse=True):
      model.C = 1 / penalty
      model.fit(train.values.astype(np.float64), train.labels)
      curve[penalty] = model.score(val.values, val.labels)
    best = max(curve.values())
    chosen = max(p for p, value in curve.items() if value == best)
    both = features.concatenate(train, val)
    model.C = 1 / chosen
    model.fit(both.values.astype(np.float64), both.labels)
  return chosen, curve, model.score(test.values, test.labels)


@pytest.mark.parametrize(
  'penalties', [8, pytest.param(45, marks=pytest.mark.slow)]
)
def test_agrees_with_scikit_learn(small_lite0, digits_cache, penalties):
  config = logistic_regression.get_config().logistic_regression
  config.penalties = penalties
  dataset = datasets.open('digits')
  extract = features.Extractor(small_lite0, digits_cache)
  ours = fixed_features.evaluate(extract, dataset, config, 'digits')
  splits = [extract(dataset.splits[n], n) for n in ('train', 'val', 'test')]
  chosen, curve, accuracy = sklearn_cell(
    splits, fixed_features.penalties(config)
  )
  assert ours.chosen['penalty'] == chosen
  assert ours.test.value == pytest.approx(accuracy, abs=1e-12)
  assert ours.validation.value == pytest.approx(curve[chosen], abs=1e-12)
  assert ours.solver['converged']
  assert not ours.solver['unconverged_penalties']
  correct = ours.predictions['correct']
  assert correct.mean() == ours.test.value
  assert ours.predictions['digest'].shape == (len(correct), 32)
  np.testing.assert_array_equal(
    correct, ours.predictions['prediction'] == ours.predictions['label']
  )


def test_test_split_is_read_last_and_once():
  """The order in which the splits are asked for, and what is fitted on."""
  rng = np.random.default_rng(0)
  asked = []

  def extract(split, name):
    asked.append(name)
    labels = split.labels
    values = rng.normal(size=(len(labels), 12)) + 3 * np.eye(12)[labels]
    return features.Features(
      values.astype(np.float32), labels, np.arange(len(labels)), (), 0
    )

  config = logistic_regression.get_config().logistic_regression
  config.penalties = 3
  outcome = fixed_features.evaluate(
    extract, datasets.open('digits'), config, 'digits'
  )
  assert asked == ['digits train', 'digits val', 'digits test']
  assert len(outcome.curve) == 3
  assert outcome.validation.value == max(outcome.curve)
  assert outcome.test.examples == 367


def test_metric_of_the_dataset_is_the_one_that_chooses(monkeypatch):
  monkeypatch.setitem(metrics.METRICS, 'top1', lambda labels, predictions: 0.5)
  rng = np.random.default_rng(0)

  def extract(split, name):
    labels = split.labels
    values = rng.normal(size=(len(labels), 12)) + np.eye(12)[labels]
    return features.Features(
      values.astype(np.float32), labels, np.arange(len(labels)), (), 0
    )

  config = logistic_regression.get_config().logistic_regression
  config.penalties = 3
  outcome = fixed_features.evaluate(
    extract, datasets.open('digits'), config, 'digits'
  )
  # All tie, so the largest penalty is taken.
  assert outcome.chosen['penalty'] == pytest.approx(1e5)


def several_labels(seed, count, name):
  """Features in which three classes show, and difficult labels among them."""
  rng = np.random.default_rng(seed)
  labels = rng.choice([-1, 0, 1], (count, 3), p=[0.1, 0.6, 0.3])
  values = rng.normal(size=(count, 8)) + (labels == 1) @ np.eye(3, 8)
  split = datasets.Split(
    name=name,
    labels=labels,
    digests=rng.integers(0, 256, (count, 32)),
    read=lambda i: np.zeros((1, 1, 3), np.uint8),
    describe=str,
  )
  return split, values.astype(np.float32)


def test_several_labels_against_scikit_learn():
  """Each class on its own, without the examples where it is difficult."""
  made = {
    name: several_labels(seed, count, name)
    for seed, (name, count) in enumerate(
      {'train': 120, 'val': 60, 'test': 90}.items()
    )
  }
  splits = {name: split for name, (split, _) in made.items()}
  dataset = datasets.Dataset('toy', ('a', 'b', 'c'), 'map11', splits)

  def extract(split, _):
    return features.Features(
      made[split.name][1], split.labels, np.arange(len(split)), (), 0
    )

  config = logistic_regression.get_config().logistic_regression
  config.penalties = 5
  # What is compared are the scores, which the root of this bounds.
  config.tolerance = 1e-12
  outcome = fixed_features.evaluate(extract, dataset, config, 'toy')
  values = np.concatenate([made['train'][1], made['val'][1]])
  labels = np.concatenate([splits['train'].labels, splits['val'].labels])
  for c in range(3):
    counted = labels[:, c] != -1
    model = sklearn.linear_model.LogisticRegression(
      C=1 / outcome.chosen['penalty'], tol=1e-8, max_iter=10_000
    )
    model.fit(values[counted].astype(np.float64), labels[counted, c])
    expected = model.decision_function(made['test'][1].astype(np.float64))
    np.testing.assert_allclose(
      outcome.predictions['prediction'][:, c], expected, atol=1e-5
    )
  scores, labels = outcome.predictions['prediction'], splits['test'].labels
  assert outcome.test.value == metrics.map11(labels, scores)
  np.testing.assert_array_equal(outcome.predictions['label'], labels)
  np.testing.assert_array_equal(
    outcome.predictions['correct'], (scores > 0) == (labels == 1)
  )
