"""Defines a dataset and its splits: what every source returns."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tf_transfer.datasets import splits
from tf_transfer.errors import InputError
from tf_transfer.runtime.units import counted

# The splits of every dataset, in this order.
SPLIT_NAMES = ('train', 'val', 'test')

# A wrapper of iterables with the interface of tqdm:
# progress(iterable, total=..., desc=..., unit=...).
Progress = Callable[..., Iterable[Any]]


def no_progress(iterable: Iterable[Any], **_: Any) -> Iterable[Any]:
  """Wraps an iterable and shows no progress."""
  return iterable


def _not_encoded(i: int) -> None:
  """Returns None: the images of a split are in no files."""
  del i


# eq=False: arrays do not compare to one truth value; `hash` compares content.
@dataclasses.dataclass(frozen=True, eq=False)
class Split:
  """The examples of one split, in a fixed order.

  Attributes:
    name: 'train', 'val', 'trainval' or 'test'.
    labels: int32 [N], indices into the dataset's classes. If an example may
      belong to several classes, int32 [N, C]: 1 if it does, 0 if it does not,
      -1 if it is ignored (VOC's difficult objects).
    digests: uint8 [N, 32], the SHA-256 of each example's content.
    read: read(i) returns example i as uint8 RGB [H, W, 3]. It is safe to call
      from several threads.
    describe: describe(i) names example i for messages.
    encoded: encoded(i) returns the bytes of the image file of example i, or
      None if `read` should be called. It is safe to call from several threads.
    groups: int64 [N], the same number for examples that must stay in one part
      wherever examples are divided (near-duplicates, one patient's images);
      numbers are shared by all splits of a dataset. None: each example is
      alone.
    base: a split and the positions in it [N] of these examples, where features
      of that split are computed and serve this one too; None: features of this
      split are computed.
  """

  name: str
  labels: np.ndarray
  digests: np.ndarray
  read: Callable[[int], np.ndarray]
  describe: Callable[[int], str]
  encoded: Callable[[int], bytes | None] = _not_encoded
  groups: np.ndarray | None = None
  base: 'tuple[Split, np.ndarray] | None' = None

  def __post_init__(self):
    """Checks shapes, and makes the arrays read-only."""
    labels = np.array(self.labels, np.int32)
    digests = np.array(self.digests, np.uint8)
    arrays = {'labels': labels, 'digests': digests}
    if self.groups is not None:
      arrays['groups'] = np.array(self.groups, np.int64)
    expected = (len(labels), splits.DIGEST_SIZE)
    if labels.ndim not in (1, 2) or digests.shape != expected:
      raise ValueError(
        f'{self.name}: labels {labels.shape} and digests {digests.shape}, '
        f'expected [N] or [N, C], and [N, {splits.DIGEST_SIZE}]'
      )
    if len(arrays.get('groups', labels)) != len(labels):
      raise ValueError(
        f'{self.name}: {len(labels)} labels and {len(self.groups)} groups'
      )
    for name, array in arrays.items():
      array.flags.writeable = False
      object.__setattr__(self, name, array)

  def __len__(self) -> int:
    """Returns the number of examples."""
    return len(self.labels)

  @functools.cached_property
  def hash(self) -> str:
    """The SHA-256, in hexadecimal, of all digests and labels in order.

    Each example contributes its digest and then each of its labels as four
    bytes, the least significant first.
    """
    labels = self.labels.astype('<i4').view(np.uint8)
    labels = labels.reshape(len(self), 4 * self.labels[:1].size or 4)
    pairs = np.concatenate([self.digests, labels], axis=1)
    return hashlib.sha256(pairs.tobytes()).hexdigest()


def concatenate(name: str, first: Split, second: Split) -> Split:
  """Concatenates two splits; the result has groups if both have."""

  def call(method: str, i: int) -> Any:
    """Calls a method of the split that example i is in."""
    if i < len(first):
      return getattr(first, method)(i)
    return getattr(second, method)(i - len(first))

  return Split(
    name=name,
    labels=np.concatenate([first.labels, second.labels]),
    digests=np.concatenate([first.digests, second.digests]),
    read=functools.partial(call, 'read'),
    describe=functools.partial(call, 'describe'),
    encoded=functools.partial(call, 'encoded'),
    groups=(
      None
      if first.groups is None or second.groups is None
      else np.concatenate([first.groups, second.groups])
    ),
  )


def select(
  split: Split,
  positions: np.ndarray,
  name: str | None = None,
  *,
  shares_features: bool = False,
) -> Split:
  """Selects examples of a split.

  Args:
    split: the examples.
    positions: int [K] of those to select, in the order of the new split.
    name: of the new split; None: that of `split`.
    shares_features: whether the features of all of `split` are computed, and
      serve each selection of it. This pays off if most examples are needed, or
      if there are several selections.
  """
  positions = np.asarray(positions, np.int64)

  def call(method: str, i: int) -> Any:
    """Calls a method of the split on the example of the selected one."""
    return getattr(split, method)(int(positions[i]))

  base = None
  if shares_features:
    whole, inner = split.base or (split, np.arange(len(split)))
    base = whole, inner[positions]
  return Split(
    name=split.name if name is None else name,
    labels=split.labels[positions],
    digests=split.digests[positions],
    read=functools.partial(call, 'read'),
    describe=functools.partial(call, 'describe'),
    encoded=functools.partial(call, 'encoded'),
    groups=None if split.groups is None else split.groups[positions],
    base=base,
  )


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
  """A dataset that networks are transferred to.

  Attributes:
    name: as the user wrote it; of a folder as `folder_name` in
      `sources.folder` writes it, which can be printed everywhere.
    classes: the name of each class; a label is an index into it.
    metric: 'top1', 'mean_per_class', or 'map11' if labels are [N, C].
    splits: train, val and test. The paper's trainval is train followed by val.
      With `folds`, train and val are those of the first fold, and test is all
      examples, each of which one fold tests.
    notes: sentences on the data that go into each record of a result; mostly
      none.
    val_is_trained_on: whether the final fit is on train and val, rather than
      on train alone.
    identity_name: stands for the dataset in the identity of a cell; '': its
      name. It is 'folder' for every folder: the hashes of the splits say which
      images and labels it holds, and its path determines no number.
    split_version: of the draw of its splits: 2 if it is stratified and keeps
      near-duplicates on one side, else 1.
    group_by: the regular expression that groups images by file names; '': none.
    folds: for cross-validation a dataset for each fold, whose test is the fold;
      empty: it is not cross-validated. All splits of the folds share the
      features of `splits['test']`.
    skipped: names of the files that were left out because they cannot be
      decoded.
    has_images: whether networks can be shown images of it; there may be labels
      alone.

  Raises:
    InputError: train or val is the test split.
  """

  name: str
  classes: tuple[str, ...]
  metric: str
  splits: Mapping[str, Split]
  notes: tuple[str, ...] = ()
  val_is_trained_on: bool = True
  identity_name: str = ''
  split_version: int = 1
  group_by: str = ''
  folds: 'tuple[Dataset, ...]' = ()
  skipped: tuple[str, ...] = ()
  has_images: bool = True

  def __post_init__(self):
    """Checks that hyperparameters are not chosen on the test split."""
    if not self.identity_name:
      object.__setattr__(self, 'identity_name', self.name)
    test = self.splits['test']
    for name in ('train', 'val'):
      split = self.splits[name]
      if split.name == 'test' or (len(split) and split.hash == test.hash):
        raise InputError(
          f'{self.name}: {name} is the test split: hyperparameters must not '
          'be chosen on the examples that the result is measured on; give '
          'others, or leave val out to have it held out of train'
        )

  @functools.cached_property
  def trainval(self) -> Split:
    """The split of the final fit: train followed by val, or train alone.

    Raises:
      InputError: there is one for each fold.
    """
    if self.folds:
      raise InputError(
        f'{self.name}: it is divided into {len(self.folds)} folds, each with '
        'images of its own to train on: set --config.data.folds=0'
      )
    if not self.val_is_trained_on:
      return dataclasses.replace(self.splits['train'], name='trainval')
    return concatenate('trainval', self.splits['train'], self.splits['val'])

  @property
  def multi_label(self) -> bool:
    """Whether an example may belong to several classes."""
    return self.splits['train'].labels.ndim == 2


def listing(names: Iterable[str], limit: int = 5) -> str:
  """Lists at most `limit` names for a sentence, and counts the others."""
  names = list(names)
  more = f' and {len(names) - limit} more' if len(names) > limit else ''
  return ', '.join(names[:limit]) + more


def missing_classes(classes: tuple[str, ...], split: Split) -> list[str]:
  """Returns the classes that no example of a split belongs to."""
  if split.labels.ndim == 2:
    present = np.flatnonzero((split.labels == 1).any(axis=0)).tolist()
  else:
    present = set(split.labels.tolist())
  return [name for i, name in enumerate(classes) if i not in present]


def build_dataset(
  name: str,
  classes: tuple[str, ...],
  metric: str,
  splits: Iterable[Split],
  notes: Iterable[str] = (),
  *,
  identity_name: str = '',
) -> Dataset:
  """Builds a dataset of its splits, after checking that it can be used.

  If val or test has no example of a class, a note says so. The arguments are
  those of `Dataset`.

  Raises:
    InputError: val or test is empty, or a class has no training image.
  """
  by_name = {split.name: split for split in splits}
  by_name = {split_name: by_name[split_name] for split_name in SPLIT_NAMES}
  notes = list(notes)
  for split in (by_name['val'], by_name['test']):
    if not len(split):
      total = sum(len(other) for other in by_name.values())
      raise InputError(
        f'{name}: no image is left for {split.name}, of {total:,} in all: give '
        f'more images, a larger {split.name}_fraction, another seed, or '
        'folders train, val and test of your own'
      )
  missing = missing_classes(classes, by_name['train'])
  if missing:
    raise InputError(
      f'{name}: no training image is left of {listing(missing)} once '
      'validation and test are held out: give more images of it, smaller '
      'fractions, another seed, or leave the class out'
    )
  for split in (by_name['val'], by_name['test']):
    missing = missing_classes(classes, split)
    if missing:
      notes.append(f'{split.name} has no image of {listing(missing)}')
  return Dataset(
    name,
    classes,
    metric,
    by_name,
    tuple(notes),
    identity_name=identity_name,
  )


def few_examples(dataset: Dataset, count: int, seed: int) -> Dataset:
  """Reduces train to a few examples of each class (figure 9 of the paper).

  The examples with the lowest numbers (see `splits`) are drawn. With one seed,
  a smaller draw is part of every larger one. Val stays as it is, and
  hyperparameters are chosen on it. The final fit is on the drawn examples
  alone, so that it sees only `count` examples of each class.

  Args:
    dataset: with all examples.
    count: examples to draw of each class.
    seed: of the draw.

  Raises:
    InputError: a class has fewer examples, or examples have several labels.
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
      f'{dataset.name}: train has {counted(int(counts.min()), "image")} of '
      f'{dataset.classes[counts.argmin()]}, expected at least '
      f'examples_per_class={count}'
    )
  is_drawn = splits.draw_lowest(train.digests, seed, count, train.labels)
  few = select(
    train,
    np.flatnonzero(is_drawn),
    shares_features=train.base is not None,
  )
  images = counted(count, 'training image')
  note = f'{images} of each class, drawn with seed {seed}'
  return dataclasses.replace(
    dataset,
    splits={**dataset.splits, 'train': few},
    notes=(*dataset.notes, note),
    val_is_trained_on=False,
    folds=tuple(few_examples(fold, count, seed) for fold in dataset.folds),
  )


def gray_split(
  name: str,
  images: np.ndarray,
  labels: np.ndarray,
  noun: str,
  positions: np.ndarray,
) -> Split:
  """Makes a split of gray images that are in memory.

  Args:
    name: of the split.
    images: uint8 [N, H, W]; their H * W bytes are what is hashed.
    labels: int [N].
    noun: for descriptions, as 'digits image'; an image's position in `images`
      follows it.
    positions: int [K], the positions in `images` of the split's examples.
  """
  digests = splits.content_digests([images[i].tobytes() for i in positions])
  order = splits.sort_order(labels[positions], digests)
  positions = positions[order]
  return Split(
    name=name,
    labels=labels[positions],
    digests=digests[order],
    read=lambda i: np.repeat(images[positions[i]][..., None], 3, axis=-1),
    describe=lambda i: f'{noun} {positions[i]}',
  )
