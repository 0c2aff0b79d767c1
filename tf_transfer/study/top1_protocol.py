"""Says how the ImageNet top-1 of a network was measured: size and crop.

Publishers measure on images of several sizes, of which they show networks
different central crops. These can move top-1 by most of a point, which is as
much as many networks differ by.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tf_transfer import networks
from tf_transfer.networks import header
from tf_transfer.runtime.units import counted
from tf_transfer.study.schema import Record

# The field that a measurement of ours adds to records in memory.
MEASURED = 'imagenet_top1_protocol'
_SLIM_CROP = 0.875
# A source that says itself at which size and crop it measured: timm's results.
_STATED = re.compile(r'published by .*, (\d+) px, crop fraction (\d[\d.]*)')
# EfficientNet's crop leaves out a border that is 32 px at the network's size.
_BORDER = 32


@dataclasses.dataclass(frozen=True)
class Protocol:
  """How a top-1 was measured.

  Attributes:
    image_size: of the network's input, in pixels; None if not known.
    crop: side of the central crop, as a fraction of the image's; 1.0 is all of
      it, None not known.
  """

  image_size: int | None
  crop: float | None

  def __str__(self) -> str:
    size = 'size not stated'
    if self.image_size is not None:
      size = f'{self.image_size} px'
    return f'{size}, {crop_text(self.crop)}'


def crop_text(crop: float | None) -> str:
  """Returns a crop in words."""
  if crop is None:
    return 'crop not stated'
  return 'no crop' if crop == 1 else f'central crop of {crop:.3g}'


# A crop by the publisher's own fraction, and by the image size.
_Crop = Callable[[float, int], float | None]


def _own(fraction: float, size: int) -> float:
  return fraction


def _slim(fraction: float, size: int) -> float:
  return _SLIM_CROP


def _border(fraction: float, size: int) -> float:
  return size / (size + _BORDER)


def _not_stated(fraction: float, size: int) -> None:
  return None


# How the source of a top-1 begins, and the crop that it was measured with. The
# size is the weights' own in all of them.
_SOURCES: tuple[tuple[str, _Crop], ...] = (
  ("TF-Slim's table", _slim),
  ("torchvision's table", _own),
  # Its table states size and crop of each row; ours are the rows that agree
  # with the weights' own.
  ("timm's table", _own),
  # "Single center crop" of a fraction that is not stated.
  ("Keras's ", _not_stated),
  ("pretrainedmodels' table", _slim),
  ("published by the network's authors", _border),
  # Of the job that pretrains, and of the paper.
  ('measured here on ', _slim),
  ('Kornblith et al. (2019)', _slim),
)


def of(record: Record) -> Protocol | None:
  """Returns how the top-1 of a record was measured; None if it has none.

  Args:
    record: of a ledger; or with a measurement of ours in memory.
  """
  if record['imagenet_top1'] is None:
    return None
  if MEASURED in record:
    return record[MEASURED]
  size = _own_size(record)
  if measure(record):  # A classifier of features, on images of its authors.
    return Protocol(None, None)
  stated = _STATED.fullmatch(record['imagenet_top1_source'])
  if stated:
    return Protocol(int(stated[1]), float(stated[2]))
  for beginning, crop in _SOURCES:
    if record['imagenet_top1_source'].startswith(beginning):
      fraction = record.get('contract', {}).get('crop_fraction')
      if size is None or (crop is _own and fraction is None):
        return Protocol(size, None)
      return Protocol(size, crop(fraction, size))
  return Protocol(None, None)


def measure(record: Record) -> str:
  """Returns what the top-1 is of, in words; '' for the trained head."""
  name = record.get('imagenet_measure', '')
  return header.MEASURES[name] if name else ''


def _own_size(record: Record) -> int | None:
  """Returns the image size of the weights; None if it is not known."""
  # The contract of a record is of the size that its study shows.
  if record['image_size'] == 0 and 'contract' in record:
    return record['contract']['image_size']
  # `accuracy_table.distinct` gives networks other names.
  name = record.get('architecture', record['network'])
  row = networks.TABLE.get(name)
  return None if row is None else row.image_size


def by_network(
  records: Sequence[Record], labels: Sequence[Any]
) -> dict[tuple[Any, str], Record]:
  """Returns a record for each network and source of its top-1.

  Args:
    records: of a ledger.
    labels: what tells networks apart, for each record.
  """
  first: dict[tuple[Any, str], Record] = {}
  for record, label in zip(records, labels, strict=True):
    if record['imagenet_top1'] is not None:
      first.setdefault((label, record['imagenet_top1_source']), record)
  return first


def warnings(records: Sequence[Record]) -> list[str]:
  """Says in which ways the top-1 of networks cannot be compared, if in any.

  Args:
    records: of a ledger, or some of it.
  """
  labels = [(r['network'], r['weights_sha256']) for r in records]
  known = by_network(records, labels)
  texts = []
  with_weights = {
    key: record for key, record in known.items() if record['weights_sha256']
  }
  texts += _measures(list(with_weights.values()))
  if len(with_weights) > 1:
    texts += _differences([of(record) for record in with_weights.values()])
  texts += _other_sizes(with_weights.values())
  if len(with_weights) < len(known):
    texts.append(
      'ImageNet top-1 of networks from random values is not theirs, since '
      'they have seen no ImageNet: it is what the architecture reached, '
      'mostly in the networks that the paper trained.'
    )
  return texts


def _measures(records: Sequence[Record]) -> list[str]:
  """Says which top-1 is not that of a trained head, where they are mixed."""
  names: dict[str, list[str]] = {}
  for record in records:
    names.setdefault(measure(record), []).append(
      networks.title(record['network'])
    )
  if len(names) < 2:
    return []
  parts = [
    f'of {", ".join(dict.fromkeys(who))} it is by {text}'
    for text, who in names.items()
    if text
  ]
  return [
    'ImageNet top-1 is not of one kind: '
    f'{"; ".join(parts)}; of the others it is of the head that was trained '
    'with the network. These are different measurements, and training the '
    'whole network for ImageNet mostly gives more than a linear probe or '
    'zero-shot classification: r mixes them.'
  ]


def _other_sizes(records: Iterable[Record]) -> list[str]:
  """Says of how many networks top-1 is published for another image size."""
  num_others = 0
  for record in records:
    stated = _STATED.fullmatch(record['imagenet_top1_source'])
    # Else the contract is of the size that the study shows.
    is_own = record['image_size'] == 0 and 'contract' in record
    if stated and is_own and MEASURED not in record:
      num_others += int(stated[1]) != record['contract']['image_size']
  if not num_others:
    return []
  return [
    f'ImageNet top-1 of {counted(num_others, "network")} is published for '
    'images of another size than those that the network is shown here.'
  ]


def _differences(protocols: Sequence[Protocol]) -> list[str]:
  """Says how protocols differ in their crops; sizes are the networks' own."""
  crops = {round(p.crop, 3) for p in protocols if p.crop is not None}
  num_unknown = sum(p.crop is None for p in protocols)
  if len(crops) < 2 and not num_unknown:
    return []
  parts = []
  if len(crops) > 1:
    start = 'ImageNet top-1 was not measured alike'
    parts.append(f'central crops are {min(crops):.3g} to {max(crops):.3g}')
  else:
    start = 'It is not known whether ImageNet top-1 was measured alike'
  if num_unknown:
    of_all = counted(len(protocols), 'network')
    parts.append(f'the crop is not stated for {num_unknown} of {of_all}')
  return [
    f'{start}: {"; ".join(parts)}. Crop and size alone can move it by most of '
    'a point (one ResNet-50 has 80.4 % or 81.2 %): small differences between '
    'networks may be due to them. The job imagenet with '
    '--config.crop_fraction=0.875 measures all alike.'
  ]
