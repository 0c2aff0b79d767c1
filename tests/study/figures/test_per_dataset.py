import numpy as np
import pytest
from PIL import Image

from tests.study.figures.figure_records import FIXED, half_done, record, texts
from tests.study.report import table_records
from tf_transfer.study.figures import averages, per_dataset
from tf_transfer.study.paper import numbers


def test_one_network_has_no_correlation_and_says_so(drawn):
  records = [
    record('resnet50', 0.76, 0.9, dataset) for dataset in ('pets', 'dtd')
  ]
  averages.averages_vs_imagenet({'ours': records}, [FIXED], None)
  per_dataset.datasets_vs_imagenet({'ours': records}, [FIXED], None)
  for figure in drawn:
    assert any('no correlation of 1 network:' in t for t in texts(figure))
    assert 'ResNet-50' in texts(figure)


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
  (remark,) = texts(drawn[2])
  assert 'on the datasets of all' in remark


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


@pytest.mark.parametrize(
  'records',
  [
    [table_records.record('one', 0.75, 0.9)],
    [
      table_records.record('all', 0.75, 1.0),
      table_records.record('none', 0.80, 0.0),
    ],
    [
      table_records.record('a', 0.70, 0.999),
      table_records.record('b', 0.8, 0.9985),
    ],
    [
      table_records.record(
        f'network_{i}', 0.70 + i / 100, 0.5 + i / 40, dataset=d, metric=m
      )
      for i in range(8)
      for d, m in (('digits', 'top1'), ('pets', 'mean_per_class'))
    ],
  ],
)
def test_figure_of_anything(tmp_path, records):
  assert per_dataset.accuracy_vs_imagenet(records, tmp_path / 'a')
  pixels = np.asarray(Image.open(tmp_path / 'a.png').convert('L'))
  assert (pixels < 128).sum() > 1000


def test_networks_of_unknown_accuracy_are_left_out_and_said(tmp_path, caplog):
  assert not per_dataset.accuracy_vs_imagenet(
    [table_records.record('mine', None, 0.9)], tmp_path / 'a'
  )
  assert 'mine: ImageNet top-1 unknown' in caplog.text
  assert not list(tmp_path.iterdir())
