"""Builds the section on ImageNet top-1: whose it is, and how measured."""

import dataclasses
from collections.abc import Sequence

from tf_transfer.networks import header
from tf_transfer.study import top1_protocol
from tf_transfer.study.report import cells as cells_lib
from tf_transfer.study.report import tables

_NONE = '–'


@dataclasses.dataclass(frozen=True)
class Section:
  """What the page says of the x-axis.

  Attributes:
    warnings: in which ways networks cannot be compared.
    remarks: what was replaced by measurements of ours, or why not.
    table: a row for each network and source.
  """

  warnings: tuple[str, ...]
  remarks: tuple[str, ...]
  table: tables.Table


def build(
  cells: Sequence[cells_lib.NamedCell], remarks: Sequence[str] = ()
) -> Section:
  """Builds the section.

  Args:
    cells: that count.
    remarks: of `measured_top1.replace`.
  """
  records = [cell.record for cell in cells]
  labels = [(cell.network, cell.record['weights_sha256']) for cell in cells]
  known = top1_protocol.by_network(records, labels)
  rows = []
  for ((network, weights), source), record in known.items():
    protocol = top1_protocol.of(record)
    error = record.get('imagenet_top1_error')
    rows.append(
      (
        network if weights else f'{network}, from random values',
        round(100 * record['imagenet_top1'], 2),
        _NONE if error is None else round(100 * error, 2),
        source or _NONE,
        top1_protocol.measure(record) or header.MEASURES[''],
        protocol.image_size or _NONE,
        top1_protocol.crop_text(protocol.crop),
      )
    )
  table = tables.Table(
    'imagenet-top1',
    'ImageNet top-1: whose, at which size and crop',
    (
      *('Network', 'ImageNet top-1, %', 'Standard error, points', 'By'),
      *('Of', 'Image size, px', 'Crop'),
    ),
    rows,
    frozenset((1, 2, 5)),
  )
  return Section(tuple(top1_protocol.warnings(records)), tuple(remarks), table)
