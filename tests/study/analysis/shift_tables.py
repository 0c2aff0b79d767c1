"""Small tables of checkpoints on shifted test sets, with known curves."""

import numpy as np
import scipy.special

from tf_transfer.networks import published_timm, timm_pretraining
from tf_transfer.study.analysis import shift_table

NAME = 'imagenet_sketch'


def make(x, y, groups=None, families=None):
  """A table of one test set, from log-odds x and y of M checkpoints."""
  plain, accuracy = scipy.special.expit(x), scipy.special.expit(y)
  count = len(plain)
  groups = ['imagenet_1k'] * count if groups is None else groups
  families = (
    [f'f{i % 10}' for i in range(count)] if families is None else families
  )
  checkpoints = tuple(
    shift_table.Checkpoint(
      f'net{i}.tag',
      family,
      timm_pretraining.Pretraining(group),
      published_timm.Top1(
        f'net{i}.tag', 'imagenet', top1, 224, 0.875, 'bicubic', 1.0, np.nan
      ),
      None,
    )
    for i, (family, group, top1) in enumerate(
      zip(families, groups, plain, strict=True)
    )
  )
  shift = shift_table.Shift(NAME, plain, accuracy)
  return shift_table.ShiftTable(checkpoints, {NAME: shift})
