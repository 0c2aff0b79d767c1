"""Converts public checkpoints to weights files.

tf-transfer-convert --network=resnet50 --input=FILE --output=FILE.safetensors
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tf_transfer import errors, networks
from tf_transfer.convert_weights import (
  downloads,
  hub,
  hub_config,
  lookalikes,
  names,
  provenance,
  publishers,
  readers,
  sources,
  variables,
)
from tf_transfer.networks import published_timm, weights
from tf_transfer.runtime import files

package_file = downloads.package_file
get_source = sources.get_source


def _make_header(
  network: str,
  source: publishers.Source,
  source_file: pathlib.Path,
  sha: str,
  conversion: variables.Conversion,
) -> weights.Header:
  """Makes the header of the source's published weights."""
  num_classes = conversion.num_classes
  published = provenance.is_published(source, source_file, sha)
  return weights.Header(
    network=network,
    options=source.options,
    contract=source.contract,
    num_classes=num_classes,
    background=num_classes == source.num_classes and source.background,
    imagenet_top1=source.imagenet_top1,
    imagenet_top1_source=provenance.top1_source(source, published),
    imagenet_measure=source.imagenet_measure,
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
    imagenet_measure='',
    recipe=provenance.infer_recipe(arrays),
    license='',
  )


def _take_variables(
  checkpoint: readers.Checkpoint,
  path: pathlib.Path,
  candidates: Sequence[publishers.Source],
  key: str | None,
  ignore: Sequence[str],
  no_head: bool,
) -> names.Backbone:
  """Takes the network's variables out of a checkpoint's, by their names.

  Args:
    checkpoint: as it was read.
    path: of its file.
    candidates: sources that it may be from.
    key: the beginning of the names of the network's variables.
    ignore: patterns of names to leave out.
    no_head: whether the backbone alone is taken.

  Returns:
    The variables by the names that the sources give them, and notes. A head is
    among the variables unless `no_head` says that the backbone alone is taken.

  Raises:
    InputError: a key or a pattern fits no name, or a network is there twice.
  """
  # A key of a PyTorch file has led to its variables already.
  key = None if checkpoint.format == 'torch' else key
  try:
    if no_head:
      return names.select_backbone(checkpoint.tensors, candidates, key, ignore)
    tensors, notes = names.select(checkpoint.tensors, candidates, key, ignore)
    return names.Backbone(tensors, {}, tuple(notes))
  except ValueError as error:
    raise errors.InputError(f'{path}: {error}') from error


def _read(
  network: str,
  path: pathlib.Path,
  sha: str,
  source: publishers.Source | None,
  key: str | None,
  ignore: Sequence[str],
  no_head: bool,
) -> tuple[publishers.Source, names.Backbone]:
  """Reads a network's variables; other arguments as of `convert`.

  Args:
    source: whose variables they are; None to tell.

  Returns:
    The source; and the variables by its names, with notes on what was left out.
  """
  application = sources.keras_application(network)
  checkpoint = readers.read(path, application, key)
  candidates = sources.list_sources(network) if source is None else (source,)
  taken = _take_variables(checkpoint, path, candidates, key, ignore, no_head)
  if source is None:
    try:
      source = sources.recognize(
        network, taken.tensors, path, sha, checkpoint.format
      )
    except errors.InputError:
      _refuse_other_network(taken.tensors, network, path)
      raise
  notes = (*checkpoint.notes, *taken.notes)
  return source, dataclasses.replace(taken, notes=notes)


def _refuse_other_network(
  tensors: Mapping[str, np.ndarray], network: str, path: pathlib.Path
) -> None:
  """Raises an InputError where variables look like another network's."""
  other = lookalikes.find(tensors, network)
  if other:
    raise errors.InputError(
      f'{path} does not hold the weights of {network}: this looks like '
      f'{other}. Convert it with --network={other}'
    )


def _convert(
  tensors: Mapping[str, np.ndarray],
  network: str,
  source: publishers.Source,
  path: pathlib.Path,
  no_head: bool,
) -> variables.Conversion:
  """Converts a checkpoint's variables; arguments as of `variables.convert`.

  Raises:
    InputError: the checkpoint does not hold the network.
  """
  conversion = variables.convert(tensors, network, source, no_head)
  if not conversion.problems:
    return conversion
  _refuse_other_network(tensors, network, path)
  raise errors.InputError(
    f'{path} does not hold the weights of {network} as {source.name} names '
    f'them:{variables.summarize(conversion.problems)}'
  )


def _is_whole(
  conversion: variables.Conversion,
  taken: names.Backbone,
  source: publishers.Source,
) -> bool:
  """Says whether a checkpoint has the published head, converted or left out.

  A file with another head is not the published one, whatever its name.
  """
  return conversion.num_classes == source.num_classes or (
    variables.has_published_head(taken.heads, source)
  )


def _is_published(
  source: publishers.Source, path: pathlib.Path, sha: str, stated: bool
) -> bool:
  """Says whether a file is the published one, by itself or as is stated.

  Raises:
    InputError: it is stated to be, and is not.
  """
  if stated:
    provenance.check_statement(source, path, sha)
  return stated or bool(provenance.is_published(source, path, sha))


def _state_top1(
  header: weights.Header, imagenet_top1: float | None, measure: str
) -> weights.Header:
  """Adds the ImageNet top-1 that the user states, if any, and what it is of."""
  if imagenet_top1 is None:
    return header
  return dataclasses.replace(
    header,
    imagenet_top1=imagenet_top1,
    imagenet_top1_source='stated when it was converted',
    imagenet_measure=measure,
  )


def _check_arguments(
  output: pathlib.Path, imagenet_top1: float | None, measure: str
) -> None:
  """Raises an InputError where an argument of `convert` cannot be used."""
  if output.suffix != '.safetensors':
    raise errors.InputError(
      f'output {output}: expected a name that ends in .safetensors'
    )
  if imagenet_top1 is not None and not 0 < imagenet_top1 < 1:
    raise errors.InputError(
      f'imagenet_top1: expected a share between 0 and 1, not {imagenet_top1:g}'
    )
  if measure and imagenet_top1 is None:
    raise errors.InputError(
      f'imagenet_measure: {measure} of which number? Give imagenet_top1 too'
    )


def _resolve_source(
  network: str, source: str | publishers.Source | None
) -> publishers.Source | None:
  """Returns the source of a name, or what is one; None is to be told.

  Raises:
    InputError: the network is unknown, or has no such source.
  """
  if isinstance(source, publishers.Source):
    return source
  if source is not None and source.startswith(published_timm.HUB_PREFIX):
    raise errors.InputError(
      f'{source} is a repository on the hub, of which config.json says how '
      'images are prepared: leave --input out to fetch both; or put both into '
      f'WEIGHTS/{source}/ and name {source} in config.networks'
    )
  row = sources.get_source(network, source)
  return None if source is None else row


def _complete(
  header: weights.Header,
  source: publishers.Source,
  arrays: Mapping[str, np.ndarray],
) -> weights.Header:
  """Completes the header of weights that are not of the table of sources.

  Their source is the repository: its file's name says nothing. Where nobody
  states whether batch norm has a scale, the variables tell.
  """
  recipe = header.recipe
  has_batch_norm = any(path.startswith('batch_stats/') for path in arrays)
  if recipe.bn_scale is None and has_batch_norm:
    bn_scale = provenance.infer_recipe(arrays).bn_scale
    recipe = dataclasses.replace(recipe, bn_scale=bn_scale)
  return dataclasses.replace(header, source=source.file, recipe=recipe)


def convert(
  network: str,
  source_file: os.PathLike | str,
  output: os.PathLike | str,
  source_name: str | publishers.Source | None = None,
  *,
  imagenet_top1: float | None = None,
  imagenet_measure: str = '',
  published: bool = False,
  key: str | None = None,
  ignore: Sequence[str] = (),
  no_head: bool = False,
  feature: str | None = None,
  say: Callable[[str], None] = print,
) -> weights.Header:
  """Converts a public checkpoint to a weights file.

  Args:
    network: name in the table.
    source_file: the checkpoint, of any format that `readers` knows.
    output: the .safetensors file to write.
    source_name: who made it, as slim; or what is known of it; None to tell.
    imagenet_top1: in 0 to 1, where the table does not know that of this file.
    imagenet_measure: what it is of, as in `Header`.
    published: whether the user states that it is the file of the table.
    key: where the network is in the file, as `teacher.backbone`; None to tell.
    ignore: patterns of names of variables to leave out, as `head.*`.
    no_head: whether the backbone alone is converted, whatever is beside it.
    feature: as of a backbone with a choice of it, which alone is converted.
    say: is called with a line for all that is chosen, left out or not claimed.

  Returns:
    The header of the file.

  Raises:
    InputError: the checkpoint is damaged or refused, or output is not writable.
  """
  source_file, output = pathlib.Path(source_file), pathlib.Path(output)
  source = _resolve_source(network, source_name)
  _check_arguments(output, imagenet_top1, imagenet_measure)
  files.sweep(output.parent)
  sha = _hash(readers.file_of(source_file))
  no_head = no_head or feature is not None
  source, taken = _read(network, source_file, sha, source, key, ignore, no_head)
  source = _with_feature(network, source, feature)
  conversion = _convert(taken.tensors, network, source, source_file, no_head)
  _say_notes(say, source_file, (*taken.notes, *conversion.notes))
  header = _make_header(network, source, source_file, sha, conversion)
  is_whole = _is_whole(conversion, taken, source)
  if not (is_whole and _is_published(source, source_file, sha, published)):
    has_top1 = imagenet_top1 is not None
    say(provenance.explain_doubt(source, source_file, sha, has_top1))
    header = _drop_claims(header, conversion.arrays)
  if isinstance(source_name, publishers.Source):
    header = _complete(header, source, conversion.arrays)
  header = _state_top1(header, imagenet_top1, imagenet_measure)
  _save(output, header, conversion.arrays)
  return header


def _save(
  output: pathlib.Path,
  header: weights.Header,
  arrays: Mapping[str, np.ndarray],
) -> None:
  """Writes a weights file; makes its directory."""
  files.make_directory(output.parent)
  weights.save(output, header, weights.unflatten(arrays))


def _with_feature(
  network: str, source: publishers.Source, feature: str | None
) -> publishers.Source:
  """Returns a source whose network has another feature; None for its own.

  Raises:
    InputError: the network has no choice of features, or not this one.
  """
  if feature is None:
    return source
  options = {**source.options, 'feature': feature}
  networks.check_options(network, options)
  if not feature:
    raise errors.InputError(
      'feature: expected a feature; left out, it is what the head reads'
    )
  networks.build(network, **options)
  return dataclasses.replace(source, options=options)


def _say_notes(
  say: Callable[[str], None], path: pathlib.Path, notes: Sequence[str]
) -> None:
  """Says each note, after the file that it is of."""
  for note in notes:
    say(f'{path}: {note}')


def convert_repository(
  name: str,
  output: os.PathLike | str,
  *,
  say: Callable[[str], None] = print,
) -> weights.Header:
  """Fetches and converts the weights of a repository of timm on the hub.

  Nothing is fetched where the output is there. Several processes may call it
  at once.

  Args:
    name: of the repository, as timm/resnet50.a1_in1k.
    output: the .safetensors file to write. The repository's files may be in the
      directory that is named like it, without .safetensors.
    say: as of `convert`.

  Raises:
    InputError: the repository cannot be fetched or converted, or the output
      cannot be written.
  """
  output = pathlib.Path(output)
  files.make_directory(output.parent)
  with files.locked(output.parent / f'.{output.stem}.lock'):
    # Another process may have made it meanwhile.
    if output.exists():
      return weights.read_header(output)
    repository = hub.fetch(name, output.with_suffix(''))
    network, source, notes = hub_config.read(repository)
    if not repository.is_checked:
      place = repository.weights.parent
      notes.append(f'its files are those in {place}, with no hash to check')
    for note in notes:
      say(f'{name}: {note}')
    header = convert(
      network,
      repository.weights,
      output,
      source,
      published=True,
      say=say,
    )
  say(f'{name}: converted to {output}')
  return header


def _hash(path: pathlib.Path) -> str:
  """Computes the SHA-256 of a file that may not be readable."""
  try:
    return files.sha256(path)
  except OSError as error:
    raise errors.InputError(
      f'input {path} cannot be read: {error.strerror or error}'
    ) from error
