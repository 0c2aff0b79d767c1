"""Checks features, labels and penalties before anything is fitted to them.

Every error is one sentence that says what is wrong, where, and what to do.
"""

import numpy as np
from numpy.typing import ArrayLike

from tf_transfer.errors import InputError

IGNORED = -1
"""A label [N, C] that counts neither way (VOC's difficult objects)."""

# Rows that are checked at a time: for all at once, what says which values are
# finite would take a quarter of the features' memory.
_BLOCK_ROWS = 4096


def check_features(features: ArrayLike) -> np.ndarray:
  """Returns features [N, D] of a float type, all finite.

  Raises:
    InputError: they are not; the message says where.
  """
  features = np.asarray(features)
  if features.ndim != 2:
    raise InputError(
      'features must be a matrix [examples, values], not an array of shape '
      f'{list(features.shape)}; pool or flatten them first'
    )
  if not np.issubdtype(features.dtype, np.floating):
    raise InputError(
      f'features must be of a float type, not {features.dtype}; convert them '
      'first'
    )
  if 0 in features.shape:
    raise InputError(
      f'features have shape {list(features.shape)}: there is nothing to fit; '
      'is the split empty?'
    )
  num_bad = np.concatenate(
    [
      np.count_nonzero(~np.isfinite(features[i : i + _BLOCK_ROWS]), axis=1)
      for i in range(0, len(features), _BLOCK_ROWS)
    ]
  )
  if num_bad.any():
    rows = np.flatnonzero(num_bad)
    raise InputError(
      f'{num_bad.sum()} values of the features, in {len(rows)} of '
      f'{len(features)} rows, are NaN or infinite; the first such row is '
      f'{rows[0]}. Compute the features again'
    )
  return features


def check_labels(
  labels: ArrayLike, num_examples: int, num_classes: int | None
) -> tuple[np.ndarray, np.ndarray | None]:
  """Converts labels to targets [C, N] bool and a mask [C, N] bool.

  Args:
    labels: [N] classes from 0, or [N, C] zeros and ones, -1 where ignored.
    num_examples: N.
    num_classes: C; None for what the labels say.

  Returns:
    Targets and a mask that is False where a label is ignored; the mask is None
    for labels [N].

  Raises:
    InputError: the labels are not as above; the message says where.
  """
  labels = np.asarray(labels)
  if labels.ndim not in (1, 2):
    raise InputError(
      'labels must be classes [N] or zeros and ones [N, C], not an array of '
      f'shape {list(labels.shape)}'
    )
  if len(labels) != num_examples:
    raise InputError(
      f'{num_examples} rows of features but {len(labels)} labels'
    )
  if labels.ndim == 1:
    return _check_classes(labels, num_classes), None
  if num_classes not in (None, labels.shape[1]):
    raise InputError(
      f'num_classes is {num_classes} but labels have {labels.shape[1]} columns'
    )
  is_bad = ~np.isin(labels, (0, 1, IGNORED))
  if is_bad.any():
    row, column = np.argwhere(is_bad)[0]
    raise InputError(
      f'labels [N, C] must be 0, 1 or {IGNORED} (ignored); row {row} has '
      f'{labels[row, column]} for class {column}'
    )
  return labels.T == 1, labels.T != IGNORED


def check_penalties(penalties: ArrayLike) -> np.ndarray:
  """Returns penalties [P] as float64.

  Raises:
    InputError: there are none, or not all are positive and finite.
  """
  penalties = np.atleast_1d(np.asarray(penalties, np.float64))
  if penalties.ndim != 1 or not penalties.size:
    raise InputError('penalties must be a list of at least one number')
  is_bad = ~((penalties > 0) & np.isfinite(penalties))
  if is_bad.any():
    raise InputError(
      f'penalties must be positive and finite, not {penalties[is_bad][0]:g}; '
      'without a penalty separable classes have no solution'
    )
  return penalties


def check_initial(
  initial: tuple[ArrayLike, ArrayLike] | None, dim: int, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
  """Converts weights [D, C] and bias [C] to [C, D] and [C], in float64.

  Args:
    initial: where the solver starts; None for zeros. Infinite biases, of
      classes without examples in an earlier fit, become zero.
    dim: D.
    num_classes: C.

  Raises:
    InputError: the shapes are others.
  """
  if initial is None:
    return np.zeros((num_classes, dim)), np.zeros(num_classes)
  weights, bias = (np.asarray(array, np.float64) for array in initial)
  if weights.shape != (dim, num_classes) or bias.shape != (num_classes,):
    raise InputError(
      f'initial weights and bias have shapes {list(weights.shape)} and '
      f'{list(bias.shape)}; expected [{dim}, {num_classes}] and [{num_classes}]'
    )
  weights = np.where(np.isfinite(weights), weights, 0).T
  return weights, np.where(np.isfinite(bias), bias, 0)


def fitted_classes(
  targets: np.ndarray, label_mask: np.ndarray | None
) -> np.ndarray:
  """Returns the indices of the classes that there is something to fit for.

  A class of a softmax needs one example. An independent label needs one with
  it and one without it. The weights of all others are zero.

  Args:
    targets: [C, N] bool.
    label_mask: [C, N] bool; None for a softmax.

  Raises:
    InputError: there are not enough such classes.
  """
  if label_mask is None:
    fitted = np.flatnonzero(targets.any(axis=1))
    if len(fitted) < 2:
      raise InputError(
        f'all {targets.shape[1]} labels are class {fitted[0]}; a classifier '
        'needs at least two'
      )
    return fitted
  fitted = np.flatnonzero(targets.any(1) & (~targets & label_mask).any(1))
  if not len(fitted):
    raise InputError('no class has both examples with it and without it')
  return fitted


def unfitted_bias(
  targets: np.ndarray, label_mask: np.ndarray | None
) -> np.ndarray:
  """Returns [C], the optimal bias of classes that `fitted_classes` omits.

  It is -inf without examples of the class, +inf where all are of it, and zero
  where there are no labels at all.
  """
  if label_mask is None:
    return np.full(len(targets), -np.inf)
  positive, negative = targets.any(1), (~targets & label_mask).any(1)
  return np.where(positive, np.inf, np.where(negative, -np.inf, 0))


def _check_classes(labels: np.ndarray, num_classes: int | None) -> np.ndarray:
  """Converts classes [N] to one-hot targets [C, N] bool."""
  if not np.issubdtype(labels.dtype, np.integer):
    raise InputError(f'labels [N] must be integers, not {labels.dtype}')
  num_classes = labels.max() + 1 if num_classes is None else num_classes
  is_bad = (labels < 0) | (labels >= num_classes)
  if is_bad.any():
    row = is_bad.argmax()
    raise InputError(
      f'labels must be classes from 0 to {num_classes - 1}; row {row} has '
      f'{labels[row]}' + (' (and more rows)' if is_bad.sum() > 1 else '')
    )
  return labels == np.arange(num_classes)[:, None]
