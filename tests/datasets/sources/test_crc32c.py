"""CRC-32C against published values and the bit by bit definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_transfer.datasets.sources import crc32c


def bit_by_bit(data):
  register = 0xFFFFFFFF
  for byte in data:
    register ^= byte
    for _ in range(8):
      register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
  return register ^ 0xFFFFFFFF


@pytest.mark.parametrize(
  ('data', 'expected'),
  [
    # RFC 3720, appendix B.4.
    (bytes(32), 0x8A9136AA),
    (b'\xff' * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
    (b'123456789', 0xE3069283),
    (b'', 0),
  ],
)
def test_published_values(data, expected):
  assert crc32c.crc32c(data) == expected


@given(st.binary(max_size=400))
def test_any_data(data):
  assert crc32c.crc32c(data) == bit_by_bit(data)


def test_lengths_around_those_of_lanes():
  data = bytes(i * 7 % 251 for i in range(4100))
  for length in (1, 3, 4, 5, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097):
    assert crc32c.crc32c(data[:length]) == bit_by_bit(data[:length])
