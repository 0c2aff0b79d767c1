"""Miniatures of all datasets with official splits."""

import pytest

from tests.datasets import miniatures


@pytest.fixture(scope='session')
def data_dir(tmp_path_factory):
  """A directory with all 13 miniatures."""
  directory = tmp_path_factory.mktemp('layouts')
  for name in miniatures.MAKERS:
    miniatures.make(name, directory)
  return directory
