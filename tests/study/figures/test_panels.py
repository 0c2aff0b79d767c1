import itertools

import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from tf_transfer import errors
from tf_transfer.study.figures import averages, canvas, per_dataset, settings
from tf_transfer.study.figures import axes as axes_lib
from tf_transfer.study.paper import numbers
from tf_transfer.study.report import answer

FIXED = 'logistic_regression'


def record(network, top1, value, dataset='pets', setting=FIXED):
  return {
    'setting': setting,
    'network': network,
    'dataset': dataset,
    'metric': 'top1',
    'imagenet_top1': top1,
    'test': {'value': value, 'low': value, 'high': value, 'examples': 200},
  }


@pytest.fixture
def drawn(monkeypatch):
  """The figures that were saved, still open."""
  found = []
  monkeypatch.setattr(canvas, 'save', lambda figure, path: found.append(figure))
  yield found
  plt.close('all')


def texts(figure):
  return [text.get_text() for axis in figure.axes for text in axis.texts]


def test_labels_of_sixteen_networks_do_not_overlap(drawn):
  """Nor leave the panel, nor cover a point."""
  series = {'the paper': numbers.records()}
  averages.averages_vs_imagenet(series, numbers.SETTINGS, None)
  (figure,) = drawn
  renderer = figure.canvas.get_renderer()
  panels = [axis for axis in figure.axes if len(axis.texts) > 10]
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


def test_correlation_is_written(drawn):
  averages.averages_vs_imagenet({'the paper': numbers.records()}, [FIXED], None)
  assert any(text.startswith('r = 0.99 [') for text in texts(drawn[0]))


def test_one_network_has_no_correlation_and_says_so(drawn):
  records = [
    record('resnet50', 0.76, 0.9, dataset) for dataset in ('pets', 'dtd')
  ]
  averages.averages_vs_imagenet({'ours': records}, [FIXED], None)
  per_dataset.datasets_vs_imagenet({'ours': records}, [FIXED], None)
  for figure in drawn:
    assert any('no correlation of 1 network:' in t for t in texts(figure))
    assert 'ResNet-50' in texts(figure)


@pytest.mark.parametrize('dataset', ['pets', 'folder:/data/my.photos'])
def test_accuracies_of_0_and_100_percent(tmp_path, dataset):
  records = [
    record(f'network_{i}', 0.7 + i / 50, value, dataset, setting)
    for i, value in enumerate((0.0, 1.0, 0.6, 1.0))
    for setting in numbers.SETTINGS
  ]
  series = {'ours': records}
  averages.averages_vs_imagenet(series, numbers.SETTINGS, tmp_path / 'a.1')
  per_dataset.datasets_vs_imagenet(series, numbers.SETTINGS, tmp_path / 'b')
  settings.settings_by_dataset(records, {}, tmp_path / 'c')
  settings.fine_tuned_vs_random(series, tmp_path / 'd')
  assert sorted(p.name for p in tmp_path.iterdir()) == [
    *('a.1.pdf', 'a.1.png', 'b.pdf', 'b.png'),
    *('c.pdf', 'c.png', 'd.pdf', 'd.png'),
  ]
  for path in tmp_path.glob('*.png'):
    assert (np.asarray(Image.open(path).convert('L')) < 128).sum() > 1000


def test_same_figure_is_the_same_file(tmp_path):
  records = [record('a', 0.7, 0.8), record('b', 0.8, 0.9)]
  for name in 'xy':
    settings.settings_by_dataset(records, {'pets': 0.9}, tmp_path / name)
  for kind in ('png', 'pdf'):
    first, second = (tmp_path / f'{name}.{kind}' for name in 'xy')
    assert first.read_bytes() == second.read_bytes()


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
  found = texts(figure)
  assert {'a', 'c', 'd'} <= set(found)
  assert 'b' not in found
  assert 'b: not on all of pets, dtd' in caplog.text
  (remark,) = [text for text in found if '\n' in text]
  first, second = remark.split('\n')
  assert first == 'ours: r = 1.00 (3 networks)'
  assert second.startswith('the paper: r = 0.9')


def half_done():
  """Four networks on pets; a different one of them on each other dataset."""
  others = {'a': 'dtd', 'b': 'cars', 'c': 'digits', 'd': 'food101'}
  pets = [record(n, 0.7 + i / 30, 0.7 + i / 20) for i, n in enumerate(others)]
  rest = [
    record(n, 0.7 + i / 30, 0.6, d) for i, (n, d) in enumerate(others.items())
  ]
  return [*pets, *rest]


def test_figures_of_a_half_done_study_are_of_what_the_answer_is_of(
  drawn, caplog
):
  said = answer.from_records(half_done(), FIXED)
  assert (said.networks, said.datasets) == (tuple('abcd'), ('pets',))
  series = {'ours': half_done()}
  averages.averages_vs_imagenet(series, [FIXED], None)
  per_dataset.datasets_vs_imagenet(series, [FIXED], None)
  for figure in drawn:
    found = texts(figure)
    assert set('abcd') <= set(found)
    assert f'r = {said.correlation.r:.2f} (4 networks)' in found
  assert drawn[0].axes[0].get_ylabel() == 'Log-odds on Oxford-IIIT Pets'
  assert 'dtd, cars, digits, food101: too few networks on them' in caplog.text


def test_empty_panels_say_why(drawn):
  averages.averages_vs_imagenet(
    {'ours': half_done()}, [FIXED, 'fine_tuned'], None
  )
  assert 'nothing here yet' in texts(drawn[0])
  per_dataset.datasets_vs_imagenet(
    {'ours': half_done()}, [FIXED, 'fine_tuned'], None
  )
  assert texts(drawn[1]).count('nothing here yet') == 6
  # The one network on what the paper has too is of unknown accuracy.
  series = {
    'ours': [record('a', None, 0.9), record('b', 0.7, 0.9, 'digits')],
    'the paper': numbers.records(),
  }
  averages.averages_vs_imagenet(series, [FIXED], None)
  (said,) = texts(drawn[2])
  assert 'on the datasets of all' in said


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


def test_tied_networks_are_marked(drawn):
  records = [
    record(f'network_{i}', 0.7 + i / 50, 0.8 + i / 50) for i in range(5)
  ]
  tied = {(FIXED, 'pets'): {'network_3', 'network_4'}}
  per_dataset.datasets_vs_imagenet({'ours': records}, [FIXED], None, tied)
  panel = drawn[0].axes[0]
  others, best = (c.get_offsets() for c in panel.collections[-2:])
  np.testing.assert_allclose(np.sort(best[:, 1]), [0.86, 0.88])
  assert len(others) == 3


def test_bars_are_of_the_networks_that_all_settings_have(drawn):
  """Those of others would compare networks; marks are of all."""
  records = [
    record('a', 0.7, 0.6),
    record('b', 0.8, 0.9),
    record('a', 0.7, 0.7, setting='fine_tuned'),
    record('a', 0.7, 0.9, 'dtd'),
    record('b', 0.7, 0.8, 'dtd', 'fine_tuned'),
    record('a', 0.7, 0.5, 'digits', 'ridge'),
  ]
  settings.settings_by_dataset(records, {}, None)
  pets, dtd = drawn[0].axes
  tops = [bar.get_y() + bar.get_height() for bar in pets.patches]
  np.testing.assert_allclose(tops, [0.6, 0.7])
  assert [len(c.get_offsets()) for c in pets.collections] == [2, 1]
  colors = pets.collections[0].get_edgecolor()[:, :3]
  assert colors[0].max() < 0.2 < colors[1].min()
  assert not dtd.patches
  assert len(dtd.collections) == 2


@pytest.mark.parametrize('count', [1, 2, 3, 4])
def test_legend_of_few_datasets_is_not_cut_off(drawn, count):
  names = ('pets', 'dtd', 'cars', 'flowers')[:count]
  records = [
    record('a', 0.7, 0.8, name, setting)
    for name in names
    for setting in numbers.SETTINGS
  ]
  settings.settings_by_dataset(records, dict.fromkeys(names, 0.9), None)
  (figure,) = drawn
  figure.draw_without_rendering()
  (legend,) = figure.legends
  box = legend.get_window_extent()
  assert figure.bbox.x0 <= box.x0
  assert box.x1 <= figure.bbox.x1
  assert len(legend.get_texts()) == 4


def test_nothing_in_both_settings(drawn):
  records = [
    record('a', 0.7, 0.8, 'pets', 'fine_tuned'),
    record('a', 0.7, 0.8, 'dtd', 'random_init'),
  ]
  with pytest.raises(errors.InputError, match='no network was both'):
    settings.fine_tuned_vs_random({'ours': records}, None)


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
