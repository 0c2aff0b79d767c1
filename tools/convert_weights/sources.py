"""Finds the source of a checkpoint in the table of public weights."""

import os
from collections.abc import Iterable

from tf_transfer import errors, networks
from tf_transfer.convert_weights import (
  keras_files,
  provenance,
  publishers,
  rules,
  table,
)


def list_sources(network: str) -> tuple[publishers.Source, ...]:
  """Returns the sources of a network, the default one first.

  Raises:
    InputError: the network is unknown, or has none.
  """
  networks.row(network)
  if network not in table.SOURCES:
    raise errors.InputError(
      f'no public weights of {network} are known; there are some of '
      f'{", ".join(table.SOURCES)}'
    )
  return table.SOURCES[network]


def get_source(network: str, name: str | None = None) -> publishers.Source:
  """Returns the source of a network that has this name.

  Args:
    network: in the table of networks.
    name: of the source, as slim; None for the network's default.

  Raises:
    InputError: the network is unknown, or has no such source.
  """
  candidates = list_sources(network)
  if name is None:
    return candidates[0]
  by_name = {source.name: source for source in candidates}
  if name not in by_name:
    raise errors.unknown_name(f'source of {network}', name, by_name)
  return by_name[name]


def keras_application(network: str) -> keras_files.Application | None:
  """Returns Keras's model of a network; None where Keras has none."""
  applications = (source.application for source in table.SOURCES[network])
  return next((model for model in applications if model), None)


def recognize(
  network: str,
  names: Iterable[str],
  path: os.PathLike | str,
  sha256: str,
  file_format: str,
) -> publishers.Source:
  """Returns the source whose rules know most of a checkpoint's variables.

  torchvision and timm name the variables of some networks alike. Then the
  file's format decides; where both publish such files, the published file's
  name or hash does.

  Args:
    network: in the table.
    names: of the checkpoint's variables.
    path: of the checkpoint.
    sha256: of its file.
    file_format: of its file, as `formats.identify` calls it.

  Raises:
    InputError: it may be from either of two sources.
  """
  names = tuple(names)

  def mismatch(source: publishers.Source) -> tuple[int, bool]:
    """Number of unknown variables, and whether the format is another."""
    num_unknown = rules.count_unknown(names, source.rules)
    return num_unknown, file_format not in source.formats

  ranked = [(mismatch(source), source) for source in table.SOURCES[network]]
  best = min(rank for rank, _ in ranked)
  candidates = [source for rank, source in ranked if rank == best]
  num_unknown, _ = best
  if len(candidates) == 1 or num_unknown:
    return candidates[0]
  published = [
    source
    for source in candidates
    if provenance.is_published(source, path, sha256)
  ]
  if len(published) != 1:
    expected = '\n'.join(
      f'  --source={s.name} ({s.file}): expected '
      f'{provenance.expected_evidence(s)}'
      for s in candidates
    )
    raise errors.InputError(
      f'{path}: which weights of {network} are these? Several have the same '
      'variables, and images are prepared differently for each. The '
      f"file's SHA-256 begins with {sha256[:8]}. Neither that nor its name "
      f'tells: name one of\n{expected}'
    )
  return published[0]
