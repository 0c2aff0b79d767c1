"""TFDS builders of the two datasets that TFDS lacks.

Importing this module is what makes them known to TFDS. Both read the official
layout, which a person has to put in the directory for manual downloads.
"""

from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from tf_transfer.datasets.sources.image_files import Contents, Examples
from tf_transfer.datasets.sources.layouts import LAYOUTS
from tf_transfer.datasets.table import row

# Our parts -> TFDS's names of them.
_SPLITS = {
  'train': tfds.Split.TRAIN,
  'val': tfds.Split.VALIDATION,
  'test': tfds.Split.TEST,
}


class _FromLayout:
  """What the two have in common; no builder itself, or TFDS would list it."""

  def _info(self) -> tfds.core.DatasetInfo:
    given = row(self.DATASET)
    return tfds.core.DatasetInfo(
      builder=self,
      description=self.__doc__,
      features=tfds.features.FeaturesDict(
        {
          'image': tfds.features.Image(),
          'label': tfds.features.ClassLabel(num_classes=given.classes),
          'file_name': tfds.features.Text(),
        }
      ),
      supervised_keys=('image', 'label'),
      homepage=given.page,
      citation=given.citation,
      license=given.license,
    )

  def _split_generators(self, dl_manager: Any) -> dict[Any, Any]:
    layout = LAYOUTS[self.DATASET]
    contents: Contents = layout.read(str(dl_manager.manual_dir / layout.folder))
    self.info.features['label'].names = contents.classes
    return {
      _SPLITS[part]: self._generate_examples(examples)
      for part, examples in contents.parts.items()
    }

  def _generate_examples(
    self, examples: Examples
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, label, path in zip(
      examples.names, examples.labels, examples.images.paths, strict=True
    ):
      yield name, {'image': path, 'label': int(label), 'file_name': name}


class Birdsnap(_FromLayout, tfds.core.GeneratorBasedBuilder):
  """500 species of North American birds, as far as their photos survive."""

  DATASET = 'birdsnap'
  VERSION = tfds.core.Version('1.0.0')
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
    'Put images.txt, test_images.txt, species.txt and the folder images, with '
    'the photos that get_birdsnap.py could fetch, in the folder birdsnap.'
  )


class FgvcAircraft(_FromLayout, tfds.core.GeneratorBasedBuilder):
  """100 variants of aircraft; a banner of 20 px is at the images' bottom."""

  DATASET = 'aircraft'
  VERSION = tfds.core.Version('1.0.0')
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
    'Unpack fgvc-aircraft-2013b.tar.gz to the folder fgvc-aircraft-2013b.'
  )
