"""Classifies images with a weights file, into a CSV file."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections

from tf_transfer import config_fields, errors, networks
from tf_transfer.datasets.sources import folder_tree
from tf_transfer.networks import predict
from tf_transfer.runtime import csv_text, files, progress
from tf_transfer.runtime.units import counted

_MAX_LISTED = 5  # bad files that are named on the console; the CSV has all


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Classifies images and writes predictions.csv.

  Args:
    config: of the job, as `configs/predict.py` documents.
    workdir: where the file is written.

  Raises:
    InputError: there are no images or no network, the file could not be
      written, or an image cannot be read. The last comes after the others are
      written.
  """
  config_fields.check_job(config, 'predict')
  for name in ('weights', 'images'):
    if not config[name]:
      raise errors.InputError(
        f'config.{name} is missing: --config=predict:WEIGHTS,PATH names both'
      )
  net = networks.load(files.local_path(config.weights, 'config.weights'))
  root, paths = find_images(files.local_path(config.images, 'config.images'))
  workdir = files.make_directory(workdir)
  with progress.bar(
    total=len(paths), desc=f'{net.name}: images', unit=' images'
  ) as bar:
    predictions = net.predict(
      paths,
      batch_size=config.batch_size,
      corrupt='skip',
      resize=config.resize,
      advance=bar.update,
    )
  names = [shown(path, root) for path in paths]
  path = workdir / 'predictions.csv'
  rows = build_rows(names, predictions, config.num_classes)
  with files.atomic_write(path) as file:
    file.write(csv_text.render(rows).encode())
  bad = predictions.problems
  print(f'{counted(len(paths) - len(bad), "image")} classified')
  print(f'predictions  {path}')
  if bad:
    listed = '; '.join([bad[i] for i in sorted(bad)][:_MAX_LISTED])
    more = len(bad) - _MAX_LISTED
    raise errors.InputError(
      f'{len(bad):,} of {counted(len(paths), "image")} cannot be read: {listed}'
      + (f'; and {more:,} more' if more > 0 else '')
      + f'. {path} has a line for each'
    )


def find_images(path: pathlib.Path) -> tuple[pathlib.Path, list[pathlib.Path]]:
  """Lists the images that a path names, in the order of their names.

  Args:
    path: of an image; of a folder, of which files in all folders below count
      that end as images do; or of a .txt file with a path in each line.

  Returns:
    The directory that the paths are below, or relative to; and the paths.

  Raises:
    InputError: there is no such path, or no image.
  """
  if not os.path.exists(path):
    raise errors.InputError(
      f'config.images: no file or folder {errors.printable(str(path))}'
    )
  if path.is_dir():
    root, paths = path, _below(path)
  elif path.suffix.lower() == '.txt':
    root = path.parent
    try:
      lines = path.read_text('utf-8-sig').splitlines()
    except (OSError, UnicodeDecodeError) as error:
      raise errors.InputError(f'{path}: not a text file ({error})') from error
    paths = [
      root / os.path.expanduser(line.strip()) for line in lines if line.strip()
    ]
  else:
    root, paths = path.parent, [path]
  if not paths:
    raise errors.InputError(f'config.images: no images in {path}')
  return root, paths


def _below(root: pathlib.Path) -> list[pathlib.Path]:
  """Lists the image files below a folder; hidden ones are left out.

  Raises:
    InputError: a folder cannot be read.
  """

  def stop(error: OSError) -> None:
    raise errors.InputError(
      f'config.images: {error.filename}: cannot be read ({error.strerror})'
    ) from error

  paths, num_others = [], 0
  for directory, folders, names in os.walk(root, onerror=stop):
    folders[:] = sorted(name for name in folders if not name.startswith('.'))
    for name in sorted(name for name in names if not name.startswith('.')):
      if pathlib.Path(name).suffix.lower() in folder_tree.EXTENSIONS:
        paths.append(pathlib.Path(directory, name))
      else:
        num_others += 1
  if num_others:
    count = counted(num_others, 'file')
    print(f'{root}: {count} of no image left out, by the ending of the name')
  return paths


def shown(path: pathlib.Path, root: pathlib.Path) -> str:
  """Returns a path as it is written: relative, and printable."""
  if path.is_relative_to(root):
    path = path.relative_to(root)
  return os.fsencode(path).decode('utf-8', 'backslashreplace')


def build_rows(
  names: Sequence[str], predictions: predict.Predictions, num_classes: int
) -> list[Sequence[Any]]:
  """Returns the rows of the CSV file, with a row of headers.

  Args:
    names: of the images.
    predictions: of the images.
    num_classes: how many classes are written of each.
  """
  count = min(num_classes, predictions.probabilities.shape[1])
  headers = ['file', 'class', 'probability']
  for number in range(2, count + 1):
    headers += [f'class_{number}', f'probability_{number}']
  rows: list[Sequence[Any]] = [[*headers, 'problem']]
  for i, name in enumerate(names):
    if i in predictions.problems:
      best = [None] * (2 * count)
    else:
      best = [
        value
        for class_name, probability in predictions.top(i, count)
        for value in (class_name, f'{probability:.6f}')
      ]
    rows.append([name, *best, predictions.problems.get(i)])
  return rows
