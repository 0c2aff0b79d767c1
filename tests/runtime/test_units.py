"""Units of memory."""

from tf_transfer.runtime import units


def test_a_gibibyte_is_a_power_of_two():
  assert units.GIB == 1024**3
