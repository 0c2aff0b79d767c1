"""Examines datasets with official splits, and explains how to get missing ones.

For a dataset that is found it prints where it is, classes and counts against
the table's, the hashes of its splits, and on request what cannot be decoded.
"""

import dataclasses
import os
import textwrap
from collections.abc import Iterable, Sequence

from tf_transfer.datasets import table
from tf_transfer.datasets.dataset import Dataset
from tf_transfer.datasets.images import corruption
from tf_transfer.datasets.sources import locations, official, tfds_records
from tf_transfer.datasets.sources.layouts import LAYOUTS
from tf_transfer.datasets.table import Row
from tf_transfer.errors import InputError, unknown_name

_INDENT = ' ' * 12
_WIDTH = 80


@dataclasses.dataclass(frozen=True)
class Examination:
  """The result of an examination.

  Attributes:
    directories: dataset -> where it is, of those that were found.
    faulty: names of the datasets with a problem.
  """

  directories: dict[str, str]
  faulty: tuple[str, ...]


def select_rows(names: Sequence[str]) -> list[Row]:
  """Returns the rows of the named datasets; of all, if there are no names.

  Raises:
    InputError: a name is none of a dataset with official splits.
  """
  rows = {row.name: row for row in table.TABLE if row.official}
  for name in names:
    if name not in rows:
      raise unknown_name('dataset', name, rows)
  return [rows[name] for name in names] if names else list(rows.values())


def examine(
  rows: Iterable[Row],
  options: official.Options,
  *,
  explain: bool,
  decode: bool,
) -> Examination:
  """Examines datasets, and prints what it finds.

  Args:
    rows: of the datasets.
    options: how they are opened.
    explain: whether to explain how to get those that are missing.
    decode: whether to decode every image.

  Raises:
    InputError: the directory of the datasets does not exist.
  """
  print(f'looking in {locations.directory(options.data_dir)}\n')
  directories, faulty = {}, []
  for row in rows:
    try:
      location = official.find_or_prepare(row, options)
      if location is None:
        _print_missing(row, options, explain)
        continue
      directories[row.name] = location.path
      _print_found(row, location, options, decode)
    except InputError as error:
      faulty.append(row.name)
      _print_paragraph(f'PROBLEM: {error}')
  return Examination(directories, tuple(faulty))


def _print_paragraph(text: str) -> None:
  """Prints a paragraph below a dataset's name."""
  # Paths and options are not broken, so that they can be copied.
  print(
    textwrap.fill(
      text,
      _WIDTH,
      initial_indent=_INDENT,
      subsequent_indent=_INDENT,
      break_long_words=False,
      break_on_hyphens=False,
    )
  )


def _expected(row: Row) -> str:
  """Describes what a dataset should hold."""
  counts = ' / '.join(f'{n:,}' for n in row.counts.values())
  return f'{row.classes:,} classes, {counts} images, {row.metric}'


def _print_missing(row: Row, options: official.Options, explain: bool) -> None:
  """Prints that a dataset is missing or incomplete."""
  data_dir = tfds_records.directory(options.data_dir)
  if locations.is_incomplete(row, data_dir):
    print(f'{row.name:11} INCOMPLETE {_expected(row)}')
    _print_paragraph(str(locations.not_found_error(row, options.data_dir)))
    return
  print(f'{row.name:11} missing    {_expected(row)}')
  for path in locations.layout_paths(row.name, data_dir):
    if os.path.isdir(path):
      _print_paragraph(f'{path} holds other images, and is no copy of it')
  if explain:
    _explain(row, data_dir)


def _explain(row: Row, data_dir: str) -> None:
  """Prints how to get a dataset, its license and citation."""
  layout = LAYOUTS[row.name]
  version = f'{row.tfds.name}:{row.tfds.major}.*.*'
  for text in (
    f'official: about {row.download_size}, from {row.homepage}; unpack it so '
    f'that {os.path.join(data_dir, row.name)} (or {layout.folder}) has '
    f'{", ".join(layout.required)}',
    f'TFDS, {version}: {locations.tfds_instructions(row)}',
    f'pitfalls: {row.pitfalls}',
    f'license: {row.license}',
    f'cite: {row.citation}',
  ):
    _print_paragraph(text)


def _print_found(
  row: Row,
  location: locations.Location,
  options: official.Options,
  decode: bool,
) -> None:
  """Opens a dataset, and prints what it holds.

  Raises:
    InputError: the dataset has a problem.
  """
  print(f'{row.name:11} found      {_expected(row)}')
  source = 'official layout' if location.has_layout else 'prepared by TFDS'
  _print_paragraph(f'{source}, {location.path}')
  dataset = official.open_official(row, options)
  counts = {name: len(split) for name, split in dataset.splits.items()}
  validation = _describe_validation(row, options.seed)
  if counts == dict(row.counts):
    _print_paragraph(f'classes and counts are as expected; {validation}')
  else:
    text = ' / '.join(f'{n:,}' for n in counts.values())
    _print_paragraph(f'it has {text} images; {validation}')
  for note in dataset.notes:
    _print_paragraph(f'note: {note}')
  hashes = [f'{name} {s.hash[:16]}' for name, s in dataset.splits.items()]
  _print_paragraph(f'splits: {", ".join(hashes)}')
  if decode:
    _decode_all(row, dataset)


def _describe_validation(row: Row, seed: int) -> str:
  """Describes how validation is drawn."""
  rule = row.holdout
  if rule is None:
    return 'validation is official'
  each = 'all classes together' if rule.per_class is None else 'each class'
  drawn = (
    'validation' if rule.trainval_per_class is None else 'train and validation'
  )
  return f'{drawn} drawn by {rule.by} from {each}, seed {seed}'


def _decode_all(row: Row, dataset: Dataset) -> None:
  """Decodes every image.

  Raises:
    InputError: images cannot be decoded; the message names some of them.
  """
  corrupt = [
    (split, i)
    for name, split in dataset.splits.items()
    for i in corruption.find(split, f'decoding {row.name} {name}')
  ]
  total = sum(map(len, dataset.splits.values()))
  if corrupt:
    raise corruption.report(corrupt, total)
  _print_paragraph(f'all {total:,} images can be decoded')
