"""Tests cells of fixed features against scikit-learn."""

import functools
import pathlib
import shutil

import ml_collections
import numpy as np
import pytest
import sklearn.linear_model
import threadpoolctl

from tests.transfer.fixed_features import image_files
from tf_transfer import datasets, errors
from tf_transfer.transfer import estimators, metrics, result
from tf_transfer.transfer.fixed_features import (
  classifiers,
  feature_cache,
  features,
)
from tf_transfer.transfer.fixed_features import evaluate as evaluate_lib

TEST_AND_VAL = ('test', 'val')


class StubExtractor:
  """An extractor that looks the features of each split up in a table.

  Attributes:
    values: [N, D] by the split's name.
    requests: the names of the calls, in order.
    feature_dim: D.
  """

  def __init__(self, values: dict[str, np.ndarray]):
    self.values = values
    self.requests = []
    (self.feature_dim,) = {v.shape[1] for v in values.values()}

  def __call__(
    self, split: datasets.Split, name: str, out: np.ndarray | None = None
  ) -> features.Features:
    self.requests.append(name)
    values = self.values[split.name].astype(np.float32)
    if out is not None:
      out[...] = values
      values = out
    return features.Features(values, split.labels, np.arange(len(split)), (), 0)


def noisy_digits(scale: float) -> tuple[datasets.Dataset, StubExtractor]:
  """Returns digits with features that show the class, scale above noise."""
  rng = np.random.default_rng(0)
  dataset = datasets.open('digits')
  return dataset, StubExtractor(
    {
      name: rng.normal(size=(len(split), 12)) + scale * np.eye(12)[split.labels]
      for name, split in dataset.splits.items()
    }
  )


@pytest.fixture
def evaluate(config):
  """Evaluates with the default config of a setting, and changes to it."""

  def evaluate(
    extract: StubExtractor,
    dataset: datasets.Dataset,
    setting: str = 'logistic_regression',
    **changes,
  ) -> result.CellResult:
    fields = config.get(setting, ml_collections.ConfigDict())
    fields.update(changes)
    return evaluate_lib.evaluate(extract, dataset, setting, fields, 'a cell')

  return evaluate


class SklearnPath:
  """scikit-learn's logistic regressions, one for each penalty, on one set.

  They are fitted by Newton's method with conjugate gradients. In the time that
  it takes, L-BFGS is still units of logits away from the solution.
  """

  def __init__(
    self,
    values: np.ndarray,
    labels: np.ndarray,
    penalties: np.ndarray,
    start: tuple[np.ndarray, np.ndarray] | None = None,
  ):
    """Fits from the largest penalty down, each from the one before.

    Args:
      values: [N, D].
      labels: [N].
      penalties: [P].
      start: a solution to start the largest penalty from.
    """
    model = sklearn.linear_model.LogisticRegression(
      solver='newton-cg', warm_start=True, tol=1e-8, max_iter=1000
    )
    if start is not None:
      model.coef_, model.intercept_ = start
    self.solutions = {}
    # On a busy machine, more threads than one spin instead of computing.
    with threadpoolctl.threadpool_limits(1):
      for penalty in sorted(penalties, reverse=True):
        model.C = 1 / penalty
        model.fit(values, labels)
        self.solutions[penalty] = model.coef_, model.intercept_

  def score(
    self, penalty: float, values: np.ndarray, labels: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """Scores the predictions of a penalty.

    Returns:
      bool [N], which are right; and [N], the lead of the predicted class over
      the second, as a fraction of the median lead.
    """
    coefficients, intercepts = self.solutions[penalty]
    logits = values @ coefficients.T + intercepts
    ordered = np.sort(logits, axis=1)
    lead = ordered[:, -1] - ordered[:, -2]
    return logits.argmax(1) == labels, lead / np.median(lead)


@pytest.mark.parametrize(
  ('num_penalties', 'max_doubtful'),
  [
    pytest.param(5, 2, marks=pytest.mark.slow),
    pytest.param(28, 4, marks=pytest.mark.slow),
  ],
)
def test_agrees_with_scikit_learn(
  small_lite0, digits_cache, config, num_penalties, max_doubtful
):
  """The curve, the choice and the test are those of scikit-learn.

  Examples between two classes are left out: the last digits of the solution
  decide them.
  """
  config = config.logistic_regression
  config.num_penalties = num_penalties
  # Below this even scikit-learn's Newton method stops early.
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
  grid = classifiers.penalty_grid(config)
  path = SklearnPath(*train, grid)
  num_right, num_doubtful = [], []
  for penalty in grid:
    right, lead = path.score(penalty, *val)
    num_right.append(right.sum())
    num_doubtful.append(np.sum(lead < 5e-3))
  # What scikit-learn leaves to the solution turns none of the others. Doubtful
  # ones are few: if leads below the median are even, one in four hundred.
  assert max(num_doubtful) <= max_doubtful
  assert np.mean(num_doubtful) <= 5e-3 * len(val[0])
  difference = np.abs(ours.curve * len(val[0]) - num_right)
  assert (difference <= np.array(num_doubtful) + 1e-9).all()
  chosen = ours.chosen['penalty']
  assert chosen == max(grid[ours.curve == ours.curve.max()])
  assert ours.validation.value == ours.curve.max()

  train_and_val = (
    np.concatenate(pair) for pair in zip(train, val, strict=True)
  )
  refit = SklearnPath(*train_and_val, [chosen], start=path.solutions[chosen])
  right, lead = refit.score(chosen, *test)
  doubtful = lead < 5e-3
  assert doubtful.sum() <= 2
  correct = ours.predictions['correct']
  np.testing.assert_array_equal(correct[~doubtful], right[~doubtful])
  assert ours.solver['converged']
  assert not ours.solver['unconverged_penalties']
  assert correct.mean() == ours.test.value
  assert ours.predictions['digest'].shape == (len(correct), 32)
  np.testing.assert_array_equal(
    correct, ours.predictions['prediction'] == ours.predictions['label']
  )


@pytest.mark.parametrize('setting', classifiers.CLASSIFIERS)
def test_test_split_is_read_last_and_once(evaluate, setting):
  dataset, extract = noisy_digits(4)
  cell = evaluate(extract, dataset, setting)
  assert extract.requests == ['digits train', 'digits val', 'digits test']
  assert cell.validation.value == max(cell.curve)
  assert cell.test.examples == 367
  assert cell.test.value > 0.9
  assert cell.solver['converged']


@pytest.mark.parametrize('setting', classifiers.CLASSIFIERS)
def test_predictions_hold_scores_and_names(evaluate, setting):
  dataset, extract = noisy_digits(2)
  cell = evaluate(extract, dataset, setting)
  arrays, test, val = cell.predictions, *map(dataset.splits.get, TEST_AND_VAL)
  assert list(arrays['name']) == [test.describe(i) for i in range(len(test))]
  for name, split in (('scores', test), ('val_scores', val)):
    assert arrays[name].dtype == np.float16
    assert arrays[name].shape == (len(split), 10)
    assert (arrays[name].max(axis=1) == 0).all()
  predicted = arrays['prediction']
  assert (arrays['scores'][np.arange(len(test)), predicted] == 0).all()
  np.testing.assert_array_equal(arrays['val_label'], val.labels)
  # Rounding may leave several classes the best of an example.
  best = arrays['val_scores'] == 0
  is_right = best[np.arange(len(val)), val.labels]
  alone = is_right & (best.sum(axis=1) == 1)
  assert alone.mean() <= cell.validation.value <= is_right.mean()


def test_scores_are_of_the_fits_that_are_measured(evaluate, config):
  """On val before the refit, on test after it."""
  dataset, extract = noisy_digits(2)
  cell = evaluate(extract, dataset, 'ridge')
  train, val, test = (
    (extract.values[name].astype(np.float32), dataset.splits[name].labels)
    for name in ('train', 'val', 'test')
  )
  both = [np.concatenate(pair) for pair in zip(train, val, strict=True)]
  grid = np.array([cell.chosen['penalty']])
  fit = functools.partial(
    classifiers.CLASSIFIERS['ridge'].fit,
    grid=grid,
    config=config.ridge,
    num_classes=10,
  )
  for (values, labels), (seen, _), name in (
    (train, val, 'val_scores'),
    (both, test, 'scores'),
  ):
    (scores,) = fit(values, labels).scores(seen)
    np.testing.assert_allclose(
      *(cell.predictions[name], scores - scores.max(1, keepdims=True)),
      rtol=1e-3,
      atol=1e-5,
    )


@pytest.mark.parametrize('setting', classifiers.CLASSIFIERS)
def test_metric_of_the_dataset_decides(monkeypatch, evaluate, setting):
  """If all values tie, the largest penalty or number of neighbors is chosen."""
  monkeypatch.setitem(metrics.METRICS, 'top1', lambda labels, predictions: 0.5)
  dataset, extract = noisy_digits(1)
  cell = evaluate(extract, dataset, setting)
  largest = {'linear_svm': 1e2, 'nearest_neighbors': 50, 'ridge': 2.0**19}
  if classifiers.CLASSIFIERS[setting].hyperparameter is None:
    assert cell.chosen == {}
  else:
    (chosen,) = cell.chosen.values()
    assert chosen == pytest.approx(largest.get(setting, 1e5))


def test_undefined_metric(monkeypatch, evaluate):
  monkeypatch.setitem(metrics.METRICS, 'top1', lambda *_: float('nan'))
  dataset, extract = noisy_digits(1)
  with pytest.raises(errors.InputError, match='top1 on val is not defined'):
    evaluate(extract, dataset, 'ridge')


def multi_label_split(
  seed: int, count: int, name: str
) -> tuple[datasets.Split, np.ndarray]:
  """Makes a split of three classes and features [N, 8] that show them.

  A tenth of the labels is ignored.
  """
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


def test_multi_label_agrees_with_scikit_learn(evaluate):
  """Each class is fitted on its own, without the examples it ignores."""
  splits, values = {}, {}
  counts = {'train': 120, 'val': 60, 'test': 90}
  for seed, (name, count) in enumerate(counts.items()):
    splits[name], values[name] = multi_label_split(seed, count, name)
  dataset = datasets.Dataset('toy', ('a', 'b', 'c'), 'map11', splits)

  # Scores are compared; the root of the tolerance bounds their difference.
  cell = evaluate(
    StubExtractor(values), dataset, num_penalties=5, refit_tolerance=1e-12
  )
  x = np.concatenate([values['train'], values['val']])
  labels = np.concatenate([splits['train'].labels, splits['val'].labels])
  for c in range(3):
    counted = labels[:, c] != -1
    model = sklearn.linear_model.LogisticRegression(
      C=1 / cell.chosen['penalty'], tol=1e-8, max_iter=10_000
    )
    model.fit(x[counted].astype(np.float64), labels[counted, c])
    expected = model.decision_function(values['test'].astype(np.float64))
    np.testing.assert_allclose(
      cell.predictions['prediction'][:, c], expected, atol=1e-5
    )
  scores, labels = cell.predictions['prediction'], splits['test'].labels
  assert cell.test.value == metrics.map11(labels, scores)
  np.testing.assert_array_equal(cell.predictions['label'], labels)
  # The predictions are scores already; those of val stand beside them.
  assert 'scores' not in cell.predictions
  assert cell.validation.value == metrics.map11(
    cell.predictions['val_label'], cell.predictions['val_scores']
  )
  np.testing.assert_array_equal(
    cell.predictions['correct'], (scores > 0) == (labels == 1)
  )


def corrupt_photos(photos: pathlib.Path, root: pathlib.Path) -> set[str]:
  """Copies photos and cuts some in each class short; returns their paths."""
  shutil.copytree(photos, root)
  corrupt = sorted(root.glob('*/*5.*'))
  for path in corrupt:
    path.write_bytes(path.read_bytes()[:-100])
  return set(map(str, corrupt))


def extractor(net, cache: pathlib.Path, corrupt: str) -> features.Extractor:
  return features.Extractor(
    net,
    feature_cache.FeatureCache(cache, 1e9),
    features.Options(),
    corrupt=corrupt,
    batch_size=16,
  )


@pytest.mark.parametrize('setting', classifiers.CLASSIFIERS)
def test_every_classifier_names_what_is_left_out(
  evaluate, tiny_net, photos, tmp_path, setting
):
  corrupt = corrupt_photos(photos, tmp_path / 'photos')
  dataset = image_files.open_files(tmp_path / 'photos')
  extract = extractor(tiny_net, tmp_path / 'cache', 'skip')
  changes = {
    'logistic_regression': {'num_penalties': 2},
    'nearest_neighbors': {'neighbors': (1, 3)},
  }
  cell = evaluate(extract, dataset, setting, **changes.get(setting, {}))
  assert set(cell.skipped) == corrupt
  assert len(cell.skipped) == len(corrupt)


def test_all_corrupt_images_of_all_splits_are_named_at_once(
  evaluate, tiny_net, photos, tmp_path
):
  corrupt = corrupt_photos(photos, tmp_path / 'photos')
  dataset = image_files.open_files(tmp_path / 'photos')
  # Without a cache, and with one that a run with 'skip' has left.
  for _ in range(2):
    extract = extractor(tiny_net, tmp_path / 'cache', 'error')
    with pytest.raises(errors.InputError) as error:
      evaluate(extract, dataset, 'nearest_class_mean')
    text = str(error.value)
    assert text.startswith(f'{len(corrupt)} of 60 images cannot be decoded: ')
    assert sum(path in text for path in corrupt) == min(5, len(corrupt))
    assert '--config.data.corrupt=skip' in text
    skipping = extractor(tiny_net, tmp_path / 'cache', 'skip')
    evaluate(skipping, dataset, 'nearest_class_mean')


def test_estimates_are_of_train_and_val(config):
  dataset, extract = noisy_digits(3)
  calls = []

  def estimate(matrix, digests):
    # Test is not read yet.
    calls.append((matrix, digests, list(extract.requests)))
    return {'logme': estimators.Estimate(1.0, 0.0)}

  cell = evaluate_lib.evaluate(
    extract, dataset, 'ridge', config.ridge, 'a cell', estimate=estimate
  )
  plain = evaluate_lib.evaluate(
    extract, dataset, 'ridge', config.ridge, 'a cell'
  )
  ((matrix, digests, requests),) = calls
  assert requests == ['digits train', 'digits val']
  train, val = dataset.splits['train'], dataset.splits['val']
  np.testing.assert_array_equal(
    matrix.labels, np.concatenate([train.labels, val.labels])
  )
  np.testing.assert_array_equal(
    digests, np.concatenate([train.digests, val.digests])
  )
  assert cell.estimates == {'logme': estimators.Estimate(1.0, 0.0)}
  assert cell.fit_seconds > 0
  assert plain.estimates == {}
  # No number of the cell changes.
  assert (cell.test, cell.chosen) == (plain.test, plain.chosen)
