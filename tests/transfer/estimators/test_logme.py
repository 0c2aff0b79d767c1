import dataclasses

import numpy as np
import pytest
from scipy import optimize, stats

from tf_transfer.transfer.estimators import logme
from tf_transfer.transfer.estimators.examples import Examples, UndefinedError


def test_value_is_that_of_the_authors_iteration(tall):
  # github.com/thuml/LogME, LogME.py, `_fit_fixed_point`, in which the
  # iteration ends at a relative change of 1e-14 and the 1e-5 that it adds to
  # denominators is 0. As published, it gives -0.6866177443922652.
  assert logme.logme(tall) == pytest.approx(-0.6866177400366139, rel=1e-11)


def test_value_is_that_of_the_authors_with_fewer_examples_than_features(wide):
  # The same file's `_fit_icml`, changed likewise; as published, it stops at
  # -0.5092347464191548. `_fit_fixed_point` leaves out log α of the D - N
  # directions without examples, and cannot be compared here.
  # Of three classes the noise vanishes at the maximum, which the iteration
  # approaches slowly, from below.
  value = logme.logme(wide)
  assert -0.5077360215535943 < value < -0.50773600


@pytest.mark.parametrize('fixture', ['tall', 'wide'])
def test_value_is_the_maximum_of_a_gaussian_density(fixture, request):
  """y ~ N(0, I/β + FFᵀ/α), by SciPy's density and optimizer."""
  examples = request.getfixturevalue(fixture)
  features = examples.features.astype(float)
  gram, eye = features @ features.T, np.eye(len(features))
  maxima = []
  for label in range(examples.num_classes):
    y = (examples.labels == label).astype(float)

    def loss(logs, y=y):
      covariance = np.exp(logs[0]) * eye + np.exp(logs[1]) * gram
      return -stats.multivariate_normal.logpdf(y, cov=covariance)

    starts = [(-2, -2), (-2, -6), (-6, -3)]
    options = {'xatol': 1e-9, 'fatol': 1e-12, 'maxiter': 4000}
    maxima.append(
      -min(
        optimize.minimize(
          loss, start, method='Nelder-Mead', options=options
        ).fun
        for start in starts
      )
    )
  want = np.mean(maxima) / len(features)
  assert logme.logme(examples) == pytest.approx(want, rel=1e-8)


def test_features_that_say_nothing_have_the_evidence_of_noise_alone(tall):
  zeros = np.zeros_like(tall.features)
  want = stats.norm.logpdf(0, scale=np.sqrt(1 / 3)) - 1 / 2
  got = logme.logme(dataclasses.replace(tall, features=zeros))
  assert got == pytest.approx(want, rel=1e-12)


def test_a_class_without_examples_does_not_count(tall):
  more = dataclasses.replace(tall, num_classes=4)
  assert logme.logme(more) == pytest.approx(logme.logme(tall), rel=1e-12)


def test_copies_of_an_image_count_once_where_they_leave_no_maximum():
  rng = np.random.default_rng(0)
  alone = Examples(
    rng.normal(size=(20, 64)).astype(np.float32),
    rng.integers(0, 2, 20),
    2,
    digests=rng.integers(0, 256, (20, 32), dtype=np.uint8),
  )
  rows = np.append(np.arange(20), 0)
  copied = dataclasses.replace(
    alone,
    features=alone.features[rows],
    labels=alone.labels[rows],
    digests=alone.digests[rows],
  )
  assert logme.logme(copied) == logme.logme(alone)
  # Other images with the same features are no copies.
  copied.digests[-1] = 0
  with pytest.raises(UndefinedError, match='no maximum'):
    logme.logme(copied)


def test_labels_among_the_features_have_no_maximum(tall):
  features = np.eye(3, dtype=np.float32)[tall.labels]
  with pytest.raises(UndefinedError, match='no maximum'):
    logme.logme(dataclasses.replace(tall, features=features))
