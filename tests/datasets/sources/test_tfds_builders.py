"""TFDS's own test of a builder, on the miniatures."""

import pathlib
import tempfile

import pytest

from tests.datasets import miniatures
from tf_transfer.datasets.sources import layouts, tfds_builders

tfds = pytest.importorskip('tensorflow_datasets')
# What tfds.testing needs, and TFDS does not bring.
pytest.importorskip('dill')


class _OnMiniatures:
  """Brings the files that a person would have to bring."""

  @classmethod
  def setUpClass(cls):
    cls._directory = tempfile.TemporaryDirectory()
    cls.EXAMPLE_DIR = cls._directory.name
    name = cls.DATASET_CLASS.DATASET
    folder = layouts.LAYOUTS[name].folder
    path = pathlib.Path(cls._directory.name) / folder
    # TensorFlow, which decodes here, gives animations a fourth dimension.
    miniatures.MAKERS[name](path, animated=False)
    super().setUpClass()

  @classmethod
  def tearDownClass(cls):
    super().tearDownClass()
    cls._directory.cleanup()


class BirdsnapTest(_OnMiniatures, tfds.testing.DatasetBuilderTestCase):
  DATASET_CLASS = tfds_builders.Birdsnap
  # Each tenth is lost.
  SPLITS = {'train': 2250, 'test': 900}


class FgvcAircraftTest(_OnMiniatures, tfds.testing.DatasetBuilderTestCase):
  DATASET_CLASS = tfds_builders.FgvcAircraft
  SPLITS = {'train': 200, 'validation': 200, 'test': 200}
