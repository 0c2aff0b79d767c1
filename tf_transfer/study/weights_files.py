"""From a network's name in a config to a weights file."""

import contextlib
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


def is_path(name: str) -> bool:
  """Whether it is meant as the path of a weights file."""
  return name.endswith('.safetensors') or '/' in name


def locate(name: str) -> WeightsSource:
  """Tells a file from a name, and refuses what is neither.

  Args:
    name: a name of the table, or the path of a weights file.

  Raises:
    InputError: no such file, or no such network.
  """
  if is_path(name):
    path = pathlib.Path(name).expanduser()
    weights.read_header(path)
    return WeightsSource(name, path)
  networks.row(name)
  return WeightsSource(name, None)


def available(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> tuple[str, ...]:
  """What there are weights of: names of the table, and paths of other files.

  Files where `weights_dir` says, and networks whose weights come with an
  installed Python package.
  """
  directory = _directory(config, workdir)
  found = [
    path.stem if path.stem in networks.TABLE else str(path)
    for path in sorted(directory.glob('*.safetensors'))
  ]
  from tf_transfer import convert_weights

  for name in networks.TABLE:
    with contextlib.suppress(errors.InputError):
      package = convert_weights.get_source(name).package
      if package and convert_weights.package_file(package):
        found.append(name)
  return tuple(dict.fromkeys(found))


def load(
  source: WeightsSource,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
) -> networks.Network:
  """The network, at the image size that the config names if it does.

  Raises:
    InputError: there are no weights, and none can be made; training from
      random values alone does without.
  """
  path = _path(source, config, workdir)
  if set(config.settings) == {'random_init'} and not path.exists():
    net = networks.untrained(source.name)
  else:
    net = networks.load(prepare(source, config, workdir))
  if not config.image_size:
    return net
  if config.image_size < 0:
    raise errors.InputError(
      "config.image_size: expected pixels, or 0 for the weights' own, not "
      f'{config.image_size}'
    )
  if net.variables:
    net.layers(config.image_size)  # Raises where it is too small.
  contract = dataclasses.replace(net.contract, image_size=config.image_size)
  header = dataclasses.replace(net.header, contract=contract)
  return dataclasses.replace(net, header=header)


def _path(
  source: WeightsSource,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
) -> pathlib.Path:
  if source.path is not None:
    return source.path
  return _directory(config, workdir) / f'{source.name}.safetensors'


def _directory(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> pathlib.Path:
  return pathlib.Path(config.weights_dir or workdir / 'weights').expanduser()


def prepare(
  source: WeightsSource,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
) -> pathlib.Path:
  """The weights file, converted first from an installed package if need be.

  Raises:
    InputError: there is none, and none can be made.
  """
  path = _path(source, config, workdir)
  if source.path is not None:
    return path
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
  from tf_transfer import convert_weights

  package = convert_weights.get_source(name).package
  if not package:
    raise errors.InputError(
      f'no weights of {name} at {path}: make them with\n  '
      f'tf-transfer-convert --network={name} --input=FILE --output={path}'
    )
  header = convert_weights.convert(
    name, convert_weights.package_file(package), path
  )
  print(f'{name}: converted {header.source} of package {package} to {path}')
