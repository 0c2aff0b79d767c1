"""The audit for leaks: test images that were there to be trained on.

Test against train and val of the same dataset, and of others: exact copies by
digest, near copies by perceptual hash and, on demand, by features. Then what
a study's records say without them. (The paper's appendix H.)
"""

import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import ml_collections
import numpy as np
from PIL import Image, ImageDraw

from tf_transfer import datasets, errors, networks
from tf_transfer.datasets.images import perceptual_hash
from tf_transfer.runtime import files, progress
from tf_transfer.study import ledger as ledger_lib
from tf_transfer.study import weights_files
from tf_transfer.transfer import metrics
from tf_transfer.transfer.fixed_features import feature_cache
from tf_transfer.transfer.fixed_features import features as features_lib

# How a pair was found, the strictest first.
KINDS = ('exact', 'hash', 'features')

_TRAINING_PARTS = ('train', 'val')


@dataclasses.dataclass(frozen=True)
class Leak:
  """A test image and what is most like it in a split that may be trained on.

  Attributes:
    kind: the strictest of KINDS that finds the pair.
    test: position of the test image in its split.
    dataset: where the other image is.
    part: its split.
    other: its position there.
    distance: bits in which the perceptual hashes differ.
    cosine: of the features, where they found it.
  """

  kind: str
  test: int
  dataset: str
  part: str
  other: int
  distance: int
  cosine: float | None


class _Audit:
  """One test split, compared with one split after another."""

  def __init__(
    self,
    dataset: datasets.Dataset,
    config: ml_collections.ConfigDict,
    extract: features_lib.Extractor | None,
  ):
    self._config = config
    self._extract = extract
    self._test = dataset.splits['test']
    self._hashes, self._good = self._hash(dataset, 'test')
    self._features = self._vectors(dataset, 'test')
    self.unreadable = int(np.sum(~self._good))

  def compare(self, dataset: datasets.Dataset, part: str) -> Iterator[Leak]:
    """The leaks of test images into a split, one at most for each."""
    split = dataset.splits[part]
    hashes, good = self._hash(dataset, part)
    self.unreadable += int(np.sum(~good))
    copies = {digest.tobytes(): i for i, digest in enumerate(split.digests)}
    readable = np.flatnonzero(good)
    if not len(readable):
      return
    near, _ = perceptual_hash.nearest(self._hashes, hashes[readable])
    near = readable[near]
    alike, cosines = self._alike(dataset, part)
    for i, digest in enumerate(self._test.digests):
      found = [
        ('exact', copies.get(digest.tobytes())),
        ('hash', near[i]),
        ('features', alike[i]),
      ]
      for kind, other in found:
        if other is None:
          continue
        distance = int(np.bitwise_count(self._hashes[i] ^ hashes[other]))
        cosine = cosines[i] if kind == 'features' else None
        if self._holds(kind, i, distance, cosine):
          yield Leak(kind, i, dataset.name, part, int(other), distance, cosine)
          break

  def _holds(
    self, kind: str, i: int, distance: int, cosine: float | None
  ) -> bool:
    if kind == 'hash':
      return bool(self._good[i]) and distance <= self._config.max_distance
    if kind == 'features':
      return cosine is not None and cosine >= self._config.min_cosine
    return True

  def _alike(self, dataset: datasets.Dataset, part: str):
    """For each test image the most similar by features, and the cosine."""
    other: list[int | None] = [None] * len(self._test)
    cosines: list[float | None] = [None] * len(self._test)
    if self._features is not None:
      vectors = self._vectors(dataset, part)
      position, cosine = perceptual_hash.most_similar(
        self._features.values, vectors.values
      )
      for row, i in enumerate(self._features.kept):
        other[i] = int(vectors.kept[position[row]])
        cosines[i] = float(cosine[row])
    return other, cosines

  def _hash(self, dataset: datasets.Dataset, part: str):
    name = f'{dataset.name} {part}'
    return perceptual_hash.hash_split(
      dataset.splits[part], progress.bar, f'hashes: {name}'
    )

  def _vectors(self, dataset: datasets.Dataset, part: str):
    if self._extract is None:
      return None
    return self._extract(dataset.splits[part], f'{dataset.name} {part}')


def find(
  dataset: datasets.Dataset,
  others: list[datasets.Dataset],
  config: ml_collections.ConfigDict,
  extract: features_lib.Extractor | None = None,
) -> tuple[list[Leak], int]:
  """Looks for the test images of a dataset where they should not be.

  Args:
    dataset: whose test split it is; its own train and val are searched first.
    others: datasets whose train and val are searched too.
    config: max_distance and min_cosine.
    extract: features to compare; None compares none.

  Returns:
    The leaks, in the order of the splits searched and then of test; and how
    many images could not be read.
  """
  audit = _Audit(dataset, config, extract)
  found = [
    leak
    for searched in (dataset, *others)
    for part in _TRAINING_PARTS
    for leak in audit.compare(searched, part)
  ]
  return found, audit.unreadable


def without(
  workdir: pathlib.Path, dataset: datasets.Dataset, leaked: set[int]
) -> list[dict[str, Any]]:
  """A study's records on a dataset, measured without some test images.

  Args:
    workdir: of the study.
    dataset: the dataset; records on another test split of it do not count.
    leaked: positions of the test images to leave out.

  Returns:
    For each record its network and setting, the metric on all test images
    that it counted, and on those that are left.

  Raises:
    InputError: there is no such record, or none of its images is left.
  """
  test = dataset.splits['test']
  out = {test.digests[i].tobytes() for i in leaked}
  rows = []
  for record in ledger_lib.Ledger(workdir).read().values():
    if (
      record['dataset'] != dataset.name
      or record['splits_sha256']['test'] != test.hash
    ):
      continue
    with np.load(workdir / record['predictions']) as arrays:
      digest, label, prediction = (
        arrays[name] for name in ('digest', 'label', 'prediction')
      )
    left = np.array([row.tobytes() not in out for row in digest])
    if not left.any():
      raise errors.InputError(
        f'{dataset.name}: every test image is leaked; lower '
        '--config.max_distance if they only look alike'
      )
    rows.append(
      {
        'network': record['network'],
        'setting': record['setting'],
        'metric': record['metric'],
        'all': dataclasses.asdict(
          metrics.measure(record['metric'], label, prediction)
        ),
        'without': dataclasses.asdict(
          metrics.measure(record['metric'], label[left], prediction[left])
        ),
      }
    )
  if not rows:
    raise errors.InputError(
      f'--config.ledger: {workdir} has no record on the test split of '
      f'{dataset.name}'
    )
  return rows


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Audits a dataset and writes what it finds to the workdir.

  Args:
    config: of the job, as `configs/leaks.py` documents.
    workdir: where everything is written.

  Raises:
    InputError: something given cannot be used.
  """
  dataset = _open(config.dataset, config)
  workdir = files.make_directory(workdir)
  others = list(_open_others(config))
  opened = {each.name: each for each in (dataset, *others)}
  found, unreadable = find(dataset, others, config, _extractor(config, workdir))
  leaked = {leak.test for leak in found}
  report = {
    'dataset': dataset.name,
    'test_sha256': dataset.splits['test'].hash,
    'test_images': len(dataset.splits['test']),
    'leaked_test_images': len(leaked),
    'unreadable_images': unreadable,
    'searched': {
      f'{each.name} {part}': {
        kind: sum(
          (leak.dataset, leak.part, leak.kind) == (each.name, part, kind)
          for leak in found
        )
        for kind in KINDS
      }
      for each in opened.values()
      for part in _TRAINING_PARTS
    },
  }
  if config.ledger:
    report['records'] = without(
      pathlib.Path(config.ledger).expanduser(), dataset, leaked
    )
  with files.atomic_write(workdir / 'leaks.csv') as file:
    file.write(_table(found, opened, dataset).encode())
  with files.atomic_write(workdir / 'leaks.json') as file:
    file.write(json.dumps(report, indent=2).encode() + b'\n')
  if found:
    with files.atomic_write(workdir / 'leaks.png') as file:
      _sheet(found, opened, dataset, config.pictures).save(file, 'PNG')
  _print(report, workdir)


def _open(name: str, config: ml_collections.ConfigDict) -> datasets.Dataset:
  return datasets.open(
    name,
    data_dir=config.data.dir or None,
    seed=config.data.split_seed,
    val_fraction=config.data.val_fraction,
    test_fraction=config.data.test_fraction,
    progress=progress.bar,
  )


def _open_others(
  config: ml_collections.ConfigDict,
) -> Iterator[datasets.Dataset]:
  for name in config.against:
    if name == config.dataset:
      continue
    try:
      datasets.check(name, config.data.dir or None)
    except errors.InputError as error:
      # What it takes to get it would fill the screen.
      print(f'not searched: {str(error).partition(": ")[0]}')
    else:
      yield _open(name, config)


def _extractor(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> features_lib.Extractor | None:
  if not config.network:
    return None
  source = weights_files.locate(config.network)
  return features_lib.Extractor(
    networks.load(weights_files.prepare(source, config, workdir)),
    feature_cache.of_config(config.features, workdir),
    batch_size=config.features.batch_size,
    corrupt='skip',
  )


def _table(
  found: list[Leak],
  opened: dict[str, datasets.Dataset],
  dataset: datasets.Dataset,
) -> str:
  """The leaks as CSV, a line each."""
  file = io.StringIO()
  writer = csv.writer(file, lineterminator='\n')
  writer.writerow(
    [
      'kind',
      'distance',
      'cosine',
      'test image',
      'its label',
      'dataset',
      'split',
      'image',
      'label',
    ]
  )
  test = dataset.splits['test']
  for leak in found:
    other = opened[leak.dataset].splits[leak.part]
    writer.writerow(
      [
        leak.kind,
        leak.distance,
        '' if leak.cosine is None else f'{leak.cosine:.4f}',
        test.describe(leak.test),
        _label(dataset, 'test', leak.test),
        leak.dataset,
        leak.part,
        other.describe(leak.other),
        _label(opened[leak.dataset], leak.part, leak.other),
      ]
    )
  return file.getvalue()


def _label(dataset: datasets.Dataset, part: str, i: int) -> str:
  """The classes of an example, by name."""
  label = dataset.splits[part].labels[i]
  present = np.flatnonzero(label == 1) if label.ndim else [label]
  return ' '.join(dataset.classes[c] for c in present)


_THUMBNAIL = 112  # pixels
_CAPTION = 14
_PAIRS_ACROSS = 5


def _sheet(
  found: list[Leak],
  opened: dict[str, datasets.Dataset],
  dataset: datasets.Dataset,
  limit: int,
) -> Image.Image:
  """Pairs side by side, test on the left, the least alike first."""
  shown = sorted(
    found, key=lambda leak: (KINDS.index(leak.kind), leak.distance)
  )[::-1][:limit]
  width, height = 2 * _THUMBNAIL + 8, _THUMBNAIL + _CAPTION + 4
  down = -(-len(shown) // _PAIRS_ACROSS)
  sheet = Image.new('RGB', (_PAIRS_ACROSS * width, down * height), 'white')
  draw = ImageDraw.Draw(sheet)
  for number, leak in enumerate(shown):
    top, left = (
      n * size
      for n, size in zip(
        divmod(number, _PAIRS_ACROSS), (height, width), strict=True
      )
    )
    sources = (
      (dataset.splits['test'], leak.test),
      (opened[leak.dataset].splits[leak.part], leak.other),
    )
    for place, (split, i) in enumerate(sources):
      picture = _thumbnail(split, i)
      sheet.paste(picture, (left + place * _THUMBNAIL, top))
    caption = (
      f'{leak.kind} {leak.distance}: {leak.test}, {leak.part} {leak.other}'
    )
    draw.text((left, top + _THUMBNAIL), caption, fill='black')
  return sheet


def _thumbnail(split: datasets.Split, i: int) -> Image.Image:
  try:
    image = Image.fromarray(split.read(i))
  except datasets.CorruptImage:
    # An exact copy of a file that nobody can decode.
    return Image.new('RGB', (_THUMBNAIL - 2, _THUMBNAIL - 2), 'gray')
  scale = (_THUMBNAIL - 2) / max(image.size)
  return image.resize([max(1, round(side * scale)) for side in image.size])


def _print(report: dict[str, Any], workdir: pathlib.Path) -> None:
  print(
    f'{report["dataset"]}: {report["leaked_test_images"]:,} of '
    f'{report["test_images"]:,} test images are leaked'
  )
  for searched, counts in report['searched'].items():
    print(
      f'  in {searched}: {counts["exact"]:,} exact copies, {counts["hash"]:,} '
      f'by hash, {counts["features"]:,} by features'
    )
  if report['unreadable_images']:
    print(f'  {report["unreadable_images"]:,} images could not be read')
  for row in report.get('records', ()):
    whole, rest = row['all'], row['without']
    print(
      f'  {row["network"]}, {row["setting"]}: {row["metric"]} '
      f'{whole["value"]:.2%} on {whole["examples"]:,} test images, '
      f'{rest["value"]:.2%} [{rest["low"]:.2%}, {rest["high"]:.2%}] on the '
      f'{rest["examples"]:,} left'
    )
  print(f'list     {workdir / "leaks.csv"}\ncounts   {workdir / "leaks.json"}')
  if report['leaked_test_images']:
    print(f'pairs    {workdir / "leaks.png"}')
