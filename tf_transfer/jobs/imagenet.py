"""A network on ImageNet's validation images: is it what it is said to be?

Weights file -> features of the images, cached as for transfer -> logits of its
own head -> top-1 and top-5 beside what was published. A wrong scaling, crop or
conversion shows here before it spoils a study.
"""

import dataclasses
import json
import pathlib
from typing import Any

import ml_collections
import numpy as np

from tf_transfer import datasets, errors, networks
from tf_transfer.runtime import devices, files, progress
from tf_transfer.study import weights_files
from tf_transfer.transfer import metrics
from tf_transfer.transfer.fixed_features import feature_cache, features

_CLASSES = 1000
_IMAGES = 50_000
_BATCH = 4096  # rows of features at once


@dataclasses.dataclass(frozen=True)
class Accuracy:
  """Top-1 and top-5 on ImageNet."""

  top1: metrics.Measurement
  top5: metrics.Measurement


def ranked(logits: np.ndarray, background: bool, k: int = 5) -> np.ndarray:
  """The classes of the k largest logits, in ImageNet's order of 1000.

  Args:
    logits: [N, 1000], or [N, 1001] with background ahead of them.
    background: whether class 0 is background, which is no answer.
    k: how many.

  Returns:
    int [N, k], the most likely first; of equal ones the first in order.
  """
  logits = logits[:, 1:] if background else logits
  return np.argsort(-logits, axis=1, kind='stable')[:, :k]


def measure(net: networks.Network, found: features.Features) -> Accuracy:
  """Accuracies of a network's own head on features of ImageNet's images.

  Raises:
    InputError: the network does not tell ImageNet's 1000 classes apart.
  """
  header = net.header
  if header.num_classes - header.background != _CLASSES:
    raise errors.InputError(
      f'{net.name}: {header.num_classes} classes, where ImageNet has '
      f'{_CLASSES}: this network was trained on something else'
    )
  best = np.concatenate(
    [
      ranked(
        np.asarray(
          net.logits_from_features(found.values[start : start + _BATCH])
        ),
        header.background,
      )
      for start in range(0, len(found), _BATCH)
    ]
  )
  hits = best == found.labels[:, None]
  truth = np.ones(len(hits), int)
  return Accuracy(
    metrics.measure('top1', truth, hits[:, 0].astype(int)),
    metrics.measure('top1', truth, hits.any(axis=1).astype(int)),
  )


def _verdict(net: networks.Network, found: Accuracy, resize: str) -> str:
  """What the comparison with the published accuracy says."""
  published = net.header.imagenet_top1
  if published is None:
    return 'no published top-1 to compare it with'
  said = f'published {published:.1%} ({net.header.imagenet_top1_source})'
  # Published figures are rounded to a tenth of a percent at most.
  margin = 0.0005
  if found.top1.low - margin <= published <= found.top1.high + margin:
    return f'{said}: agrees'
  reason = (
    'whole images are not what it was published on'
    if resize == 'whole_image'
    else 'its publisher may crop or decode in another way; more than one or '
    'two percent is a sign of wrong weights or preprocessing'
  )
  return f'{said}: {found.top1.value - published:+.1%}; {reason}'


def _write(
  path: pathlib.Path,
  net: networks.Network,
  split: datasets.Split,
  found: Accuracy,
  skipped: tuple[str, ...],
  resize: str,
) -> None:
  record: dict[str, Any] = {
    'network': net.name,
    'weights_sha256': net.sha256,
    'contract': net.contract.to_json(),
    'preprocessing': resize,
    'split_sha256': split.hash,
    **dataclasses.asdict(found),
    'published_top1': net.header.imagenet_top1,
    'published_top1_source': net.header.imagenet_top1_source,
    'skipped': list(skipped),
    'device': devices.describe(),
  }
  with files.atomic_write(path) as file:
    file.write(json.dumps(record, indent=2).encode() + b'\n')


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Evaluates networks on ImageNet and prints what comes of it.

  Args:
    config: as configs/imagenet.py documents.
    workdir: where weights, features and results are written.

  Raises:
    InputError: something given cannot be used.
  """
  sources = [weights_files.locate(name) for name in config.networks]
  if not sources:
    raise errors.InputError('config.networks is empty: name at least one')
  workdir = files.make_directory(workdir)
  split = datasets.open_test(
    'imagenet',
    data_dir=config.data.dir or None,
    cache_dir=config.data.cache_dir or workdir / 'digests',
    progress=progress.bar,
  )
  print(f'imagenet: {len(split):,} of {_IMAGES:,} validation images')
  for source in sources:
    net = networks.load(weights_files.prepare(source, config, workdir))
    extract = features.Extractor(
      net,
      feature_cache.of_config(config.features, workdir),
      features.Options(config.resize),
      batch_size=config.features.batch_size,
      corrupt=config.data.corrupt,
    )
    values = extract(split, 'imagenet val')
    found = measure(net, values)
    name = f'{net.name}_{net.sha256[:12]}_{config.resize}.json'
    directory = files.make_directory(workdir / 'imagenet')
    _write(directory / name, net, split, found, values.skipped, config.resize)
    top1, top5 = found.top1, found.top5
    print(
      f'{net.name}: top-1 {top1.value:.2%} [{top1.low:.2%}, {top1.high:.2%}], '
      f'top-5 {top5.value:.2%}, {config.resize}, {top1.examples:,} images\n'
      f'  {_verdict(net, found, config.resize)}'
    )
    if values.skipped:
      print(f'  {len(values.skipped)} corrupt images left out')
  print(f'results  {workdir / "imagenet"}')
