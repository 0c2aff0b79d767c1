"""Reads what timm publishes of its checkpoints: accuracies and rates.

  top1 = published_timm.top1('resnet50.a1_in1k')
  top1.value, top1.image_size, top1.crop_fraction, top1.source

The files are in data/timm, with their source in SOURCE.md there. Nothing of
them was measured by this program.
"""

import csv
import dataclasses
import functools
import gzip
import importlib.resources
import io
import math
from collections.abc import Iterable, Mapping

SOURCE = 'published by timm (results/ at commit aa4b5850, Apache-2.0)'
IMAGENET = 'imagenet'
# Name of a test set -> its file in data/timm.
TEST_SETS: Mapping[str, str] = {
  IMAGENET: 'results-imagenet',
  'imagenet_real': 'results-imagenet-real',
  'imagenet_v2': 'results-imagenetv2-matched-frequency',
  'imagenet_r': 'results-imagenet-r',
  # The plain validation images of ImageNet-R's 200 classes.
  'imagenet_r_clean': 'results-imagenet-r-clean',
  'imagenet_a': 'results-imagenet-a',
  'imagenet_sketch': 'results-sketch',
}
_RATES = 'benchmark-infer-amp-nchw-rtx4090'
RATES_DEVICE = 'RTX 4090, mixed precision'
# Ahead of the names of timm's repositories on the hub.
HUB_PREFIX = 'timm/'


@dataclasses.dataclass(frozen=True)
class Top1:
  """The top-1 accuracy of a checkpoint on a test set, at one image size.

  Attributes:
    checkpoint: its name on the hub, 'ARCHITECTURE.TAG'.
    test_set: one of TEST_SETS.
    value: in 0 to 1.
    image_size: height and width of the images, in pixels.
    crop_fraction: side of the central crop, of the shorter side.
    interpolation: 'bilinear' or 'bicubic', with which images were resized.
    parameters: number of parameters with the head, in millions.
    plain: top-1 on the plain validation images of the same classes, in 0 to 1;
      NaN where the file does not have it.
  """

  checkpoint: str
  test_set: str
  value: float
  image_size: int
  crop_fraction: float
  interpolation: str
  parameters: float
  plain: float

  @property
  def source(self) -> str:
    """Who measured it, and how, in a phrase."""
    return (
      f'{SOURCE}, {self.image_size} px, crop fraction {self.crop_fraction:g}'
    )


@dataclasses.dataclass(frozen=True)
class Rate:
  """How fast timm's architecture was at inference, on RATES_DEVICE.

  Attributes:
    architecture: its name in timm, without a tag.
    image_size: height and width of the images, in pixels.
    images_per_second: with batches of `batch_size`.
    batch_size: in images.
    gmacs: multiplications with an addition, in billions an image.
    parameters: number of parameters with the head, in millions.
  """

  architecture: str
  image_size: int
  images_per_second: float
  batch_size: int
  gmacs: float
  parameters: float

  @property
  def source(self) -> str:
    """Who measured it, and on what, in a phrase."""
    return (
      f'{SOURCE}, on {RATES_DEVICE}, {self.image_size} px, batches of '
      f'{self.batch_size}'
    )


def split_name(checkpoint: str) -> tuple[str, str]:
  """Returns architecture and tag of a checkpoint; '' without a tag.

  Args:
    checkpoint: such as 'resnet50.a1_in1k' or 'timm/resnet50.a1_in1k'.
  """
  architecture, _, tag = checkpoint.rpartition('/')[2].partition('.')
  return architecture, tag


def top1(
  checkpoint: str, image_size: int | None = None, test_set: str = IMAGENET
) -> Top1 | None:
  """Returns the published top-1 accuracy of a checkpoint of the hub.

  Args:
    checkpoint: such as 'resnet50.a1_in1k' or 'timm/resnet50.a1_in1k'.
    image_size: in pixels; None: that of the best ImageNet top-1, and of two
      that are equal the smaller one.
    test_set: one of TEST_SETS.

  Returns:
    The accuracy; None where timm publishes none of this checkpoint and size.
  """
  name = checkpoint.removeprefix(HUB_PREFIX)
  if image_size is None:
    sizes = _by_checkpoint(IMAGENET).get(name, {}).values()
    if not sizes:
      return None
    image_size = max(sizes, key=lambda a: (a.value, -a.image_size)).image_size
  return _by_checkpoint(test_set).get(name, {}).get(image_size)


def sizes(checkpoint: str) -> tuple[int, ...]:
  """Returns the image sizes at which ImageNet top-1 is published, ascending."""
  name = checkpoint.removeprefix(HUB_PREFIX)
  return tuple(sorted(_by_checkpoint(IMAGENET).get(name, ())))


def checkpoints() -> tuple[str, ...]:
  """Returns the names of the checkpoints with ImageNet top-1, best first."""
  return tuple(_by_checkpoint(IMAGENET))


@functools.cache
def accuracies(test_set: str) -> tuple[Top1, ...]:
  """Returns every accuracy on a test set, of each checkpoint and image size.

  Args:
    test_set: one of TEST_SETS.
  """
  return tuple(
    Top1(
      checkpoint=row['model'],
      test_set=test_set,
      value=_share(row['top1']),
      image_size=int(row['img_size']),
      crop_fraction=float(row['crop_pct']),
      interpolation=row['interpolation'],
      parameters=_number(row['param_count']),
      plain=_plain(row),
    )
    for row in _read_rows(TEST_SETS[test_set])
  )


def rate(checkpoint: str, image_size: int | None = None) -> Rate | None:
  """Returns the published rate of inference of an architecture.

  Args:
    checkpoint: such as 'resnet50.a1_in1k', 'timm/resnet50.a1_in1k' or
      'resnet50': a rate is of the architecture, whatever its weights.
    image_size: in pixels; None: the size of `top1`, where that has a rate, and
      else the smallest one that has.

  Returns:
    The rate; None where timm publishes none of this architecture and size.
  """
  name = checkpoint.removeprefix(HUB_PREFIX)
  of_sizes = _rates().get(split_name(name)[0], {})
  if image_size is None and of_sizes:
    best = top1(name)
    of_best = of_sizes.get(best.image_size) if best else None
    return of_best or of_sizes[min(of_sizes)]
  return of_sizes.get(image_size)


@functools.cache
def _by_checkpoint(test_set: str) -> dict[str, dict[int, Top1]]:
  """Returns the accuracies by checkpoint and image size."""
  result: dict[str, dict[int, Top1]] = {}
  for one in accuracies(test_set):
    result.setdefault(one.checkpoint, {})[one.image_size] = one
  return result


@functools.cache
def _rates() -> dict[str, dict[int, Rate]]:
  """Returns the rates by architecture and image size."""
  result: dict[str, dict[int, Rate]] = {}
  for row in _read_rows(_RATES):
    size = int(row['infer_img_size'])
    result.setdefault(row['model'], {})[size] = Rate(
      row['model'],
      size,
      float(row['infer_samples_per_sec']),
      int(row['infer_batch_size']),
      _number(row['infer_gmacs']),
      _number(row['param_count']),
    )
  return result


def _plain(row: Mapping[str, str]) -> float:
  """Returns top-1 on the plain images of the same classes, NaN if unknown."""
  difference = row.get('top1_diff')
  if not difference:
    return math.nan
  return round((float(row['top1']) - float(difference)) / 100, 7)


def _share(percent: str) -> float:
  """Returns a percentage as a share."""
  return round(float(percent) / 100, 7)


def _number(text: str) -> float:
  """Returns a number that may have commas; NaN where there is none."""
  return float(text.replace(',', '')) if text else math.nan


def read_bytes(name: str) -> bytes:
  """Returns a file of data/timm as it was published, decompressed.

  Args:
    name: without .csv.gz.
  """
  data = importlib.resources.files('tf_transfer.networks') / 'data' / 'timm'
  return gzip.decompress((data / f'{name}.csv.gz').read_bytes())


def _read_rows(name: str) -> Iterable[dict[str, str]]:
  """Reads the rows of a file of data/timm."""
  return csv.DictReader(io.StringIO(read_bytes(name).decode()))
