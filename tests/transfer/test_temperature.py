"""The temperature of a classifier, against the minimum of the NLL."""

import numpy as np
import scipy.optimize
import scipy.special

from tf_transfer.transfer import temperature


def test_minimizes_the_nll():
  rng = np.random.default_rng(0)
  labels = rng.integers(4, size=200)
  scores = rng.normal(size=(200, 4)) * 3 + 2 * np.eye(4)[labels]

  def nll(log_temperature):
    scaled = scores / np.exp(log_temperature)
    log_p = scipy.special.log_softmax(scaled, axis=1)
    return -log_p[np.arange(200), labels].mean()

  expected = scipy.optimize.minimize_scalar(
    nll, bounds=(-4, 4), method='bounded', options={'xatol': 1e-10}
  )
  fitted, at_bound = temperature.fit(labels, scores)
  np.testing.assert_allclose(fitted, np.exp(expected.x), rtol=1e-5)
  assert not at_bound


def test_is_at_its_bound_where_val_is_separable():
  labels = np.array([0, 1])
  assert temperature.fit(labels, np.eye(2)) == (0.01, True)
