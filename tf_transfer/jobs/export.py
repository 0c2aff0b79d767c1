"""Exports the network of a finished cell with its head."""

import pathlib
import re

import ml_collections

from tf_transfer import config_fields, errors
from tf_transfer.networks import deployment, weights
from tf_transfer.runtime import commands, files
from tf_transfer.runtime.units import counted
from tf_transfer.study import export, ledger, network_names, weights_files
from tf_transfer.study.schema import Record

_ENDINGS = {
  'weights': '.safetensors',
  'stablehlo': '.stablehlo',
  'saved_model': '.saved_model',
}


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Writes a network with its head, and prints how to use it.

  Args:
    config: of the job, as `configs/export.py` documents.
    workdir: of the study.

  Raises:
    InputError: no record or several are named, its network cannot be exported,
      or the file could not be written.
  """
  config_fields.check_job(config, 'export')
  records = ledger.read_all(workdir)
  if not records:
    raise errors.InputError(
      f'no records in {ledger.Ledger(workdir).path}: --workdir names a study '
      'that is finished'
    )
  config = _with_path(config, workdir)
  record = export.find_record(
    records,
    network=config.network,
    dataset=config.dataset,
    setting=config.setting,
    identity=config.identity,
  )
  net = export.build(record, workdir, config)
  path = _output(record, config, workdir)
  files.make_directory(path.parent)
  if config.format == 'weights':
    weights.save(path, net.header, net.variables)
  elif config.format == 'stablehlo':
    deployment.write_stablehlo(net, path)
  else:
    deployment.write_saved_model(net, path)
  num_classes = counted(len(net.header.classes), 'class', 'classes')
  print(
    f'{ledger.describe(record)}: {num_classes}, '
    f'{record["test"]["value"]:.2%} on test, temperature '
    f'{net.header.temperature:.3g}'
  )
  print(f'{config.format}  {path}')
  if config.format == 'weights':
    command = commands.job(f'--config=predict:{path},PATH', '--workdir=DIR')
    print(f'classify images with\n  {command}')
  else:
    print(f'classes  {deployment.description_path(path)}')


def _with_path(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> ml_collections.ConfigDict:
  """Replaces the name of a repository on the hub by that of its weights file.

  Records know weights by their hash, which the file tells.
  """
  if network_names.identify(config.network) is not network_names.Kind.HUB:
    return config
  source = weights_files.locate(config.network)
  config = ml_collections.ConfigDict(config)
  config.network = str(weights_files.prepare(source, config, workdir))
  return config


def _output(
  record: Record, config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> pathlib.Path:
  """Returns where the network is written."""
  if config.output:
    return files.local_path(config.output, 'config.output')
  # The dataset may be the path of a folder.
  dataset = re.sub(r'[^\w.-]+', '_', record['dataset']).strip('_.')[-100:]
  names = [record['network'], record.get('weights_tag', ''), dataset]
  name = '_'.join(filter(None, names)) + _ENDINGS[config.format]
  return workdir / 'exports' / name
