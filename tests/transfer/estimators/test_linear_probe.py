import dataclasses

import numpy as np
import pytest
from sklearn import linear_model, preprocessing

from tf_transfer.transfer.estimators import draws, linear_probe
from tf_transfer.transfer.estimators.examples import UndefinedError


@pytest.mark.parametrize('fixture', ['tall', 'wide'])
def test_fit_is_scikit_learns(fixture, request):
  examples = request.getfixturevalue(fixture)
  features = examples.features.astype(float)
  want = linear_model.LogisticRegression(tol=1e-10, max_iter=10_000).fit(
    features, examples.labels
  )
  weights, bias = linear_probe.fit(
    features, examples.labels, examples.num_classes
  )
  np.testing.assert_allclose(weights, want.coef_.T, atol=1e-4)
  # The loss does not say how large the mean of the biases is.
  np.testing.assert_allclose(
    bias - bias.mean(), want.intercept_ - want.intercept_.mean(), atol=1e-4
  )


def test_accuracy_is_that_of_scikit_learn_on_the_rest(tall):
  drawn = draws.tenth_of_each_class(tall)
  scale = preprocessing.StandardScaler().fit(tall.features[drawn].astype(float))
  model = linear_model.LogisticRegression(tol=1e-10, max_iter=10_000).fit(
    scale.transform(tall.features[drawn].astype(float)), tall.labels[drawn]
  )
  want = model.score(
    scale.transform(tall.features[~drawn].astype(float)), tall.labels[~drawn]
  )
  assert linear_probe.linear_probe(tall) == want


def test_a_class_without_examples_is_never_predicted(tall):
  _, bias = linear_probe.fit(tall.features.astype(float), tall.labels + 1, 5)
  assert np.isneginf(bias[[0, 4]]).all()
  assert np.isfinite(bias[1:4]).all()


def test_nothing_to_test_on(tall):
  three = dataclasses.replace(
    tall, features=tall.features[:3], labels=tall.labels[:3]
  )
  with pytest.raises(UndefinedError, match='second image'):
    linear_probe.linear_probe(three)
