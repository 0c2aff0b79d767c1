"""Units of memory, and counts in messages."""

import pytest

from tf_transfer.runtime import units


def test_a_gibibyte_is_a_power_of_two():
  assert units.GIB == 1024**3


@pytest.mark.parametrize(
  ('count', 'words', 'text'),
  [
    (0, ('cell',), '0 cells'),
    (1, ('cell',), '1 cell'),
    (2, ('cell',), '2 cells'),
    (1200, ('test image',), '1,200 test images'),
    (1, ('copy', 'copies'), '1 copy'),
    (3, ('copy', 'copies'), '3 copies'),
  ],
)
def test_counts(count, words, text):
  assert units.counted(count, *words) == text
