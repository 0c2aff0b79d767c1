import dataclasses

import numpy as np
import pytest

from tf_transfer.transfer.estimators import spectrum


@pytest.mark.parametrize('fixture', ['tall', 'wide'])
@pytest.mark.parametrize('center', [False, True])
def test_decomposition_is_that_of_numpys_svd(fixture, center, request):
  examples = request.getfixturevalue(fixture)
  features = examples.features.astype(float)
  if center:
    features -= features.mean(axis=0)
  singular = np.linalg.svd(features, compute_uv=False)
  got = spectrum.decompose(examples, center=center)
  rank = min(features.shape) - (center and fixture == 'wide')
  np.testing.assert_allclose(
    got.eigenvalues, singular[:rank][::-1] ** 2, rtol=1e-10
  )
  # The sums' lengths do not depend on the signs of directions.
  sums = np.eye(examples.num_classes)[examples.labels].T @ features
  np.testing.assert_allclose(
    got.class_sums @ got.class_sums.T, sums @ sums.T, atol=1e-10
  )
  fourth = np.sum(np.sum(features**2, axis=1) ** 2)
  assert got.fourth_moment == pytest.approx(fourth, rel=1e-12)


@pytest.mark.parametrize('fixture', ['tall', 'wide'])
def test_constant_features_have_no_direction_about_their_mean(fixture, request):
  examples = request.getfixturevalue(fixture)
  constant = np.full_like(examples.features, 0.1)
  examples = dataclasses.replace(examples, features=constant)
  assert len(spectrum.decompose(examples, center=True).eigenvalues) == 0
  assert len(spectrum.decompose(examples, center=False).eigenvalues) == 1
