"""Makes the CSV of published accuracies, a row a checkpoint."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_transfer.networks import published_timm
from tf_transfer.runtime import csv_text
from tf_transfer.study.analysis import shift_results, shift_table

_HEADERS = (
  *('checkpoint', 'family', 'pretraining', 'data', 'image_size'),
  *('crop_fraction', 'interpolation', 'parameters_million'),
  *('images_per_second_rtx4090_amp', 'imagenet_top1'),
)


def render(results: shift_results.ShiftResults) -> str:
  """Returns the CSV: accuracies are shares, empty where there is none.

  Columns of a test set are top-1, where it has 200 of the classes top-1 on the
  plain images of these, log-odds above the curve, and Holm's p.

  Args:
    results: of the checkpoints.
  """
  table = results.table
  headers = list(_HEADERS)
  columns: list[Sequence[float]] = []
  for name, shift in table.shifts.items():
    headers.append(f'{name}_top1')
    columns.append(shift.accuracy)
    if shift.test_set.same_classes:
      headers.append(f'{name}_plain_top1')
      columns.append(shift.plain)
    one = results.residuals[name]
    headers += [f'{name}_above_curve', f'{name}_p']
    columns += [one.value, one.p]
  rows = [
    (*_facts(checkpoint), *(_value(column[i]) for column in columns))
    for i, checkpoint in enumerate(table.checkpoints)
  ]
  return csv_text.render([headers, *rows])


def _facts(one: shift_table.Checkpoint) -> tuple[Any, ...]:
  """Returns what is known of a checkpoint, as `_HEADERS` name it."""
  imagenet: published_timm.Top1 = one.imagenet
  return (
    one.name,
    one.family,
    one.pretraining.title,
    ', '.join(one.pretraining.data),
    imagenet.image_size,
    imagenet.crop_fraction,
    imagenet.interpolation,
    imagenet.parameters,
    one.images_per_second,
    imagenet.value,
  )


def _value(number: float) -> float | None:
  """Returns a number to six digits, None for NaN."""
  return None if np.isnan(number) else float(f'{number:.6g}')
