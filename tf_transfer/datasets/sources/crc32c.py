"""Computes CRC-32C, the checksum of TensorFlow's records, with NumPy.

A CRC is linear: the data are cut into lanes that are computed side by side, and
the lanes' registers are then combined in pairs.
"""

import functools

import numpy as np

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, reflected.
_LANE_BYTES = 64
_WORD_BITS = 16
_INVERTED = 0xFFFFFFFF


def masked(data: bytes) -> int:
  """Returns the checksum of data as TensorFlow's records store it."""
  crc = crc32c(data)
  return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & _INVERTED


def crc32c(data: bytes) -> int:
  """Returns the CRC-32C of data."""
  if len(data) < 4:
    # The register's initial value is as long as that.
    register = _INVERTED
    for byte in data:
      register = int(_table(8)[(register ^ byte) & 0xFF]) ^ (register >> 8)
    return register ^ _INVERTED
  num_lanes = 1 << (-(-len(data) // _LANE_BYTES) - 1).bit_length()
  # Zeros in front change nothing, because the register begins with zero.
  lanes = np.zeros(num_lanes * _LANE_BYTES, np.uint8)
  start = len(lanes) - len(data)
  lanes[start:] = np.frombuffer(data, np.uint8)
  lanes[start : start + 4] ^= 0xFF
  words = np.ascontiguousarray(lanes.view('<u2').reshape(num_lanes, -1).T)
  table = _table(_WORD_BITS)
  registers = np.zeros(num_lanes, np.uint32)
  for word in words:
    index = (registers ^ word).astype(np.uint16)
    registers = table.take(index) ^ (registers >> np.uint32(_WORD_BITS))
  level = 0
  while len(registers) > 1:
    low, high = _append_zeros(level)
    first = registers[::2]
    moved = low.take(first & np.uint32(0xFFFF)) ^ high.take(
      first >> np.uint32(16)
    )
    registers = moved ^ registers[1::2]
    level += 1
  return int(registers[0]) ^ _INVERTED


@functools.cache
def _table(bits: int) -> np.ndarray:
  """Returns what a register's lowest bits become, uint32 [2 ** bits]."""
  values = np.arange(1 << bits, dtype=np.uint32)
  for _ in range(bits):
    values = (values >> 1) ^ np.where(values & 1, _POLYNOMIAL, 0).astype(
      np.uint32
    )
  return values


@functools.cache
def _append_zeros(level: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns what registers become after `_LANE_BYTES` * 2 ** level zeros.

  Returns:
    Of the lower and the upper half of a register, uint32 [2 ** 16] each.
  """
  if level:
    low, high = _append_zeros(level - 1)
    return tuple(
      low.take(half & np.uint32(0xFFFF)) ^ high.take(half >> np.uint32(16))
      for half in (low, high)
    )
  halves = np.arange(1 << 16, dtype=np.uint32)
  table = _table(_WORD_BITS)
  moved = []
  for registers in (halves, halves << np.uint32(16)):
    for _ in range(_LANE_BYTES * 8 // _WORD_BITS):
      registers = table.take(registers & np.uint32(0xFFFF)) ^ (
        registers >> np.uint32(_WORD_BITS)
      )
    moved.append(registers)
  return tuple(moved)
