import numpy as np

from tests.study import curve_records
from tf_transfer.study.analysis import learning_curves
from tf_transfer.study.figures import examples


def test_a_line_a_setting_with_standard_errors(drawn):
  curves = learning_curves.examples_curves(
    [fields for fields, _ in curve_records.both()]
  )
  examples.accuracy_vs_examples(curves, None, remarks=['A remark.'])
  (figure,) = drawn
  figure.draw_without_rendering()
  (axis,) = figure.axes
  assert axis.get_title() == 'Oxford-IIIT Pets'
  assert axis.get_xscale() == 'log'
  fixed, *_ = axis.containers
  line, _, (bars,) = fixed
  np.testing.assert_allclose(
    line.get_xydata(), [[1, 0.41], [4, 0.51], [16, 0.61]]
  )
  # Of two draws, 0.02 apart: 0.01 on either side.
  np.testing.assert_allclose(
    [segment[:, 1] for segment in bars.get_segments()],
    [[0.4, 0.42], [0.5, 0.52], [0.6, 0.62]],
  )
  (legend,) = figure.legends
  assert [text.get_text() for text in legend.get_texts()] == [
    *('Logistic regression', 'Fine-tuned', 'Random initialization'),
  ]
  assert figure.get_supxlabel().splitlines() == [
    *('Training images of each class', 'A remark.'),
  ]
  labels = [tick.get_text() for tick in axis.get_xticklabels()]
  assert labels == ['1', '4', '16']


def test_a_panel_for_each_network_and_dataset(drawn):
  few = curve_records.few
  cells = [
    few('fine_tuned', count, 0, 0.5, dataset, network)
    for network in ('resnet50', 'resnet101')
    for dataset in ('pets', 'dtd')
    for count in (1, 2)
  ]
  curves = learning_curves.examples_curves([fields for fields, _ in cells])
  examples.accuracy_vs_examples(curves, None)
  (figure,) = drawn
  assert [axis.get_title() for axis in figure.axes] == [
    *('ResNet-50\nOxford-IIIT Pets', 'ResNet-50\nDTD'),
    *('ResNet-101\nOxford-IIIT Pets', 'ResNet-101\nDTD'),
  ]
