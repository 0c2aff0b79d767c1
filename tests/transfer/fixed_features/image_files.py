"""Opens image files as official layouts do: none is decoded when opened."""

import pathlib

import numpy as np

from tf_transfer import datasets
from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import build_dataset, no_progress
from tf_transfer.datasets.sources import image_files


def open_files(root: pathlib.Path) -> datasets.Dataset:
  """Opens the images of a folder of classes, corrupt ones too."""
  classes = sorted(path.name for path in root.iterdir())
  paths = sorted(root.glob('*/*'))
  labels = np.array([classes.index(path.parent.name) for path in paths])
  files = image_files.whole_files(map(str, paths))
  digests = files.digests(root.name, no_progress)
  drawn = splits.train_val_test(digests, splits.RandomSplit())
  parts = [
    image_files.make_split(name, labels[i], digests[i], files.take(i))
    for name, i in drawn.items()
  ]
  return build_dataset('files', tuple(classes), 'top1', parts)
