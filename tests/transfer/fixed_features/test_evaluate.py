"""A cell against scikit-learn on the same features of real weights."""

import numpy as np
import pytest
import sklearn.linear_model
import threadpoolctl
from tf_transfer.configs import base

from tf_transfer import datasets, errors
from tf_transfer.transfer import metrics
from tf_transfer.transfer.fixed_features import (
  classifiers,
  feature_cache,
  features,
)
from tf_transfer.transfer.fixed_features import evaluate as evaluate_lib


class Given:
  """An extractor that has been told the features of each split."""

  def __init__(self, values):
    self.values = values  # by the split's name
    self.asked = []
    (self.feature_dim,) = {v.shape[1] for v in values.values()}

  def __call__(self, split, name, out=None):
    self.asked.append(name)
    values = self.values[split.name].astype(np.float32)
    if out is not None:
      out[...] = values
      values = out
    return features.Features(values, split.labels, np.arange(len(split)), (), 0)


def noisy_digits(scale):
  """Features of digits that show the class, as clearly as asked for."""
  rng = np.random.default_rng(0)
  dataset = datasets.open('digits')
  return dataset, Given(
    {
      name: rng.normal(size=(len(split), 12)) + scale * np.eye(12)[split.labels]
      for name, split in dataset.splits.items()
    }
  )


def evaluate(extract, dataset, setting='logistic_regression', **changes):
  config = base.get_config()[setting]
  config.update(changes)
  return evaluate_lib.evaluate(extract, dataset, setting, config, 'a cell')


def sklearn_right(fit_on, test_on, grid):
  """By its means: of each penalty, which examples [N] are right, and how far
  each is from turning, as a part of what is usual.

  Newton's method with conjugate gradients: in the time that its L-BFGS takes,
  that is still units of logits away from the solution.
  """
  model = sklearn.linear_model.LogisticRegression(
    solver='newton-cg', warm_start=True, tol=1e-8, max_iter=1000
  )
  right, margin = {}, {}
  # More threads than one spin on a busy machine instead of computing.
  with threadpoolctl.threadpool_limits(1):
    for penalty in sorted(grid, reverse=True):
      model.C = 1 / penalty
      model.fit(*fit_on)
      logits = model.decision_function(test_on[0])
      ordered = np.sort(logits, axis=1)
      right[penalty] = logits.argmax(1) == test_on[1]
      lead = ordered[:, -1] - ordered[:, -2]
      margin[penalty] = lead / np.median(lead)
  return right, margin


@pytest.mark.parametrize(
  ('penalties', 'most'), [(5, 2), pytest.param(28, 4, marks=pytest.mark.slow)]
)
def test_agrees_with_scikit_learn(small_lite0, digits_cache, penalties, most):
  """The curve, the choice, and the test; but for examples between two classes,
  whose last digits the penalty's choice can hang on."""
  config = base.get_config().logistic_regression
  config.num_penalties = penalties
  # Below this even its Newton's method stops early.
  config.penalty_min = 1e-2
  dataset = datasets.open('digits')
  extract = features.Extractor(
    small_lite0, feature_cache.FeatureCache(digits_cache, 1e9)
  )
  ours = evaluate_lib.evaluate(
    extract, dataset, 'logistic_regression', config, 'digits'
  )
  train, val, test = (
    (split.values.astype(np.float64), split.labels)
    for split in (
      extract(dataset.splits[n], n) for n in ('train', 'val', 'test')
    )
  )
  grid = classifiers.penalties(config)
  right, margin = sklearn_right(train, val, grid)
  # What it leaves to the solution turns none of the others. Those are few: of
  # leads that lie about evenly below the median, one in four hundred.
  doubtful = np.array([np.sum(margin[p] < 5e-3) for p in grid])
  assert doubtful.max() <= most
  assert doubtful.mean() <= 5e-3 * len(val[0])
  theirs = np.array([np.sum(right[p]) for p in grid])
  found = ours.curve * len(val[0])
  assert (np.abs(found - theirs) <= doubtful + 1e-9).all()
  chosen = ours.chosen['penalty']
  assert chosen == max(grid[ours.curve == ours.curve.max()])
  assert ours.validation.value == ours.curve.max()

  together = tuple(
    np.concatenate(pair) for pair in zip(train, val, strict=True)
  )
  # From large penalties down, as it needs a start.
  right, margin = sklearn_right(together, test, grid[grid >= chosen])
  doubtful = margin[chosen] < 5e-3
  assert doubtful.sum() <= 2
  correct = ours.predictions['correct']
  np.testing.assert_array_equal(correct[~doubtful], right[chosen][~doubtful])
  assert ours.solver['converged']
  assert not ours.solver['unconverged_penalties']
  assert correct.mean() == ours.test.value
  assert ours.predictions['digest'].shape == (len(correct), 32)
  np.testing.assert_array_equal(
    correct, ours.predictions['prediction'] == ours.predictions['label']
  )


@pytest.mark.parametrize('setting', classifiers.CLASSIFIERS)
def test_test_split_is_read_last_and_once(setting):
  """The order in which the splits are asked for, and what is fitted on."""
  dataset, extract = noisy_digits(4)
  outcome = evaluate(extract, dataset, setting)
  assert extract.asked == ['digits train', 'digits val', 'digits test']
  assert outcome.validation.value == max(outcome.curve)
  assert outcome.test.examples == 367
  assert outcome.test.value > 0.9
  assert outcome.solver['converged']


@pytest.mark.parametrize('setting', classifiers.CLASSIFIERS)
def test_metric_of_the_dataset_is_the_one_that_chooses(monkeypatch, setting):
  monkeypatch.setitem(metrics.METRICS, 'top1', lambda labels, predictions: 0.5)
  dataset, extract = noisy_digits(1)
  outcome = evaluate(extract, dataset, setting)
  # All tie, so the largest penalty, or number of neighbors, is taken.
  largest = {'linear_svm': 1e2, 'nearest_neighbors': 50, 'ridge': 2.0**19}
  (chosen,) = outcome.chosen.values()
  assert chosen == pytest.approx(largest.get(setting, 1e5))


def test_undefined_metric(monkeypatch):
  monkeypatch.setitem(metrics.METRICS, 'top1', lambda *_: float('nan'))
  with pytest.raises(errors.InputError, match='top1 on val is not defined'):
    evaluate(*noisy_digits(1)[::-1], 'ridge')


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

  extract = Given({name: values for name, (_, values) in made.items()})
  # What is compared are the scores, which the root of the tolerance bounds.
  outcome = evaluate(extract, dataset, penalties=5, refit_tolerance=1e-12)
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
