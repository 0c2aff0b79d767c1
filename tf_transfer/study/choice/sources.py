"""Lists the networks of a choice, from the cheapest to the most expensive."""

import dataclasses
import pathlib

import ml_collections

from tf_transfer import errors, networks
from tf_transfer.networks import weights as weights_lib
from tf_transfer.study import weights_files
from tf_transfer.study.analysis import accuracy_table
from tf_transfer.study.choice import candidates, types
from tf_transfer.study.network_names import Kind

# In config.networks: every network that there are weights of.
_ALL = 'all'


def list_sources(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> tuple[list[candidates.Source], list[types.Skipped]]:
  """Lists the networks of a config, from the cheapest to the most expensive.

  Args:
    config: of the job.
    workdir: of the job.

  Returns:
    The networks that can be tried; and those that cannot, with the reason.

  Raises:
    InputError: there is none that can be tried.
  """
  located, skipped = {}, []
  for name in _expand(config, workdir):
    try:
      one = _find_source(name, config, workdir)
      if one.sha256 not in {known.sha256 for known in located.values()}:
        located[name] = one
    except errors.CannotWrite:
      raise
    except errors.InputError as error:
      skipped.append(types.Skipped(name, str(error)))
  if not located:
    reasons = '\n'.join(one.reason for one in skipped)
    raise errors.InputError(
      reasons
      or 'no network: there are no weights in weights_dir, and no package with '
      'weights is installed; docs/networks.md says where to get them'
    )
  labels = accuracy_table.labels(
    [
      (one.header.network, one.sha256, one.header.tag)
      for one in located.values()
    ]
  )
  sources = []
  for one, label in zip(located.values(), labels, strict=True):
    contract = one.contract
    if config.image_size:
      contract = dataclasses.replace(contract, image_size=config.image_size)
    sources.append(dataclasses.replace(one, network=label, contract=contract))
  return sorted(sources, key=lambda one: one.operations), skipped


def _find_source(
  name: str, config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> candidates.Source:
  """Finds a network by its name; only a function's is loaded.

  Raises:
    InputError: it cannot be used.
  """
  source = weights_files.locate(name)
  if source.kind is Kind.FEATURES:
    raise errors.InputError(
      f'{name}: features from elsewhere have no cost that a choice could '
      'weigh: compare them in a study'
    )
  if source.kind is Kind.FUNCTION:
    net = weights_files.open_network(source, config, workdir)
    return candidates.Source(
      net.name,
      name,
      None,
      net.header,
      net.sha256,
      net.contract,
      net.parameters,
    )
  path = weights_files.prepare(source, config, workdir)
  header = weights_lib.read_header(path)
  return candidates.Source(
    header.network,
    name,
    path,
    header,
    weights_lib.sha256(path),
    header.contract,
    networks.row(header.network).parameters,
  )


def _expand(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> list[str]:
  """Replaces 'all' by the networks that there are weights of."""
  names: list[str] = []
  for name in config.networks:
    if name == _ALL:
      names += weights_files.available(config, workdir)
    else:
      names.append(name)
  return list(dict.fromkeys(names))
