"""From a network's name in a config to a weights file."""

import dataclasses
import pathlib

import ml_collections

from tf_transfer import errors, networks
from tf_transfer.networks import weights


@dataclasses.dataclass(frozen=True)
class WeightsSource:
  """Where a network of the config comes from: a file, or a name to find."""

  name: str
  path: pathlib.Path | None


def locate(name: str) -> WeightsSource:
  """Tells a file from a name, and refuses what is neither.

  Args:
    name: a name of the table, or the path of a weights file.

  Raises:
    InputError: no such file, or no such network.
  """
  if name.endswith('.safetensors') or '/' in name:
    path = pathlib.Path(name).expanduser()
    weights.read_header(path)
    return WeightsSource(name, path)
  networks.row(name)
  return WeightsSource(name, None)


def prepare(
  source: WeightsSource,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
) -> pathlib.Path:
  """The weights file, converted first from an installed package if need be.

  Raises:
    InputError: there is none, and none can be made.
  """
  if source.path is not None:
    return source.path
  directory = pathlib.Path(config.weights_dir or workdir / 'weights')
  path = directory.expanduser() / f'{source.name}.safetensors'
  if not path.exists():
    _convert_package(source.name, path)
  found = weights.read_header(path).network
  if found != source.name:
    raise errors.InputError(
      f'{path} holds the weights of {found}, not of {source.name}: remove or '
      'rename it'
    )
  return path


def _convert_package(name: str, path: pathlib.Path) -> None:
  try:
    from tools import convert_weights
  except ModuleNotFoundError as error:
    if error.name not in ('tools', 'tools.convert_weights'):
      raise
    raise errors.InputError(
      f'no weights of {name} at {path}, and the converter is not here: run '
      'from a checkout of the project, or give the path of a weights file'
    ) from error
  package = convert_weights.source_of(name).package
  if not package:
    raise errors.InputError(
      f'no weights of {name} at {path}: make them with\n  python -m '
      f'tools.convert_weights --network={name} --input=FILE --output={path}'
    )
  header = convert_weights.convert(
    name, convert_weights.package_file(package), path
  )
  print(f'{name}: converted {header.source} of package {package} to {path}')
