"""ImageNet's layout: class folders, flat with lists, and as Kaggle has it."""

import os
import shutil

import numpy as np
import pytest
import scipy.io

from tests.datasets import miniatures
from tests.datasets.miniatures import examples, open_in
from tf_transfer.datasets import table
from tf_transfer.errors import InputError


@pytest.fixture(autouse=True)
def rows(monkeypatch):
  """Makes the table expect the counts of the miniatures."""
  monkeypatch.setattr(table, 'TABLE', miniatures.rows())


def test_both_ways_to_lay_out_imagenets_validation(tmp_path, data_dir):
  miniatures.make('imagenet', tmp_path, flat=False)
  folders = open_in(tmp_path, 'imagenet')
  flat = open_in(data_dir, 'imagenet')
  for part, split in flat.splits.items():
    assert split.hash == folders.splits[part].hash
  for part, _, label, path in examples(folders):
    assert path.split('/')[-2] == folders.classes[label]
    assert (path.split('/')[-3] == 'val') == (part == 'test')


def test_imagenets_development_kit(tmp_path, data_dir):
  shutil.copytree(data_dir / 'imagenet', tmp_path / 'imagenet')
  root = tmp_path / 'imagenet'
  truth = root / 'imagenet_2012_validation_synset_labels.txt'
  wnids = truth.read_text().split()
  truth.unlink()
  with pytest.raises(InputError, match='nothing that says their classes'):
    open_in(tmp_path, 'imagenet')
  kit = root / 'ILSVRC2012_devkit_t12/data'
  kit.mkdir(parents=True)
  # The kit's numbers are not in the order of the names.
  known = sorted(wnids, key=lambda wnid: wnid[::-1])
  rows = np.zeros((1000, 1), [('ILSVRC2012_ID', object), ('WNID', object)])
  for i, wnid in enumerate(known):
    rows[i, 0] = (i + 1, wnid)
  scipy.io.savemat(kit / 'meta.mat', {'synsets': rows})
  numbers = [known.index(wnid) + 1 for wnid in wnids]
  miniatures.lines(kit, 'ILSVRC2012_validation_ground_truth.txt', numbers)
  test = open_in(tmp_path, 'imagenet').splits['test']
  assert test.hash == open_in(data_dir, 'imagenet').splits['test'].hash


@pytest.fixture
def kaggle(data_dir, tmp_path):
  """ImageNet as Kaggle's archive has it, in DIR/kaggle/imagenet."""
  root = tmp_path / 'kaggle/imagenet'
  images = root / 'ILSVRC/Data/CLS-LOC'
  shutil.copytree(data_dir / 'imagenet', images, copy_function=os.link)
  truth = images / 'imagenet_2012_validation_synset_labels.txt'
  wnids = truth.read_text().split()
  truth.unlink()
  names = sorted(os.listdir(images / 'val'))
  rows = [
    f'{name[:-5]},{wnid} 1 2 3 4 {wnid} 5 6 7 8'
    for name, wnid in zip(names, wnids, strict=True)
  ]
  # Kaggle's table is in no order.
  np.random.default_rng(0).shuffle(rows)
  miniatures.lines(
    root, 'LOC_val_solution.csv', ['ImageId,PredictionString', *rows]
  )
  mapping = [f'{wnid} a name, another name' for wnid in sorted(wnids)]
  miniatures.lines(root, 'LOC_synset_mapping.txt', mapping)
  return root


def assert_same(first, second):
  splits = open_in(first, 'imagenet').splits
  for part, split in open_in(second, 'imagenet').splits.items():
    assert split.hash == splits[part].hash


def test_kaggles_archive(data_dir, kaggle):
  assert_same(data_dir, kaggle.parent)
  # Named itself, or the folder in it.
  assert_same(data_dir, kaggle)
  assert_same(data_dir, kaggle / 'ILSVRC')
  images = kaggle / 'ILSVRC/Data/CLS-LOC'
  for name in ('train', 'val'):
    (images / name).rename(images / 'away')
    (images / name).mkdir()
    (images / 'away').rename(images / name / name)
  assert_same(data_dir, kaggle.parent)


def test_kaggles_val_alone_has_all_classes(data_dir, kaggle):
  images = kaggle / 'ILSVRC/Data/CLS-LOC'
  shutil.rmtree(images / 'train')
  (images / 'val/ILSVRC2012_val_00000007.JPEG').unlink()
  with pytest.raises(InputError, match='999 images of test where there should'):
    open_in(kaggle.parent, 'imagenet')


@pytest.mark.parametrize(
  ('line', 'message'),
  [
    ('ILSVRC2012_val_00000003,', 'line 1002: expected the name of an image'),
    ('nothing', 'line 1002: expected the name of an image'),
    ('ILSVRC2012_val_00000003,n99999999 1 2 3 4', 'line 1002: a second class'),
    (f'"{"x" * 200_000}"', 'line 1002: expected the name of an image'),
  ],
)
def test_broken_solutions(kaggle, line, message):
  path = kaggle / 'LOC_val_solution.csv'
  path.write_text(f'{path.read_text()}{line}\n')
  with pytest.raises(InputError, match=message):
    open_in(kaggle.parent, 'imagenet')


def test_images_without_a_class(kaggle):
  path = kaggle / 'LOC_val_solution.csv'
  kept = [row for row in path.read_text().split('\n') if '_00000007' not in row]
  path.write_text('\n'.join(kept))
  with pytest.raises(InputError, match=r'no class of 1 image .*00000007.JPEG'):
    open_in(kaggle.parent, 'imagenet')
  path.unlink()
  with pytest.raises(InputError, match="Kaggle's LOC_val_solution.csv in"):
    open_in(kaggle.parent, 'imagenet')
