import itertools

import pytest
from matplotlib import pyplot as plt

from tests.study.figures.figure_records import FIXED, half_done, record, texts
from tf_transfer import errors
from tf_transfer.study.analysis import ties
from tf_transfer.study.figures import averages, canvas, per_dataset
from tf_transfer.study.paper import numbers
from tf_transfer.study.report import answer


@pytest.fixture(scope='module')
def papers_figure():
  """Figure 1 of the paper's numbers, in all settings."""
  with pytest.MonkeyPatch.context() as patch:
    figures = []
    patch.setattr(canvas, 'save', lambda figure, path: figures.append(figure))
    averages.averages_vs_imagenet(
      {'the paper': numbers.records()}, numbers.SETTINGS, None
    )
  (figure,) = figures
  yield figure
  plt.close(figure)


def test_labels_of_sixteen_networks_do_not_overlap(papers_figure):
  """Nor leave the panel, nor cover a point."""
  renderer = papers_figure.canvas.get_renderer()
  panels = [axis for axis in papers_figure.axes if len(axis.texts) > 10]
  assert len(panels) == 3
  for axis in panels:
    names = [t for t in axis.texts if not t.get_text().startswith('r =')]
    assert len(names) == 16
    boxes = [t.get_window_extent(renderer) for t in names]
    for one, other in itertools.combinations(boxes, 2):
      assert not one.overlaps(other)
    frame = axis.get_window_extent(renderer)
    for box in boxes:
      assert frame.x0 < box.x0
      assert box.x1 < frame.x1
    points = axis.transData.transform(axis.lines[0].get_xydata())
    assert len(points) == 16
    assert not any(box.contains(*point) for box in boxes for point in points)


def test_correlation_is_written(papers_figure):
  first = papers_figure.axes[0]
  assert first.get_title() == 'Logistic regression'
  (text,) = [t.get_text() for t in first.texts if 'r =' in t.get_text()]
  # As the answer says it.
  assert text == 'r = 0.99 [0.97, 0.99], over families [0.82, 1.00]'


def test_averages_are_over_what_all_have(drawn, caplog):
  """The paper's on ours' datasets; a network that lacks one is left out."""
  ours = [
    record(n, 0.7 + i / 30, 0.7 + i / 20, d)
    for i, n in enumerate(('a', 'b', 'c', 'd'))
    for d in ('pets', 'dtd', 'digits')
    if (n, d) != ('b', 'dtd')
  ]
  series = {'ours': ours, 'the paper': numbers.records()}
  averages.averages_vs_imagenet(series, [FIXED], None)
  (figure,) = drawn
  assert figure.axes[0].get_ylabel() == 'Mean log-odds over 2 datasets'
  written = texts(figure)
  assert {'a', 'c', 'd'} <= set(written)
  assert 'b' not in written
  assert 'b: not on all of pets, dtd' in caplog.text
  (remark,) = [text for text in written if '\n' in text]
  first, second, bars = remark.split('\n')
  assert first == 'ours: r = 1.00 (3 networks)'
  assert second.startswith('the paper: r = 0.9')
  assert bars == 'bars: Morey’s error, SD by n − 1'


def test_networks_tied_on_average_are_marked(drawn):
  """Of the first series; the others are not asked about."""
  records = numbers.records()
  tied = {(FIXED, ties.AVERAGE): {'inception_resnet_v2', 'nasnet_large'}}
  averages.averages_vs_imagenet({'the paper': records}, [FIXED], None, tied)
  (figure,) = drawn
  (marks,) = (line for line in figure.axes[0].lines if line.get_marker() == 'D')
  assert sorted(marks.get_xdata()) == sorted(
    numbers.imagenet_top1()[name] for name in tied[FIXED, ties.AVERAGE]
  )
  legend = figure.axes[0].get_legend()
  assert 'tied with the best (t-test over 12 datasets)' in [
    text.get_text() for text in legend.get_texts()
  ]


def test_figures_of_a_half_done_study_are_of_what_the_answer_is_of(
  drawn, caplog
):
  result = answer.from_records(half_done(), FIXED)
  assert (result.networks, result.datasets) == (tuple('abcd'), ('pets',))
  series = {'ours': half_done()}
  averages.averages_vs_imagenet(series, [FIXED], None)
  per_dataset.datasets_vs_imagenet(series, [FIXED], None)
  for figure in drawn:
    written = texts(figure)
    assert set('abcd') <= set(written)
    assert f'r = {result.correlation.r:.2f} (4 networks)' in written
  assert drawn[0].axes[0].get_ylabel() == 'Log-odds on Oxford-IIIT Pets'
  assert 'dtd, cars, digits, food101: too few networks on them' in caplog.text


def test_nothing_in_common(drawn):
  series = {
    'ours': [record('a', 0.7, 0.9, 'digits')],
    'the paper': numbers.records(),
  }
  with pytest.raises(errors.InputError, match='no dataset in common'):
    averages.averages_vs_imagenet(series, [FIXED], None)


def test_networks_of_unknown_accuracy_only(drawn, caplog):
  averages.averages_vs_imagenet(
    {'ours': [record('a', None, 0.9)]}, [FIXED], None
  )
  assert 'no network with a known ImageNet top-1' in texts(drawn[0])
  assert 'a: ImageNet top-1 unknown' in caplog.text


def test_top1_of_a_linear_probe_is_marked(drawn):
  ours = [
    record(n, 0.7 + i / 30, 0.7 + i / 20, d)
    for i, n in enumerate(('a', 'b', 'c'))
    for d in ('pets', 'cars')
  ]
  for one in ours[:2]:
    one['imagenet_measure'] = 'linear_probe'
  averages.averages_vs_imagenet({'ours': ours}, (FIXED,), None)
  (axis, *_) = drawn[-1].axes
  assert 'a (top-1: linear probe)' in texts(drawn[-1])
  assert 'hollow: top-1 that is not of a trained head' in '\n'.join(
    texts(drawn[-1])
  )
  (hollow,) = [
    line for line in axis.lines if line.get_markerfacecolor() == 'white'
  ]
  assert hollow.get_xdata().tolist() == [0.7]
