"""Checks that the tensors of a weights file are those that were written.

A digest finds every change since the file was written. Files of before have
none; for them, and for what was wrong when it was written, there are bounds
that no network leaves.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

# How safetensors names float32, the only type in weights files.
DTYPE = 'F32'
# No value of a network is larger. The largest are variances of batch norm on
# unscaled pixels, some 1e6; the highest bit of a float32's exponent multiplies
# by 3e38.
_MAX_VALUE = 1e10


def digest(fields: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
  """Computes the SHA-256 of a header and of tensors, in hexadecimal.

  Args:
    fields: of the header, as JSON can hold them.
    tensors: by path; their names, types, shapes and bytes count, their order
      does not.
  """
  result = hashlib.sha256(json.dumps(fields, sort_keys=True).encode())
  for name in sorted(tensors):
    array = np.ascontiguousarray(tensors[name])
    result.update(f'{name}\0{array.dtype.str}\0{array.shape}\0'.encode())
    result.update(memoryview(array.reshape(-1)).cast('B'))
  return result.hexdigest()


def implausible(tensors: Mapping[str, np.ndarray]) -> list[str]:
  """Lists tensors whose values no network has.

  Args:
    tensors: float32, by path.

  Returns:
    A line for each problem: NaN or infinity, values beyond any that training
    reaches, negative variances, and kernels of the backbone that are zero
    though others are not.
  """
  problems, zeros = [], []
  kernels = 0
  for name, array in sorted(tensors.items()):
    if not array.size:
      continue
    # Both are NaN where one value is.
    low, high = float(array.min()), float(array.max())
    is_kernel = name.startswith('params/backbone') and name.endswith('/kernel')
    kernels += is_kernel
    if not (np.isfinite(low) and np.isfinite(high)):
      problems.append(f'{name}: holds NaN or infinity')
    elif max(-low, high) > _MAX_VALUE:
      problems.append(
        f'{name}: holds {max(low, high, key=abs):g}, beyond any weight'
      )
    elif low < 0 and name.startswith('batch_stats') and name.endswith('/var'):
      problems.append(f'{name}: a variance of {low:g}, below 0')
    elif is_kernel and low == high == 0:
      zeros.append(f'{name}: all values are 0')
  return problems + (zeros if len(zeros) < kernels else [])
