"""The benchmark's problems, its peer, and how a peer is judged."""

import numpy as np
import pytest

from benchmarks import logistic
from tf_transfer.transfer.logistic import path as path_lib


def test_synthetic_features_are_of_the_size_asked_for():
  features, labels = logistic.load('60x8x3')
  assert features.shape == (60, 8)
  assert features.dtype == np.float32
  assert (features >= 0).all()
  np.testing.assert_array_equal(np.unique(labels), [0, 1, 2])


def test_unknown_size_is_an_error():
  with pytest.raises(SystemExit, match='--size nonsense'):
    logistic.load('nonsense')


def test_peer_is_judged_by_our_certified_bound(monkeypatch):
  """Run to convergence, scikit-learn's objectives are at most ours."""
  monkeypatch.setattr(path_lib, 'PENALTIES', np.array([1.0, 10.0]))
  features, labels = logistic.load('60x8x3')
  _, solutions = logistic.peer_path(features, labels, 1, until_converged=True)
  path = path_lib.fit_path(features, labels, path_lib.PENALTIES)
  for index, (weights, bias, iterations) in enumerate(solutions):
    assert iterations > 0
    penalty = path.penalties[index]
    objective, norm = logistic.evaluate(
      features, labels, weights, bias, penalty
    )
    assert objective == pytest.approx(path.objective[index], rel=1e-6)
    assert objective >= path.objective[index] - path.bound[index]
    assert norm < 1e-2
    objective, norm = logistic.evaluate(
      features, labels, path.weights[index], path.bias[index], penalty
    )
    assert objective == pytest.approx(path.objective[index], rel=1e-12)
    assert norm == pytest.approx(path.gradient_norm[index], rel=1e-3)


def test_resident_bytes_are_of_this_process():
  resident = logistic.resident_bytes('VmRSS')
  assert 2**20 < resident <= logistic.resident_bytes('VmHWM')
