"""The regularization path against references, by hand and by certificate."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from tf_transfer.errors import InputError
from tf_transfer.runtime import devices
from tf_transfer.transfer.logistic import path as path_lib
from tf_transfer.transfer.logistic import problem as problem_lib
from tf_transfer.transfer.logistic import schedule


def objective(weights, bias, features, labels, penalty):
  """The objective and its gradients in plain NumPy.

  Like the solver's, to relative precision where losses are tiny.
  """
  logits = features @ weights + bias
  if labels.ndim == 1:
    own = np.arange(logits.shape[1]) == labels[:, None]
    margins = logits - logits[own][:, None]
    others = special.logsumexp(np.where(own, -np.inf, margins), axis=1)
    loss = np.sum(np.logaddexp(0, others))
    residual = special.softmax(margins, axis=1)
    residual[own] = -special.expit(others)
  else:
    sign = np.where(labels == 1, -1.0, 1.0)
    counted = labels != path_lib.IGNORED
    loss = np.sum(counted * np.logaddexp(0, sign * logits))
    residual = counted * sign * special.expit(sign * logits)
  value = loss + penalty / 2 * np.sum(weights**2)
  return value, features.T @ residual + penalty * weights, residual.sum(0)


def reference(features, labels, penalty, classes, start=None):
  """The optimal objective by an independent method: SciPy's trust-exact.

  A full Newton method in float64 with dense Hessians; small problems only.
  """
  dim = features.shape[1]
  shape = (dim + 1, classes)
  ones = np.concatenate([features, np.ones((len(features), 1))], axis=1)

  def value(flat):
    both = flat.reshape(shape)
    f, gw, gb = objective(both[:-1], both[-1], features, labels, penalty)
    return f, np.concatenate([gw, gb[None]]).ravel()

  def hessian(flat):
    logits = ones @ flat.reshape(shape)
    if labels.ndim == 1:
      p = special.softmax(logits, axis=1)
      inner = np.einsum('nc,cd->ncd', p, np.eye(classes))
      inner -= p[:, :, None] * p[:, None, :]
    else:
      p = special.expit(logits)
      weight = (labels != path_lib.IGNORED) * p * (1 - p)
      inner = np.einsum('nc,cd->ncd', weight, np.eye(classes))
    full = np.einsum('ni,ncd,nj->icjd', ones, inner, ones, optimize=True)
    size = dim * classes
    full = full.reshape(size + classes, size + classes)
    full[np.arange(size), np.arange(size)] += penalty
    return full

  flat = np.zeros(shape).ravel() if start is None else start
  f, g = value(flat)
  for _ in range(200):
    step = -np.linalg.lstsq(hessian(flat), g, rcond=1e-15)[0]
    length = 1.0
    while length > 1e-10:
      new_f, new_g = value(flat + length * step)
      if new_f <= f + 1e-4 * length * (g @ step):
        break
      length /= 2
    else:
      return min(f, new_f)
    flat, f, g = flat + length * step, new_f, new_g
    if -(g @ step) < 1e-18 * f:
      break
  return f


@pytest.fixture(autouse=True, scope='module')
def _one_thread():
  """OpenMP's and BLAS's threads spin: many times slower on a busy machine."""
  with threadpool_limits(1):
    yield


@pytest.fixture(scope='module')
def digits():
  """Real data: 1,297 + 500 digits of 8 × 8, pixels from 0 to 1."""
  features, labels = load_digits(return_X_y=True)
  order = np.random.default_rng(0).permutation(len(labels))
  features = (features[order] / 16).astype(np.float32)
  labels = labels[order]
  return features[:1297], labels[:1297], features[1297:], labels[1297:]


@pytest.fixture(scope='module')
def digits_path(digits):
  return path_lib.fit_path(*digits[:2])


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
    value, slope, bias_slope = objective(
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
  optimum = reference(features, digits[1], penalty, 10, start.ravel())
  excess = digits_path.objective[index] - optimum
  assert excess <= digits_path.bound[index] + 1e-14 * optimum
  assert abs(excess) <= 1e-9 * optimum


@pytest.mark.parametrize('penalty', [1e-2, 1.0, 100.0])
def test_agrees_with_scikit_learn(digits, penalty):
  train, labels, test, _ = (part.astype(np.float64) for part in digits)
  labels = labels.astype(int)
  peer = LogisticRegression(
    C=1 / penalty, solver='newton-cholesky', tol=1e-8, max_iter=1000
  ).fit(train, labels)
  ours = path_lib.refit(train, labels, penalty)
  theirs = objective(peer.coef_.T, peer.intercept_, train, labels, penalty)[0]
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


def test_order_and_repetition_of_penalties_are_kept(digits):
  penalties = [1.0, 1e3, 1e-1, 1.0]
  path = path_lib.fit_path(digits[0][:300], digits[1][:300], penalties)
  np.testing.assert_array_equal(path.penalties, penalties)
  norms = np.linalg.norm(path.weights, axis=(1, 2))
  assert norms[1] < norms[0] < norms[2]
  np.testing.assert_array_equal(path.weights[0], path.weights[3])


def test_multi_label_is_independent_binary_problems(digits):
  features, classes = digits[0][:300].astype(np.float64), digits[1][:300]
  labels = np.stack([classes % 2, classes > 6, classes == 3], 1).astype(int)
  path = path_lib.fit_path(features, labels, [0.1, 10.0])
  assert path.converged.all()
  for column in range(3):
    for index, penalty in enumerate(path.penalties):
      peer = LogisticRegression(
        C=1 / penalty, solver='newton-cholesky', tol=1e-8, max_iter=1000
      ).fit(features, labels[:, column])
      np.testing.assert_allclose(
        path.weights[index, :, column], peer.coef_[0], rtol=1e-3, atol=2e-4
      )


def test_ignored_labels_do_not_count(digits):
  features, classes = digits[0][:200], digits[1][:200]
  labels = np.stack([classes % 2, classes > 4], 1).astype(int)
  labels[50:, 0] = path_lib.IGNORED
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
  found = path_lib.logits(path.weights, path.bias, digits[2])
  assert found.shape == (2, 500, 10)
  assert not (found.argmax(-1) == 4).any()


def test_refit_from_a_solution_is_cheaper(digits):
  features, labels = digits[:2]
  cold = path_lib.refit(features, labels, 0.1)
  warm = path_lib.refit(
    features, labels, 0.1, initial=(cold.weights[0], cold.bias[0])
  )
  assert warm.converged.all()
  assert warm.evaluations[0] < cold.evaluations[0] / 3
  assert warm.objective[0] == pytest.approx(cold.objective[0], rel=1e-9)


def test_a_single_small_penalty_needs_no_path(digits):
  path = path_lib.refit(digits[0][:200], digits[1][:200], 1e-6)
  assert path.converged.all()


def test_too_few_evaluations_is_said(digits):
  path = path_lib.fit_path(*digits[:2], [1e-4, 1e5], max_evaluations=4)
  np.testing.assert_array_equal(path.converged, [False, True])
  assert path.bound[0] > 1e-9 * path.objective[0]


def test_progress_counts_penalties(digits):
  seen = []
  path_lib.fit_path(
    digits[0][:100],
    digits[1][:100],
    [1.0, 10.0, 100.0],
    progress=lambda done, total: seen.append((done, total)),
  )
  assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
  ('number', 'device_memory', 'count'),
  [(1, 1e3, 301), (8, None, 301), (8, 1e3, 301), (8, None, 50)],
)
def test_spread_or_in_blocks_it_is_the_same(
  digits, monkeypatch, number, device_memory, count
):
  """Over 8 devices, 301 examples filling up to 304, and from the host; 50 of
  64 features, which are solved in the row space."""
  features, labels = digits[0][:count], digits[1][:count]
  penalties = [1e-2, 1e3]
  plain = path_lib.fit_path(features, labels, penalties)
  monkeypatch.setattr(problem_lib, 'BLOCK_ROWS', 17)
  # Compiled code does not know that the constant is another now.
  jax.clear_caches()
  found = path_lib.fit_path(
    features,
    labels,
    penalties,
    mesh=devices.data_mesh(jax.devices()[:number]),
    device_memory=device_memory,
  )
  jax.clear_caches()
  assert found.converged.all()
  np.testing.assert_allclose(found.objective, plain.objective, rtol=1e-9)
  np.testing.assert_allclose(found.weights, plain.weights, atol=2e-4)
  # Whatever the way, the same features are judged.
  value, slope, bias_slope = objective(
    found.weights[0],
    found.bias[0],
    features.astype(np.float64),
    labels,
    penalties[0],
  )
  assert found.objective[0] == pytest.approx(value, rel=1e-11)
  largest = max(np.abs(slope).max(), np.abs(bias_slope).max())
  assert found.gradient_norm[0] == pytest.approx(largest, rel=1e-3, abs=1e-10)


def test_independent_classes_spread_over_devices(digits):
  features, classes = digits[0][:101], digits[1][:101]
  labels = np.stack([classes % 2, classes > 6], 1).astype(int)
  labels[3, 0] = path_lib.IGNORED
  plain, found = (
    path_lib.fit_path(
      features, labels, [1.0], mesh=devices.data_mesh(jax.devices()[:number])
    )
    for number in (1, 8)
  )
  assert found.converged.all()
  np.testing.assert_allclose(found.objective, plain.objective, rtol=1e-9)


def test_callers_precision_is_left_alone(digits):
  path_lib.refit(digits[0][:100], digits[1][:100], 1.0)
  assert not jax.config.jax_enable_x64


class AtOnce(schedule.Plan):
  """A plan that is set, whatever that costs at these sizes."""

  leading = 0
  factored = False

  def took(self, evaluations):
    self.number = self.leading
    self.factor_now = self.factored


def paths_as_planned(monkeypatch, plans, *problem):
  paths = []
  for plan in plans:
    monkeypatch.setattr(schedule, 'Plan', type('Set', (AtOnce,), plan or {}))
    paths.append(path_lib.fit_path(*problem))
    assert paths[-1].converged.all()
  np.testing.assert_allclose(*(p.objective for p in paths), rtol=2e-9)
  # The largest penalty is solved before a plan is asked for.
  return [p.evaluations[:-1].sum() for p in paths]


def test_leading_examples_save_evaluations(digits, monkeypatch):
  """The same solutions; 300 of 400 examples and the path's small end."""
  penalties = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
  problem = digits[0][:400], digits[1][:400], penalties
  plain, leading = paths_as_planned(
    monkeypatch, [{}, {'leading': 300}], *problem
  )
  assert leading < 0.7 * plain


def test_whole_hessian_saves_evaluations(monkeypatch):
  """The same solutions, where wrong labels keep examples uncertain."""
  features, labels = load_digits(return_X_y=True)
  rng = np.random.default_rng(0)
  wrong = rng.random(len(labels)) < 0.1
  labels = np.where(wrong, rng.integers(0, 10, len(labels)), labels)
  plain, whole = paths_as_planned(
    monkeypatch,
    [{}, {'factored': True}],
    features.astype(np.float32),
    labels,
    [1e-2, 1e-1, 1],
  )
  assert whole < 0.2 * plain


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
  # Few shapes, so that few are compiled.
  count, dim, classes = draw(
    st.sampled_from([(12, 5, 3), (30, 4, 2), (8, 12, 3), (25, 6, 4)])
  )
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
    optimum = reference(
      features / size, narrow, penalty / size**2, fitted.sum(), start.ravel()
    )
    excess = path.objective[index] - optimum
    assert excess <= path.bound[index] + 1e-13 * optimum
    assert abs(excess) <= 1e-9 * optimum


GOOD = np.eye(4, 3), np.array([0, 1, 2, 0])


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'features': np.where(GOOD[0] == 1, np.nan, 0.0)}, r'3 values.*row is 0'),
    ({'features': np.full((4, 3), np.inf)}, '12 values'),
    ({'features': np.zeros((0, 3)), 'labels': np.zeros(0, int)}, 'empty'),
    ({'features': np.zeros((4, 3, 1))}, 'matrix'),
    ({'features': np.zeros((4, 3), int)}, 'float'),
    ({'labels': np.array([0, 1, 2])}, '4 rows of features but 3 labels'),
    ({'labels': np.array([0, 1, -1, 0])}, 'row 2 has -1'),
    ({'labels': np.array([0, 1, 2, 3]), 'num_classes': 3}, 'row 3 has 3'),
    ({'labels': np.array([0.0, 1, 2, 0])}, 'integers'),
    ({'labels': np.ones(4, int)}, 'at least two'),
    ({'labels': np.zeros((4, 2), int)}, 'no class has both'),
    ({'labels': np.full((4, 2), 2)}, 'must be 0, 1 or -1'),
    ({'labels': np.zeros((4, 2, 2), int)}, 'shape'),
    ({'labels': np.eye(4, 2, dtype=int), 'num_classes': 3}, '2 columns'),
    ({'penalties': [1.0, 0.0]}, 'positive'),
    ({'penalties': [-1.0]}, 'positive'),
    ({'penalties': [np.nan]}, 'positive'),
    ({'penalties': []}, 'at least one'),
    ({'initial': (np.zeros((2, 3)), np.zeros(3))}, 'initial'),
    ({'tolerance': 0.0}, 'tolerance'),
  ],
)
def test_bad_input_is_one_error(change, message):
  arguments = {'features': GOOD[0], 'labels': GOOD[1], 'penalties': [1.0]}
  arguments |= change
  with pytest.raises(InputError, match=message):
    path_lib.fit_path(
      arguments.pop('features'),
      arguments.pop('labels'),
      arguments.pop('penalties'),
      **arguments,
    )


def test_logits_of_other_features_is_an_error():
  with pytest.raises(InputError, match='features of 3 values'):
    path_lib.logits(np.zeros((3, 2)), np.zeros(2), np.zeros((5, 4)))
