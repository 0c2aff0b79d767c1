"""Tests of the figures of public weights by their recipes."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from tf_transfer import errors
from tf_transfer.jobs import public_recipes as job
from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.study.analysis import recipe_effects
from tf_transfer.study.figures import canvas, public_recipes


@pytest.fixture
def saved(monkeypatch):
  """Catches figures instead of writing them."""
  figures = {}

  def catch(figure, path):
    figure.canvas.draw()
    figures[path.name] = figure

  monkeypatch.setattr(canvas, 'save', catch)
  yield figures
  plt.close('all')


def make(number=8):
  rng = np.random.default_rng(0)
  return [
    recipe_effects.Checkpoint(
      'resnet50' if i % 2 else 'resnet18',
      f'tag{i}_in1k',
      float(rng.normal(1, 0.2)),
      0.05,
      0.7 + 0.01 * i if i else np.nan,
      recipe_lib.Recipe(
        mixup=(True, False, None)[i % 3],
        dropout=i % 4 < 2,
        label_smoothing=True,
        trained_on='imagenet',
      ),
    )
    for i in range(number)
  ]


def test_a_panel_for_each_ingredient_that_some_have(saved, tmp_path):
  checkpoints = make()
  effects = recipe_effects.estimate_all(checkpoints)
  public_recipes.transfer_vs_top1(checkpoints, effects, tmp_path / 'a')
  axes = saved['a'].axes
  titles = [axis.get_title() for axis in axes]
  assert titles == [
    'weights of ResNet-50, ResNet-18',
    'dropout\n4 with, 4 without',
    'mixup\n3 with, 3 without, 2 not known',
  ]
  # All that have a top-1 are named, and are in each panel.
  texts = {text.get_text() for text in axes[0].texts}
  assert texts == {f'tag{i}' for i in range(1, 8)}
  (legend,) = saved['a'].legends
  words = [text.get_text() for text in legend.get_texts()]
  assert words[:3] == ['with', 'without', 'not known']
  assert words[3:] == ['ResNet-50', 'ResNet-18']
  drawn = [line.get_color() for line in axes[2].get_lines()]
  assert sorted(map(drawn.count, set(drawn))) == [2, 2, 3]
  marks = [line.get_marker() for line in axes[2].get_lines()]
  assert marks.count('o') == 4
  assert marks.count('s') == 3


def test_without_any_top1_there_is_no_figure(tmp_path):
  checkpoints = make(1)
  with pytest.raises(errors.InputError, match='ImageNet top-1'):
    public_recipes.transfer_vs_top1(checkpoints, [], tmp_path / 'a')


def test_effects_beside_the_papers(saved, tmp_path):
  effects = recipe_effects.estimate_all(make())
  paper = job.paper_effects()
  public_recipes.effects(effects, paper, tmp_path / 'b')
  (axis,) = saved['b'].axes
  names = [text.get_text() for text in axis.get_yticklabels()]
  assert names[:2] == [
    'dropout\n4 with, 4 without',
    'mixup\n3 with, 3 without, 2 not known',
  ]
  assert len(names) == 5  # With the paper's other three.
  ours, equal, papers = axis.containers
  dropout = effects[2]
  assert dropout.factor == 'dropout'
  np.testing.assert_allclose(
    ours[0].get_xdata()[0], dropout.difference.value, rtol=1e-12
  )
  np.testing.assert_allclose(
    equal[0].get_xdata()[0], dropout.at_equal_top1.value, rtol=1e-12
  )
  assert set(papers[0].get_xdata()) == {e.value for e in paper.values()}
