"""Tests of fingerprints: the fixed image, and the table in the docs."""

import pathlib
import re

import numpy as np
import pytest

from tests.conftest import LITES
from tf_transfer.convert_weights import fingerprint
from tf_transfer.networks import weights

TABLE = pathlib.Path(__file__).parents[2] / 'docs' / 'fingerprints.md'


def test_image_is_the_same_everywhere():
  image = fingerprint.make_image(224)
  assert image.shape == (224, 224, 3)
  assert image.dtype == np.uint8
  # By hand: 2·3 + 3·2 + 5·3 + 85 = 112; 223·223 + 8·223 + 2·85 = 51683,
  # which is 201·256 + 227.
  assert image[2, 3, 1] == 112
  assert image[223, 223, 2] == 227


@pytest.mark.parametrize(
  'network',
  # One each time; the others are marked slow.
  [LITES[0], *(pytest.param(n, marks=pytest.mark.slow) for n in LITES[1:])],
)
def test_table_of_the_docs(weights_dir, network):
  rows = re.findall(
    rf'\| `{network}` \| `(.*)` \| `(.*)` \| (.*) \|', TABLE.read_text()
  )
  path = weights_dir / f'{network}.safetensors'
  header = weights.read_header(path)
  ((source, sha256, wanted),) = rows
  assert source == header.source
  assert header.source_sha256.startswith(sha256)
  assert fingerprint.compute_fingerprint(path) == wanted
