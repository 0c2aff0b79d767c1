"""Makes folders of images that look like nothing else, for tests."""

import io
import pathlib

import numpy as np
from PIL import Image


def pixels(number: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
  """Draws the picture of a number: [H, W, 3] of smooth random colors."""
  rng = np.random.default_rng(number)
  coarse = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
  image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
  return np.asarray(image)


def encode(
  number: int, form: str = 'PNG', size: tuple[int, int] = (64, 48)
) -> bytes:
  """Encodes the picture of a number."""
  file = io.BytesIO()
  Image.fromarray(pixels(number, size)).save(file, form)
  return file.getvalue()


def write(root: pathlib.Path, files: dict[str, int | bytes]) -> pathlib.Path:
  """Writes {path below root: number of a picture, or bytes}."""
  for path, content in files.items():
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    data = encode(content) if isinstance(content, int) else content
    (root / path).write_bytes(data)
  return root


def animals(count: int = 10) -> dict[str, int | bytes]:
  """Returns the files of two classes of so many pictures."""
  return {
    f'{name}/{i}.png': 1000 * label + i
    for label, name in enumerate(('cat', 'dog'))
    for i in range(count)
  }
