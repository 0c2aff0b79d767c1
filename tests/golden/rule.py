"""Makes the weights that belong to the golden outputs from their names.

An array is drawn from NumPy's PCG64, seeded with the first eight bytes of its
name's SHA-256 (little-endian) with the lowest bit flipped, in float64 and in
the shape that it has on disk. Kernels are scaled to variance gain / fan-in;
biases and means to deviation 0.1; a scale is 1 + 0.1 n, a variance
1 + 0.1 |n|. It is rounded to float32 once.
"""

import gzip
import hashlib
import json
import math
import pathlib
import re
from typing import Any

import numpy as np

FOLDER = pathlib.Path(__file__).parent
_FLIP = 1
# What Keras's EfficientNets scale images by, after a division by 255: the
# deviations are in the place of the variances in the published files too.
SCALING = {'mean': (0.485, 0.456, 0.406), 'variance': (0.229, 0.224, 0.225)}


def pairs() -> list[tuple[str, str]]:
  """Returns all (source, network) with golden outputs."""
  return sorted(
    (path.parent.name, path.name.removesuffix('.json.gz'))
    for path in FOLDER.glob('*/*.json.gz')
  )


def gains(source: str, network: str) -> dict[str, float]:
  """Returns the gains with golden outputs, by how the outputs' names end.

  Under gain 2 residual sums may grow so much that late biases vanish in
  float32. Where they do, there are outputs for another gain.
  """
  with np.load(FOLDER / source / f'{network}.npz') as outputs:
    matches = (re.fullmatch(r'features(_gain(.*))?', name) for name in outputs)
    return {m[1] or '': float(m[2] or 2) for m in matches if m}


def _fan_in(shape: list[int], kind: str, layout: str) -> int:
  """Returns the number of inputs of one output of a kernel."""
  if layout == 'torch':
    return math.prod(shape[1:])
  return math.prod(shape[:2] if kind == 'depthwise_kernel' else shape[:-1])


def array(
  name: str, shape: list[int], kind: str, layout: str, gain: float
) -> np.ndarray:
  """Makes one array of a checkpoint, in the layout of its source."""
  if kind in ('int', 'count'):
    return np.zeros(shape, np.int64)
  if kind in SCALING:
    return np.broadcast_to(np.float32(SCALING[kind]), shape)
  digest = hashlib.sha256(name.encode()).digest()
  seed = int.from_bytes(digest[:8], 'little') ^ _FLIP
  normal = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)
  if kind.endswith('kernel'):
    normal *= np.sqrt(gain / _fan_in(shape, kind, layout))
  elif kind == 'gamma':
    normal = 1 + 0.1 * normal
  elif kind == 'moving_variance':
    normal = 1 + 0.1 * np.abs(normal)
  else:
    normal = 0.1 * normal
  return np.asarray(normal, np.float32)


def shapes(source: str, network: str) -> dict[str, tuple[int, ...]]:
  """Returns the shapes of a checkpoint, by its reader's names."""
  rows = _manifest(source, network)['variables']
  return {_name(row): tuple(row[1]) for row in rows}


def checkpoint(source: str, network: str, gain: float) -> dict[str, np.ndarray]:
  """Makes all arrays of a checkpoint, by its reader's names."""
  manifest = _manifest(source, network)
  return {
    _name(row): array(*row[:3], manifest['layout'], gain)
    for row in manifest['variables']
  }


def _name(row: list[Any]) -> str:
  """Returns the name in [name as seed, shape, kind, name in the file]."""
  return row[3] if len(row) > 3 else row[0]


def _manifest(source: str, network: str) -> dict[str, Any]:
  """Reads names, shapes and kinds of a checkpoint's variables."""
  with gzip.open(FOLDER / source / f'{network}.json.gz') as file:
    return json.load(file)
