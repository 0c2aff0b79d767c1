"""Writes the features of images as arrays."""

import importlib
import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np

from tf_transfer import config_fields, datasets, errors, networks
from tf_transfer.images.decoding import CorruptImage
from tf_transfer.jobs import predict as predict_job
from tf_transfer.networks import predict
from tf_transfer.runtime import csv_text, files, progress
from tf_transfer.runtime.units import counted
from tf_transfer.study import weights_files
from tf_transfer.transfer.fixed_features import extractors, feature_cache
from tf_transfer.transfer.fixed_features import features as features_lib

_HEADERS = ('file', 'split', 'class', 'index')
_Rows = list[Sequence[Any]]


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Writes features.npy and files.csv.

  Args:
    config: of the job, as `configs/features.py` documents.
    workdir: where the files are written.

  Raises:
    InputError: the network or the images cannot be used, a file could not be
      written, or Parquet is asked for and pyarrow is not there.
  """
  config_fields.check_job(config, 'features')
  # Before anything slow begins.
  pyarrow = _import_pyarrow() if config.parquet else None
  source = weights_files.locate(config.network)
  folder = None
  is_name = config.dataset.startswith('folder:') or (
    datasets.row(config.dataset) is not None
  )
  if is_name:
    datasets.check_name(config.dataset)
  else:
    folder = files.local_path(config.dataset, 'config.dataset')
    if not folder.is_dir():
      datasets.check_name(config.dataset)
  workdir = files.make_directory(workdir)
  net = weights_files.load(source, config, workdir)
  if folder is None:
    values, rows = _of_dataset(net, config, workdir)
  else:
    values, rows = _of_folder(net, folder, config)
  path = workdir / 'features.npy'
  with files.atomic_write(path) as file:
    np.save(file, values)
  with files.atomic_write(workdir / 'files.csv') as file:
    file.write(csv_text.render([_HEADERS, *rows]).encode())
  count = counted(len(values), 'image')
  print(f'{count} × {values.shape[1]:,} features of {net.name}')
  print(f'features  {path}\nfiles     {workdir / "files.csv"}')
  if pyarrow is not None:
    _write_parquet(pyarrow, values, rows, workdir / 'features.parquet')
    print(f'parquet   {workdir / "features.parquet"}')


def _of_dataset(
  net: networks.Network,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
) -> tuple[np.ndarray, _Rows]:
  """Computes the features of all splits, as a study does.

  Returns:
    float32 [N, D]; and file, split, class and index in the split of each row.
  """
  dataset = datasets.open_from_config(
    config.dataset, config.data, workdir / 'digests'
  )
  extract = extractors.build(
    net,
    feature_cache.from_config(config.features, workdir),
    features_lib.Options.from_config(config.features),
    batch_size=config.features.batch_size,
    corrupt=config.data.corrupt,
  )
  values, rows = [], []
  for name, split in dataset.splits.items():
    extracted = extract(split, f'{dataset.name} {name}')
    values.append(extracted.values)
    rows += [
      [split.describe(int(i)), name, _class_name(dataset, label), int(i)]
      for i, label in zip(extracted.indices, extracted.labels, strict=True)
    ]
    if extracted.skipped:
      count = counted(len(extracted.skipped), 'corrupt image')
      print(f'{name}: {count} left out: {"; ".join(extracted.skipped)}')
  return np.concatenate(values), rows


def _class_name(dataset: datasets.Dataset, label: np.ndarray) -> str:
  """Returns the name of a class; of several classes their names."""
  if not dataset.multi_label:
    return dataset.classes[int(label)]
  return ';'.join(dataset.classes[c] for c in np.flatnonzero(label == 1))


def _of_folder(
  net: networks.Network, folder: pathlib.Path, config: ml_collections.ConfigDict
) -> tuple[np.ndarray, _Rows]:
  """Computes the features of a folder of images without classes.

  Returns:
    float32 [N, D]; and file, '', '' and index of each row.

  Raises:
    InputError: there are no images, or one cannot be read and
      config.data.corrupt is 'error'; or a layer is asked for.
  """
  if config.features.layer:
    raise errors.InputError(
      'config.features.layer: a folder without classes has the features that '
      "feed the logits alone: expected ''"
    )
  root, paths = predict_job.find_images(folder)
  with progress.bar(
    total=len(paths), desc=f'{net.name}: images', unit=' images'
  ) as bar:
    try:
      values, problems = predict.features(
        net,
        paths,
        batch_size=config.features.batch_size,
        corrupt=config.data.corrupt,
        resize=config.features.resize,
        advance=bar.update,
      )
    except CorruptImage as error:
      text = str(error).removesuffix(predict.SKIP_ADVICE)
      raise errors.InputError(
        f'{text}set --config.data.corrupt=skip'
      ) from error
  if problems:
    count = counted(len(problems), 'corrupt image')
    listed = '; '.join(problems[i] for i in sorted(problems))
    print(f'{count} left out: {listed}')
  kept = [i for i in range(len(paths)) if i not in problems]
  if not kept:
    raise errors.InputError(f'no image in {folder} can be decoded')
  rows = [[predict_job.shown(paths[i], root), '', '', i] for i in kept]
  return values[kept], rows


def _import_pyarrow() -> Any:
  """Imports pyarrow, which writes Parquet.

  Raises:
    InputError: it is not there.
  """
  try:
    importlib.import_module('pyarrow.parquet')
    return importlib.import_module('pyarrow')
  except ImportError as error:
    raise errors.InputError(
      'config.parquet: pyarrow is not there: install tf-transfer[parquet], or '
      'read features.npy'
    ) from error


def _write_parquet(
  pyarrow: Any, values: np.ndarray, rows: _Rows, path: pathlib.Path
) -> None:
  """Writes files and features, a list of D floats each, as one table."""
  columns = {name: [row[i] for row in rows] for i, name in enumerate(_HEADERS)}
  flat = pyarrow.array(values.reshape(-1))
  columns['features'] = pyarrow.FixedSizeListArray.from_arrays(
    flat, values.shape[1]
  )
  with files.atomic_write(path) as file:
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
