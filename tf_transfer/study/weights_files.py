"""Finds and loads the weights of the networks that a config names.

All jobs get their networks here. `locate` tells what a name means and whether
it can be used, without a connection; `prepare` returns a weights file, fetched
or converted if need be; `load` returns the network.
"""

import contextlib
import dataclasses
import pathlib

import ml_collections
import numpy as np

from tf_transfer import errors, networks
from tf_transfer.networks import feature_files, functions, weights
from tf_transfer.runtime import array_files, commands, files
from tf_transfer.study import network_names
from tf_transfer.study.network_names import Kind

# Of the largest: devices compute features of a network that differ by less.
_SAME_FEATURES = 1e-3


@dataclasses.dataclass(frozen=True)
class WeightsSource:
  """Where the weights of a network of the config come from.

  Attributes:
    name: as the config has it.
    kind: what the name means.
    path: of the weights file or the directory that the name is; None for other
      kinds.
  """

  name: str
  kind: Kind
  path: pathlib.Path | None = None


def locate(name: str) -> WeightsSource:
  """Tells what a network's name means, and checks what needs no connection.

  Args:
    name: of a kind that `network_names` knows.

  Raises:
    InputError: no such file or no such network, or the file's name is that of
      another network.
  """
  network_names.check(name)
  kind = network_names.identify(name)
  if kind is Kind.FEATURES:
    path = name.removeprefix(network_names.FEATURES_PREFIX)
    path = files.local_path(path, 'config.networks')
    feature_files.check(path)
    return WeightsSource(name, kind, path)
  if kind is not Kind.FILE:
    return WeightsSource(name, kind)
  path = files.local_path(name, 'config.networks')
  try:
    header = weights.read_header(path)
  except errors.InputError as error:
    hint = network_names.explain_missing_file(name)
    raise errors.InputError(f'{error}{hint}') from error
  _check_name(path, header.network)
  return WeightsSource(name, kind, path)


def available(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> tuple[str, ...]:
  """Lists networks whose weights are available: names, and paths of files.

  These are the files in `weights_dir`, those from the hub by the names of their
  repositories, and the networks whose weights come with an installed Python
  package.
  """
  folder = directory(config, workdir)
  names = [_name_of(path, folder) for path in list_files(folder)]
  from tf_transfer import convert_weights

  for name in networks.TABLE:
    with contextlib.suppress(errors.InputError):
      package = convert_weights.get_source(name).package
      if package and convert_weights.package_file(package):
        names.append(name)
  return tuple(dict.fromkeys(names))


def list_files(folder: pathlib.Path) -> list[pathlib.Path]:
  """Lists the weights files in a directory, then those from the hub."""
  return [
    *sorted(folder.glob('*.safetensors')),
    *sorted((folder / network_names.HUB_NAMESPACE).glob('*.safetensors')),
  ]


def _name_of(path: pathlib.Path, folder: pathlib.Path) -> str:
  """Returns the name by which a config names a file in `weights_dir`."""
  if path.parent != folder:
    return f'{network_names.HUB_NAMESPACE}/{path.stem}'
  return path.stem if path.stem in networks.TABLE else str(path)


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
    net = open_network(source, config, workdir)
  elif source.kind.has_weights_file:
    net = networks.untrained(_architecture(source, config, workdir))
  else:
    raise errors.InputError(
      f'{source.name}: a network that is no name of the table and no weights '
      'file has no training from random values: leave the setting out of '
      'config.settings'
    )
  if not config.image_size:
    return net
  if config.image_size < 0:
    raise errors.InputError(
      "config.image_size: expected pixels, or 0 for the network's own, not "
      f'{config.image_size}'
    )
  try:
    resized = net.with_image_size(config.image_size)
    if net.variables and source.kind.has_weights_file:
      # The options of a weights file may need larger images than the default.
      net.layers(config.image_size)
  except errors.InputError as error:
    raise errors.InputError(f'config.{error}') from error
  return resized


def open_network(
  source: WeightsSource,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
) -> networks.Network:
  """Loads a network at its own image size.

  Args:
    source: of the weights.
    config: of a job, with `weights_dir`.
    workdir: of the job.

  Raises:
    InputError: there are no weights and none can be made; or the user's
      function fails, or the features cannot be read.
  """
  if source.kind is Kind.FUNCTION:
    net = functions.load(source.name)
    _check_identity(net, workdir)
    return net
  if source.kind is Kind.FEATURES:
    return feature_files.load(source.path)
  return networks.load(prepare(source, config, workdir))


def _check_identity(net: networks.Network, workdir: pathlib.Path) -> None:
  """Checks that a function has the features that its identity had before.

  The workdir keeps the features of two images for each identity that is stated.

  Raises:
    InputError: they are others, so that the records of this identity are those
      of another network.
  """
  if not getattr(net, 'has_identity', False):
    return
  directory = files.make_directory(workdir / 'identities')
  path = directory / f'{net.sha256}.npy'
  if not path.exists():
    with files.atomic_write(path) as file:
      np.save(file, net.probe)
    return
  known = array_files.load_array(path)
  largest = np.abs(known).max(initial=0)
  if known.shape != net.probe.shape or not (
    np.abs(net.probe - known).max() <= _SAME_FEATURES * largest
  ):
    raise errors.InputError(
      f'{net.name}: its features are others than when {workdir} first had a '
      'network of this identity: state another identity, such as the SHA-256 '
      'of its weights'
    )


def _architecture(
  source: WeightsSource,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
) -> str:
  """Returns the name in the table of networks."""
  if source.kind is Kind.TABLE:
    return source.name
  return weights.read_header(prepare(source, config, workdir)).network


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
  """Returns the weights file; where it is missing, makes it if that can be.

  It is made of an installed package, or of a repository on the hub.

  Raises:
    InputError: there is none, and none can be made.
  """
  if not source.kind.has_weights_file:
    raise errors.InputError(
      f'{source.name} has no weights file, and this job needs one'
    )
  if source.path is not None:
    return source.path
  # Of a repository, in the directory of its namespace.
  path = directory(config, workdir) / f'{source.name}.safetensors'
  if source.kind is Kind.HUB:
    if not path.exists():
      _convert_repository(source.name, path)
    return path
  if not path.exists():
    _convert_package(source.name, path)
  _check_name(path, weights.read_header(path).network)
  return path


def _convert_repository(name: str, path: pathlib.Path) -> None:
  """Fetches and converts the weights of a repository on the hub."""
  from tf_transfer import convert_weights

  convert_weights.convert_repository(name, path)


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
