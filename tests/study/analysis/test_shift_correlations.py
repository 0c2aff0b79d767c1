import numpy as np
import pytest
import scipy.stats

from tests.study.analysis import shift_tables
from tf_transfer.study.analysis import shift_correlations, shift_table

# Pearson's r of all, of those above 75 %, and Spearman's of all: SciPy 1.16's
# pearsonr and spearmanr, from the published files as a script of its own read
# them (the row of the best ImageNet top-1 of each checkpoint; for ImageNet-R
# against its clean file, for -A against top1 less top1_diff, in thousandths).
GOLDEN = {
  'imagenet_v2': (0.9964391912542649, 0.9933338856038736, 0.9951117649138306),
  'imagenet_real': (0.9879483495865835, 0.9837180598060766, 0.9926961007943037),
  'imagenet_r': (0.8634760366512139, 0.8639135829768397, 0.9548315945885059),
  'imagenet_sketch': (
    0.9217586871695037,
    0.9157388043975959,
    0.9529210384161081,
  ),
  'imagenet_a': (0.954666966035346, 0.9753859384065837, 0.984284065055),
}


@pytest.mark.parametrize('name', GOLDEN)
def test_published_correlations(name):
  published = shift_table.published()
  table = shift_table.ShiftTable(
    published.checkpoints, {name: published.shifts[name]}
  )
  of = {(c.group, c.min_top1): c for c in shift_correlations.correlate(table)}
  every = of['all', 0.0]
  high = of['all', shift_correlations.HIGH_TOP1]
  found = every.r, high.r, every.ranks
  # ImageNet-R's plain accuracy is rounded twice.
  assert found == pytest.approx(GOLDEN[name], abs=1e-6)
  on_a = name == 'imagenet_a'
  assert every.over_checkpoints.num_points == 1266 - on_a
  assert high.over_checkpoints.num_points == 1151 - on_a
  assert every.num_families == 78
  # The interval over families is the wider one, and both hold r.
  narrow, wide = every.over_checkpoints, every.over_families
  assert wide.low < narrow.low < every.r < narrow.high < wide.high


def test_groups_and_within_groups():
  """Two groups on parallel lines: r of all is low, within groups it is 1."""
  x = np.tile(np.linspace(-1, 1, 20), 2)
  shifted = np.repeat([0.0, 3.0], 20)
  y = x + shifted + 0.001 * np.sin(37 * np.arange(40))
  groups = ['imagenet_1k'] * 20 + ['language'] * 20
  table = shift_tables.make(x, y, groups)
  of = {
    c.group: c for c in shift_correlations.correlate(table) if c.min_top1 == 0
  }
  assert set(of) == {'all', 'within groups', 'imagenet_1k', 'language'}
  assert of['all'].r == pytest.approx(scipy.stats.pearsonr(x, y)[0], abs=1e-9)
  assert of['all'].r < 0.4
  assert of['within groups'].r > 0.999
  assert of['language'].r > 0.999
  assert of['language'].over_checkpoints.num_points == 20


def test_group_of_two_checkpoints_has_none():
  x = np.linspace(0, 1, 8)
  table = shift_tables.make(
    x, x**2, ['imagenet_1k'] * 6 + ['self_supervised'] * 2
  )
  groups = {c.group for c in shift_correlations.correlate(table)}
  assert groups == {'all', 'within groups', 'imagenet_1k'}


def test_only_checkpoints_above_a_top1():
  """Half of log-odds from -1 to 3 are above 75 %, whose log-odds are 1.1."""
  x = np.linspace(-1, 3, 41)
  found = shift_correlations.correlate(shift_tables.make(x, x + np.sin(9 * x)))
  counts = {
    c.min_top1: c.over_checkpoints.num_points for c in found if c.group == 'all'
  }
  assert counts == {0.0: 41, 0.75: int((x > np.log(3)).sum())}
