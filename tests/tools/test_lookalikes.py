"""Tests of naming the network that a checkpoint looks like."""

import pytest

from tests.golden import rule
from tf_transfer.convert_weights import lookalikes

pytestmark = pytest.mark.usefixtures('traced_once')


@pytest.mark.parametrize(
  ('source', 'network'),
  [
    ('timm', 'mobilenet_v2_140'),  # named as mobilenet_v2, and wider
    ('slim', 'inception_v4'),
    ('keras', 'resnet101'),
    ('pretrainedmodels', 'bn_inception'),
    ('timm', 'efficientnet_b2'),  # named as efficientnet_b1, and wider
  ],
)
def test_another_network_of_the_table(source, network):
  tensors = rule.checkpoint(source, network, 2.0)
  # Retrained for ten classes, with more variables and without a few.
  tensors = dict(list(tensors.items())[5:])
  tensors['extra'] = next(iter(tensors.values()))
  assert lookalikes.find(tensors, 'mobilenet_v1') == network
  assert lookalikes.find(tensors, network) == ''


def test_network_that_is_not_in_the_table():
  shapes = rule.checkpoint('torchvision', 'resnet50', 2.0)
  tensors = {f'vgg.{name}.x': array for name, array in shapes.items()}
  assert lookalikes.find(tensors, 'resnet50') == ''
  assert lookalikes.find({}, 'resnet50') == ''
