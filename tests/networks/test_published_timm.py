"""What timm publishes, against numbers that were read in its files by hand."""

import hashlib
import importlib.resources
import math
import re

import pytest

from tf_transfer.networks import published_timm


def test_files_are_those_that_were_published():
  """SOURCE.md names the SHA-256 of each, and no other."""
  data = importlib.resources.files('tf_transfer.networks') / 'data' / 'timm'
  text = (data / 'SOURCE.md').read_text()
  named = dict(
    reversed(pair) for pair in re.findall(r'^(\w{64})  (\S+)$', text, re.M)
  )
  names = {p.name for p in data.iterdir()} - {'SOURCE.md'}
  assert {f'{name}.gz' for name in named} == names
  for name, digest in named.items():
    content = published_timm.read_bytes(name.removesuffix('.csv'))
    assert hashlib.sha256(content).hexdigest() == digest
  # 1.06 MB as published.
  assert sum((data / name).stat().st_size for name in names) < 320_000


def test_top1_of_a_checkpoint():
  """results-imagenet.csv: resnet50.a1_in1k,288,81.240 and 224,80.382."""
  best = published_timm.top1('timm/resnet50.a1_in1k')
  assert (best.image_size, best.crop_fraction) == (288, 1.0)
  assert best.value == pytest.approx(0.8124, abs=1e-9)
  assert best.interpolation == 'bicubic'
  assert best.parameters == 25.56
  assert 'timm' in best.source
  assert '288 px, crop fraction 1' in best.source
  small = published_timm.top1('resnet50.a1_in1k', 224)
  assert small.value == pytest.approx(0.80382, abs=1e-9)
  assert small.crop_fraction == 0.95
  assert published_timm.sizes('resnet50.a1_in1k') == (224, 288)


def test_top1_on_another_test_set_is_of_the_size_that_is_best_on_imagenet():
  best = published_timm.top1('resnet50.a1_in1k', test_set='imagenet_v2')
  assert best.image_size == 288
  same = published_timm.top1('resnet50.a1_in1k', 288, 'imagenet_v2')
  assert best == same


@pytest.mark.parametrize(
  ('name', 'size'),
  [('resnet50.a1_in1k', 100), ('resnet50', None), ('resnet50.no_such', None)],
)
def test_top1_that_is_not_published(name, size):
  assert published_timm.top1(name, size) is None


def test_numbers_of_checkpoints_and_rows():
  assert len(published_timm.checkpoints()) == 1266
  for test_set in published_timm.TEST_SETS:
    assert len(published_timm.accuracies(test_set)) == 1556
  # ImageNet-A was chosen by a ResNet-50 of the kind of this one.
  names = set(published_timm.checkpoints())
  on_a = {a.checkpoint for a in published_timm.accuracies('imagenet_a')}
  assert names - on_a == {'resnet50.tv_in1k'}
  assert published_timm.top1('resnet50.tv_in1k', None, 'imagenet_a') is None


def test_plain_accuracy_is_of_the_same_classes():
  """What the differences give for ImageNet-R is what its own file has."""
  clean = {
    (a.checkpoint, a.image_size): a.value
    for a in published_timm.accuracies('imagenet_r_clean')
  }
  for one in published_timm.accuracies('imagenet_r'):
    key = one.checkpoint, one.image_size
    # Both numbers are rounded to a thousandth of a percent.
    assert one.plain == pytest.approx(clean[key], abs=1.1e-5)
  # On the 10,000 images of 200 classes all are multiples of 0.01 percent.
  plain = [a.plain for a in published_timm.accuracies('imagenet_a')]
  known = [value for value in plain if not math.isnan(value)]
  assert len(known) == 1555
  assert all(abs(1e4 * value - round(1e4 * value)) < 0.11 for value in known)


def test_rate_of_an_architecture():
  """The file: resnet50,224,8039.05,...,1024,25.56,4.11; 288,4865.17."""
  rate = published_timm.rate('timm/resnet50.tv_in1k', 224)
  assert rate.images_per_second == 8039.05
  assert (rate.batch_size, rate.gmacs, rate.parameters) == (1024, 4.11, 25.56)
  assert 'RTX 4090' in rate.source
  # The size of the best ImageNet top-1.
  assert published_timm.rate('resnet50.a1_in1k').image_size == 288
  # Without a tag there is no top-1: the smallest size.
  assert published_timm.rate('resnet50').image_size == 160
  assert published_timm.rate('resnet50', 1000) is None
  assert published_timm.rate('no_such') is None
