"""Helpers of tests that run studies."""

import json
import pathlib
from typing import Any

import numpy as np
from PIL import Image


def read_records(
  workdir: pathlib.Path, name: str = 'results.jsonl'
) -> list[dict[str, Any]]:
  """Reads the lines of a ledger, or of another file of JSON lines."""
  path = workdir / name
  if not path.exists():
    return []
  return [json.loads(line) for line in path.read_text().splitlines()]


def comparable(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """Reads a ledger without what differs between two runs of a cell."""
  records = read_records(workdir)
  for record in records:
    del record['seconds'], record['finished']
  return sorted(records, key=lambda record: record['identity'])


def make_folder(
  root: pathlib.Path, *, num_images: int = 20, corrupt: bool = False
) -> pathlib.Path:
  """Makes a folder of a class of dark and one of light images.

  Args:
    root: the folder.
    num_images: of each class.
    corrupt: whether dark/7.png is cut short.
  """
  rng = np.random.default_rng(0)
  for label, name in enumerate(('dark', 'light')):
    (root / name).mkdir(parents=True, exist_ok=True)
    for number in range(num_images):
      pixels = rng.integers(0, 100, (20, 30, 3)) + 120 * label
      Image.fromarray(pixels.astype(np.uint8)).save(
        root / name / f'{number}.png'
      )
  if corrupt:
    path = root / 'dark' / '7.png'
    path.write_bytes(path.read_bytes()[:-200])
  return root
