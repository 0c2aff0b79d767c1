"""Tests of importing packages that only some formats need."""

import json
import sys

import pytest

from tf_transfer import errors
from tf_transfer.convert_weights import packages


def test_import_module():
  assert packages.import_module('json', 'a test') is json


@pytest.mark.parametrize(
  ('module', 'package'),
  [('h5py', 'h5py'), ('tensorflow', 'tensorflow-cpu')],
)
def test_missing_package_is_named(monkeypatch, module, package):
  monkeypatch.setitem(sys.modules, module, None)
  with pytest.raises(errors.InputError) as caught:
    packages.import_module(module, 'reading a file')
  assert str(caught.value) == (
    f'reading a file needs {module}: pip install {package}'
  )
