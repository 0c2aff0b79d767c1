"""Runs the job of configs/imagenet.py: accuracy beside the published one.

Weights file -> features of ImageNet's validation images, cached as for transfer
-> logits of the network's own head -> top-1 and top-5 beside the published
ones. A wrong scaling, crop or conversion shows here before it spoils a study.
"""

import base64
import dataclasses
import json
import pathlib
from typing import Any

import ml_collections
import numpy as np

from tf_transfer import config_fields, datasets, errors, networks
from tf_transfer.datasets import test_reads
from tf_transfer.datasets.images import corruption
from tf_transfer.images import decoding
from tf_transfer.runtime import devices, files
from tf_transfer.runtime.units import counted
from tf_transfer.study import weights_files
from tf_transfer.transfer import metrics
from tf_transfer.transfer.fixed_features import feature_cache, features

_CLASSES = 1000
_IMAGES = 50_000
_BATCH = 4096  # rows of features at once


@dataclasses.dataclass(frozen=True)
class Accuracy:
  """Accuracy on ImageNet.

  Attributes:
    top1: the share of images whose class is the first answer.
    top5: the share of those whose class is among the first five.
    correct: bool [N], for each image whether the first answer is right.
  """

  top1: metrics.Measurement
  top5: metrics.Measurement
  correct: np.ndarray


def ranked(logits: np.ndarray, background: bool, k: int = 5) -> np.ndarray:
  """Ranks the classes of the k largest logits, in ImageNet's order of 1000.

  Args:
    logits: [N, 1000], or [N, 1001] with background as class 0.
    background: whether class 0 is background, which is never an answer.
    k: number of classes.

  Returns:
    int [N, k], the most likely first; ties in the order of the classes.
  """
  logits = logits[:, 1:] if background else logits
  return np.argsort(-logits, axis=1, kind='stable')[:, :k]


def _check_classes(net: networks.Network) -> None:
  """Raises an InputError where a network has no head for ImageNet's classes."""
  header = net.header
  if header.num_classes - header.background != _CLASSES:
    raise errors.InputError(
      f'{net.name}: {header.num_classes} classes, where ImageNet has '
      f'{_CLASSES}: this network was trained on something else'
    )


def measure(
  net: networks.Network, image_features: features.Features
) -> Accuracy:
  """Measures a network's own head on features of ImageNet's images.

  Raises:
    InputError: the network does not have ImageNet's 1000 classes.
  """
  header = net.header
  _check_classes(net)
  best = np.concatenate(
    [
      ranked(
        np.asarray(
          net.logits_from_features(
            image_features.values[start : start + _BATCH]
          )
        ),
        header.background,
      )
      for start in range(0, len(image_features), _BATCH)
    ]
  )
  hits = best == image_features.labels[:, None]
  truth = np.ones(len(hits), int)
  return Accuracy(
    metrics.measure('top1', truth, hits[:, 0].astype(int)),
    metrics.measure('top1', truth, hits.any(axis=1).astype(int)),
    hits[:, 0],
  )


def _compare(net: networks.Network, accuracy: Accuracy, resize: str) -> str:
  """Compares the accuracy with the published one, in words."""
  published = net.header.imagenet_top1
  if published is None:
    return 'no published top-1 to compare it with'
  text = f'published {published:.1%} ({net.header.imagenet_top1_source})'
  # Published figures are rounded to a tenth of a percent at most.
  margin = 0.0005
  if accuracy.top1.low - margin <= published <= accuracy.top1.high + margin:
    return f'{text}: agrees'
  reason = (
    'the published figure is not of whole images'
    if resize == 'whole_image'
    else 'its publisher may crop or decode differently; more than one or two '
    'percent is a sign of wrong weights or preprocessing'
  )
  return f'{text}: {accuracy.top1.value - published:+.1%}; {reason}'


def _write(
  path: pathlib.Path,
  net: networks.Network,
  split: datasets.Split,
  accuracy: Accuracy,
  skipped: tuple[str, ...],
  config: ml_collections.ConfigDict,
) -> None:
  """Writes the result of a network as JSON."""
  record: dict[str, Any] = {
    'network': net.name,
    'weights_sha256': net.sha256,
    'contract': net.contract.to_json(),
    'preprocessing': config.resize,
    # 0: the network's own, which is in the contract.
    'image_size': config.image_size,
    'split_sha256': split.hash,
    'top1': dataclasses.asdict(accuracy.top1),
    'top5': dataclasses.asdict(accuracy.top5),
    # A bit for each image, the first in the highest bit of the first byte.
    'correct': base64.b64encode(np.packbits(accuracy.correct)).decode(),
    'published_top1': net.header.imagenet_top1,
    'published_top1_source': net.header.imagenet_top1_source,
    'skipped': list(skipped),
    'device': devices.describe(),
  }
  with files.atomic_write(path) as file:
    file.write(json.dumps(record, indent=2).encode() + b'\n')


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Evaluates networks on ImageNet and prints their accuracies.

  Args:
    config: as configs/imagenet.py documents.
    workdir: where weights, features and results are written.

  Raises:
    InputError: an input cannot be used.
  """
  config_fields.check_job(config, 'imagenet')
  devices.check_platforms()
  sources = [weights_files.locate(name) for name in config.networks]
  workdir = files.make_directory(workdir)
  split = datasets.open_test_from_config(
    'imagenet', config.data, workdir / 'digests'
  )
  print(f'imagenet: {len(split):,} of {_IMAGES:,} validation images')
  for source in sources:
    net = weights_files.load(source, config, workdir, with_weights=True)
    # Before the features of all images are computed.
    _check_classes(net)
    _evaluate(net, split, config, workdir)
  print(f'results  {workdir / "imagenet"}')


def _log_test_read(
  net: networks.Network,
  split: datasets.Split,
  config: ml_collections.ConfigDict,
) -> None:
  """Logs that a network is evaluated on ImageNet, from now on."""
  if not devices.is_leader():
    return
  default = config_fields.defaults(config_fields.of_job('imagenet'))
  fields, usual = (
    {name: each[name] for name in ('resize', 'crop_fraction', 'image_size')}
    for each in (config, default)
  )
  network = net.name, net.sha256
  read = test_reads.of_network('imagenet', 'imagenet', network, fields, usual)
  test_reads.Log.from_config(config.data).add(split.hash, read)


def _file_name(net: networks.Network, config: ml_collections.ConfigDict) -> str:
  """Names the file of a result by all that it depends on but the images."""
  parts = [net.name, net.sha256[:12], config.resize]
  if config.crop_fraction:
    parts.append(f'crop{config.crop_fraction:g}')
  if config.image_size:
    parts.append(f'{config.image_size}px')
  return '_'.join(parts) + '.json'


def _evaluate(
  net: networks.Network,
  split: datasets.Split,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
) -> None:
  """Evaluates a network, writes the result and prints it."""
  if config.crop_fraction:
    net = net.with_crop_fraction(config.crop_fraction)
  extract = features.Extractor(
    net,
    feature_cache.from_config(config.features, workdir),
    features.Options(config.resize),
    batch_size=config.features.batch_size,
    corrupt=config.data.corrupt,
  )
  try:
    image_features = extract(split, 'imagenet val')
  except decoding.CorruptImage as error:
    raise corruption.report_all({'val': split}, 'imagenet') from error
  _log_test_read(net, split, config)
  accuracy, skipped = measure(net, image_features), image_features.skipped
  directory = files.make_directory(workdir / 'imagenet')
  path = directory / _file_name(net, config)
  _write(path, net, split, accuracy, skipped, config)
  top1, top5 = accuracy.top1, accuracy.top5
  print(
    f'{net.name}: top-1 {top1.value:.2%} [{top1.low:.2%}, {top1.high:.2%}], '
    f'top-5 {top5.value:.2%}, {config.resize}, {top1.examples:,} images\n'
    f'  {_compare(net, accuracy, config.resize)}'
  )
  if skipped:
    print(f'  {counted(len(skipped), "corrupt image")} left out')
