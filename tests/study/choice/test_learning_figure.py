"""Tests the picture of a learning curve."""

import numpy as np
import pytest

from tests.study.choice import choices
from tf_transfer.study.choice import learning_figure, types


def test_figure():
  curve = choices.curve('small', images=1600)
  figure = learning_figure.build(curve)
  assert len(figure.points) == sum(len(p.accuracies) for p in curve.points)
  assert [images for images, _, _ in figure.rows] == [200, 400, 800, 1600]
  assert figure.rows[-1][2] == 1
  assert figure.now == max(x for x, _ in figure.points)
  assert all(42 < x <= 388 for x, _ in figure.points)
  assert all(22 <= y <= 250 for _, y in figure.points)
  assert figure.band.startswith('M')
  assert figure.band.endswith('Z')
  assert 2 <= len(figure.x_ticks) <= 6


def test_what_is_said_of_2_and_4_times_is_the_fitted_curve():
  curve = choices.curve('small', images=1600, top=0.9)
  figure = learning_figure.build(curve)
  for (images, fitted, low, high), factor in zip(
    figure.ahead, (2, 4), strict=True
  ):
    assert images == factor * 1600
    assert fitted == pytest.approx(0.9 - 2 / images**0.5, abs=1e-4)
    assert low < fitted < high


def test_an_interval_beyond_100_percent_is_cut():
  curve = types.LearningCurve(
    'net',
    (types.LearningPoint(10, (0.9,)),),
    np.array([10.0, 40.0]),
    np.array([0.97, 0.99]),
    np.array([0.9, 0.95]),
    np.array([1.02, 1.05]),
    (),
  )
  figure = learning_figure.build(curve)
  assert figure.ahead[-1][-1] == 1
  assert max(float(tick.text) for tick in figure.y_ticks) <= 100
