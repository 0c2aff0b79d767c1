"""Runs the job of configs/leaks.py: the audit of a dataset for leaks."""

import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np

from tf_transfer import config_fields, datasets, errors
from tf_transfer.runtime import csv_text, devices, files
from tf_transfer.runtime.units import counted
from tf_transfer.study import attempts as attempts_lib
from tf_transfer.study import leak_audit, weights_files
from tf_transfer.study.figures import pairs
from tf_transfer.study.leak_audit import Leak
from tf_transfer.transfer.fixed_features import extractors, feature_cache
from tf_transfer.transfer.fixed_features import features as features_lib

_COLUMNS = (
  'kind',
  'distance',
  'cosine',
  'test image',
  'its label',
  'dataset',
  'split',
  'image',
  'label',
)


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Audits a dataset and writes the leaks to the workdir.

  Args:
    config: of the job, as `configs/leaks.py` documents.
    workdir: where everything is written.

  Raises:
    InputError: an input cannot be used.
  """
  config_fields.check_job(config, 'leaks')
  devices.check_platforms()
  # Before anything is written: a name that is wrong leaves nothing behind.
  datasets.check(config.dataset, config.data.dir or None, config.data.prepare)
  workdir = files.make_directory(workdir)
  dataset = _open(config.dataset, config, workdir)
  others = list(_open_others(config, workdir))
  searched = {each.name: each for each in (dataset, *others)}
  leaks, num_unreadable = leak_audit.find_leaks(
    dataset, others, config, _build_extractor(config, workdir)
  )
  report = _build_report(dataset, searched, leaks, num_unreadable)
  if config.ledger:
    report['records'] = leak_audit.measure_without(
      _study(config, workdir),
      dataset,
      {leak.test for leak in leaks},
    )
  with files.atomic_write(workdir / 'leaks.csv') as file:
    file.write(_to_csv(leaks, searched, dataset).encode())
  with files.atomic_write(workdir / 'leaks.json') as file:
    file.write(json.dumps(report, indent=2).encode() + b'\n')
  attempts = attempts_lib.Attempts()
  if leaks:
    attempts.make(
      'leaks.png', _draw_pairs, leaks, searched, dataset, config, workdir
    )
  _print_report(report, workdir)
  attempts.raise_failures()


def _draw_pairs(
  leaks: Sequence[Leak],
  searched: Mapping[str, datasets.Dataset],
  dataset: datasets.Dataset,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
) -> None:
  """Draws pairs of images that look alike to leaks.png."""
  image = pairs.draw_pairs(leaks, searched, dataset, config.max_pairs_shown)
  with files.atomic_write(workdir / 'leaks.png') as file:
    image.save(file, 'PNG')


def _open(
  name: str, config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> datasets.Dataset:
  """Opens a dataset exactly as a study does, so that records match.

  Digests that the study has computed are used again.
  """
  digests = _study(config, workdir) / 'digests'
  return datasets.open_from_config(name, config.data, digests)


def _study(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> pathlib.Path:
  """Returns the workdir of the study that is measured again."""
  if not config.ledger:
    return workdir
  return files.local_path(config.ledger, 'config.ledger')


def _open_others(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> Iterator[datasets.Dataset]:
  """Opens the other datasets to search, if they are on this machine."""
  for name in config.against:
    if name == config.dataset:
      continue
    try:
      datasets.check(name, config.data.dir or None)
    except errors.InputError as error:
      # Only the first words: how to get the dataset would fill the screen.
      print(f'not searched: {str(error).partition(": ")[0]}')
    else:
      yield _open(name, config, workdir)


def _build_extractor(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> features_lib.Extractor | None:
  """Builds the feature extractor if the config names a network."""
  if not config.network:
    return None
  source = weights_files.locate(config.network)
  return extractors.build(
    weights_files.open_network(source, config, workdir),
    feature_cache.from_config(config.features, workdir),
    batch_size=config.features.batch_size,
    corrupt='skip',
  )


def _build_report(
  dataset: datasets.Dataset,
  searched: Mapping[str, datasets.Dataset],
  leaks: Sequence[Leak],
  num_unreadable: int,
) -> dict[str, Any]:
  """Counts the leaks, by split and kind."""
  counts = {
    f'{each.name} {split}': {
      kind: sum(
        (leak.dataset, leak.split, leak.kind) == (each.name, split, kind)
        for leak in leaks
      )
      for kind in leak_audit.KINDS
    }
    for each in searched.values()
    for split in leak_audit.TRAINING_SPLITS
  }
  return {
    'dataset': dataset.name,
    'test_sha256': dataset.splits['test'].hash,
    'test_images': len(dataset.splits['test']),
    'leaked_test_images': len({leak.test for leak in leaks}),
    'unreadable_images': num_unreadable,
    'searched': counts,
  }


def _to_csv(
  leaks: Sequence[Leak],
  searched: Mapping[str, datasets.Dataset],
  dataset: datasets.Dataset,
) -> str:
  """Formats the leaks as CSV, one per line."""
  rows = [_COLUMNS]
  test = dataset.splits['test']
  for leak in leaks:
    other = searched[leak.dataset].splits[leak.split]
    rows.append(
      [
        leak.kind,
        leak.distance,
        '' if leak.cosine is None else f'{leak.cosine:.4f}',
        test.describe(leak.test),
        _label(dataset, 'test', leak.test),
        leak.dataset,
        leak.split,
        other.describe(leak.other),
        _label(searched[leak.dataset], leak.split, leak.other),
      ]
    )
  return csv_text.render(rows)


def _label(dataset: datasets.Dataset, split: str, i: int) -> str:
  """Returns the class names of an example."""
  label = dataset.splits[split].labels[i]
  present = np.flatnonzero(label == 1) if label.ndim else [label]
  return ' '.join(dataset.classes[c] for c in present)


def _print_report(report: Mapping[str, Any], workdir: pathlib.Path) -> None:
  """Prints the counts, and where the files are."""
  num_leaked = report['leaked_test_images']
  print(
    f'{report["dataset"]}: {num_leaked:,} of '
    f'{counted(report["test_images"], "test image")} '
    f'{"is" if num_leaked == 1 else "are"} leaked'
  )
  for split, counts in report['searched'].items():
    exact = counted(counts['exact'], 'exact copy', 'exact copies')
    print(
      f'  in {split}: {exact}, '
      f'{counts["hash"]:,} by hash, {counts["features"]:,} by features'
    )
  if report['unreadable_images']:
    count = counted(report['unreadable_images'], 'image')
    print(f'  {count} could not be read')
  for row in report.get('records', ()):
    all_images, rest = row['all'], row['without']
    print(
      f'  {row["network"]}, {row["setting"]}: {row["metric"]} '
      f'{all_images["value"]:.2%} on '
      f'{counted(all_images["examples"], "test image")}, '
      f'{rest["value"]:.2%} [{rest["low"]:.2%}, {rest["high"]:.2%}] on the '
      f'{rest["examples"]:,} left'
    )
  print(f'list     {workdir / "leaks.csv"}\ncounts   {workdir / "leaks.json"}')
  if report['leaked_test_images']:
    print(f'pairs    {workdir / "leaks.png"}')
