"""Tells whether a file is the published one that a row of the table means.

A network is published many times: better trained under the same names, tuned
by someone else. Its top-1 and its recipe are those of one file, and must not
be written beside the variables of another. torchvision's and Cadene's file
names end in the beginning of the file's SHA-256; of most of Keras's files its
code states the MD5 or the SHA-256; timm's weights are told by the tag that ends
their names.
Of TF-Slim's and the others of Keras nothing tells: the user says so.
"""

import hashlib
import os
import pathlib
import re
from collections.abc import Mapping

import numpy as np

from tf_transfer import errors
from tf_transfer.convert_weights import publishers
from tf_transfer.networks import published_timm
from tf_transfer.networks import recipe as recipe_lib

_HASHED = re.compile(r'.*-([0-9a-f]{8,})\.pth')
# Folders above a file in the Hugging Face hub's cache that its name is in:
# models--timm--NAME/snapshots/COMMIT/model.safetensors.
_FOLDERS = 3


def is_published(
  source: publishers.Source, path: os.PathLike | str, sha256: str
) -> bool | None:
  """Tells whether a file is the one that a row is about; None if unknown.

  Args:
    source: the row.
    path: of the file, whose name and folders may hold timm's name of it.
    sha256: of the file.
  """
  hashed = _HASHED.fullmatch(source.file)
  if hashed:
    return sha256.startswith(hashed[1])
  if source.sha256:
    return sha256 == source.sha256
  if source.md5:
    return _compute_md5(path) == source.md5
  if source.file.startswith(published_timm.HUB_PREFIX):
    model, tag = published_timm.split_name(source.file)
    return (_tag(model, pathlib.Path(path).absolute()) or '') == tag
  return None


def expected_evidence(source: publishers.Source) -> str:
  """Returns what tells the published file of a row, as a phrase."""
  hashed = _HASHED.fullmatch(source.file)
  if hashed:
    return f'a SHA-256 that begins with {hashed[1]}'
  if source.sha256:
    return f'a SHA-256 that begins with {source.sha256[:8]}'
  if source.md5:
    return f'the MD5 {source.md5}'
  if source.file.startswith(published_timm.HUB_PREFIX):
    name = source.file.removeprefix(published_timm.HUB_PREFIX)
    return f'{name} in its name or that of one of the {_FOLDERS} folders above'
  return f'{source.file}, which nothing in it tells'


def _tag(model: str, path: pathlib.Path) -> str | None:
  """Returns the tag behind a model's name in a path, the file's name first."""
  pattern = re.compile(rf'(?<![\w.]){re.escape(model)}\.(\w+)')
  folders = [folder.name for folder in path.parents[:_FOLDERS]]
  matches = (pattern.search(name) for name in (path.stem, *folders))
  return next((match[1] for match in matches if match), None)


def _compute_md5(path: os.PathLike | str) -> str:
  """Computes the MD5 of a file, in hexadecimal; it guards against mistakes."""
  with open(path, 'rb') as file:
    return hashlib.file_digest(
      file, lambda: hashlib.md5(usedforsecurity=False)
    ).hexdigest()


def check_statement(
  source: publishers.Source, path: os.PathLike | str, sha256: str
) -> None:
  """Raises an InputError where a file said to be published is another one."""
  if is_published(source, path, sha256) is False:
    raise errors.InputError(
      f'{path} is stated to be {source.file} with --published, and it is not: '
      f'expected {expected_evidence(source)}'
    )


def top1_source(source: publishers.Source, published: bool | None) -> str:
  """Returns who published a row's top-1, for a weights file's header.

  Where nothing tells whether the file is the published one, it says so.
  """
  if published is None and source.imagenet_top1_source:
    return (
      f'{source.imagenet_top1_source}, taking the file for {source.file}, '
      'which nothing in it tells'
    )
  return source.imagenet_top1_source


def _explain_reason(
  source: publishers.Source, path: os.PathLike | str, sha256: str
) -> str:
  """Returns why a file is not taken for the row's, as a sentence or two."""
  if _HASHED.fullmatch(source.file) or source.sha256:
    return (
      f'Expected {expected_evidence(source)}; its SHA-256 begins with '
      f'{sha256[:8]}.'
    )
  if source.md5:
    return f'Expected {expected_evidence(source)}, not {_compute_md5(path)}.'
  if source.file.startswith(published_timm.HUB_PREFIX):
    return (
      f'Neither the file nor one of the {_FOLDERS} folders above it has that '
      'name.'
    )
  return 'Nothing in it tells; if it is, say so with --published.'


def explain_doubt(
  source: publishers.Source,
  path: os.PathLike | str,
  sha256: str,
  top1_is_stated: bool,
) -> str:
  """Returns why a file is not taken for the row's, and what follows.

  Args:
    source: the row.
    path: of the file.
    sha256: of the file.
    top1_is_stated: whether the user stated its ImageNet top-1.
  """
  name = source.file.removeprefix(published_timm.HUB_PREFIX)
  reason = _explain_reason(source, path, sha256)
  if is_published(source, path, sha256):
    reason = 'Its variables are not all those of the published file.'
  unknown, hint = 'recipe and license', ''
  if not top1_is_stated:
    unknown = f'ImageNet top-1, {unknown}'
    hint = ' State the top-1, if you know it, with --imagenet_top1=0.75.'
  return (
    f'{path} is not known to be {name}. {reason} Its {unknown} are recorded as '
    f'unknown. Its images are assumed to be scaled as for {name}.{hint}'
  )


def infer_recipe(variables: Mapping[str, np.ndarray]) -> recipe_lib.Recipe:
  """Infers from the variables, by path, how a network was trained.

  A scale of 1 throughout is that of a port from where there was none. Other
  norms have scales too, and no moving statistics: of a network without batch
  norm nothing is known.
  """
  norms = [
    path.removeprefix('batch_stats/').removesuffix('/var')
    for path in variables
    if path.startswith('batch_stats/') and path.endswith('/var')
  ]
  if not norms:
    return recipe_lib.UNKNOWN
  scales = [variables.get(f'params/{norm}/scale', 1) for norm in norms]
  return recipe_lib.Recipe(
    bn_scale=any(bool(np.any(scale != 1)) for scale in scales)
  )
