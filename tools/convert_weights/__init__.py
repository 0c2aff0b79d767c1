"""Converts public checkpoints to weights files.

tf-transfer-convert --network=resnet50 --input=FILE --output=FILE.safetensors
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tf_transfer import errors
from tf_transfer.convert_weights import (
  downloads,
  lookalikes,
  names,
  provenance,
  publishers,
  readers,
  sources,
  variables,
)
from tf_transfer.networks import weights
from tf_transfer.runtime import files, units

package_file = downloads.package_file
get_source = sources.get_source


def _make_header(
  network: str,
  source: publishers.Source,
  source_file: pathlib.Path,
  sha: str,
  num_classes: int,
) -> weights.Header:
  """Makes the header of the source's published weights."""
  published = provenance.is_published(source, source_file, sha)
  return weights.Header(
    network=network,
    options=source.options,
    contract=source.contract,
    num_classes=num_classes,
    background=num_classes == source.num_classes and source.background,
    imagenet_top1=source.imagenet_top1,
    imagenet_top1_source=provenance.top1_source(source, published),
    recipe=source.recipe,
    source=source_file.name,
    source_sha256=sha,
    license=source.license,
  )


def _drop_claims(
  header: weights.Header, arrays: Mapping[str, np.ndarray]
) -> weights.Header:
  """Drops from a header what is true of the published weights alone."""
  return dataclasses.replace(
    header,
    imagenet_top1=None,
    imagenet_top1_source='',
    recipe=provenance.infer_recipe(arrays),
    license='',
  )


def _take_variables(
  checkpoint: readers.Checkpoint,
  path: pathlib.Path,
  candidates: Sequence[publishers.Source],
  key: str | None,
  ignore: Sequence[str],
) -> tuple[dict[str, np.ndarray], list[str]]:
  """Takes the network's variables out of a checkpoint's, by their names.

  Args:
    checkpoint: as it was read.
    path: of its file.
    candidates: sources that it may be from.
    key: the beginning of the names of the network's variables.
    ignore: patterns of names to leave out.

  Returns:
    The variables by the names that the sources give them, and notes.
  """
  tensors, counts = names.ignore(checkpoint.tensors, ignore)
  if key is not None and checkpoint.format != 'torch':
    tensors = names.take_key(tensors, key)
  notes = []
  prefix = names.find_prefix(tuple(tensors), candidates)
  if prefix:
    num_names = sum(name.startswith(prefix) for name in tensors)
    which = 'every name'
    if num_names < len(tensors):
      which = f'{num_names:,} of {len(tensors):,} names'
    notes.append(f'{path}: the prefix {prefix} of {which} is left out')
    tensors = names.strip_prefix(tensors, prefix)
    tensors, more = names.ignore(tensors, ignore)
    counts = {pattern: counts[pattern] + more[pattern] for pattern in counts}
  for pattern, count in counts.items():
    if not count:
      raise errors.InputError(f'{path}: --ignore={pattern} matches no variable')
    noun = units.counted(count, 'variable')
    notes.append(f'{path}: --ignore={pattern} leaves out {noun}')
  return tensors, notes


def _describe_dropped(path: pathlib.Path, dropped: Sequence[str]) -> list[str]:
  """Says that the variables of other heads are left out."""
  if not dropped:
    return []
  noun = units.counted(len(dropped), 'variable')
  return [f'{path}: {noun} of other heads left out, as {dropped[0]}']


def _check_conversion(
  conversion: variables.Conversion,
  tensors: Mapping[str, np.ndarray],
  network: str,
  source: publishers.Source,
  path: pathlib.Path,
) -> None:
  """Raises an InputError where a checkpoint does not hold the network."""
  if not conversion.problems:
    return
  other = lookalikes.find(tensors, network)
  if other:
    raise errors.InputError(
      f'{path} does not hold the weights of {network}: this looks like '
      f'{other}. Convert it with --network={other}'
    )
  raise errors.InputError(
    f'{path} does not hold the weights of {network} as {source.name} names '
    f'them:{variables.summarize(conversion.problems)}'
  )


def _check_arguments(output: pathlib.Path, imagenet_top1: float | None) -> None:
  """Raises an InputError where an argument of `convert` cannot be used."""
  if output.suffix != '.safetensors':
    raise errors.InputError(
      f'output {output}: expected a name that ends in .safetensors'
    )
  if imagenet_top1 is not None and not 0 < imagenet_top1 < 1:
    raise errors.InputError(
      f'imagenet_top1: expected a share between 0 and 1, not {imagenet_top1:g}'
    )


def convert(
  network: str,
  source_file: os.PathLike | str,
  output: os.PathLike | str,
  source_name: str | None = None,
  *,
  imagenet_top1: float | None = None,
  published: bool = False,
  key: str | None = None,
  ignore: Sequence[str] = (),
  say: Callable[[str], None] = print,
) -> weights.Header:
  """Converts a public checkpoint to a weights file.

  Args:
    network: name in the table of networks.
    source_file: the checkpoint, told by its content: a file of PyTorch, a
      .safetensors, a file of Keras, a frozen graph, or a TensorFlow checkpoint
      (its prefix, or any of its parts).
    output: the .safetensors file to write.
    source_name: who made the checkpoint, as slim; None to tell by its
      variables, where they tell.
    imagenet_top1: its accuracy on ImageNet in 0 to 1, where that is known and
      the file is not the one of which the table knows it.
    published: whether the user states that it is the file that the table
      means; only of files that cannot be told by a hash or a name.
    key: where the network is in the file, as `teacher.backbone`; None to tell.
    ignore: patterns of names of variables to leave out, as `head.*`.
    say: is called with a line for all that is chosen, left out or not claimed.

  Returns:
    The header of the file that was written.

  Raises:
    InputError: the checkpoint is damaged, refused, or of another network (what
      is wrong with it is listed), or the output cannot be written.
  """
  source_file, output = pathlib.Path(source_file), pathlib.Path(output)
  source = sources.get_source(network, source_name)
  _check_arguments(output, imagenet_top1)
  files.sweep(output.parent)
  sha = _hash(readers.file_of(source_file))
  checkpoint = readers.read(
    source_file, sources.keras_application(network), key
  )
  candidates = [source] if source_name else sources.list_sources(network)
  tensors, notes = _take_variables(
    checkpoint, source_file, candidates, key, ignore
  )
  tensors, dropped = names.drop_heads(tensors, candidates)
  if source_name is None:
    source = sources.recognize(
      network, tensors, source_file, sha, checkpoint.format
    )
  conversion = variables.convert(tensors, network, source)
  _check_conversion(conversion, tensors, network, source, source_file)
  for note in (
    *checkpoint.notes,
    *notes,
    *_describe_dropped(source_file, dropped),
    *(f'{source_file}: {note}' for note in conversion.notes),
  ):
    say(note)
  if published:
    provenance.check_statement(source, source_file, sha)
  header = _make_header(
    network, source, source_file, sha, conversion.num_classes
  )
  is_whole = conversion.num_classes == source.num_classes
  if not is_whole or not (
    published or provenance.is_published(source, source_file, sha)
  ):
    header = _drop_claims(header, conversion.arrays)
    stated = imagenet_top1 is not None
    say(provenance.explain_doubt(source, source_file, sha, stated))
  if imagenet_top1 is not None:
    header = dataclasses.replace(
      header,
      imagenet_top1=imagenet_top1,
      imagenet_top1_source='stated when it was converted',
    )
  files.make_directory(output.parent)
  weights.save(output, header, weights.unflatten(conversion.arrays))
  return header


def _hash(path: pathlib.Path) -> str:
  """Computes the SHA-256 of a file that may not be readable."""
  try:
    return files.sha256(path)
  except OSError as error:
    raise errors.InputError(
      f'input {path} cannot be read: {error.strerror or error}'
    ) from error
