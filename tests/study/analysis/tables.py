"""Makes tables of accuracies."""

from collections.abc import Sequence

import numpy as np

from tf_transfer.study.analysis import accuracy_table


def make_table(
  top1: Sequence[float],
  accuracy: Sequence[Sequence[float]],
  families: Sequence[str] | None = None,
  top1_error: Sequence[float] | None = None,
  run_error: Sequence[Sequence[float]] | None = None,
) -> accuracy_table.AccuracyTable:
  """Makes a table; networks are of families of their own unless named."""
  values = np.array(accuracy, float)
  names = tuple(f'n{i}' for i in range(len(values)))
  return accuracy_table.AccuracyTable(
    names,
    tuple(f'd{i}' for i in range(values.shape[1])),
    np.array(top1, float),
    values,
    np.full(values.shape, 1000.0),
    names if families is None else tuple(families),
    np.zeros(len(names)) if top1_error is None else np.array(top1_error, float),
    np.full(values.shape, np.nan)
    if run_error is None
    else np.array(run_error, float),
    ('',) * len(names),
  )
