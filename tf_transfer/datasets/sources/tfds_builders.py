"""Defines TFDS builders of two datasets that TFDS lacks.

Importing this module registers them with TFDS. Both read the official layout,
which users have to put in the directory for manual downloads.
"""

from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from tf_transfer.datasets.sources.image_files import Contents, Examples
from tf_transfer.datasets.sources.layouts import LAYOUTS
from tf_transfer.datasets.table import row

# Our names of splits -> those of TFDS.
_SPLITS = {
  'train': tfds.Split.TRAIN,
  'val': tfds.Split.VALIDATION,
  'test': tfds.Split.TEST,
}


class _FromLayout:
  """The common part of both; no builder itself, or TFDS would list it."""

  DATASET: str

  def _info(self) -> tfds.core.DatasetInfo:
    """Describes the dataset to TFDS."""
    table_row = row(self.DATASET)
    return tfds.core.DatasetInfo(
      builder=self,
      description=self.__doc__,
      features=tfds.features.FeaturesDict(
        {
          'image': tfds.features.Image(),
          'label': tfds.features.ClassLabel(num_classes=table_row.classes),
          'file_name': tfds.features.Text(),
        }
      ),
      supervised_keys=('image', 'label'),
      homepage=table_row.homepage,
      citation=table_row.citation,
      license=table_row.license,
    )

  def _split_generators(self, dl_manager: Any) -> dict[Any, Any]:
    """Reads the layout; returns a generator of examples for each split."""
    layout = LAYOUTS[self.DATASET]
    contents: Contents = layout.read(str(dl_manager.manual_dir / layout.folder))
    self.info.features['label'].names = contents.classes
    return {
      _SPLITS[name]: self._generate_examples(examples)
      for name, examples in contents.splits.items()
    }

  def _generate_examples(
    self, examples: Examples
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the key and the features of each example."""
    for name, label, path in zip(
      examples.names, examples.labels, examples.images.paths, strict=True
    ):
      yield name, {'image': path, 'label': int(label), 'file_name': name}


class Birdsnap(_FromLayout, tfds.core.GeneratorBasedBuilder):
  """500 species of North American birds; only the photos that still exist."""

  DATASET = 'birdsnap'
  VERSION = tfds.core.Version('1.0.0')
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
    'Put images.txt, test_images.txt, species.txt and the folder images, with '
    'the photos that get_birdsnap.py could fetch, in the folder birdsnap.'
  )


class FgvcAircraft(_FromLayout, tfds.core.GeneratorBasedBuilder):
  """100 variants of aircraft; images have a banner of 20 px at the bottom."""

  DATASET = 'aircraft'
  VERSION = tfds.core.Version('1.0.0')
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
    'Unpack fgvc-aircraft-2013b.tar.gz to the folder fgvc-aircraft-2013b.'
  )
