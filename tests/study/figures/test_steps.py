import numpy as np
import pytest

from tests.study import curve_records
from tf_transfer.study.analysis import learning_curves
from tf_transfer.study.figures import steps
from tf_transfer.study.paper import numbers


def test_each_curve_is_drawn_and_where_it_reaches_90_percent_of_its_odds(drawn):
  counts, accuracy = np.array([10, 100, 1000]), np.array([0.5, 0.79, 0.8])
  curves = [
    learning_curves.StepsCurve('fine_tuned', 'pets', counts, accuracy, 20),
    learning_curves.StepsCurve('random_init', 'pets', counts, accuracy / 2, 20),
    learning_curves.StepsCurve('fine_tuned', 'dtd', counts, accuracy, 50),
  ]
  steps.accuracy_vs_steps(curves, None)
  (figure,) = drawn
  figure.draw_without_rendering()
  pets, dtd = figure.axes
  assert [pets.get_title(), dtd.get_title()] == ['Oxford-IIIT Pets', 'DTD']
  curve, reached, _, _ = pets.lines
  np.testing.assert_array_equal(curve.get_xydata(), np.c_[counts, accuracy])
  # 0.79 has odds of 3.76, which is more than 90 % of 4.
  np.testing.assert_array_equal(reached.get_xydata(), [[100, 0], [100, 0.79]])
  (legend,) = figure.legends
  assert [text.get_text() for text in legend.get_texts()] == [
    *('Fine-tuned', 'Random initialization', '90 % of its greatest odds'),
  ]
  # Above each panel are epochs of its own dataset.
  (above,) = dtd.child_axes
  np.testing.assert_allclose(above.get_xlim(), np.array(dtd.get_xlim()) / 50)


def test_the_papers_curves_are_behind_ours_on_the_same_datasets(drawn):
  ours = learning_curves.steps_curves(
    [fields for fields, _ in curve_records.both()]
  )
  papers = numbers.accuracy_vs_steps()
  steps.accuracy_vs_steps(ours, None, behind=papers, remarks=['A remark.'])
  (figure,) = drawn
  figure.draw_without_rendering()
  (axis,) = figure.axes
  gray = [line for line in axis.lines if line.get_color() == '0.6']
  expected = [c for c in papers if c.dataset == 'pets']
  assert len(gray) == len(expected) == 2
  np.testing.assert_array_equal(gray[0].get_ydata(), expected[0].accuracy)
  assert all(line.get_zorder() < 2 for line in gray)
  # Ours have the intervals of their accuracies.
  assert len(axis.collections) == 2
  low = axis.collections[0].get_segments()[0][0, 1]
  assert low == pytest.approx(ours[0].low[0])
  assert figure.get_supxlabel().splitlines()[1:] == ['A remark.']
  (legend,) = figure.legends
  assert legend.get_texts()[-1].get_text() == 'the paper: Inception v4'


def test_without_epochs_there_is_no_axis_of_them(drawn):
  counts, accuracy = np.array([10, 100]), np.array([0.5, 0.8])
  curve = learning_curves.StepsCurve(
    'fine_tuned', 'folder:/birds', counts, accuracy, np.nan
  )
  steps.accuracy_vs_steps([curve], None)
  (figure,) = drawn
  assert not figure.axes[0].child_axes
  assert figure.get_supxlabel() == 'Training steps'
