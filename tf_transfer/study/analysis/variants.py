"""Tells apart the records of a cell that are points of a curve.

A cell may have been run on several numbers of examples, on several draws of
them, for several numbers of steps, or with several seeds. These records stand
side by side: figures 8 and 9 show them. Tables and figures that show a number
for each cell, and averages, use one of them, by the one rule of `select`.
"""

import collections
import dataclasses
import json
from collections.abc import Hashable, Mapping, Sequence

from tf_transfer.runtime.units import counted
from tf_transfer.study.schema import Record

# Fields of a search that are points of a curve, and no other search.
_POINTS = ('steps', 'min_epochs', 'seed')
# Network (with its hash, where several weights share the name), dataset and
# setting.
Cell = tuple[str, str, str]


@dataclasses.dataclass(frozen=True)
class Variant:
  """Says on what, and for how long, a record's network was trained.

  Attributes:
    examples_per_class: training images of each class; 0: all.
    subset_seed: of the draw of these examples; 0 where all are trained on.
    steps: of the config; 0 on fixed features.
    min_epochs: of the config, which may take more steps.
    seed: of the training.
  """

  examples_per_class: int
  subset_seed: int
  steps: int
  min_epochs: int
  seed: int

  @property
  def draw(self) -> tuple[int, int]:
    """The examples: how many of each class, and the seed of their draw."""
    return self.examples_per_class, self.subset_seed


def variant(record: Record) -> Variant:
  """Returns the variant of a record, or of one of the paper's."""
  count = record.get('examples_per_class', 0)
  search = record.get('search', {})
  return Variant(
    count,
    record.get('subset_seed', 0) if count else 0,
    *(search.get(name, 0) for name in _POINTS),
  )


def describe(record: Record) -> str:
  """Says in words which variant a record is."""
  one = variant(record)
  texts = ['all examples']
  if one.examples_per_class:
    noun = 'example'
    texts = [
      f'{counted(one.examples_per_class, noun)} a class, draw {one.subset_seed}'
    ]
  if one.steps:
    texts.append(counted(steps(record), 'step'))
  if one.seed:
    texts.append(f'seed {one.seed}')
  return ', '.join(texts)


def steps(record: Record) -> int:
  """Returns how many steps the network that was tested was trained for.

  min_epochs, or early stopping, may have changed the number of the config.
  """
  return record.get('chosen', {}).get('steps') or variant(record).steps


def alike(record: Record) -> Hashable:
  """Returns all that the points of a curve must have in common.

  That is everything that determines a record's numbers but its variant: the
  search, preprocessing, and the images of val and test.
  """
  search = record.get('search', {})
  splits = record.get('splits_sha256', {})
  # Of few examples, train is another split for each draw.
  few = bool(record.get('examples_per_class', 0))
  fields = {
    'search': {k: v for k, v in search.items() if k not in _POINTS},
    'splits': {k: v for k, v in splits.items() if k != 'train' or not few},
    'few': few,
    **{
      name: record.get(name)
      for name in (
        *('split_seed', 'metric', 'image_size', 'corrupt', 'preprocessing'),
        *('layer', 'pyramid'),
      )
    },
  }
  return json.dumps(fields, sort_keys=True)


@dataclasses.dataclass(frozen=True)
class Selection:
  """Says which records of a ledger count, by their positions in it.

  Attributes:
    main: the one of each cell that tables, figures and averages use, by first
      appearance of the cell.
    others: other variants of these cells, which figures 8 and 9 show.
    replaced: those whose place a later record takes, of other splits or
      another search.
    of_other_size: cells that have no record of the size that averages are of;
      they have none in `main`, and their records are in `others`.
    draw: the examples that averages are of: how many of each class (0: all),
      and the seed of their draw.
  """

  main: tuple[int, ...]
  others: tuple[int, ...]
  replaced: tuple[int, ...]
  of_other_size: tuple[Cell, ...]
  draw: tuple[int, int]


def select(records: Sequence[Record], cells: Sequence[Cell]) -> Selection:
  """Selects the record of each cell that counts.

  First, of records that differ in more than their variant (`alike`), the last
  one counts, with its variants; records on all examples and on a few of each
  class are told apart. Then all cells take the same examples, so that no
  average mixes sizes: the size that most cells have, and of several the
  largest, all examples being the largest of all; of several draws of this size
  the one that most cells have, and of several the last. Of what is left of a
  cell, the largest number of steps counts, and then the last record.

  Args:
    records: in the order in which they were added.
    cells: of the records.
  """
  groups: dict[tuple[Cell, bool], list[int]] = collections.defaultdict(list)
  for i, (record, cell) in enumerate(zip(records, cells, strict=True)):
    groups[cell, bool(variant(record).examples_per_class)].append(i)
  standing, replaced = [], []
  for positions in groups.values():
    now, before = _split_replaced(records, positions)
    standing += now
    replaced += before
  # By first appearance, as tables list them.
  of_cell: dict[Cell, list[int]] = {cell: [] for cell in cells}
  for i in sorted(standing):
    of_cell[cells[i]].append(i)
  draw = _choose_draw(records, of_cell)
  main, missing = [], []
  for cell, positions in of_cell.items():
    selected = [i for i in positions if variant(records[i]).draw == draw]
    if selected:
      main.append(max(selected, key=lambda i: (steps(records[i]), i)))
    else:
      missing.append(cell)
  return Selection(
    tuple(main),
    tuple(sorted(set(standing) - set(main))),
    tuple(sorted(replaced)),
    tuple(missing),
    draw,
  )


def _split_replaced(
  records: Sequence[Record], positions: Sequence[int]
) -> tuple[list[int], list[int]]:
  """Splits positions of a cell: those that stand, and those replaced."""
  last = alike(records[positions[-1]])
  now: dict[Variant, int] = {}
  replaced = []
  for i in positions:
    if alike(records[i]) != last:
      replaced.append(i)
      continue
    key = variant(records[i])
    if key in now:
      replaced.append(now[key])
    now[key] = i
  return list(now.values()), replaced


def _choose_draw(
  records: Sequence[Record], of_cell: Mapping[Cell, Sequence[int]]
) -> tuple[int, int]:
  """Chooses the examples that all averages are of."""
  with_size: collections.Counter = collections.Counter()
  with_draw: collections.Counter = collections.Counter()
  last: dict[tuple[int, int], int] = {}
  for positions in of_cell.values():
    draws = {variant(records[i]).draw for i in positions}
    with_size.update({size for size, _ in draws})
    with_draw.update(draws)
    for i in positions:
      key = variant(records[i]).draw
      last[key] = max(i, last.get(key, 0))
  if not last:
    return 0, 0
  size = max(with_size, key=lambda s: (with_size[s], s == 0, s))
  return max(
    (draw for draw in last if draw[0] == size),
    key=lambda draw: (with_draw[draw], last[draw]),
  )


def remarks(selection: Selection) -> list[str]:
  """Says in words what tables and averages are of; nothing of one variant."""
  texts = []
  size, seed = selection.draw
  if size:
    texts.append(
      f'Tables and averages are of {counted(size, "training image")} of each '
      f'class, draw {seed}.'
    )
  if selection.others:
    which = 'those examples' if size else 'all examples'
    are = 'is' if len(selection.others) == 1 else 'are'
    texts.append(
      f'{counted(len(selection.others), "other record")} of these cells, of '
      f'other sizes, draws, numbers of steps or seeds, {are} on the curves of '
      f'figures 8 and 9 alone. Elsewhere a cell has {which} and the largest '
      'number of steps.'
    )
  if selection.of_other_size:
    names = '; '.join(', '.join(cell) for cell in selection.of_other_size)
    texts.append(f'Without a record of this size, left out there: {names}.')
  return texts
