import numpy as np
import pytest
from matplotlib import pyplot as plt

from tf_transfer.study.figures import axes as axes_lib


@pytest.mark.parametrize(
  ('low', 'high'),
  [(0.5, 0.98), (0.716, 0.808), (0.0025, 0.9975), (0.9, 0.9), (0.97, 0.9985)],
)
@pytest.mark.parametrize('count', [3, 5, 9])
def test_percent_ticks(low, high, count):
  """Within the axis, not more than have room, each what its label says."""
  figure, axis = plt.subplots()
  axis.set_yscale('logit')
  axes_lib.logit_axis(axis.yaxis, low, high, max_ticks=count)
  figure.draw_without_rendering()
  bottom, top = axis.get_ylim()
  assert bottom < low <= high < top
  places = axis.get_yticks()
  labels = [label.get_text() for label in axis.get_yticklabels()]
  plt.close(figure)
  assert 1 <= len(places) <= count
  assert np.all((places >= bottom) & (places <= top))
  assert len(set(labels)) == len(labels)
  for place, label in zip(places, labels, strict=True):
    assert float(label.rstrip('%')) / 100 == pytest.approx(place, abs=1e-9)
