"""The official layout of 102 Flowers."""

import shutil

import pytest
import scipy.io

from tests.datasets import miniatures
from tests.datasets.miniatures import assert_refused, examples, open_in
from tf_transfer.datasets import table
from tf_transfer.datasets.sources import flowers


@pytest.fixture(autouse=True)
def rows(monkeypatch):
  """Makes the table expect the counts of the miniatures."""
  monkeypatch.setattr(table, 'TABLE', miniatures.rows())


def test_labels_of_flowers(data_dir):
  root = data_dir / 'flowers'
  labels = scipy.io.loadmat(root / 'imagelabels.mat')['labels'][0]
  ids = scipy.io.loadmat(root / 'setid.mat')
  parts = {'train': 'trnid', 'val': 'valid', 'test': 'tstid'}
  dataset = open_in(data_dir, 'flowers')
  for part, _, label, path in examples(dataset):
    number = int(path[-9:-4])
    assert label == labels[number - 1] - 1
    assert number in ids[parts[part]][0]
  assert len(set(flowers.CLASSES)) == 102


def flower_label(value):
  def change(root):
    labels = scipy.io.loadmat(root / 'imagelabels.mat')['labels']
    labels[0, 17] = value
    scipy.io.savemat(root / 'imagelabels.mat', {'labels': labels})

  return change


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (flower_label(103), 'imagelabels.mat: 103 .* from 1 to 102'),
    (flower_label(0), 'imagelabels.mat: 0 .* from 1 to 102'),
    (
      lambda root: shutil.copy(root / 'imagelabels.mat', root / 'setid.mat'),
      'setid.mat: no variable trnid',
    ),
  ],
)
def test_bad_layouts(tmp_path, data_dir, change, message):
  assert_refused(data_dir, tmp_path, 'flowers', change, message)
