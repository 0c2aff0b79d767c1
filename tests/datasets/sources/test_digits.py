"""scikit-learn's digits."""

import numpy as np

from tf_transfer import datasets


def test_digits():
  digits = datasets.open('digits')
  counts = {name: len(part) for name, part in digits.splits.items()}
  assert counts == {'train': 1046, 'val': 384, 'test': 367}
  assert digits.classes == tuple('0123456789')
  assert digits.metric == 'top1'
  assert digits.notes == ()
  test = digits.splits['test']
  assert test.hash.startswith('1b2a2cbb')
  assert test.read(0).shape == (8, 8, 3)
  assert test.read(0).dtype == np.uint8
  assert max(test.read(i).max() for i in range(20)) == 255
  assert test.describe(0).startswith('digits image ')
  assert set(test.labels.tolist()) == set(range(10))


def test_digits_are_those_of_scikit_learn():
  from sklearn.datasets import load_digits

  bunch = load_digits()
  part = datasets.open('digits').splits['val']
  for i in (0, 100, 300):
    original = int(part.describe(i).rsplit(' ', 1)[1])
    assert part.labels[i] == bunch.target[original]
    error = part.read(i)[..., 0] - bunch.images[original] * 255 / 16
    assert np.abs(error).max() <= 0.5


def test_seed_and_fractions_reach_the_draw():
  other = datasets.open('digits', seed=1, test_fraction=0.5)
  assert 0.45 < len(other.splits['test']) / 1797 < 0.55
  assert (
    other.splits['test'].hash != datasets.open('digits').splits['test'].hash
  )
