"""Tests where labels are placed."""

import itertools

import numpy as np
import pytest

from tf_transfer.study.choice import labels

FRAME = (0, 0, 400, 250)


def box(label):
  return (
    label.x,
    label.y - 10,
    label.x + labels.width(label.text),
    label.y + 3,
  )


def overlap(a, b):
  return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def test_a_lone_label_is_right_of_its_point():
  (label,) = labels.place([(100, 100)], [5], ['Net'], FRAME)
  assert label.x == 108
  assert label.line is None


def test_at_the_edge_it_is_on_the_other_side():
  (label,) = labels.place([(395, 100)], [5], ['ResNet'], FRAME)
  assert box(label)[2] == pytest.approx(387, abs=0.1)


@pytest.mark.parametrize('seed', range(5))
def test_no_label_lies_on_another_or_on_a_point(seed):
  generator = np.random.default_rng(seed)
  points = [(x, y) for x, y in generator.uniform((60, 20), (340, 230), (25, 2))]
  texts = [f'Network-{i}' for i in range(25)]
  placed = labels.place(points, [5] * 25, texts, FRAME)
  assert len(placed) >= 15
  # The most important has its label whatever the others need.
  assert placed[0].text == 'Network-0'
  # Positions are rounded to a tenth.
  shrunk = [
    (b[0] + 0.1, b[1] + 0.1, b[2] - 0.1, b[3] - 0.1) for b in map(box, placed)
  ]
  for a, b in itertools.combinations(shrunk, 2):
    assert not overlap(a, b)
  for a in shrunk:
    assert a[0] >= 0
    assert a[2] <= 400
    for x, y in points:
      assert not overlap(a, (x - 5, y - 5, x + 5, y + 5))


def test_a_label_that_is_moved_off_has_a_line():
  points = [(200, 100), (200, 101), (200, 99), (199, 100), (201, 100)]
  texts = ['a long name'] * 5
  placed = labels.place(points, [5] * 5, texts, FRAME)
  assert any(label.line for label in placed)
  for label in placed:
    if label.line:
      assert label.line[:2] in points


def test_labels_avoid_a_line_where_they_can():
  points = [(100, 100), (300, 100)]
  (free, _) = labels.place(points, [5, 5], ['Net', None], FRAME), None
  assert free[0].x == 108
  (avoiding,) = labels.place(points, [5, 5], ['Net', None], FRAME, points)
  assert not overlap(box(avoiding), (100, 100, 300, 100))


def test_the_first_label_is_written_in_any_case():
  points = [(x, y) for x in range(0, 400, 8) for y in range(0, 250, 8)]
  texts = ['first', 'second', *[None] * (len(points) - 2)]
  placed = labels.place(points, [5] * len(points), texts, FRAME)
  assert [label.text for label in placed] == ['first']


def test_a_point_without_label():
  assert labels.place([(1, 1)], [5], [None], FRAME) == []


def test_long_texts_keep_both_ends():
  assert labels.shorten('short') == 'short'
  assert labels.shorten('abcdefghijkl', 10) == 'abcdef…jkl'
  assert len(labels.shorten('x' * 500, 60)) == 60


def test_width_is_no_narrower_than_that_of_a_wide_font():
  """Against DejaVu Sans, the widest of the usual fonts."""
  matplotlib = pytest.importorskip('matplotlib')
  from matplotlib import font_manager
  from PIL import ImageFont

  del matplotlib
  font = ImageFont.truetype(font_manager.findfont('DejaVu Sans'), 120)
  for text in ('ResNet-152', 'EfficientNet-B7', 'ViT-L/16', 'ConvNeXt Large'):
    assert labels.width(text, 120) >= 0.97 * font.getlength(text)
    assert labels.width(text, 120) <= 1.25 * font.getlength(text)
