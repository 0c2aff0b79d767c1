"""Puts ImageNet top-1 that was measured here in place of published numbers.

The job `imagenet` measures networks and writes a JSON file for each. Where all
networks of some records were measured in one way (the same images, the same
resize, the same crop), its numbers replace the publishers', with their standard
errors. If one network is missing, none is replaced: measured and published
numbers on one axis would differ by more than either alone. Ledgers keep what
the publishers state.
"""

import base64
import binascii
import dataclasses
import itertools
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from absl import logging

from tf_transfer import errors
from tf_transfer.runtime import files, json_lines, schemas
from tf_transfer.runtime.units import counted
from tf_transfer.study import record_types, top1_protocol
from tf_transfer.study.schema import Record

FOLDER = 'imagenet'
# Of several ways in which all were measured, the first counts.
_RESIZES = ('resize_then_crop', 'crop_then_resize', 'whole_image')
_RESIZE_TEXTS = {
  'resize_then_crop': 'the shorter side resized, then cropped',
  'crop_then_resize': 'cropped, then resized',
  'whole_image': 'the whole image resized',
}


class _Result(msgspec.Struct, kw_only=True):
  """A file of the job `imagenet`; the last two fields are not in old ones."""

  network: record_types.Name
  weights_sha256: record_types.Sha256
  contract: record_types.Contract
  preprocessing: Literal['resize_then_crop', 'crop_then_resize', 'whole_image']
  split_sha256: record_types.Sha256
  top1: record_types.Measurement
  skipped: list[str]
  image_size: record_types.Count = 0
  correct: Annotated[str, msgspec.Meta(max_length=10**8)] = ''

  @property
  def crop(self) -> float:
    """The side of the central crop, as a fraction of the image's."""
    if self.preprocessing == 'whole_image':
      return 1.0
    return round(self.contract.crop_fraction, 6)

  @property
  def way(self) -> tuple[Any, ...]:
    """What must be equal for two results to be comparable."""
    images = self.split_sha256, tuple(self.skipped)
    return self.preprocessing, self.image_size, images, self.crop


@dataclasses.dataclass(frozen=True)
class Top1:
  """Records with the ImageNet top-1 that counts.

  Attributes:
    records: the same, in their order; with `imagenet_top1_error`, the standard
      error, where the top-1 was measured here.
    remarks: what was replaced, or why it was not; nothing where nothing was
      measured.
  """

  records: list[Record]
  remarks: tuple[str, ...]


def find_directory(named: str, workdir: pathlib.Path) -> pathlib.Path | None:
  """Returns the directory of results; None if there is none.

  Args:
    named: `imagenet_results` of a job's config.
    workdir: of the study.

  Raises:
    InputError: it is named and is no directory.
  """
  if not named:
    directory = workdir / FOLDER
    return directory if directory.is_dir() else None
  directory = files.local_path(named, 'config.imagenet_results')
  if not directory.is_dir():
    raise errors.InputError(
      f'config.imagenet_results: {directory} is no directory: expected '
      'WORKDIR/imagenet of the job imagenet'
    )
  return directory


def replace(records: Sequence[Record], directory: pathlib.Path | None) -> Top1:
  """Replaces published top-1 by measured, for all networks or for none.

  Networks from random values keep the number of their architecture; those
  whose top-1 is not known need none.

  Args:
    records: of a ledger.
    directory: of results; None: there are none.
  """
  needed = {
    r['weights_sha256']: r['network']
    for r in records
    if r['weights_sha256'] and r['imagenet_top1'] is not None
  }
  results = [] if directory is None else _read_all(directory)
  results = [r for r in results if r.weights_sha256 in needed]
  if not results:
    return Top1(list(records), ())
  ways: dict[tuple[Any, ...], dict[str, _Result]] = {}
  for result in results:
    ways.setdefault(result.way, {})[result.weights_sha256] = result
  complete = [way for way in ways.values() if way.keys() == needed.keys()]
  if not complete:
    return Top1(list(records), (_why_not(ways, needed, directory),))
  chosen = min(complete, key=_preference)
  remarks = [_describe(chosen)]
  if len(complete) > 1:
    remarks.append(
      f'They were measured in {len(complete)} ways; name a directory with one '
      'of them in config.imagenet_results to take another.'
    )
  return Top1([_with_top1(r, chosen) for r in records], tuple(remarks))


def _preference(way: Mapping[str, _Result]) -> tuple[Any, ...]:
  """Returns what sorts ways: by resize, then the most images, then by name."""
  result = next(iter(way.values()))
  return (
    _RESIZES.index(result.preprocessing),
    -result.top1.examples,
    str(result.way),
  )


def _read_all(directory: pathlib.Path) -> list[_Result]:
  """Reads the results of a directory; says which files are damaged."""
  results = []
  for path in sorted(directory.glob('*.json')):
    try:
      data = json_lines.read_regular(path) or b''
      result = schemas.decode(data, _Result, str(path))
      _correct(result, path)
    except errors.InputError as error:
      logging.warning('%s: the file is left out', errors.printable(str(error)))
    else:
      results.append(result)
  return results


def _correct(result: _Result, path: pathlib.Path) -> np.ndarray | None:
  """Returns which images are right, bool [N]; None if an old file lacks it.

  Raises:
    InputError: it is not what the top-1 says.
  """
  if not result.correct:
    return None
  num_images = result.top1.examples
  try:
    data = base64.b64decode(result.correct, validate=True)
  except binascii.Error as error:
    raise errors.InputError(f'{path}: correct: not base64 ({error})') from error
  if len(data) != math.ceil(num_images / 8):
    raise errors.InputError(
      f'{path}: correct: expected a bit for each of {num_images:,} images, '
      f'found {counted(len(data), "byte")}'
    )
  bits = np.unpackbits(np.frombuffer(data, np.uint8), count=num_images)
  if not math.isclose(bits.mean(), result.top1.value, abs_tol=1e-9):
    raise errors.InputError(
      f'{path}: correct: {bits.mean():.4%} of the images are right, and top1 '
      f'is {result.top1.value:.4%}'
    )
  return bits.astype(bool)


def _with_top1(record: Record, measured: Mapping[str, _Result]) -> Record:
  """Returns a record with the measured top-1 of its network, if it has one."""
  result = measured.get(record['weights_sha256'])
  if result is None:
    return record
  value, num_images = result.top1.value, result.top1.examples
  protocol = top1_protocol.Protocol(result.contract.image_size, result.crop)
  return {
    **record,
    'imagenet_top1': value,
    'imagenet_top1_source': (
      f'measured here, on {counted(num_images, "image")}'
    ),
    'imagenet_top1_error': math.sqrt(value * (1 - value) / num_images),
    top1_protocol.MEASURED: protocol,
  }


def _describe(measured: Mapping[str, _Result]) -> str:
  """Says how the networks were measured, and what their errors are."""
  results = list(measured.values())
  first = results[0]
  text = (
    f'ImageNet top-1 was measured here, for all networks alike: '
    f'{counted(first.top1.examples, "image")}, '
    f'{_RESIZE_TEXTS[first.preprocessing]}'
  )
  if first.crop < 1:
    text += f', {top1_protocol.crop_text(first.crop)}'
  text += '. Its standard errors are of the sampling of these images'
  shared = _mean_correlation(results)
  if shared is None:
    return f'{text}.'
  return (
    f'{text}. The networks share them: whether they are right correlates by '
    f'{shared:.2f} on average, so that differences between networks are known '
    'better than independent errors of this size would tell.'
  )


def _mean_correlation(results: Sequence[_Result]) -> float | None:
  """Returns the mean correlation of networks being right on an image.

  It is the correlation of the errors of their accuracies. None if it is not
  known, or there are too few networks.
  """
  rows = [_correct(result, pathlib.Path(FOLDER)) for result in results]
  rows = [row for row in rows if row is not None and 0 < row.mean() < 1]
  if len(rows) < max(2, len(results)):
    return None
  pairs = itertools.combinations(range(len(rows)), 2)
  correlations = np.corrcoef(rows)
  return float(np.mean([correlations[pair] for pair in pairs]))


def _why_not(
  ways: Mapping[tuple[Any, ...], Mapping[str, _Result]],
  needed: Mapping[str, str],
  directory: pathlib.Path,
) -> str:
  """Says why none is replaced: who is missing, or was measured otherwise."""
  measured = {sha256 for way in ways.values() for sha256 in way}
  missing = [name for sha256, name in needed.items() if sha256 not in measured]
  start = f'ImageNet top-1 is as published, though {directory} has measurements'
  if missing:
    return (
      f'{start}: {", ".join(missing)} '
      f'{"is" if len(missing) == 1 else "are"} not among them, and measured '
      'and published numbers do not mix.'
    )
  crops = {result.crop for way in ways.values() for result in way.values()}
  reason = 'of other images, sizes or resizing'
  if len(crops) > 1:
    reason = f'with central crops of {min(crops):.3g} to {max(crops):.3g}'
  return (
    f'{start}: they are not alike, {reason}. Measure all in one run of the job '
    'imagenet, with --config.crop_fraction=0.875.'
  )
