"""Units of memory, and counts in messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_transfer import errors
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


@pytest.mark.parametrize(
  ('seconds', 'text'),
  [
    (0, '0 s'),
    (0.2, '1 s'),
    (45, '45 s'),
    (59.5, '1 min'),
    (61, '2 min'),
    (180, '3 min'),
    (3600, '1 h'),
    (3601, '1 h 1 min'),
    (7800, '2 h 10 min'),
    (86_399, '1 day'),
    (90_000, '1 day 1 h'),
    (172_800, '2 days'),
    (10 * 86_400 + 1, '11 days'),
    (340 * 86_400, '340 days'),
    (1_200.5 * 86_400, '1,201 days'),
  ],
)
def test_durations(seconds, text):
  assert units.duration(seconds) == text


@pytest.mark.parametrize(
  ('seconds', 'text'),
  [(59, '59 s'), (200, '3 min 20 s'), (180, '3 min'), (601, '11 min')],
)
def test_measured_durations_have_seconds(seconds, text):
  assert units.duration(seconds, precise=True) == text


@pytest.mark.parametrize(
  ('text', 'seconds'),
  [
    ('90s', 90),
    ('20m', 1200),
    ('20 min', 1200),
    ('2h', 7200),
    ('1h30m', 5400),
    ('1.5h', 5400),
    ('1,200 days', 1200 * 86_400),
    (' 1d 1 h ', 90_000),
  ],
)
def test_durations_are_read(text, seconds):
  assert units.parse_duration(text) == seconds


@pytest.mark.parametrize(
  'text',
  ['', ' ', '20', 'm', '-5m', '0s', '1..5h', '30m1h', '1e3s', '2 weeks', '٣m'],
)
def test_what_is_no_duration(text):
  with pytest.raises(errors.InputError, match='expected a duration such'):
    units.parse_duration(text)


@given(st.floats(0.1, 1e9), st.booleans())
def test_a_duration_that_is_written_can_be_read(seconds, precise):
  """It is rounded up, by at most an hour in ten and a day in ten days."""
  text = units.duration(seconds, precise=precise)
  assert seconds <= units.parse_duration(text) <= 1.1 * seconds + 60
  assert units.duration(units.parse_duration(text), precise=precise) == text
