import dataclasses

import jax
import numpy as np
import pytest

from tf_transfer.transfer import estimators
from tf_transfer.transfer.estimators import source_head
from tf_transfer.transfer.estimators.examples import UndefinedError


def two_by_two(theta, labels):
  features = np.zeros((len(labels), 1), np.float32)
  return estimators.Examples(
    features, np.array(labels), 2, np.array(theta, np.float32)
  )


def test_leep_of_a_table_worked_by_hand():
  # P(y, z): y = 0 has (1/2 + 1/4, 1/2 + 3/4) / 4, y = 1 (1, 0) / 4 and
  # (1/4, 3/4) / 4. P(y = 0 | z) = 3/8 and 5/8.
  theta = [[1 / 2, 1 / 2], [1 / 4, 3 / 4], [1, 0], [1 / 4, 3 / 4]]
  want = (
    np.log(3 / 16 + 5 / 16)
    + np.log(3 / 32 + 15 / 32)
    + np.log(5 / 8)
    + np.log(5 / 32 + 9 / 32)
  ) / 4
  got = source_head.leep(two_by_two(theta, [0, 0, 1, 1]))
  assert got == pytest.approx(want, rel=1e-12)


def test_nce_of_a_table_worked_by_hand():
  # z = 0: one image of each class; z = 1: three of class 0, one of class 1.
  z = np.eye(2)[[0, 0, 1, 1, 1, 1]]
  want = 2 / 6 * np.log(1 / 2) + 3 / 6 * np.log(3 / 4) + 1 / 6 * np.log(1 / 4)
  got = source_head.nce(two_by_two(z, [0, 1, 0, 0, 0, 1]))
  assert got == pytest.approx(want, rel=1e-12)


def test_a_head_that_tells_the_classes_has_zero():
  examples = two_by_two(np.eye(2)[[0, 1, 1]], [1, 0, 0])
  assert source_head.leep(examples) == 0
  assert source_head.nce(examples) == pytest.approx(0, abs=1e-15)


# github.com/thuml/Transfer-Learning-Library, tllib/ranking/leep.py and nce.py.
@pytest.mark.parametrize(
  ('fixture', 'leep', 'nce'),
  [
    ('tall', -0.9227304871436329, -0.8826139780481292),
    ('wide', -0.9508861300993396, -0.5841412250882813),
  ],
)
def test_values_are_those_of_published_code(fixture, leep, nce, request):
  examples = request.getfixturevalue(fixture)
  assert source_head.leep(examples) == pytest.approx(leep, rel=1e-11)
  assert source_head.nce(examples) == pytest.approx(nce, rel=1e-11)


def test_without_a_head_there_is_a_reason(tall):
  examples = dataclasses.replace(
    tall, head_probabilities=None, without_head='no head'
  )
  for function in (source_head.leep, source_head.nce):
    with pytest.raises(UndefinedError, match='no head'):
      function(examples)


def test_probabilities_are_the_softmax_of_the_logits(monkeypatch):
  monkeypatch.setattr(source_head, '_BLOCK', 2)

  class Net:
    def logits_from_features(self, features):
      return 2 * features

  features = np.arange(10, dtype=np.float32).reshape(5, 2) % 3
  np.testing.assert_allclose(
    source_head.probabilities(Net(), features),
    jax.nn.softmax(2 * features, axis=1),
    rtol=1e-6,
  )
