import numpy as np
import pytest

from tests.study.figures.figure_records import texts
from tf_transfer import errors
from tf_transfer.networks import recipe
from tf_transfer.study.figures import regularizers
from tf_transfer.study.paper import numbers


def test_figure_3_has_a_line_for_each_network_of_the_paper(drawn):
  points = numbers.training_settings('logistic_regression')
  regularizers.training_settings(
    {'the paper': points}, 'logistic_regression', None
  )
  (figure,) = drawn
  transfer, pretraining = figure.axes
  assert transfer.get_title() == 'transfer, logistic regression'
  assert pretraining.get_title() == 'ImageNet, where it was pretrained'
  networks = dict.fromkeys(point.network for point in points)
  handles, _ = transfer.get_legend_handles_labels()
  assert len(handles) == len(networks)
  for axis, values in (
    (transfer, [p.mean_log_odds for p in points]),
    (pretraining, [p.top1 for p in points]),
  ):
    drawn_values = np.concatenate([line.get_ydata() for line in axis.lines])
    np.testing.assert_array_equal(np.sort(drawn_values), np.sort(values))
  # Below each panel stands what is on in each configuration.
  signs = [text for text in texts(figure) if text in '+−']
  assert len(signs) == 2 * len(recipe.FACTORS) * len(recipe.CONFIGURATIONS)
  assert set(recipe.FACTORS.values()) <= set(texts(figure))


def test_embeddings_have_a_panel_for_each_network(drawn):
  points = np.arange(12.0).reshape(6, 2)
  labels = np.array([0, 0, 2, 2, 2, 0])
  panels = [
    regularizers.Embedding('C1', points, labels, 0.5),
    regularizers.Embedding('C5', -points, labels, 1.0),
  ]
  regularizers.embeddings(panels, ['cat', 'dog', 'owl'], None, 'a note')
  (figure,) = drawn
  assert [axis.get_title().splitlines() for axis in figure.axes] == [
    ['C1', 'nearest neighbor of the same class: 50%'],
    ['C5', 'nearest neighbor of the same class: 100%'],
  ]
  cats, owls = (c.get_offsets() for c in figure.axes[1].collections)
  np.testing.assert_array_equal(cats, -points[labels == 0])
  np.testing.assert_array_equal(owls, -points[labels == 2])
  (legend,) = figure.legends
  assert [text.get_text() for text in legend.get_texts()] == ['cat', 'owl']
  assert figure.get_suptitle() == 'a note'


def test_embedding():
  """Three far clusters stay apart in the plane, in the order given."""
  rng = np.random.default_rng(0)
  labels = np.repeat([0, 1, 2], 20)
  values = rng.normal(size=(60, 5)) + 100 * np.eye(5)[labels]
  found = regularizers.embed(values.astype(np.float32), labels, 'one', seed=0)
  assert found.neighbors == 1
  centers = [found.points[labels == i].mean(axis=0) for i in range(3)]
  spread = max(
    np.linalg.norm(found.points[labels == i] - centers[i], axis=1).max()
    for i in range(3)
  )
  apart = min(
    np.linalg.norm(centers[i] - centers[j]) for i, j in ((0, 1), (0, 2), (1, 2))
  )
  assert apart > 2 * spread
  again = regularizers.embed(values.astype(np.float32), labels, 'one', seed=0)
  np.testing.assert_array_equal(found.points, again.points)
  with pytest.raises(errors.InputError, match='too few for t-SNE'):
    regularizers.embed(values[:3], labels[:3], 'one', seed=0)
