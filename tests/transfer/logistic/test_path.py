"""The regularization path against references and worked examples."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from tests.transfer.logistic import reference
from tf_transfer.errors import InputError
from tf_transfer.runtime import devices
from tf_transfer.transfer.logistic import blocks, schedule, validation
from tf_transfer.transfer.logistic import path as path_lib


@pytest.fixture(scope='module')
def digits_path(digits):
  return path_lib.fit_path(*digits[:2])


@pytest.fixture(scope='module')
def few_digits(digits):
  """203 digits and their labels: all tests with few have one program."""
  return digits[0][:203], digits[1][:203]


def test_penalties_are_the_papers():
  assert len(path_lib.PENALTIES) == 45
  assert path_lib.PENALTIES[[0, -1]] == pytest.approx([1e-6, 1e5], rel=1e-12)
  steps = np.diff(np.log10(path_lib.PENALTIES))
  np.testing.assert_allclose(steps, 0.25, rtol=1e-12)


def test_whole_path_on_digits_converges(digits, digits_path):
  path = digits_path
  assert path.converged.all()
  assert (path.bound <= 1e-9 * path.objective).all()
  assert path.weights.shape == (45, 64, 10)
  assert path.bias.shape == (45, 10)
  for index in range(0, 45, 4):
    value, slope, bias_slope = reference.evaluate(
      path.weights[index],
      path.bias[index],
      digits[0].astype(np.float64),
      digits[1],
      path.penalties[index],
    )
    assert path.objective[index] == pytest.approx(value, rel=1e-11)
    largest = max(np.abs(slope).max(), np.abs(bias_slope).max())
    assert path.gradient_norm[index] == pytest.approx(
      largest, rel=1e-3, abs=1e-10
    )


@pytest.mark.parametrize('index', [0, 12, 24, 36, 44])
def test_bound_holds_against_reference(digits, digits_path, index):
  features = digits[0].astype(np.float64)
  penalty = digits_path.penalties[index]
  start = np.concatenate(
    [digits_path.weights[index], digits_path.bias[index][None]]
  )
  optimum, _ = reference.minimum(
    features, digits[1], penalty, 10, start.ravel()
  )
  excess = digits_path.objective[index] - optimum
  assert excess <= digits_path.bound[index] + 1e-14 * optimum
  assert abs(excess) <= 1e-9 * optimum


@pytest.mark.parametrize('penalty', [1e-2, 1.0, 100.0])
def test_agrees_with_scikit_learn(digits, penalty):
  features, labels = digits[:2]
  train, test = (digits[i].astype(np.float64) for i in (0, 2))
  peer = LogisticRegression(
    C=1 / penalty, solver='newton-cholesky', tol=1e-8, max_iter=1000
  ).fit(train, labels)
  ours = path_lib.refit(features, labels, penalty)
  theirs = reference.evaluate(
    peer.coef_.T, peer.intercept_, train, labels, penalty
  )[0]
  assert ours.objective[0] == pytest.approx(theirs, rel=1e-9)
  logits = path_lib.logits(ours.weights[0], ours.bias[0], test)
  np.testing.assert_array_equal(logits.argmax(1), peer.predict(test))


def test_hand_worked():
  """Two points at ±1, one of each class, penalty 1: w = 2 s(-2 w)."""
  features = np.array([[-1.0], [1.0]])
  # Classes' weights are -w and w; the margin of each point is 2 w.
  w = optimize.brentq(lambda w: w - 2 * special.expit(-2 * w), 0, 1, xtol=1e-15)
  path = path_lib.fit_path(features, np.array([0, 1]), [1.0], tolerance=1e-13)
  np.testing.assert_allclose(path.weights[0], [[-w, w]], rtol=1e-6)
  np.testing.assert_allclose(path.bias[0] - path.bias[0, 0], 0, atol=1e-12)
  value = 2 * np.logaddexp(0, -2 * w) + w**2
  assert path.objective[0] == pytest.approx(value, rel=1e-12)


def test_order_and_repetition_of_penalties_are_kept(few_digits):
  penalties = [1.0, 1e3, 1e-1, 1.0]
  path = path_lib.fit_path(*few_digits, penalties)
  np.testing.assert_array_equal(path.penalties, penalties)
  norms = np.linalg.norm(path.weights, axis=(1, 2))
  assert norms[1] < norms[0] < norms[2]
  np.testing.assert_array_equal(path.weights[0], path.weights[3])


@pytest.fixture(scope='module')
def labeled_digits(digits):
  """300 digits with three labels: odd, more than six, and three."""
  features, classes = digits[0][:300], digits[1][:300]
  labels = np.stack([classes % 2, classes > 6, classes == 3], 1).astype(int)
  return features, labels


def test_multi_label_is_independent_binary_problems(labeled_digits):
  features, labels = labeled_digits
  path = path_lib.fit_path(features, labels, [0.1, 10.0])
  assert path.converged.all()
  for column in range(3):
    for index, penalty in enumerate(path.penalties):
      peer = LogisticRegression(
        C=1 / penalty, solver='newton-cholesky', tol=1e-8, max_iter=1000
      ).fit(features.astype(np.float64), labels[:, column])
      np.testing.assert_allclose(
        path.weights[index, :, column], peer.coef_[0], rtol=1e-3, atol=2e-4
      )


def test_ignored_labels_do_not_count(labeled_digits):
  features, labels = labeled_digits
  labels = labels.copy()
  labels[50:, 0] = validation.IGNORED
  both = path_lib.fit_path(features, labels, [1.0])
  alone = path_lib.fit_path(features[:50], labels[:50, :1], [1.0])
  np.testing.assert_allclose(
    both.weights[0, :, 0], alone.weights[0, :, 0], atol=1e-4
  )


def test_missing_class_is_never_predicted(digits):
  keep = digits[1] != 4
  path = path_lib.fit_path(
    digits[0][keep], digits[1][keep], [1e-3, 1.0], num_classes=10
  )
  assert path.converged.all()
  assert (path.bias[:, 4] == -np.inf).all()
  assert (path.weights[:, :, 4] == 0).all()
  logits = path_lib.logits(path.weights, path.bias, digits[2])
  assert logits.shape == (2, 500, 10)
  assert not (logits.argmax(-1) == 4).any()


def test_refit_from_a_solution_is_cheaper(digits):
  features, labels = digits[:2]
  cold = path_lib.refit(features, labels, 0.1)
  warm = path_lib.refit(
    features, labels, 0.1, initial=(cold.weights[0], cold.bias[0])
  )
  assert warm.converged.all()
  assert warm.evaluations[0] < cold.evaluations[0] / 3
  assert warm.objective[0] == pytest.approx(cold.objective[0], rel=1e-9)


def test_a_single_small_penalty_needs_no_path(few_digits):
  path = path_lib.refit(*few_digits, 1e-6)
  assert path.converged.all()


def test_too_few_evaluations_is_said(digits):
  path = path_lib.fit_path(*digits[:2], [1e-4, 1e5], max_evaluations=4)
  np.testing.assert_array_equal(path.converged, [False, True])
  assert path.bound[0] > 1e-9 * path.objective[0]


def test_progress_counts_penalties(few_digits):
  seen = []
  path_lib.fit_path(
    *few_digits,
    [1.0, 10.0, 100.0],
    progress=lambda done, total: seen.append((done, total)),
  )
  assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.fixture(scope='module')
def plain_path(digits):
  """Fits a number of digits in one block on one device, once each."""

  @functools.cache
  def fit(count: int) -> path_lib.Path:
    return path_lib.fit_path(digits[0][:count], digits[1][:count], [1e-2, 1e3])

  return fit


@pytest.mark.parametrize(
  ('num_devices', 'device_memory', 'count'),
  [(1, 1e3, 203), (8, None, 203), (8, 1e3, 203), (8, None, 50)],
)
def test_spread_or_in_blocks_it_is_the_same(
  digits, plain_path, monkeypatch, num_devices, device_memory, count
):
  """In blocks of 17 rows, over the devices or streamed from the host.

  203 examples are filled up to 208 on eight devices; 50 are fewer than the 64
  features, and solved in the row space. No other test fits as many in these
  layouts: nothing was compiled for other blocks before.
  """
  features, labels = digits[0][:count], digits[1][:count]
  plain = plain_path(count)
  monkeypatch.setattr(blocks, 'BLOCK_ROWS', 17)
  monkeypatch.setattr(blocks, 'BLOCK_LOGITS', 1)
  path = path_lib.fit_path(
    features,
    labels,
    plain.penalties,
    mesh=devices.data_mesh(jax.devices()[:num_devices]),
    device_memory=device_memory,
  )
  assert path.converged.all()
  np.testing.assert_allclose(path.objective, plain.objective, rtol=1e-9)
  np.testing.assert_allclose(path.weights, plain.weights, atol=2e-4)
  # Whatever the layout, the certificate is for the same features.
  value, slope, bias_slope = reference.evaluate(
    path.weights[0],
    path.bias[0],
    features.astype(np.float64),
    labels,
    plain.penalties[0],
  )
  assert path.objective[0] == pytest.approx(value, rel=1e-11)
  largest = max(np.abs(slope).max(), np.abs(bias_slope).max())
  assert path.gradient_norm[0] == pytest.approx(largest, rel=1e-3, abs=1e-10)


def test_independent_classes_spread_over_devices(labeled_digits):
  features, labels = labeled_digits
  labels = labels.copy()
  labels[3, 0] = validation.IGNORED
  plain, spread = (
    path_lib.fit_path(
      features, labels, [1.0], mesh=devices.data_mesh(jax.devices()[:number])
    )
    for number in (1, 8)
  )
  assert spread.converged.all()
  np.testing.assert_allclose(spread.objective, plain.objective, rtol=1e-9)


def test_callers_precision_is_left_alone(few_digits):
  path_lib.refit(*few_digits, 1.0)
  assert not jax.config.jax_enable_x64


class FixedSchedule(schedule.PreconditionerSchedule):
  """The same choice for each penalty after the first, whatever it costs."""

  leading = 0
  factored = False

  def update(self, num_evaluations: int) -> None:
    self.num_leading = self.leading
    self.factor_now = self.factored


def count_evaluations(monkeypatch, choice, *problem):
  """Fits with the Kronecker product and with a choice; counts both.

  The solutions must agree. The largest penalty is solved before the schedule
  is asked, and not counted.
  """
  paths = []
  for attributes in ({}, choice):
    fixed = type('Fixed', (FixedSchedule,), attributes)
    monkeypatch.setattr(schedule, 'PreconditionerSchedule', fixed)
    paths.append(path_lib.fit_path(*problem))
    assert paths[-1].converged.all()
  np.testing.assert_allclose(*(p.objective for p in paths), rtol=2e-9)
  return [p.evaluations[:-1].sum() for p in paths]


def test_leading_examples_save_evaluations(few_digits, monkeypatch):
  """150 of 203 examples, at the small end of the path."""
  penalties = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
  plain, leading = count_evaluations(
    monkeypatch, {'leading': 150}, *few_digits, penalties
  )
  assert leading < 0.7 * plain


def test_whole_hessian_saves_evaluations(monkeypatch):
  """The same solutions, where wrong labels keep examples uncertain.

  Five classes: the factor of ten takes four times as long to compile.
  """
  features, labels = load_digits(n_class=5, return_X_y=True)
  rng = np.random.default_rng(0)
  wrong = rng.random(len(labels)) < 0.1
  labels = np.where(wrong, rng.integers(0, 5, len(labels)), labels)
  plain, factored = count_evaluations(
    monkeypatch,
    {'factored': True},
    features.astype(np.float32),
    labels,
    [1e-3, 1e-2, 1e-1],
  )
  assert factored < 0.2 * plain


def test_features_that_do_not_vary_get_no_weight():
  """They are large beside the penalty, so that rounding would weigh them."""
  rng = np.random.default_rng(0)
  features = 1e4 * rng.normal(size=(12, 5))
  features[:, 0] = 15000
  labels = rng.integers(0, 2, size=(12, 3))
  labels[0], labels[1] = 0, 1
  path = path_lib.fit_path(features, labels, [1e-6, 1e2])
  assert path.converged.all()
  assert (path.weights[:, 0] == 0).all()
  without = path_lib.fit_path(features[:, 1:], labels, [1e-6, 1e2])
  np.testing.assert_allclose(path.objective, without.objective, rtol=1e-8)


@st.composite
def problems(draw):
  """Small problems, hostile ones included."""
  seed = draw(st.integers(0, 2**32 - 1))
  rng = np.random.default_rng(seed)
  # Two shapes, so that few are compiled; two classes are some of three.
  count, dim, classes = draw(st.sampled_from([(12, 5, 3), (8, 12, 3)]))
  features = rng.normal(size=(count, dim)) + draw(st.sampled_from([0, 3.0]))
  if draw(st.booleans()):
    features[:, 0] = 1.5
  if draw(st.booleans()):
    features[:, 1] = features[:, 2]
  features *= draw(st.sampled_from([1e-4, 1.0, 1e4]))
  if draw(st.booleans()):
    labels = np.arange(count) % classes
    if draw(st.booleans()) and classes > 2:
      labels[labels == 1] = 0
    rng.shuffle(labels)
  else:
    labels = rng.integers(-1, 2, size=(count, classes))
    labels[0], labels[1] = 0, 1
  penalties = sorted(draw(st.sets(st.integers(-6, 5), min_size=4, max_size=4)))
  return features, labels, classes, 10.0 ** np.array(penalties)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(problems())
def test_any_problem_converges_within_its_bound(problem):
  features, labels, classes, penalties = problem
  path = path_lib.fit_path(features, labels, penalties, num_classes=classes)
  assert path.converged.all()
  fitted = np.isfinite(path.bias[0])
  narrow = (
    labels[:, fitted] if labels.ndim == 2 else (np.cumsum(fitted)[labels] - 1)
  )
  # In units in which features are of size one, so that the reference is sane.
  size = np.abs(features).max()
  for index, penalty in enumerate(penalties):
    weights = path.weights[index][:, fitted] * size
    start = np.concatenate([weights, path.bias[index][None, fitted]])
    optimum, _ = reference.minimum(
      features / size, narrow, penalty / size**2, fitted.sum(), start.ravel()
    )
    excess = path.objective[index] - optimum
    assert excess <= path.bound[index] + 1e-13 * optimum
    assert abs(excess) <= 1e-9 * optimum


def test_logits_of_other_features_is_an_error():
  with pytest.raises(InputError, match='features of 3 values'):
    path_lib.logits(np.zeros((3, 2)), np.zeros(2), np.zeros((5, 4)))
