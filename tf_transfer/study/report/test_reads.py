"""Builds the page's section on how often the test splits were evaluated.

The log of `datasets.test_reads` knows all workdirs of a user. What it says of
the records that are shown: who evaluated the same test split before, and with
which configs. Choosing among configs by test accuracy is tuning on test.
"""

import dataclasses
import datetime
from collections.abc import Sequence

from tf_transfer.datasets import test_reads
from tf_transfer.runtime.units import counted
from tf_transfer.study import cell_reads, names
from tf_transfer.study.report import tables
from tf_transfer.study.schema import Record

_HASH_LETTERS = 6
_MAX_LINES = 100  # of a row's list
_NONE = '–'

# Network, SHA-256 of its weights, setting.
_Key = tuple[str, str, str]


@dataclasses.dataclass(frozen=True)
class Split:
  """What the log knows of the test split of some records.

  Attributes:
    dataset: as people write it.
    history: of the split.
    earlier: evaluations before the last of these records that are not theirs.
    other_config: those of `earlier` that are of the same network and setting as
      a record, with other fields of the config.
    other_training: those of the same network, setting and config, trained on
      other images.
    later: evaluations since, that are not of these records.
    later_config: those of `later` that are with other fields of the config, as
      `other_config`.
    num_records: how many records there are.
    num_unlogged: how many of them are not in the log.
  """

  dataset: str
  history: test_reads.History
  earlier: tuple[test_reads.Read, ...]
  other_config: tuple[test_reads.Read, ...]
  other_training: tuple[test_reads.Read, ...]
  later: tuple[test_reads.Read, ...]
  later_config: tuple[test_reads.Read, ...]
  num_records: int
  num_unlogged: int

  @property
  def sentence(self) -> str:
    """Says how often the split was evaluated, and what follows from it."""
    text = f'{self.dataset}: this test split was '
    if self.earlier:
      text += f'evaluated {_times(len(self.earlier))} before these records'
    else:
      text += 'not evaluated before these records, as far as the log knows'
    same = 'of the same network and setting with other search fields'
    if self.other_config:
      text += f', {_which(len(self.other_config), len(self.earlier))}{same}'
    if self.later_config:
      # Who keeps the first of two has chosen, too.
      since = f'{_times(len(self.later_config))} since'
      text += f', and {since}, {"likewise" if self.other_config else same}'
    if self.compares_configs:
      text += ': choosing among them by test accuracy would be tuning on test'
    return f'{text}.'

  @property
  def compares_configs(self) -> bool:
    """Whether a record's network was evaluated with other search fields."""
    return bool(self.other_config or self.later_config)


def _which(count: int, total: int) -> str:
  """Returns '', 'all ' or '3 of them ', as a part of several."""
  if count < total:
    return f'{count} of them '
  return 'all ' if total > 1 else ''


def _times(count: int) -> str:
  """Returns 'once' or '14 times'."""
  return 'once' if count == 1 else counted(count, 'time')


def splits(records: Sequence[Record], log: test_reads.Log) -> list[Split]:
  """Looks up the test split of each record in the log.

  Args:
    records: that are shown, one for each cell.
    log: of the user.
  """
  groups: dict[str, list[Record]] = {}
  for record in records:
    groups.setdefault(record['splits_sha256']['test'], []).append(record)
  return [
    _compare(group, log.read(split_hash))
    for split_hash, group in groups.items()
  ]


def _compare(records: Sequence[Record], history: test_reads.History) -> Split:
  """Compares the records of a test split with what the log knows of it."""
  own = {record['identity'] for record in records}
  last = max(_time(record) for record in records)
  others = [read for read in history.reads if read.identity not in own]
  earlier = [read for read in others if read.time <= last]
  later = [read for read in others if read.time > last]
  configs: dict[_Key, set[str]] = {}
  trainings: dict[_Key, set[str]] = {}
  for record in records:
    key = _record_key(record)
    configs.setdefault(key, set()).add(cell_reads.config_hash(record))
    trainings.setdefault(key, set()).add(cell_reads.training_hash(record))
  same_cell = [read for read in earlier if _key(read) in configs]
  has_config = [read.config_sha256 in configs[_key(read)] for read in same_cell]
  logged = {read.identity for read in history.reads}
  return Split(
    ', '.join(dict.fromkeys(names.display_name(r['dataset']) for r in records)),
    history,
    tuple(earlier),
    tuple(r for r, same in zip(same_cell, has_config, strict=True) if not same),
    tuple(
      read
      for read, same in zip(same_cell, has_config, strict=True)
      if same and read.training_sha256 not in trainings[_key(read)]
    ),
    tuple(later),
    tuple(
      read
      for read in later
      if read.config_sha256 not in configs.get(_key(read), {read.config_sha256})
    ),
    len(records),
    len(own - logged),
  )


def _key(read: test_reads.Read) -> _Key:
  """Returns which network and setting an evaluation is of."""
  return read.network, read.weights_sha256, read.setting


def _record_key(record: Record) -> _Key:
  """Returns which network and setting a record is of."""
  # `accuracy_table.distinct` gives networks other names.
  network = record.get('architecture', record['network'])
  return network, record['weights_sha256'], record['setting']


def _time(record: Record) -> datetime.datetime:
  """Returns when a record was finished."""
  time = datetime.datetime.fromisoformat(record['finished'])
  return time if time.tzinfo else time.replace(tzinfo=datetime.UTC)


@dataclasses.dataclass(frozen=True)
class Section:
  """What the page says of the log.

  Attributes:
    sentences: one for each test split.
    remarks: what the log does not know.
    table: a row for each test split.
  """

  sentences: tuple[str, ...]
  remarks: tuple[str, ...]
  table: tables.Table


def build(records: Sequence[Record], log: test_reads.Log) -> Section:
  """Builds the section.

  Args:
    records: that are shown, one for each cell.
    log: of the user.
  """
  summaries = splits(records, log)
  table = tables.Table(
    'test-reads',
    'How often the test splits were evaluated',
    (
      *('Dataset', 'Before', 'Of these: other search fields'),
      *('Other training images', 'Since', 'First (UTC)', 'Last (UTC)'),
      'Which',
    ),
    [_row(split) for split in summaries],
    frozenset((1, 2, 3, 4)),
    frozenset((7,)),
  )
  return Section(
    tuple(split.sentence for split in summaries),
    tuple(_remarks(summaries)),
    table,
  )


def warnings(records: Sequence[Record], log: test_reads.Log) -> list[str]:
  """Returns a sentence for each test split on which configs were compared."""
  return [s.sentence for s in splits(records, log) if s.compares_configs]


def _row(split: Split) -> tuple[object, ...]:
  """Returns the row of a test split."""
  others = (*split.earlier, *split.later)
  times = sorted(read.time for read in others)
  return (
    split.dataset,
    len(split.earlier),
    len(split.other_config),
    len(split.other_training),
    len(split.later),
    _time_text(times[0]) if times else _NONE,
    _time_text(times[-1]) if times else _NONE,
    tuple(_lines(others, split.other_training)) or _NONE,
  )


def _time_text(time: datetime.datetime) -> str:
  """Returns a time to the minute, in UTC."""
  return time.astimezone(datetime.UTC).strftime('%Y-%m-%d %H:%M')


def _lines(
  reads: Sequence[test_reads.Read],
  other_training: Sequence[test_reads.Read],
) -> list[str]:
  """Lists evaluations as 'setting: network; config; how often; when'.

  Args:
    reads: the evaluations.
    other_training: those of them of which this is said.
  """
  groups: dict[tuple[object, ...], list[test_reads.Read]] = {}
  for read in reads:
    key = *_key(read), read.config_sha256, read.training_sha256
    groups.setdefault(key, []).append(read)
  other_images = frozenset(other_training)
  lines = [_line(group, group[0] in other_images) for group in groups.values()]
  num_more = len(lines) - _MAX_LINES
  if num_more > 0:
    lines = [*lines[:_MAX_LINES], f'Others: {num_more:,} more configs']
  return lines


def _line(reads: Sequence[test_reads.Read], other_images: bool) -> str:
  """Describes evaluations of one network with one config."""
  first = reads[0]
  network = names.display_name(first.network)
  if first.weights_sha256:
    network += f' ({first.weights_sha256[:_HASH_LETTERS]})'
  parts = [network, ', '.join(first.changed) or 'default fields']
  if other_images:
    parts.append('trained on other images')
  if len(reads) > 1:
    parts.append(_times(len(reads)))
  parts.append(f'last {_time_text(reads[-1].time)}')
  return f'{names.setting_text(first.setting)}: {"; ".join(parts)}'


def _remarks(summaries: Sequence[Split]) -> list[str]:
  """Says what the log does not know."""
  remarks = []
  num_unlogged = sum(split.num_unlogged for split in summaries)
  if num_unlogged:
    num_records = sum(split.num_records for split in summaries)
    are = 'is' if num_unlogged == 1 else 'are'
    remarks.append(
      f'{num_unlogged:,} of these {counted(num_records, "record")} {are} not '
      'in the log: evaluated by another user or machine, or by a version '
      'before there was a log. It may lack other evaluations, too.'
    )
  num_damaged = sum(split.history.num_damaged for split in summaries)
  if num_damaged:
    are = 'is' if num_damaged == 1 else 'are'
    remarks.append(
      f'{counted(num_damaged, "line")} of the log {are} damaged and left out.'
    )
  return remarks
