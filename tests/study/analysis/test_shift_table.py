import numpy as np
import pytest

from tf_transfer.study.analysis import shift_table


@pytest.fixture(scope='module')
def table():
  return shift_table.published()


def row(table, name):
  return [one.name for one in table.checkpoints].index(name)


def test_each_checkpoint_is_there_once_at_its_best_size(table):
  names = [one.name for one in table.checkpoints]
  assert len(names) == len(set(names)) == 1266
  assert (np.diff(table.top1) <= 0).all()
  # 224 px: 80.382 %, 288 px: 81.240 %.
  one = table.checkpoints[row(table, 'resnet50.a1_in1k')]
  assert (one.imagenet.image_size, one.family) == (288, 'ResNet')
  assert one.images_per_second == 4865.17
  assert one.pretraining.group == 'imagenet_1k'


def test_accuracies_are_of_that_size(table):
  """Read in the files at 288 px, not at 224."""
  i = row(table, 'resnet50.a1_in1k')
  found = {
    name: (round(100 * s.plain[i], 3), round(100 * s.accuracy[i], 3))
    for name, s in table.shifts.items()
  }
  assert found == {
    'imagenet_v2': (81.24, 69.69),
    'imagenet_real': (81.24, 86.579),
    # Of the 200 classes on the left.
    'imagenet_r': (94.31, 38.993),
    'imagenet_sketch': (81.24, 28.189),
    'imagenet_a': (94.77, 15.84),
  }


def test_checkpoint_that_is_not_on_a_test_set(table):
  i = row(table, 'resnet50.tv_in1k')
  assert not table.shifts['imagenet_a'].known[i]
  assert table.shifts['imagenet_r'].known[i]
  assert table.shifts['imagenet_a'].known.sum() == 1265


def test_accuracy_of_nothing_counts_as_half_an_image():
  shift = shift_table.Shift(
    'imagenet_a', np.array([0.5, 1.0]), np.array([0.0, 0.5])
  )
  assert shift.y[0] == pytest.approx(np.log(0.5 / 7499.5))
  assert shift.x[1] == pytest.approx(np.log(9999.5 / 0.5))
