"""The check on ImageNet, on a miniature of its directory."""

import base64
import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from tests.datasets import miniatures
from tests.study.report import page_records
from tf_transfer import contract, datasets, errors, networks
from tf_transfer.configs import imagenet as config_file
from tf_transfer.datasets import test_reads
from tf_transfer.images import resizing
from tf_transfer.jobs import imagenet
from tf_transfer.networks import weights
from tf_transfer.study import measured_top1
from tf_transfer.transfer.fixed_features import features

CLASSES = [f'n{i:08d}' for i in range(1000)]
TRUTH = [CLASSES[i] for i in (999, 0, 5, 0, 400, 999, 31, 8)]


@pytest.fixture(scope='module', params=['flat', 'folders', 'without train'])
def directory(request, tmp_path_factory):
  """DIR with DIR/imagenet: 8 validation images, and all classes."""
  root = tmp_path_factory.mktemp('data')
  val = root / 'imagenet' / 'val'
  photo = miniatures.Photos()
  where = root / 'imagenet' / ('val' if request.param != 'flat' else 'train')
  for name in CLASSES:
    (where / name).mkdir(parents=True)
  for i, name in enumerate(TRUTH):
    folder = val if request.param == 'flat' else val / name
    file = folder / f'ILSVRC2012_val_{i + 1:08d}.JPEG'
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(photo())
  if request.param == 'flat':
    lines = ''.join(f'{name}\n' for name in TRUTH)
    (
      root / 'imagenet' / 'imagenet_2012_validation_synset_labels.txt'
    ).write_text(lines)
  if request.param == 'folders':
    for name in CLASSES:
      (root / 'imagenet' / 'train' / name).mkdir(parents=True)
  return root


def test_validation_alone_is_opened(directory):
  split = datasets.open_test('imagenet', data_dir=str(directory))
  assert sorted(CLASSES[i] for i in split.labels) == sorted(TRUTH)
  assert split.name == 'test'
  assert split.read(0).shape == (8, 6, 3)


def test_classes_that_are_missing_are_an_error(tmp_path):
  for name in CLASSES[:999]:
    (tmp_path / 'imagenet' / 'val' / name).mkdir(parents=True)
  with pytest.raises(errors.InputError, match='999 classes, expected 1000'):
    datasets.open_test('imagenet', data_dir=str(tmp_path))


@pytest.mark.parametrize('background', [False, True])
def test_ranks_are_in_the_order_of_1000_classes(background):
  logits = np.random.default_rng(0).normal(size=(6, 1000))
  best = np.argsort(logits, axis=1)[:, ::-1][:, :5]
  if background:
    # The likeliest of all, and yet no answer.
    logits = np.concatenate([np.full((6, 1), 99.0), logits], axis=1)
  np.testing.assert_array_equal(imagenet.ranked(logits, background), best)


def network(num_classes, background, head):
  """MobileNet v1 whose head is given; its features matter to no one."""
  model = networks.build('mobilenet_v1', num_classes=num_classes)
  header = weights.Header(
    'mobilenet_v1',
    {},
    contract.Contract(32, (0, 0, 0), (1, 1, 1)),
    num_classes=num_classes,
    background=background,
  )
  variables = {'params': {'head': head}}
  return networks.Network(header, model, variables, sha256='0')


@pytest.mark.parametrize('background', [False, True])
def test_top1_and_top5_by_hand(background):
  """Features are one-hot, so the head's rows are the images' logits."""
  kernel = np.zeros((1024, 1000), np.float32)
  labels = np.array([3, 999, 0, 7])
  kernel[0, 3] = 1  # right at once
  kernel[1, [5, 6, 7, 8, 999]] = [5, 4, 3, 2, 1]  # the fifth is right
  kernel[2, [5, 6, 7, 8, 9, 0]] = [6, 5, 4, 3, 2, 1]  # the sixth
  kernel[3, [7, 2]] = [2, 1]  # right at once
  bias = np.zeros(1000, np.float32)
  if background:
    kernel = np.pad(kernel, ((0, 0), (1, 0)), constant_values=9)
    bias = np.pad(bias, (1, 0))
  net = network(
    1000 + background,
    background,
    {'kernel': jnp.asarray(kernel), 'bias': jnp.asarray(bias)},
  )
  values = np.eye(4, 1024, dtype=np.float32)
  found = imagenet.measure(
    net, features.Features(values, labels, np.arange(4), (), 4)
  )
  assert found.top1.value == 0.5
  assert found.top5.value == 0.75
  assert found.top1.examples == 4
  assert found.top1.low < 0.5 < found.top1.high
  assert found.correct.tolist() == [True, False, False, True]


def test_head_of_another_task_is_refused():
  with pytest.raises(errors.InputError, match='37 classes, where ImageNet'):
    imagenet.measure(network(37, False, {}), None)


@pytest.mark.parametrize('resize', resizing.RESIZES)
def test_the_whole_job(
  directory, small_weights, small_lite0, resize, tmp_path, capsys
):
  config = config_file.get_config(str(small_weights))
  config.data.dir = str(directory)
  config.resize = resize
  imagenet.run(config.lock(), tmp_path)
  printed = capsys.readouterr().out
  assert 'imagenet: 8 of 50,000 validation images' in printed
  assert 'published 75.1%' in printed
  (file,) = (tmp_path / 'imagenet').iterdir()
  record = json.loads(file.read_text())
  # The same without the pipeline, the cache and the sharding.
  split = datasets.open_test('imagenet', data_dir=str(directory))
  prepare = resizing.RESIZES[resize]
  pixels = np.stack(
    [prepare(split.read(i), small_lite0.contract) for i in range(8)]
  )
  logits = np.asarray(small_lite0.logits(small_lite0.contract.scale(pixels)))
  order = np.argsort(-logits, axis=1)
  hits = order == split.labels[:, None]
  assert record['top1']['value'] == hits[:, 0].mean()
  assert record['top5']['value'] == hits[:, :5].any(axis=1).mean()
  assert record['preprocessing'] == resize
  bits = np.unpackbits(
    np.frombuffer(base64.b64decode(record['correct']), np.uint8), count=8
  )
  np.testing.assert_array_equal(bits, hits[:, 0])
  # A read of a test split, too.
  (read,) = test_reads.Log.named('').read(split.hash).reads
  assert read.weights_sha256 == record['weights_sha256']
  usual = resize == 'resize_then_crop'
  assert read.changed == (() if usual else (f'resize = {resize}',))


def test_one_crop_for_all_networks(
  directory, small_weights, small_lite0, tmp_path
):
  """What is measured is what the result says, and a study can take it."""
  config = config_file.get_config(str(small_weights))
  config.data.dir = str(directory)
  config.crop_fraction = 0.5
  config.image_size = 80
  imagenet.run(config.lock(), tmp_path)
  (file,) = (tmp_path / 'imagenet').iterdir()
  assert file.name.endswith('_resize_then_crop_crop0.5_80px.json')
  found = json.loads(file.read_text())
  assert found['contract']['crop_fraction'] == 0.5
  assert found['contract']['image_size'] == found['image_size'] == 80
  assert found['weights_sha256'] == weights.sha256(small_weights)
  net = small_lite0.with_image_size(80).with_crop_fraction(0.5)
  split = datasets.open_test('imagenet', data_dir=str(directory))
  pixels = np.stack(
    [resizing.resize_then_crop(split.read(i), net.contract) for i in range(8)]
  )
  logits = np.asarray(net.logits(net.contract.scale(pixels)))
  hits = logits.argmax(axis=1) == split.labels
  assert found['top1']['value'] == hits.mean()
  record, _ = page_records.cell(
    'efficientnet_lite0', 0.8, 0.751, weights_sha256=found['weights_sha256']
  )
  top1 = measured_top1.replace([record], tmp_path / 'imagenet')
  assert top1.records[0]['imagenet_top1'] == hits.mean()


@pytest.mark.parametrize(
  ('published', 'words'),
  [
    (0.5, 'agrees'),
    (0.9, '-40.0%; its publisher may crop'),
    (None, 'no published top-1'),
  ],
)
def test_verdict(published, words):
  net = network(1000, False, {})
  header = dataclasses.replace(net.header, imagenet_top1=published)
  net = dataclasses.replace(net, header=header)
  half = imagenet.metrics.Measurement(0.5, 0.45, 0.55, 400)
  said = imagenet._compare(
    net, imagenet.Accuracy(half, half, np.zeros(400, bool)), 'resize_then_crop'
  )
  assert words in said
