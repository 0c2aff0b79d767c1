import dataclasses

import numpy as np
import pytest
from sklearn import covariance

from tf_transfer.transfer.estimators import h_score, spectrum


def class_means(examples):
  features = examples.features.astype(float)
  means = [features[examples.labels == k].mean(axis=0) for k in range(3)]
  return np.array(means)[examples.labels]


def test_h_score_is_that_of_its_definition(tall):
  inverse = np.linalg.inv(np.cov(tall.features.astype(float), rowvar=False))
  want = np.trace(inverse @ np.cov(class_means(tall), rowvar=False))
  assert h_score.h_score(tall) == pytest.approx(want, rel=1e-12)


# github.com/thuml/Transfer-Learning-Library, tllib/ranking/hscore.py.
@pytest.mark.parametrize(
  ('fixture', 'plain', 'shrunk'),
  [
    ('tall', 0.7230358509969772, 0.3224532010050096),
    ('wide', 3.0000000000000004, 1.2988887764276609),
  ],
)
def test_scores_are_those_of_published_code(fixture, plain, shrunk, request):
  examples = request.getfixturevalue(fixture)
  assert h_score.h_score(examples) == pytest.approx(plain, rel=1e-11)
  # There the covariance of class means alone divides by N - 1.
  count = len(examples)
  got = h_score.h_score_shrunk(examples) * count / (count - 1)
  assert got == pytest.approx(shrunk, rel=1e-11)


@pytest.mark.parametrize('fixture', ['tall', 'wide'])
def test_shrinkage_is_scikit_learns(fixture, request):
  examples = request.getfixturevalue(fixture)
  want = covariance.LedoitWolf().fit(examples.features.astype(float)).shrinkage_
  got = h_score.ledoit_wolf(
    spectrum.decompose(examples, center=True), *examples.features.shape
  )
  assert got == pytest.approx(want, rel=1e-11)


def test_constant_features_and_classes_without_examples(tall):
  constant = dataclasses.replace(
    tall, features=np.full_like(tall.features, 0.1)
  )
  assert h_score.h_score(constant) == 0
  assert h_score.h_score_shrunk(constant) == 0
  more = dataclasses.replace(tall, num_classes=9)
  assert h_score.h_score(more) == pytest.approx(h_score.h_score(tall))
