import itertools

import numpy as np
import pytest
from matplotlib import pyplot as plt

from tf_transfer.study.figures import labels


@pytest.fixture
def axis():
  figure, axis = plt.subplots(figsize=(4, 4))
  axis.set_xlim(0, 1)
  axis.set_ylim(0, 1)
  yield axis
  plt.close(figure)


def place(axis, x, y, texts, obstacles=()):
  """Places labels; their boxes in pixels, by text."""
  labels.place_all(
    axis.figure,
    [labels.Labels(axis, np.array(x), np.array(y), texts, obstacles)],
  )
  renderer = axis.figure.canvas.get_renderer()
  return {t.get_text(): t.get_window_extent(renderer) for t in axis.texts}


def test_a_lone_label_stands_beside_its_point(axis):
  boxes = place(axis, [0.5], [0.5], ['one'])
  point = axis.transData.transform((0.5, 0.5))
  box = boxes['one']
  assert not box.contains(*point)
  nearest = np.clip(point, box.min, box.max)
  assert np.hypot(*(nearest - point)) < 10 * axis.figure.dpi / 72
  assert not axis.lines


def test_labels_at_the_edges_stay_inside(axis):
  corners = list(itertools.product((0.01, 0.99), repeat=2))
  x, y = zip(*corners, strict=True)
  texts = [f'a long label {i}' for i in range(4)]
  frame = axis.get_window_extent()
  for box in place(axis, x, y, texts).values():
    assert frame.x0 <= box.x0
    assert box.x1 <= frame.x1
    assert frame.y0 <= box.y0
    assert box.y1 <= frame.y1


def test_labels_of_a_cluster_do_not_overlap(axis):
  x = 0.5 + 0.01 * np.arange(6)
  boxes = place(axis, x, np.full(6, 0.5), [f'label {i}' for i in range(6)])
  for one, other in itertools.combinations(boxes.values(), 2):
    assert not one.overlaps(other)


def test_a_label_that_is_far_away_gets_a_line_and_moves_no_limits(axis):
  x = np.array([0.5] * 12)
  place(axis, x, 0.5 + 0.02 * np.arange(12), [f'label {i}' for i in range(12)])
  assert axis.lines
  assert axis.get_xlim() == axis.get_ylim() == (0, 1)


def test_labels_keep_off_obstacles(axis):
  """A wall right of the point: the label goes to the other side."""
  wall = np.column_stack([np.full(200, 0.55), np.linspace(0, 1, 200)])
  box = place(axis, [0.5], [0.5], ['label'], [wall])['label']
  pixels = axis.transData.transform(wall)
  assert not any(box.contains(*point) for point in pixels)


def test_bar_obstacles_reach_from_end_to_end():
  bars = labels.bar_obstacles(
    np.array([1.0, 2.0]), np.array([0.0, 0.5]), np.array([1.0, 0.75])
  )
  assert len(bars) == 2
  np.testing.assert_array_equal(bars[1][:, 0], 2)
  np.testing.assert_array_equal(bars[1][[0, -1], 1], [0.5, 0.75])
