"""Finds and loads the weights of the networks that a config names."""

import contextlib
import dataclasses
import pathlib

import ml_collections

from tf_transfer import errors, networks
from tf_transfer.networks import weights
from tf_transfer.runtime import commands, files


@dataclasses.dataclass(frozen=True)
class WeightsSource:
  """Where the weights of a network of the config come from.

  Attributes:
    name: as the config has it.
    path: of the weights file; None for a name of the table.
  """

  name: str
  path: pathlib.Path | None


def is_path(name: str) -> bool:
  """Tells whether a name is meant as the path of a weights file."""
  return name.endswith('.safetensors') or '/' in name


def locate(name: str) -> WeightsSource:
  """Tells a weights file from a name of the table.

  Args:
    name: a name of the table, or the path of a weights file.

  Raises:
    InputError: no such file or no such network, or the file's name is that of
      another network.
  """
  if is_path(name):
    path = files.local_path(name, 'config.networks')
    _check_name(path, weights.read_header(path).network)
    return WeightsSource(name, path)
  networks.row(name)
  return WeightsSource(name, None)


def available(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> tuple[str, ...]:
  """Lists networks whose weights are available: names, and paths of files.

  These are the files in `weights_dir`, and the networks whose weights come with
  an installed Python package.
  """
  folder = directory(config, workdir)
  names = [
    path.stem if path.stem in networks.TABLE else str(path)
    for path in sorted(folder.glob('*.safetensors'))
  ]
  from tf_transfer import convert_weights

  for name in networks.TABLE:
    with contextlib.suppress(errors.InputError):
      package = convert_weights.get_source(name).package
      if package and convert_weights.package_file(package):
        names.append(name)
  return tuple(dict.fromkeys(names))


def load(
  source: WeightsSource,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  *,
  with_weights: bool = True,
) -> networks.Network:
  """Loads a network, at the image size that the config names if it does.

  Args:
    source: of the weights.
    config: of a job, with `weights_dir` and `image_size`.
    workdir: of the job.
    with_weights: whether the weights are loaded. Without them the network has
      the options, input scaling and image size of its architecture, whatever a
      weights file says.

  Raises:
    InputError: there are no weights and none can be made, or the image size is
      too small for the network.
  """
  if with_weights:
    net = networks.load(prepare(source, config, workdir))
  else:
    net = networks.untrained(_architecture(source))
  if not config.image_size:
    return net
  if config.image_size < 0:
    raise errors.InputError(
      "config.image_size: expected pixels, or 0 for the network's own, not "
      f'{config.image_size}'
    )
  try:
    resized = net.with_image_size(config.image_size)
    if net.variables:
      # The options of a weights file may need larger images than the default.
      net.layers(config.image_size)
  except errors.InputError as error:
    raise errors.InputError(f'config.{error}') from error
  return resized


def _architecture(source: WeightsSource) -> str:
  """Returns the name in the table of networks."""
  if source.path is None:
    return source.name
  return weights.read_header(source.path).network


def _path(
  source: WeightsSource,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
) -> pathlib.Path:
  """Returns where the weights file is, or is to be written."""
  if source.path is not None:
    return source.path
  return directory(config, workdir) / f'{source.name}.safetensors'


def directory(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> pathlib.Path:
  """Returns the directory of weights files that go by name."""
  if not config.weights_dir:
    return workdir / 'weights'
  return files.local_path(config.weights_dir, 'config.weights_dir')


def _check_name(path: pathlib.Path, network: str) -> None:
  """Raises an InputError where a file has the name of another network."""
  if path.stem in networks.TABLE and path.stem != network:
    raise errors.InputError(
      f'{path} holds the weights of {network}, not of {path.stem}: remove or '
      'rename it'
    )


def prepare(
  source: WeightsSource,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
) -> pathlib.Path:
  """Returns the weights file; converts an installed package if it is missing.

  Raises:
    InputError: there is none, and none can be made.
  """
  path = _path(source, config, workdir)
  if source.path is not None:
    return path
  if not path.exists():
    _convert_package(source.name, path)
  _check_name(path, weights.read_header(path).network)
  return path


def _convert_package(name: str, path: pathlib.Path) -> None:
  """Converts the weights that come with an installed Python package."""
  from tf_transfer import convert_weights

  package = convert_weights.get_source(name).package
  if not package:
    raise errors.InputError(
      f'no weights of {name} at {path}: make them with\n  '
      f'tf-transfer-convert --network={name} --input=FILE '
      f'{commands.join(f"--output={path}")}'
    )
  header = convert_weights.convert(
    name, convert_weights.package_file(package), path
  )
  print(f'{name}: converted {header.source} of package {package} to {path}')
