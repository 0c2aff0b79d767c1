"""Says of the paper's datasets which are here, whole, and how to get others.

For each: where it is, classes and counts against the table's, the hashes of
its splits, what cannot be decoded; and for all, on request, a manifest with
the SHA-256 of every file.
"""

import concurrent.futures
import os
import pathlib
import textwrap

import ml_collections

from tf_transfer.datasets import manifest, table
from tf_transfer.datasets.dataset import Dataset, Split, listing
from tf_transfer.datasets.images.decoding import CorruptImage
from tf_transfer.datasets.sources import official, tfds_records
from tf_transfer.datasets.sources.layouts import LAYOUTS
from tf_transfer.datasets.table import Row
from tf_transfer.errors import InputError, unknown_name
from tf_transfer.runtime import progress

_INDENT = ' ' * 12
_WIDTH = 80
# Images that wait to be decoded at once.
_CHUNK = 4096


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path | None):
  """Prints what is to be known of the datasets that a config names.

  Args:
    config: as configs/datasets.py documents.
    workdir: where digests are remembered if the config does not say; None:
      nowhere.

  Raises:
    InputError: a dataset that is here has something wrong with it, or the
      manifest does not agree; after all were looked at.
  """
  rows = _chosen(config.datasets)
  options = _options(config, workdir)
  print(f'looking in {official.directory(options.data_dir)}\n')
  here, broken = [], []
  for row in rows:
    try:
      found = official.find(row, options.data_dir)
      if found is None and options.prepare:
        tfds_records.prepare(row.tfds, options.data_dir)
        found = official.find(row, options.data_dir)
      if found is None:
        _absent(row, options, in_detail=bool(config.datasets))
        continue
      here.append((row, found))
      _present(row, found, options, config.decode)
    except InputError as error:
      broken.append(row.name)
      _tell(f'PROBLEM: {error}')
  print(f'\n{len(here)} of {len(rows)} are here')
  if len(here) < len(rows) and not config.datasets:
    print('how to get one: --config=configs/datasets.py:NAME')
  if config.manifest:
    roots = {row.name: found.path for row, found in here}
    names = [row.name for row in rows]
    manifest.write_or_check(config.manifest, names, roots, progress.bar)
  if broken:
    raise InputError(f'something is wrong with {", ".join(broken)}: see above')


def _chosen(names: tuple[str, ...]) -> list[Row]:
  rows = {row.name: row for row in table.TABLE if row.official}
  for name in names:
    if name not in rows:
      raise unknown_name('dataset', name, rows)
  return [rows[name] for name in names] if names else list(rows.values())


def _options(
  config: ml_collections.ConfigDict, workdir: pathlib.Path | None
) -> official.Options:
  remembered = workdir and workdir / 'digests'
  return official.Options(
    data_dir=config.data.dir or None,
    seed=config.data.split_seed,
    cache_dir=config.data.cache_dir or remembered,
    prepare=config.data.prepare,
    cut_banner=config.data.cut_banner,
    progress=progress.bar,
  )


def _tell(text: str) -> None:
  """Prints a paragraph below a dataset's name."""
  # Paths and options stay whole, so that they can be copied.
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
  counts = ' / '.join(f'{n:,}' for n in row.counts.values())
  return f'{row.classes:,} classes, {counts} images, {row.metric}'


def _absent(row: Row, options: official.Options, in_detail: bool) -> None:
  """Says that a dataset is not here, and perhaps how to get it."""
  where = tfds_records.directory(options.data_dir)
  partly = [p for p in official.places(row.name, where) if os.path.isdir(p)]
  if partly:
    print(f'{row.name:11} NOT WHOLE  {_expected(row)}')
    _tell(str(official.missing(row, options.data_dir)))
    return
  print(f'{row.name:11} not here   {_expected(row)}')
  if not in_detail:
    return
  layout = LAYOUTS[row.name]
  for text in (
    f'official: about {row.size}, from {row.page}; unpack it so that '
    f'{os.path.join(where, row.name)} (or {layout.folder}) has '
    f'{", ".join(layout.needs)}',
    f'TFDS, {row.tfds.name}:{row.tfds.major}.*.*: {official.by_tfds(row)}',
    f'beware: {row.traps}',
    f'license: {row.license}',
    f'cite: {row.citation}',
  ):
    _tell(text)


def _present(
  row: Row, found: official.Found, options: official.Options, decode: bool
) -> None:
  """Opens a dataset that is here, and says what it finds."""
  print(f'{row.name:11} here       {_expected(row)}')
  kind = 'official layout' if found.layout else 'prepared by TFDS'
  _tell(f'{kind}, {found.path}')
  dataset = official.open_official(row, options)
  counts = {name: len(split) for name, split in dataset.splits.items()}
  if counts == dict(row.counts):
    _tell(f'classes and counts as they should be; {_validation(row, options)}')
  else:
    shown = ' / '.join(f'{n:,}' for n in counts.values())
    _tell(f'found {shown} images; {_validation(row, options)}')
  for note in dataset.notes:
    _tell(f'note: {note}')
  hashes = [f'{name} {s.hash[:16]}' for name, s in dataset.splits.items()]
  _tell(f'splits: {", ".join(hashes)}')
  if decode:
    _decode(row, dataset)


def _validation(row: Row, options: official.Options) -> str:
  rule = row.held_out
  if rule is None:
    return 'validation is official'
  each = 'all classes together' if rule.each is None else 'each class'
  drawn = 'validation' if rule.test_from is None else 'train and validation'
  return f'{drawn} drawn by {rule.by} from {each}, seed {options.seed}'


def _decode(row: Row, dataset: Dataset) -> None:
  """Decodes every image.

  Raises:
    InputError: names some of those that cannot be.
  """
  corrupt, total = [], 0
  with concurrent.futures.ThreadPoolExecutor() as pool:
    for name, split in dataset.splits.items():
      total += len(split)
      with progress.bar(
        total=len(split), desc=f'decoding {row.name} {name}', unit='image'
      ) as bar:
        for start in range(0, len(split), _CHUNK):
          numbers = range(start, min(start + _CHUNK, len(split)))
          for found in pool.map(lambda i, s=split: _problem(s, i), numbers):
            corrupt += found
            bar.update()
  if corrupt:
    raise InputError(
      f'{len(corrupt):,} of {total:,} images cannot be decoded: '
      f'{listing(corrupt)}; get them again, or have them skipped with '
      '--config.data.corrupt=skip'
    )
  _tell(f'all {total:,} images can be decoded')


def _problem(split: Split, i: int) -> list[str]:
  try:
    split.read(i)
  except CorruptImage:
    return [split.describe(i)]
  return []
