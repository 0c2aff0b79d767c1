import numpy as np
import pytest
from PIL import Image

from tests.study.figures.figure_records import record
from tf_transfer import errors
from tf_transfer.study.figures import averages, per_dataset, settings
from tf_transfer.study.paper import numbers


def test_accuracies_of_0_and_100_percent(tmp_path):
  """In every figure of networks, also of a folder whose name has a dot."""
  records = [
    record(f'network_{i}', 0.7 + i / 50, value, dataset, setting)
    for i, value in enumerate((0.0, 1.0, 0.6, 1.0))
    for dataset in ('pets', 'folder:/data/my.photos')
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
