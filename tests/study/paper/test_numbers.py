import numpy as np
import pytest

from tf_transfer import datasets, networks
from tf_transfer.study.paper import numbers


def test_every_cell_is_there_once():
  cells = {
    (r['setting'], r['network'], r['dataset']) for r in numbers.records()
  }
  assert len(numbers.records()) == len(cells) == 3 * 16 * 12
  settings, names, sets = (set(part) for part in zip(*cells, strict=True))
  assert settings == set(numbers.SETTINGS)
  assert names <= set(networks.TABLE)
  assert sets <= set(datasets.names())
  assert set(numbers.imagenet_top1()) == names
  assert set(numbers.previous_best()) == sets
  assert {c.dataset for c in numbers.accuracy_vs_steps()} == sets


def test_a_record_by_hand():
  """Inception v4 fine-tuned on Cars: 93.3 in the paper, 93.32 in the figure."""
  (record,) = [
    r
    for r in numbers.records()
    if (r['setting'], r['network'], r['dataset'])
    == ('fine_tuned', 'inception_v4', 'cars')
  ]
  assert record['test']['value'] == pytest.approx(0.9332)
  assert record['test']['low'] == pytest.approx(0.9322)
  assert record['test']['high'] == pytest.approx(0.9342)
  assert record['test']['examples'] == 8041
  assert record['metric'] == 'top1'
  assert record['imagenet_top1'] == pytest.approx(0.799)


def test_reading_error():
  np.testing.assert_allclose(
    numbers.reading_error(np.array([0.1, 0.5, 0.675, 0.85, 0.98])),
    [0.003, 0.003, 0.002, 0.001, 0.001],
  )
