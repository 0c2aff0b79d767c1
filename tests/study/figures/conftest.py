"""Catches figures before they are written."""

import pytest
from matplotlib import pyplot as plt

from tf_transfer.study.figures import canvas


@pytest.fixture
def drawn(monkeypatch):
  """The figures that were saved, still open."""
  figures = []
  monkeypatch.setattr(
    canvas, 'save', lambda figure, path: figures.append(figure)
  )
  yield figures
  plt.close('all')
