"""Fetches the files of a repository of timm on the Hugging Face hub.

The hub's own client fetches into its cache. Both files are of one commit, and
each is compared with the hash that the hub states of it. Where there is no
connection, files that the user has put into a directory are taken.
"""

import contextlib
import dataclasses
import hashlib
import importlib
import logging
import os
import pathlib
import re
from types import ModuleType

from tf_transfer import errors
from tf_transfer.convert_weights import packages
from tf_transfer.networks import published_timm
from tf_transfer.runtime import files

CONFIG, WEIGHTS = 'config.json', 'model.safetensors'
_COMMIT = re.compile('[0-9a-f]{40}')
# The hub states the SHA-256 of large files; of others the hash of Git.
_SHA256 = re.compile('[0-9a-f]{64}')
_GIT = re.compile('[0-9a-f]{40}')


@dataclasses.dataclass(frozen=True)
class Repository:
  """The files of a repository on this machine.

  Attributes:
    name: of the repository, as timm/resnet50.a1_in1k.
    config: its config.json.
    weights: its model.safetensors.
    is_checked: whether the files have the hashes that the hub states; False
      where the user got them, and nothing states any.
  """

  name: str
  config: pathlib.Path
  weights: pathlib.Path
  is_checked: bool = True


def fetch(name: str, directory: pathlib.Path | None = None) -> Repository:
  """Returns the files of a repository, fetched if need be.

  Args:
    name: of the repository, as timm/resnet50.a1_in1k.
    directory: where the user may have put the files; they are preferred.

  Raises:
    InputError: there is no such repository or no access to it, no connection,
      or a file is cut short or has another hash.
  """
  if directory is not None:
    paths = directory / CONFIG, directory / WEIGHTS
    if all(path.is_file() for path in paths):
      return Repository(name, *paths, is_checked=False)
  client = packages.import_module(
    'huggingface_hub', f'fetching {name} from the hub'
  )
  # Its warnings would be printed by its handler and by the program's.
  logging.getLogger('huggingface_hub').propagate = False
  config = _fetch_file(client, name, CONFIG, None, directory)
  # The folder of a commit holds its files.
  commit = config.parent.name
  if not _COMMIT.fullmatch(commit):
    commit = None
  weights = _fetch_file(client, name, WEIGHTS, commit, directory)
  return Repository(name, config, weights)


def _fetch_file(
  client: ModuleType,
  name: str,
  file: str,
  commit: str | None,
  directory: pathlib.Path | None,
) -> pathlib.Path:
  """Returns a file in the client's cache, with the hash that the hub states.

  Args:
    client: the module huggingface_hub.
    name: of the repository.
    file: its name in it.
    commit: of which the file is; None for the newest.
    directory: named in errors as the place for files from elsewhere.
  """
  try:
    path = pathlib.Path(client.hf_hub_download(name, file, revision=commit))
    stated = _stated_hash(client, name, file, path)
  except _failures() as error:
    raise _explain(name, file, directory, error) from error
  if not _has_hash(path, stated):
    raise errors.InputError(
      f'{name}: {file} is not what the hub has: its hash should be {stated}. '
      f'Remove {path.resolve()}, and run the command again'
    )
  return path


def _failures() -> tuple[type[Exception], ...]:
  """Returns the errors of the client and of the HTTP library below it."""
  # LocalEntryNotFoundError and HTTP errors are OSErrors.
  failures: list[type[Exception]] = [OSError, ValueError]
  # Clients before version 1 use requests, whose errors are OSErrors.
  with contextlib.suppress(ModuleNotFoundError):
    failures.append(importlib.import_module('httpx').HTTPError)
  return tuple(failures)


def _stated_hash(
  client: ModuleType, name: str, file: str, path: pathlib.Path
) -> str:
  """Returns the hash that the hub states of a file.

  The cache holds each file under this name, and a link to it. Without links,
  the hub is asked again.
  """
  if path.is_symlink():
    # The file may itself be a link to one that several caches share.
    stated = pathlib.Path(os.readlink(path)).name
    if _SHA256.fullmatch(stated) or _GIT.fullmatch(stated):
      return stated
  commit = path.parent.name if _COMMIT.fullmatch(path.parent.name) else None
  url = client.hf_hub_url(name, file, revision=commit)
  return client.get_hf_file_metadata(url).etag or ''


def _has_hash(path: pathlib.Path, stated: str) -> bool:
  """Says whether a file has the hash that the hub states of it."""
  if _SHA256.fullmatch(stated):
    return files.sha256(path) == stated
  if _GIT.fullmatch(stated):
    content = path.read_bytes()
    blob = f'blob {len(content)}\0'.encode() + content
    return hashlib.sha1(blob, usedforsecurity=False).hexdigest() == stated
  return False


def _explain(
  name: str,
  file: str,
  directory: pathlib.Path | None,
  error: Exception,
) -> errors.InputError:
  """Returns an error that says why a file was not fetched, and what to do."""
  kinds = importlib.import_module('huggingface_hub.errors')
  if isinstance(error, kinds.GatedRepoError):
    return errors.InputError(
      f'{name} is gated: accept its terms on its page on the hub, set HF_TOKEN '
      'to a token of your account, and run the command again'
    )
  if isinstance(error, kinds.RepositoryNotFoundError):
    return _explain_unknown(name)
  if isinstance(error, kinds.LocalEntryNotFoundError):
    return _explain_offline(name, directory, error)
  if isinstance(error, kinds.EntryNotFoundError):
    return errors.InputError(
      f'{name} has no file {file}: it does not hold a network of timm in the '
      'form that is converted'
    )
  first, *_ = str(error).strip().splitlines() or [type(error).__name__]
  return errors.InputError(
    f'{name}: {file} could not be fetched: {first} Run the command again'
    + _say_place(name, directory)
  )


def _explain_unknown(name: str) -> errors.InputError:
  """Returns the error for a repository that the hub does not show."""
  known = published_timm.checkpoints()
  near = errors.nearest(name.partition('/')[2], known)
  hint = f'did you mean {" or ".join(f"timm/{n}" for n in near)}?'
  return errors.InputError(
    f'there is no repository {name} on the hub, or it is not public'
    + (f': {hint}' if near else '')
  )


def _explain_offline(
  name: str,
  directory: pathlib.Path | None,
  error: Exception,
) -> errors.InputError:
  """Returns the error for files that are not here, without a connection."""
  cause = error.__cause__ or error.__context__
  reason = 'HF_HUB_OFFLINE is set'
  if not importlib.import_module('huggingface_hub.constants').HF_HUB_OFFLINE:
    first = (str(cause or error).strip().splitlines() or [''])[0]
    reason = f'the hub cannot be reached: {first}' if first else 'no connection'
  return errors.InputError(
    f'{name} is not on this machine ({reason}). Connect'
    + _say_place(name, directory)
  )


def _say_place(name: str, directory: pathlib.Path | None) -> str:
  """Says where to put files that were fetched elsewhere, to end a message."""
  if directory is None:
    return (
      f', or get {WEIGHTS} of {name} elsewhere and give it with --input if '
      f'--list has it; if not, get {CONFIG} too, put both into WEIGHTS/{name}/ '
      f'and name {name} in config.networks'
    )
  return (
    f', or get {CONFIG} and {WEIGHTS} of {name} elsewhere and put them into '
    f'{directory}'
  )
