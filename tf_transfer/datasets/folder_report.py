"""Describes what is in a folder of images, in plain words."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Iterable, Mapping, Sequence

from tf_transfer.datasets.dataset import listing
from tf_transfer.datasets.sources.image_files import printable
from tf_transfer.runtime import files as files_lib
from tf_transfer.runtime.units import counted

# Pixels of the shorter side: what hardly shows an object, and the usual input
# of networks.
TINY = 32
USUAL = 224
# A class with fewer images of test is tested badly.
MIN_TESTED = 5
# The most lines of a list on a screen.
MAX_LISTED = 20
# The place of a file that is in no split, since it is left out.
NOWHERE = 'left out'

# Where files that are alike are -> rank: the more it matters, the lower.
RANKS = {
  'two or more classes, two or more splits': 0,
  'two or more classes, one split': 1,
  'one class, two or more splits': 2,
  'one class, one split': 3,
}


@dataclasses.dataclass(frozen=True)
class File:
  """One file: its name in the folder, its class, and its split."""

  name: str
  class_name: str
  split: str

  def __str__(self) -> str:
    """Returns the name and the split."""
    return f'{self.name} ({self.split})'


@dataclasses.dataclass(frozen=True)
class Alike:
  """Two or more files that are identical, or a pair that look alike."""

  files: tuple[File, ...]

  @property
  def places(self) -> str:
    """Says which classes and splits the files are in."""
    classes = len({file.class_name for file in self.files})
    places = len({file.split for file in self.files} - {NOWHERE})
    return ', '.join(
      (
        'two or more classes' if classes > 1 else 'one class',
        'two or more splits' if places > 1 else 'one split',
      )
    )


@dataclasses.dataclass(frozen=True)
class Sizes:
  """Sizes of the readable images.

  Attributes:
    smallest, median, largest: (height, width), ordered by the shorter side.
    tiny: names of the images with a side below `TINY` pixels.
    num_below_usual: how many have a side below `USUAL` pixels.
  """

  smallest: tuple[int, int]
  median: tuple[int, int]
  largest: tuple[int, int]
  tiny: tuple[str, ...]
  num_below_usual: int


@dataclasses.dataclass(frozen=True)
class FolderReport:
  """What is in a folder of images.

  Attributes:
    name: of the dataset, 'folder:PATH'.
    classes: their names.
    counts: split, or fold -> number of images by class. Empty if the splits
      cannot be drawn.
    num_files: number of files by class, as found.
    num_unreadable: of these, by class, how many cannot be opened or decoded.
    unopened: name of each file that cannot be opened, and why.
    undecodable: name of each file that cannot be decoded, and why.
    identical: files of the same content.
    similar: pairs of files that look alike, each content once.
    left_out: kind of files that are left out -> number and first names.
    notes: sentences on folders, and on what is read in an unusual place.
    sizes: of the images; None if none is readable.
    num_folds: folds of a cross-validation; 0: there are none.
    stops: what stops every job.
  """

  name: str
  classes: tuple[str, ...]
  counts: Mapping[str, tuple[int, ...]]
  num_files: tuple[int, ...]
  num_unreadable: tuple[int, ...]
  unopened: tuple[tuple[str, str], ...]
  undecodable: tuple[tuple[str, str], ...]
  identical: tuple[Alike, ...]
  similar: tuple[Alike, ...]
  left_out: Mapping[str, tuple[int, tuple[str, ...]]]
  notes: tuple[str, ...]
  sizes: Sizes | None
  num_folds: int
  stops: tuple[str, ...]


def show(report: FolderReport, workdir: pathlib.Path | None) -> list[str]:
  """Prints a report; long lists are cut if there is a workdir for a file.

  Returns:
    The lines that were printed.
  """
  if workdir is None:
    lines = render(report).splitlines()
  else:
    key = hashlib.sha256(report.name.encode()).hexdigest()[:8]
    path = workdir / f'folder_report_{key}.txt'
    files_lib.make_directory(workdir)
    with files_lib.atomic_write(path) as file:
      file.write(f'{render(report)}\n'.encode())
    lines = render(report, MAX_LISTED).splitlines()
    lines.append(f'all of it is in {printable(str(path))}')
  print('\n'.join((*lines, '')))
  return lines


def render(report: FolderReport, max_listed: int | None = None) -> str:
  """Writes a report as text.

  Args:
    report: of a folder.
    max_listed: the most lines of a list; None: all.
  """
  sections = [
    _table(report, max_listed),
    _problem_lines(report.unopened, 'opened', _UNOPENED, max_listed),
    _problem_lines(report.undecodable, 'decoded', _UNDECODABLE, max_listed),
    *(
      _alike_lines(alike, title, sign, advice, max_listed)
      for alike, title, sign, advice in (
        (report.identical, 'identical files', ' = ', _IDENTICAL),
        (report.similar, 'pairs that look alike', ' ~ ', _SIMILAR),
      )
    ),
    _small_lines(report, max_listed),
    _size_lines(report, max_listed),
    _left_out_lines(report),
    _list('how the folder is read', report.notes, None),
    _stop_lines(report),
  ]
  return '\n\n'.join('\n'.join(lines) for lines in sections if lines)


_UNOPENED = 'make them readable, or remove them.'
_UNDECODABLE = (
  'replace or remove them, or leave them out with --config.data.corrupt=skip.'
)
_IDENTICAL = {
  'two or more classes': 'one of the labels is wrong, or both: keep the file '
  'in one class.',
  'two or more splits': 'copies of test are left out of train and val, and '
  'copies of val out of train.',
  'one split': 'harmless, but they count several times.',
}
_SIMILAR = {
  'two or more classes': 'look at them: a label may be wrong.',
  'two or more splits': 'a network may know the test image from training: '
  'delete one, or name what belongs together with --config.data.group_by.',
  'one split': 'nothing to do: they stay on one side.',
}


def _table(report: FolderReport, max_listed: int | None) -> list[str]:
  """Lists the number of images by class and split."""
  columns = {
    **report.counts,
    'files': report.num_files,
    'unreadable': report.num_unreadable,
  }
  if not any(report.num_unreadable):
    del columns['unreadable']
  width = max(map(len, (*report.classes, 'class')))
  widths = {name: max(len(name), 7) for name in columns}

  def line(title: str, values: Iterable[str]) -> str:
    cells = [
      f'{value:>{width}}'
      for value, width in zip(values, widths.values(), strict=True)
    ]
    return '  '.join((f'  {title:{width}}', *cells))

  rows = [
    line(name, [f'{counts[i]:,}' for counts in columns.values()])
    for i, name in enumerate(report.classes)
  ]
  total = line('total', [f'{sum(counts):,}' for counts in columns.values()])
  head = f'{report.name}: {counted(len(rows), "class", "classes")}'
  if report.num_folds:
    head += f', test images of {report.num_folds} folds'
  return [head, line('class', columns), *_cut(rows, max_listed), total]


def _cut(lines: Sequence[str], max_listed: int | None) -> list[str]:
  """Returns the first lines, and counts the others."""
  if max_listed is None or len(lines) <= max_listed:
    return list(lines)
  more = len(lines) - max_listed
  return [*lines[:max_listed], f'  ... and {more:,} more']


def _list(
  title: str, texts: Iterable[str], max_listed: int | None
) -> list[str]:
  """Writes a list below a title; nothing if it is empty."""
  lines = [f'  {text}' for text in texts]
  return [f'{title}:', *_cut(lines, max_listed)] if lines else []


def _problem_lines(
  problems: Sequence[tuple[str, str]],
  verb: str,
  advice: str,
  max_listed: int | None,
) -> list[str]:
  """Lists the files that cannot be opened, or decoded, and what to do."""
  lines = _list(
    f'{counted(len(problems), "file")} cannot be {verb}',
    (f'{name}: {reason}' for name, reason in problems),
    max_listed,
  )
  return [*lines, f'  -> {advice}'] if lines else []


def _alike_lines(
  alike: Sequence[Alike],
  title: str,
  sign: str,
  advice: Mapping[str, str],
  max_listed: int | None,
) -> list[str]:
  """Lists files that are alike, by where they are, and what to do."""
  lines = []
  for places in RANKS:
    listed = [each for each in alike if each.places == places]
    lines += _list(
      f'{title} in {places}, {len(listed):,}',
      (sign.join(map(str, each.files)) for each in listed),
      max_listed,
    )
    if listed:
      keys = [key for key in advice if key in places]
      if len(keys) > 1 and not places.startswith('one class, one'):
        keys = [key for key in keys if key != 'one split']
      lines += [f'  -> {advice[key]}' for key in keys]
  return lines


def _small_lines(report: FolderReport, max_listed: int | None) -> list[str]:
  """Lists the classes that are too small to be tested."""
  tests = report.counts.get('test')
  if report.num_folds:
    tests = tuple(map(sum, zip(*report.counts.values(), strict=True)))
  if tests is None:
    return []
  small = [
    f'{name}: {counted(count, "image")} of test'
    for name, count in zip(report.classes, tests, strict=True)
    if count < MIN_TESTED
  ]
  lines = _list('classes too small to be tested', small, max_listed)
  advice = (
    f'  -> below {MIN_TESTED} test images an accuracy of the class says next '
    'to nothing: add images, '
  )
  if report.num_folds:  # All are tested already.
    advice += 'or join\n     classes.'
  else:
    advice += 'join\n     classes, or test on all with --config.data.folds=5.'
  return [*lines, advice] if lines else []


def _size_lines(report: FolderReport, max_listed: int | None) -> list[str]:
  """Describes the sizes of the images."""
  sizes = report.sizes
  if sizes is None:
    return []
  texts = (
    f'{name} {width} x {height}'
    for name, (height, width) in (
      ('smallest', sizes.smallest),
      ('median', sizes.median),
      ('largest', sizes.largest),
    )
  )
  lines = [f'sizes, width x height: {", ".join(texts)}']
  total = sum(report.num_files) - sum(report.num_unreadable)
  if not sizes.num_below_usual:
    return lines
  lines.append(
    f'  {sizes.num_below_usual:,} of {counted(total, "image")} have a side '
    f'below {USUAL} pixels, the usual input of networks: they are enlarged.'
  )
  if sizes.tiny:
    lines.append(
      f'  {len(sizes.tiny):,} of these have a side below {TINY} pixels, which '
      'hardly shows anything:'
    )
    lines += _cut([f'    {name}' for name in sizes.tiny], max_listed)
  return [*lines, '  -> use larger originals if there are some.']


def _left_out_lines(report: FolderReport) -> list[str]:
  """Lists the files that are left out, by extension."""
  texts = [
    f'{count:,} {kind}'
    + (f': {listing(names)}' if names else '')
    + (f' and {count - len(names):,} more' if count > len(names) > 0 else '')
    for kind, (count, names) in report.left_out.items()
  ]
  return _list('files left out, since they are no images', texts, None)


def _stop_lines(report: FolderReport) -> list[str]:
  """Says what stops a job, or that nothing does."""
  if not report.stops:
    return ['nothing stops a job.']
  return _list('this stops every job', report.stops, None)
