"""Checks of features, labels and penalties."""

import numpy as np
import pytest

from tf_transfer.errors import InputError
from tf_transfer.transfer.logistic import path as path_lib
from tf_transfer.transfer.logistic import validation

GOOD = np.eye(4, 3), np.array([0, 1, 2, 0])


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'features': np.where(GOOD[0] == 1, np.nan, 0.0)}, r'3 values.*row is 0'),
    ({'features': np.full((4, 3), np.inf)}, '12 values'),
    ({'features': np.zeros((0, 3)), 'labels': np.zeros(0, int)}, 'empty'),
    ({'features': np.zeros((4, 3, 1))}, 'matrix'),
    ({'features': np.zeros((4, 3), int)}, 'float'),
    ({'labels': np.array([0, 1, 2])}, '4 rows of features but 3 labels'),
    ({'labels': np.array([0, 1, -1, 0])}, 'row 2 has -1'),
    ({'labels': np.array([0, 1, 2, 3]), 'num_classes': 3}, 'row 3 has 3'),
    ({'labels': np.array([0.0, 1, 2, 0])}, 'integers'),
    ({'labels': np.ones(4, int)}, 'at least two'),
    ({'labels': np.zeros((4, 2), int)}, 'no class has both'),
    ({'labels': np.full((4, 2), 2)}, 'must be 0, 1 or -1'),
    ({'labels': np.zeros((4, 2, 2), int)}, 'shape'),
    ({'labels': np.eye(4, 2, dtype=int), 'num_classes': 3}, '2 columns'),
    ({'penalties': [1.0, 0.0]}, 'positive'),
    ({'penalties': [-1.0]}, 'positive'),
    ({'penalties': [np.nan]}, 'positive'),
    ({'penalties': []}, 'at least one'),
    ({'initial': (np.zeros((2, 3)), np.zeros(3))}, 'initial'),
    ({'tolerance': 0.0}, 'tolerance'),
  ],
)
def test_bad_input_is_one_error(change, message):
  arguments = {'features': GOOD[0], 'labels': GOOD[1], 'penalties': [1.0]}
  arguments |= change
  with pytest.raises(InputError, match=message):
    path_lib.fit_path(
      arguments.pop('features'),
      arguments.pop('labels'),
      arguments.pop('penalties'),
      **arguments,
    )


def test_labels_become_targets_by_class():
  targets, label_mask = validation.check_labels(np.array([0, 2, 1]), 3, 4)
  assert label_mask is None
  np.testing.assert_array_equal(targets, np.eye(4, dtype=bool)[[0, 2, 1]].T)
  targets, label_mask = validation.check_labels(
    np.array([[0, 1], [-1, 0]]), 2, None
  )
  np.testing.assert_array_equal(targets, [[False, False], [True, False]])
  np.testing.assert_array_equal(label_mask, [[True, False], [True, True]])


def test_trivial_classes_are_not_fitted():
  """Always there, never there, without labels, and one to be fitted."""
  labels = np.array([[1, 0, -1, 0], [1, 0, -1, 1]])
  arrays = validation.check_labels(labels, 2, None)
  np.testing.assert_array_equal(validation.fitted_classes(*arrays), [3])
  np.testing.assert_array_equal(
    validation.unfitted_bias(*arrays)[:3], [np.inf, -np.inf, 0]
  )


def test_infinite_biases_of_an_earlier_fit_start_at_zero():
  weights, bias = validation.check_initial(
    (np.ones((2, 3)), np.array([1.0, -np.inf, np.inf])), 2, 3
  )
  assert weights.shape == (3, 2)
  np.testing.assert_array_equal(bias, [1, 0, 0])
