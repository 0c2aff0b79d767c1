"""Makes a network of a finished cell: its backbone with the fitted head."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import ml_collections

from tf_transfer import datasets, errors, networks
from tf_transfer.networks import weights
from tf_transfer.study import heads, ledger, network_names, weights_files
from tf_transfer.study.network_names import Kind
from tf_transfer.study.schema import Record
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer import settings


def find_record(
  records: Mapping[str, Record],
  *,
  network: str = '',
  dataset: str = '',
  setting: str = '',
  identity: str = '',
) -> Record:
  """Finds the record of the cell that a user names.

  Args:
    records: of a ledger, by identity.
    network: a name of the table, or the path of a weights file; '' is any.
    dataset: its name; a folder may be gone since. '' is any.
    setting: its name; '' is any.
    identity: of the record, or its beginning; '' is any.

  Raises:
    InputError: there is no such record, or several, which are listed; or the
      network is one of the user's own.
  """
  if network and not network_names.identify(network).has_weights_file:
    raise errors.InputError(
      f'{network}: a network of your own is not exported: no weights file can '
      'hold it'
    )
  sha256 = ''
  if network_names.identify(network) is Kind.FILE:
    sha256 = weights.sha256(weights_files.locate(network).path)
  if dataset:
    dataset = datasets.normalized_name(dataset)
  matching = [
    record
    for record in records.values()
    if record['identity'].startswith(identity)
    and (not setting or record['setting'] == setting)
    and (not dataset or record['dataset'] == dataset)
    and (
      not network
      or (sha256 and record['weights_sha256'] == sha256)
      or record['network'] == network
    )
  ]
  # Those that cannot be exported matter only if there is nothing else.
  usable = [record for record in matching if not obstacle(record)] or matching
  if len(usable) == 1:
    return usable[0]
  listed = '; '.join(_listed(record) for record in (usable or records.values()))
  if not usable:
    raise errors.InputError(
      f'no record of {network or "any network"} on {dataset or "any dataset"}'
      f'{setting and f", {setting}"}{identity and f", {identity}"}; there are: '
      f'{listed or "none"}'
    )
  raise errors.InputError(
    f'{len(usable)} records fit: name one with --config.setting or '
    f'--config.identity: {listed}'
  )


def _listed(record: Record) -> str:
  """Names a record in a list."""
  return f'{ledger.describe(record)}, identity {record["identity"][:8]}'


def obstacle(record: Record) -> str:
  """Says why the network of a cell cannot be exported; '' if it can be."""
  row = settings.row(record['setting'])
  if row.trains:
    return (
      'the network was trained, and is written only while it is: run the cell '
      'again with --config.export=FILE'
    )
  if record['network'] not in networks.TABLE:
    return "it is a network of the user's own, which no weights file can hold"
  if record['metric'] == 'map11':
    return 'its images have several classes each, an exported network gives one'
  if record['layer'] or list(record['pyramid']) != [1]:
    return (
      'its features are of another layer than the last, on which a network '
      'has no head'
    )
  if 'head' not in record:
    return (
      f'it has no head: {row.title} is not linear in unchanged features, or '
      'the record is of an earlier version: run the cell again in a new workdir'
    )
  return ''


def build(
  record: Record, workdir: pathlib.Path, config: ml_collections.ConfigDict
) -> networks.Network:
  """Puts the head of a cell on its network.

  Args:
    record: of the cell.
    workdir: of the study.
    config: with `network` as the user named it, and `weights_dir`.

  Returns:
    The network; its header says what the head was fitted to. It has no hash
    yet.

  Raises:
    InputError: the cell's network cannot be exported, or its weights or its
      head are missing.
  """
  reason = obstacle(record)
  if reason:
    raise errors.InputError(f'{_listed(record)}: {reason}')
  head = heads.read(record, workdir)
  net = _load_network(record, workdir, config)
  if record['image_size']:
    net = net.with_image_size(record['image_size'])
  if head.weights.shape[0] != net.feature_dim:
    raise errors.InputError(
      f'{_listed(record)}: its head is for {head.weights.shape[0]:,} features, '
      f'the network has {net.feature_dim:,}'
    )
  header = _build_header(record, net, head)
  model = networks.build(
    header.network, num_classes=header.num_classes, **header.options
  )
  variables = {
    **net.variables,
    'params': {
      'backbone': net.variables['params']['backbone'],
      'head': {
        'kernel': jnp.asarray(head.weights),
        'bias': jnp.asarray(head.bias),
      },
    },
  }
  return networks.Network(header, model, variables, sha256='')


def _build_header(
  record: Record, net: networks.Network, head: result_lib.Head
) -> weights.Header:
  """Builds the header of the network with its new head."""
  original = net.header
  # The backbone is as it was pretrained.
  recipe = dataclasses.replace(
    original.recipe,
    details={**original.recipe.details, 'head': _describe_head(record)},
  )
  return dataclasses.replace(
    original,
    num_classes=record['num_classes'],
    background=False,
    imagenet_top1=None,
    imagenet_top1_source='',
    recipe=recipe,
    source=(
      f'{original.source or original.network}, with a head fitted here on '
      f'{record["dataset"]}'
    ),
    classes=head.classes,
    temperature=head.temperature,
    resize=record['preprocessing'],
  )


def _describe_head(record: Record) -> dict[str, Any]:
  """Says how a head was fitted."""
  return {
    name: record[name]
    for name in (
      *('identity', 'dataset', 'splits_sha256', 'setting', 'chosen', 'metric'),
      *('test', 'weights_sha256'),
    )
  }


def _load_network(
  record: Record, workdir: pathlib.Path, config: ml_collections.ConfigDict
) -> networks.Network:
  """Loads the network whose weights file has the hash of a record.

  Raises:
    InputError: there is no such file.
  """
  tried = []
  for path in _weights_files(record, workdir, config):
    if weights.sha256(path) == record['weights_sha256']:
      return networks.load(path)
    tried.append(str(path))
  raise errors.InputError(
    f'{_listed(record)}: no weights file with its hash '
    f'{record["weights_sha256"][:12]}: name it in place of NETWORK, or its '
    'directory with --config.weights_dir'
    + (f' (others are {", ".join(tried)})' if tried else '')
  )


def _weights_files(
  record: Record, workdir: pathlib.Path, config: ml_collections.ConfigDict
) -> Sequence[pathlib.Path]:
  """Lists the weights files that a record's may be among."""
  if network_names.identify(config.network) is Kind.FILE:
    return [weights_files.locate(config.network).path]
  directory = weights_files.directory(config, workdir)
  named = directory / f'{record["network"]}.safetensors'
  paths = weights_files.list_files(directory)
  if not paths:
    source = weights_files.locate(record['network'])
    return [weights_files.prepare(source, config, workdir)]
  others = [
    path
    for path in paths
    if path != named and weights.read_header(path).network == record['network']
  ]
  return [path for path in (named, *others) if path.exists()]
