import numpy as np

from tf_transfer.study.figures import steps


def test_each_curve_is_drawn_and_where_it_reaches_90_percent_of_its_odds(drawn):
  counts, accuracy = np.array([10, 100, 1000]), np.array([0.5, 0.79, 0.8])
  curves = [
    steps.Curve('fine_tuned', 'pets', counts, accuracy, 20),
    steps.Curve('random_init', 'pets', counts, accuracy / 2, 20),
    steps.Curve('fine_tuned', 'dtd', counts, accuracy, 50),
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
