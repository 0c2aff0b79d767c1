"""Reads how TensorFlow Datasets has prepared a dataset: dataset_info.json."""

import os
from typing import Annotated

import msgspec

from tf_transfer.datasets.sources.image_files import printable, read_text
from tf_transfer.errors import InputError
from tf_transfer.runtime import files, schemas
from tf_transfer.runtime.units import counted

FILE = 'dataset_info.json'


class SplitInfo(msgspec.Struct, rename='camel'):
  """A split, as dataset_info.json describes it.

  Attributes:
    name: of the split.
    shard_lengths: the number of records in each file; TFDS writes text.
    filepath_template: how the files are named.
  """

  name: str
  shard_lengths: list[
    Annotated[int, msgspec.Meta(ge=0)]
    | Annotated[str, msgspec.Meta(pattern=r'^\d{1,12}$')]
  ]
  filepath_template: str = '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}'


class Info(msgspec.Struct, rename='camel'):
  """What dataset_info.json says of a prepared version.

  Attributes:
    name: of the dataset.
    splits: of it.
    file_format: of the files with the records.
  """

  name: str
  splits: list[SplitInfo]
  file_format: str = 'tfrecord'


def record_files(path: str, info: Info, name: str) -> dict[str, int]:
  """Lists the record files of one split of TFDS.

  Args:
    path: the directory of the prepared version.
    info: its dataset_info.json.
    name: of the split.

  Returns:
    Each file -> the number of its records.

  Raises:
    InputError: the split or one of its files is missing.
  """
  split = next((s for s in info.splits if s.name == name), None)
  if split is None:
    raise InputError(
      f'{printable(path)}: no split {name}: prepare the dataset again'
    )
  if info.file_format != 'tfrecord':
    raise InputError(
      f'{printable(path)}: prepared as {printable(info.file_format)}, but only '
      'tfrecord can be read: prepare the dataset again with '
      '--file_format=tfrecord'
    )
  names = _file_names(path, info, split)
  place = os.path.join(path, FILE)
  paths = [str(files.contained(path, file, place)) for file in names]
  missing = [file for file in paths if not os.path.isfile(file)]
  if missing:
    raise InputError(
      f'{printable(missing[0])}: missing; {len(missing):,} of the '
      f'{counted(len(paths), "file")} of {name} are: copy them, or prepare the '
      'dataset again'
    )
  return dict(zip(paths, map(int, split.shard_lengths), strict=True))


def _file_names(path: str, info: Info, split: SplitInfo) -> list[str]:
  """Returns the names of the record files of a split.

  Raises:
    InputError: dataset_info.json names them in a way that is not known.
  """
  count = len(split.shard_lengths)
  values = {
    '{DATASET}': info.name,
    '{SPLIT}': split.name,
    '{FILEFORMAT}': info.file_format,
  }
  template = split.filepath_template
  for field, value in values.items():
    template = template.replace(field, value)
  names = [
    template.replace('{SHARD_X_OF_Y}', f'{i:05d}-of-{count:05d}')
    for i in range(count)
  ]
  if len(set(names)) != count or any('{' in name for name in names):
    raise InputError(
      f'{printable(os.path.join(path, FILE))}: files named as '
      f'{printable(split.filepath_template)[:100]}, expected a name for each '
      'file with {SHARD_X_OF_Y}: prepare the dataset again'
    )
  return names


def read_info(path: str) -> Info:
  """Reads dataset_info.json of a prepared version.

  Raises:
    InputError: it cannot be read, or does not describe a dataset.
  """
  file = os.path.join(path, FILE)
  try:
    return schemas.decode(read_text(file), Info, printable(file))
  except InputError as error:
    raise InputError(f'{error}: prepare the dataset again') from error
