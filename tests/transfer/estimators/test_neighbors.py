import dataclasses

import numpy as np
import pytest
from sklearn import neighbors as sklearn_neighbors

from tf_transfer.transfer import estimators
from tf_transfer.transfer.estimators import neighbors


def by_scikit_learn(examples):
  """Leave-one-out accuracy; ties of votes by the sum of similarities."""
  features = examples.features.astype(float)
  nearest = sklearn_neighbors.NearestNeighbors(
    n_neighbors=5, metric='cosine'
  ).fit(features)
  # Without arguments, a point is not its own neighbor.
  distances, positions = nearest.kneighbors()
  votes = np.zeros((len(features), examples.num_classes))
  for row, (ds, ps) in enumerate(zip(distances, positions, strict=True)):
    for d, p in zip(ds, ps, strict=True):
      votes[row, examples.labels[p]] += 1 + 1e-6 * (1 - d)
  return np.mean(votes.argmax(axis=1) == examples.labels)


@pytest.mark.parametrize('fixture', ['tall', 'wide'])
def test_accuracy_is_scikit_learns(fixture, request):
  examples = request.getfixturevalue(fixture)
  assert neighbors.knn_loo(examples) == by_scikit_learn(examples)


def test_blocks_do_not_matter(tall, monkeypatch):
  want = neighbors.knn_loo(tall)
  monkeypatch.setattr(neighbors, '_CELLS', 7 * 60)
  assert neighbors.knn_loo(tall) == want


def test_of_many_images_some_are_drawn(tall, monkeypatch):
  monkeypatch.setattr(neighbors, 'MAX_QUERIES', 12)
  assert (neighbors.knn_loo(tall) * 12) % 1 == 0


def test_an_image_is_not_its_own_neighbor():
  features = np.array([[1, 0], [0, 1]], np.float32)
  examples = estimators.Examples(features, np.array([0, 1]), 2)
  assert neighbors.knn_loo(examples) == 0


def test_equally_near_images_all_vote():
  """Identical images of which most are of class 1: all go to class 1."""
  labels = np.array([0] * 5 + [1] * 10)
  examples = estimators.Examples(np.ones((15, 3), np.float32), labels, 2)
  assert neighbors.knn_loo(examples) == 10 / 15
  zeros = dataclasses.replace(examples, features=np.zeros((15, 3), np.float32))
  assert neighbors.knn_loo(zeros) == 10 / 15
