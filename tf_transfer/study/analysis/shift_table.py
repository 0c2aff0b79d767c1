"""Tabulates published accuracies on shifted test sets, a row a checkpoint.

The images of a test set are shifted, its classes are ImageNet's: a checkpoint
is tested as it is, without new training. That is not transfer to new classes.

Letters in shapes: M checkpoints.
"""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from tf_transfer.networks import (
  published_timm,
  timm_families,
  timm_pretraining,
)
from tf_transfer.study.analysis import statistics

# Of ImageNet's validation images, those of 200 classes.
_IMAGES_OF_200_CLASSES = 10_000


@dataclasses.dataclass(frozen=True)
class TestSet:
  """A test set whose images are shifted.

  Attributes:
    title: its name for people.
    num_images: of which accuracy is the share that is right.
    same_classes: whether it has 200 of the classes, so that the x-axis is top-1
      on the validation images of the same 200.
    note: what it is, as a phrase.
  """

  title: str
  num_images: int
  same_classes: bool
  note: str

  @property
  def x_images(self) -> int:
    """The number of validation images of the x-axis."""
    if self.same_classes:
      return _IMAGES_OF_200_CLASSES
    return statistics.IMAGENET_IMAGES

  @property
  def x_title(self) -> str:
    """What the x-axis is."""
    return 'ImageNet top-1' + ', its 200 classes' * self.same_classes


TEST_SETS: Mapping[str, TestSet] = {
  'imagenet_v2': TestSet(
    'ImageNetV2', 10_000, False, 'collected again in the same way'
  ),
  'imagenet_real': TestSet(
    'ReaL', 46_837, False, 'the validation images, labeled again'
  ),
  'imagenet_r': TestSet(
    'ImageNet-R', 30_000, True, 'art, cartoons, toys and other renditions'
  ),
  'imagenet_sketch': TestSet('ImageNet-Sketch', 50_889, False, 'sketches'),
  'imagenet_a': TestSet(
    'ImageNet-A', 7_500, True, 'chosen because a ResNet-50 got them wrong'
  ),
}


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """A checkpoint, at the image size of its best ImageNet top-1.

  Attributes:
    name: on the hub.
    family: of architectures.
    pretraining: on what data.
    imagenet: its ImageNet top-1, with size, crop and parameters.
    images_per_second: at inference on `published_timm.RATES_DEVICE`, at this
      size; None where unknown.
  """

  name: str
  family: str
  pretraining: timm_pretraining.Pretraining
  imagenet: published_timm.Top1
  images_per_second: float | None


@dataclasses.dataclass(frozen=True)
class Shift:
  """Accuracies on one test set, NaN where a checkpoint has none.

  Attributes:
    name: of the test set.
    plain: [M] top-1 on the plain validation images of the same classes.
    accuracy: [M] top-1 on the test set.
  """

  name: str
  plain: np.ndarray
  accuracy: np.ndarray

  @property
  def test_set(self) -> TestSet:
    """What the test set is."""
    return TEST_SETS[self.name]

  @property
  def known(self) -> np.ndarray:
    """Bool [M], which checkpoints have an accuracy."""
    return ~np.isnan(self.accuracy)

  @property
  def x(self) -> np.ndarray:
    """The log-odds [M] of `plain`."""
    return statistics.log_odds(self.plain, self.test_set.x_images)

  @property
  def y(self) -> np.ndarray:
    """The log-odds [M] of `accuracy`."""
    return statistics.log_odds(self.accuracy, self.test_set.num_images)


@dataclasses.dataclass(frozen=True)
class ShiftTable:
  """All checkpoints on all test sets.

  Attributes:
    checkpoints: M, the best on ImageNet first.
    shifts: test set -> its accuracies.
  """

  checkpoints: tuple[Checkpoint, ...]
  shifts: Mapping[str, Shift]

  @property
  def families(self) -> np.ndarray:
    """The families [M]."""
    return np.array([one.family for one in self.checkpoints])

  @property
  def groups(self) -> np.ndarray:
    """The groups [M] of pretraining data."""
    return np.array([one.pretraining.group for one in self.checkpoints])

  @property
  def top1(self) -> np.ndarray:
    """The ImageNet top-1 [M]."""
    return np.array([one.imagenet.value for one in self.checkpoints])


@functools.cache
def published() -> ShiftTable:
  """Returns the table of what timm publishes.

  Each checkpoint is at the image size of its best ImageNet top-1, on all test
  sets alike.
  """
  rows = sorted(
    (_checkpoint(name) for name in published_timm.checkpoints()),
    key=lambda one: (-one.imagenet.value, one.name),
  )
  return ShiftTable(
    tuple(rows), {name: _shift(name, tuple(rows)) for name in TEST_SETS}
  )


def _checkpoint(name: str) -> Checkpoint:
  """Returns what is known of a checkpoint."""
  imagenet = published_timm.top1(name)
  rate = published_timm.rate(name, imagenet.image_size)
  return Checkpoint(
    name,
    timm_families.family(name),
    timm_pretraining.pretraining(name),
    imagenet,
    rate.images_per_second if rate else None,
  )


def _shift(name: str, checkpoints: tuple[Checkpoint, ...]) -> Shift:
  """Returns the accuracies of checkpoints on one test set."""
  results = [
    published_timm.top1(one.name, one.imagenet.image_size, name)
    for one in checkpoints
  ]
  plain = [
    result.plain if TEST_SETS[name].same_classes else one.imagenet.value
    for one, result in zip(checkpoints, results, strict=True)
    if result
  ]
  known = np.array([result is not None for result in results])
  shift = Shift(name, np.full(len(known), np.nan), np.full(len(known), np.nan))
  shift.plain[known] = plain
  shift.accuracy[known] = [result.value for result in results if result]
  return shift
