import numpy as np
from PIL import Image

from tests.study.analysis import shift_tables
from tf_transfer.networks import timm_pretraining
from tf_transfer.study.analysis import shift_results
from tf_transfer.study.figures import shifts


def test_every_group_has_a_color_and_a_mark_of_its_own():
  assert set(shifts.COLORS) == set(timm_pretraining.GROUPS)
  assert set(shifts._MARKS) == set(timm_pretraining.GROUPS)
  assert len(set(shifts.COLORS.values())) == len(shifts.COLORS)


def test_points_of_a_group_are_drawn_in_its_color(tmp_path):
  """The color of a group is in the panel where it has points."""
  x = np.linspace(-1, 2, 200)
  y = x + 0.1 * np.sin(99 * np.arange(200))
  y[-20:] += 1
  colors = {}
  for group in ('imagenet_1k', 'language'):
    groups = ['imagenet_1k'] * 180 + [group] * 20
    results = shift_results.compute(shift_tables.make(x, y, groups))
    shifts.accuracy_under_shift(results, tmp_path / group)
    assert (tmp_path / f'{group}.pdf').read_bytes().startswith(b'%PDF')
    image = np.asarray(Image.open(tmp_path / f'{group}.png').convert('RGB'))
    orange = np.abs(image.astype(int) - (0xD5, 0x5E, 0x00)).sum(axis=2) < 90
    colors[group] = orange.sum()
  assert colors['imagenet_1k'] == 0
  # 20 triangles of 3.8 points at 150 dots an inch, and one in the key; they let
  # a seventh of the white through.
  assert colors['language'] > 300
