import numpy as np
import pytest

from tests.study.analysis import shift_tables
from tf_transfer.study.analysis import shift_results

NAME = shift_tables.NAME


def test_standouts_and_look_ups():
  """Two of another group are 2 and 4 above: the second is the clearer one."""
  x = np.concatenate([np.linspace(-1, 2, 200), [0.5, 1.0]])
  y = x + 0.1 * np.sin(99 * np.arange(202))
  y[200:] += [2, 4]
  groups = ['imagenet_1k'] * 200 + ['hashtags'] * 2
  results = shift_results.compute(shift_tables.make(x, y, groups))
  assert results.standouts.tolist() == [201, 200]
  assert results.num_better_on.sum() == 2
  assert results.num_compared == 202
  assert results.mean(NAME, 'hashtags').mean == pytest.approx(3, abs=0.15)
  assert results.mean(NAME, 'language') is None
  assert results.correlation(NAME, 'all').over_checkpoints.num_points == 202
  assert results.correlation(NAME, 'hashtags') is None
