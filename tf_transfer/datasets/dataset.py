"""What every source hands over: a dataset, which is three splits."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.errors import InputError

# The splits of every dataset, in this order.
PARTS = ('train', 'val', 'test')

# A wrapper of an iterable with the face of tqdm:
# progress(iterable, total=..., desc=..., unit=...).
Progress = Callable[..., Iterable[Any]]


def no_progress(iterable: Iterable[Any], **_: Any) -> Iterable[Any]:
  """The progress wrapper that shows nothing."""
  return iterable


def _not_encoded(i: int) -> None:
  del i


# eq=False: arrays do not compare to one truth value; `hash` compares content.
@dataclasses.dataclass(frozen=True, eq=False)
class Split:
  """The examples that one step of the protocol may see, in a fixed order.

  Attributes:
    name: 'train', 'val' or 'test'.
    labels: int32 [N], indices into the dataset's classes; or, where an
      example may belong to several, int32 [N, C]: 1 it does, 0 it does not,
      -1 it counts neither way (VOC's difficult objects).
    digests: uint8 [N, 32], the SHA-256 of each example's content.
    read: read(i) is example i as uint8 RGB [H, W, 3]. May be called from
      several threads at once.
    describe: describe(i) says in a few words which example i is.
    encoded: encoded(i) is the image file that example i is read from, or None
      where its pixels are at hand. As `read`, but for that.
  """

  name: str
  labels: np.ndarray
  digests: np.ndarray
  read: Callable[[int], np.ndarray]
  describe: Callable[[int], str]
  encoded: Callable[[int], bytes | None] = _not_encoded

  def __post_init__(self):
    labels = np.array(self.labels, np.int32)
    digests = np.array(self.digests, np.uint8)
    expected = (len(labels), splits.DIGEST_SIZE)
    if labels.ndim not in (1, 2) or digests.shape != expected:
      raise ValueError(
        f'{self.name}: labels {labels.shape} and digests {digests.shape}, '
        f'expected [N] or [N, C], and [N, {splits.DIGEST_SIZE}]'
      )
    for name, array in (('labels', labels), ('digests', digests)):
      array.flags.writeable = False
      object.__setattr__(self, name, array)

  def __len__(self) -> int:
    return len(self.labels)

  @functools.cached_property
  def hash(self) -> str:
    """SHA-256, in hex, over the pairs of digest and label in order.

    A label counts as four bytes, least significant first; of several, each.
    """
    labels = self.labels.astype('<i4').view(np.uint8)
    labels = labels.reshape(len(self), 4 * self.labels[:1].size or 4)
    pairs = np.concatenate([self.digests, labels], axis=1)
    return hashlib.sha256(pairs.tobytes()).hexdigest()


def joined(name: str, first: Split, second: Split) -> Split:
  """The examples of one split followed by those of another."""

  def either(method: str, i: int) -> Any:
    if i < len(first):
      return getattr(first, method)(i)
    return getattr(second, method)(i - len(first))

  return Split(
    name=name,
    labels=np.concatenate([first.labels, second.labels]),
    digests=np.concatenate([first.digests, second.digests]),
    read=functools.partial(either, 'read'),
    describe=functools.partial(either, 'describe'),
    encoded=functools.partial(either, 'encoded'),
  )


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
  """What networks are transferred to.

  Attributes:
    name: as it was asked for.
    classes: the name of each class; a label is an index into it.
    metric: 'top1', 'mean_per_class', or 'map11' where labels are [N, C].
    splits: train, val and test. What the paper calls trainval is train
      followed by val.
    notes: what a record of a result must say about the data, one sentence
      each; mostly empty.
    val_is_trained_on: whether the last fit is on val too.

  Raises:
    InputError: hyperparameters would be chosen on test.
  """

  name: str
  classes: tuple[str, ...]
  metric: str
  splits: Mapping[str, Split]
  notes: tuple[str, ...] = ()
  val_is_trained_on: bool = True

  def __post_init__(self):
    test = self.splits['test']
    for name in ('train', 'val'):
      given = self.splits[name]
      if given.name == 'test' or (len(given) and given.hash == test.hash):
        raise InputError(
          f'{self.name}: {name} is the test split: hyperparameters must not '
          'be chosen on the examples that the result is measured on; give '
          'others, or leave val out to have it held out of train'
        )

  @functools.cached_property
  def trainval(self) -> Split:
    """What the last fit is on: train followed by val, or train alone."""
    if not self.val_is_trained_on:
      return dataclasses.replace(self.splits['train'], name='trainval')
    return joined('trainval', self.splits['train'], self.splits['val'])

  @property
  def multi_label(self) -> bool:
    """Whether an example may belong to several classes."""
    return self.splits['train'].labels.ndim == 2


def listing(names: Iterable[str], limit: int = 5) -> str:
  """Names in a sentence: at most `limit` of them, and how many more."""
  names = list(names)
  more = f' and {len(names) - limit} more' if len(names) > limit else ''
  return ', '.join(names[:limit]) + more


def missing_classes(classes: tuple[str, ...], split: Split) -> list[str]:
  """The classes that no example of a split belongs to."""
  if split.labels.ndim == 2:
    present = np.flatnonzero((split.labels == 1).any(axis=0)).tolist()
  else:
    present = set(split.labels.tolist())
  return [name for i, name in enumerate(classes) if i not in present]


def complete(
  name: str,
  classes: tuple[str, ...],
  metric: str,
  parts: Iterable[Split],
  notes: Iterable[str] = (),
) -> Dataset:
  """Makes a dataset of its splits, if it is one that can be used.

  A class without an example in val or test becomes a note.

  Raises:
    InputError: val or test is empty, or a class has no training image.
  """
  given = {part.name: part for part in parts}
  by_name = {name: given[name] for name in PARTS}
  notes = list(notes)
  for part in (by_name['val'], by_name['test']):
    if not len(part):
      total = sum(len(other) for other in by_name.values())
      raise InputError(
        f'{name}: no image is left for {part.name}, of {total} in all: give '
        f'more images, a larger {part.name}_fraction, another seed, or '
        'folders train, val and test of your own'
      )
  missing = missing_classes(classes, by_name['train'])
  if missing:
    raise InputError(
      f'{name}: no training image is left of {listing(missing)} once '
      'validation and test are held out: give more images of it, smaller '
      'fractions, another seed, or leave the class out'
    )
  for part in (by_name['val'], by_name['test']):
    missing = missing_classes(classes, part)
    if missing:
      notes.append(f'{part.name} has no image of {listing(missing)}')
  return Dataset(name, classes, metric, by_name, tuple(notes))


def few_examples(dataset: Dataset, count: int, seed: int) -> Dataset:
  """A dataset of which so many examples of each class are trained on.

  (Figure 9 of the paper.) Those of train with the lowest numbers of `splits`
  are drawn: of one seed a smaller draw is part of every larger one. Val stays
  whole, and hyperparameters are chosen on it; the last fit is on the draw
  alone, so that it has seen no more than `count` examples of a class.

  Args:
    dataset: the whole.
    count: of each class.
    seed: of the draw.

  Raises:
    InputError: a class has fewer, or examples have several labels.
  """
  train = dataset.splits['train']
  if dataset.multi_label:
    raise InputError(
      f'{dataset.name}: an image may belong to several classes, so no number '
      'of each can be drawn: set examples_per_class=0'
    )
  counts = np.bincount(train.labels, minlength=len(dataset.classes))
  if counts.min() < count:
    raise InputError(
      f'{dataset.name}: train has {counts.min()} images of '
      f'{dataset.classes[counts.argmin()]}, expected at least '
      f'examples_per_class={count}'
    )
  drawn = splits.lowest(train.digests, seed, count, train.labels)
  few = _taken(train, np.flatnonzero(drawn))
  note = f'{count} training images of each class, drawn with seed {seed}'
  return dataclasses.replace(
    dataset,
    splits={**dataset.splits, 'train': few},
    notes=(*dataset.notes, note),
    val_is_trained_on=False,
  )


def _taken(split: Split, chosen: np.ndarray) -> Split:
  """The examples of a split at some positions."""

  def at(method: str, i: int) -> Any:
    return getattr(split, method)(int(chosen[i]))

  return Split(
    name=split.name,
    labels=split.labels[chosen],
    digests=split.digests[chosen],
    read=functools.partial(at, 'read'),
    describe=functools.partial(at, 'describe'),
    encoded=functools.partial(at, 'encoded'),
  )


def gray_split(
  name: str,
  images: np.ndarray,
  labels: np.ndarray,
  what: str,
  chosen: np.ndarray,
) -> Split:
  """A split of gray images that are held in memory.

  Args:
    name: of the split.
    images: uint8 [N, H, W]; the content that is hashed is its H * W bytes.
    labels: int [N].
    what: what to call an example, as in 'digits image'; its position in
      `images` follows.
    chosen: int [K], the positions in `images` of the split's examples.
  """
  digests = splits.content_digests([images[i].tobytes() for i in chosen])
  order = splits.content_order(labels[chosen], digests)
  chosen = chosen[order]
  return Split(
    name=name,
    labels=labels[chosen],
    digests=digests[order],
    read=lambda i: np.repeat(images[chosen[i]][..., None], 3, axis=-1),
    describe=lambda i: f'{what} {chosen[i]}',
  )
