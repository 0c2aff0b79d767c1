"""Tests the curve of accuracy over the number of training images."""

import numpy as np
import pytest
import scipy.optimize

from tf_transfer.configs import base
from tf_transfer.datasets import splits
from tf_transfer.study.choice import learning_curve


def gaussians(count, num_classes=3, dim=8, spread=1.2, seed=0):
  """Features, labels and digests of overlapping classes."""
  rng = np.random.default_rng(seed)
  labels = np.arange(count) % num_classes
  centers = rng.normal(size=(num_classes, dim))
  values = centers[labels] + spread * rng.normal(size=(count, dim))
  digests = splits.content_digests(str(i).encode() for i in range(count))
  return values.astype(np.float32), labels.astype(np.int32), digests


def compute(values, labels, digests, **options):
  fields = {'groups': None, 'metric': 'top1', 'num_classes': 3, **options}
  folds = splits.assign_folds(digests, labels, fields['groups'], 5, 0)
  return learning_curve.compute(
    network='tiny',
    values=values,
    labels=labels,
    digests=digests,
    folds=folds,
    # Ridge regression compiles nothing.
    setting='ridge',
    hyperparameter=1.0,
    config=base.get_config().ridge,
    **fields,
  )


@pytest.fixture(scope='module')
def curve():
  return compute(*gaussians(300))


def test_points_are_of_nested_shares(curve):
  assert [point.examples for point in curve.points] == [30, 60, 120, 240]
  assert [len(point.accuracies) for point in curve.points] == [2, 2, 1, 1]
  assert curve.points[0].accuracies[0] != curve.points[0].accuracies[1]
  means = [np.mean(point.accuracies) for point in curve.points]
  assert means[-1] > means[0]


def test_curve_goes_on_to_four_times_the_images(curve):
  assert curve.examples[0] == 30
  assert curve.examples[-1] == 1200
  assert (np.diff(curve.examples) > 0).all()
  assert (np.diff(curve.fitted) >= 0).all()
  assert (curve.low <= curve.fitted).all()
  assert (curve.fitted <= curve.high).all()
  assert (curve.low >= 0).all()
  assert (curve.high <= 1).all()
  widths = curve.high - curve.low
  assert widths[-1] > widths[np.searchsorted(curve.examples, 240)]
  assert curve.lines[0].startswith('With twice as many images (600) ')
  assert len(curve.lines) == 2


def test_last_point_is_the_accuracy_of_the_folds(curve):
  """With all of the other folds, each image is predicted once."""
  values, labels, digests = gaussians(300)
  folds = splits.assign_folds(digests, labels, None, 5, 0)
  fit = learning_curve._Fit(
    values,
    labels,
    3,
    'ridge',
    1.0,
    base.get_config().ridge,
  )
  right = 0
  for fold in range(5):
    others, own = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
    right += (fit.predict(others, own) == labels[own]).sum()
  assert curve.points[-1].accuracies == pytest.approx((right / 300,))


def test_noise_gives_no_gain():
  values, labels, digests = gaussians(300)
  labels = np.random.default_rng(1).integers(0, 3, 300).astype(np.int32)
  curve = compute(values, labels, digests)
  assert 'do not tell this from no gain' in curve.lines[0]
  assert abs(curve.fitted[-1] - 1 / 3) < 0.1


@pytest.mark.parametrize('metric', ['top1', 'mean_per_class'])
def test_classes_that_are_too_small_for_the_smallest_share(metric):
  values, labels, digests = gaussians(40)
  curve = compute(values, labels, digests, metric=metric)
  for point in curve.points:
    assert 3 <= point.examples <= 32


def test_too_few_images_for_a_curve():
  curve = compute(*gaussians(4, num_classes=2), num_classes=2)
  assert [point.examples for point in curve.points] == [2, 3]
  assert curve.lines == (
    'Too few images for a learning curve: it takes 3 sizes, and 2 could be '
    'tried.',
  )
  assert len(curve.examples) == len(curve.fitted) == 0


def test_val_is_predicted_by_parts_of_train():
  values, labels, digests = gaussians(300)
  curve = learning_curve.compute(
    network='tiny',
    values=values,
    labels=labels,
    digests=digests,
    groups=None,
    folds=(np.arange(300) >= 240).astype(int),
    num_classes=3,
    metric='top1',
    setting='nearest_class_mean',
    hyperparameter=0.0,
    config=base.get_config().ridge,
    held_out=[1],
  )
  assert [point.examples for point in curve.points] == [30, 60, 120, 240]


def test_evaluation_on_one_fold():
  values, labels, digests = gaussians(300)
  curve = compute(values, labels, digests, held_out=[0])
  assert [point.examples for point in curve.points] == [30, 60, 120, 240]
  assert len(curve.examples) > 0
  assert learning_curve.num_fits(5) == 30


def test_fit_is_that_of_scipy():
  """For each exponent, nonnegative least squares; then the best exponent."""
  rng = np.random.default_rng(0)
  sizes, grid = np.array([50.0, 100, 200, 400]), np.array([400.0, 800, 1600])
  for _ in range(20):
    errors = np.sort(rng.uniform(0, 0.6, 4))[::-1] + rng.normal(0, 0.05, 4)
    errors = errors.clip(0.001)
    weights = rng.uniform(100, 5000, 4)
    fitted = learning_curve._fit_curves(
      sizes, errors[None], weights, np.array([0.5]), grid
    )
    best = None
    for exponent in learning_curve._EXPONENTS:
      design = np.stack([np.ones(4), sizes**-exponent], axis=1)
      scale = np.sqrt(weights)
      solution, residual = scipy.optimize.nnls(
        design * scale[:, None], errors * scale
      )
      loss = residual**2 + ((exponent - 0.5) / 0.3) ** 2
      if best is None or loss < best[0]:
        best = loss, solution[0] + solution[1] * grid**-exponent
    np.testing.assert_allclose(fitted[0], best[1].clip(0, 1), atol=1e-6)


def fits_of_a_power_law(rng, count, errors):
  """Draws where predictions of four shares of `count` images were right."""
  difficulty = rng.random(count)
  fits = []
  for (share, num_draws), error in zip(
    learning_curve._SHARES, errors, strict=True
  ):
    rights = []
    for _ in range(num_draws):
      own = np.where(rng.random(count) < 0.7, difficulty, rng.random(count))
      rights.append((own > error).astype(float))
    fits.append(
      learning_curve._Fits(
        round(share * count * 0.8),
        np.tile(np.arange(count), num_draws),
        np.concatenate(rights),
        np.repeat(np.arange(num_draws), count),
        tuple(right.mean() for right in rights),
      )
    )
  return fits


def test_interval_holds_the_truth_of_a_power_law(monkeypatch):
  monkeypatch.setattr(learning_curve, '_NUM_RESAMPLES', 100)
  rng = np.random.default_rng(0)
  count, held = 400, np.zeros(2)
  sizes = np.array([count * 0.8 * share for share, _ in learning_curve._SHARES])
  for _ in range(30):
    fits = fits_of_a_power_law(rng, count, 0.05 + 1.5 * sizes**-0.5)
    curve = learning_curve._build(
      'tiny', fits, np.zeros(count, int), None, count
    )
    for i, factor in enumerate((2, 4)):
      at = np.searchsorted(curve.examples, factor * count)
      truth = 1 - 0.05 - 1.5 * (factor * count) ** -0.5
      held[i] += curve.low[at] <= truth <= curve.high[at]
  assert (held >= 26).all()
