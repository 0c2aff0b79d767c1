"""Checks losses and accuracies against numbers worked out by hand."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from tf_transfer.transfer.training import losses


def test_softmax_losses():
  logits = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
  labels = jnp.array([0, 2])
  plain = losses.softmax_losses(logits, labels, 0)
  np.testing.assert_allclose(plain, [math.log(2), -math.log(0.8)], rtol=1e-6)
  # 0.7 + 0.3 / 3 on the label, 0.1 on each of the others.
  smooth = losses.softmax_losses(logits, labels, 0.3)
  np.testing.assert_allclose(
    smooth,
    [
      -0.8 * math.log(0.5) - 0.2 * math.log(0.25),
      -0.8 * math.log(0.8) - 0.2 * math.log(0.1),
    ],
    rtol=1e-6,
  )


def test_sigmoid_losses():
  odds = jnp.log(jnp.array([[3.0, 1.0, 9.0]]))  # probabilities 3/4, 1/2, 9/10
  labels = jnp.array([[1, -1, 0]])
  (plain,) = losses.sigmoid_losses(odds, labels, 0)
  assert plain == pytest.approx(-math.log(0.75) - math.log(0.1), rel=1e-6)
  (smooth,) = losses.sigmoid_losses(odds, labels, 0.2)
  assert smooth == pytest.approx(
    -0.9 * math.log(0.75)
    - 0.1 * math.log(0.25)
    - 0.9 * math.log(0.1)
    - 0.1 * math.log(0.9),
    rel=1e-6,
  )


def test_accuracies():
  logits = jnp.array([[1.0, 2.0, 0.0], [3.0, -1.0, -2.0]])
  np.testing.assert_array_equal(
    losses.accuracies(logits, jnp.array([1, 2])), [1, 0]
  )
  # Present, absent; the third label of the first example is ignored.
  labels = jnp.array([[1, 0, -1], [1, 1, 0]])
  np.testing.assert_allclose(
    losses.accuracies(logits, labels), [1 / 2, 2 / 3], rtol=1e-6
  )
  assert losses.accuracies(logits[:1], -jnp.ones((1, 3), int)) == 0
