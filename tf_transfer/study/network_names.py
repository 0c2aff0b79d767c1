"""Tells what the name of a network in a config means.

What a name is, its form alone tells: a name of the table (`resnet50`), the path
of a weights file (`mine.safetensors`), a repository on the Hugging Face hub
(`timm/resnet50.a1_in1k`), a function of the user's that makes a network
(`mypackage.module:function`), or a directory of features that were computed
elsewhere (`features:DIR`). `weights_files` finds and loads what is meant.
"""

import enum
import pathlib
import re

from tf_transfer import errors, networks
from tf_transfer.networks import functions, published_timm

# Ahead of a directory of features.
FEATURES_PREFIX = 'features:'
# The namespace on the hub whose repositories can be converted.
HUB_NAMESPACE = published_timm.HUB_PREFIX.rstrip('/')
_HUB_NAME = re.compile(r'[A-Za-z0-9][\w.-]*', re.ASCII)
# How repositories on the hub are named elsewhere.
_HUB_PREFIXES = ('hf-hub:', 'hf_hub:')


class Kind(enum.Enum):
  """What a network's name means."""

  TABLE = 'name of the table'
  FILE = 'path of a weights file'
  HUB = 'repository on the hub'
  FUNCTION = "function of the user's"
  FEATURES = 'directory of features'

  @property
  def has_weights_file(self) -> bool:
    """Whether there is a weights file of such a network, or can be one."""
    return self not in (Kind.FUNCTION, Kind.FEATURES)


def identify(name: str) -> Kind:
  """Tells what is meant by a name; it may not exist."""
  if name.startswith(FEATURES_PREFIX):
    return Kind.FEATURES
  if name.endswith('.safetensors'):
    return Kind.FILE
  if name.startswith(f'{HUB_NAMESPACE}/') or name.startswith(_HUB_PREFIXES):
    return Kind.HUB
  if functions.is_function(name):
    return Kind.FUNCTION
  return Kind.FILE if '/' in name else Kind.TABLE


def check(name: str) -> None:
  """Checks the spelling of a name, without files or a connection.

  Raises:
    InputError: the table has no such name, or the hub can have none.
  """
  kind = identify(name)
  if kind is Kind.TABLE:
    _check_table_name(name)
  elif kind is Kind.HUB:
    _check_hub_name(name)


def _check_table_name(name: str) -> None:
  """Raises an InputError where the table has no such name."""
  architecture, tag = published_timm.split_name(name)
  if tag and published_timm.top1(name) is not None:
    raise errors.InputError(
      f'unknown network {name!r}: write {HUB_NAMESPACE}/{name} for the weights '
      f'of that name on the hub, or {architecture} for a weights file of yours'
    )
  is_other = (':' in name or '.' in name) and ',' not in name
  if is_other and not errors.nearest(name, networks.TABLE):
    raise errors.InputError(
      f'unknown network {name!r}: expected a name of the table, the path of a '
      f'.safetensors file, {HUB_NAMESPACE}/NAME of a repository on the hub, '
      'module:function or path/to/file.py:function, or features:DIR'
    )
  networks.row(name)


def _check_hub_name(name: str) -> None:
  """Raises an InputError where a name is not written `timm/NAME`."""
  namespace, _, repository = name.partition('/')
  if namespace == HUB_NAMESPACE and _HUB_NAME.fullmatch(repository):
    return
  plain = name
  for prefix in _HUB_PREFIXES:
    plain = plain.removeprefix(prefix)
  hint = ''
  namespace, _, repository = plain.partition('/')
  if plain != name and _HUB_NAME.fullmatch(repository):
    hint = f'. Write {plain}'
  raise errors.InputError(
    f'network {name}: expected {HUB_NAMESPACE}/NAME with the name of a '
    f'repository on the hub, as {HUB_NAMESPACE}/resnet50.a1_in1k{hint}'
  )


def explain_missing_file(name: str) -> str:
  """Says what else a path without a file may be meant as; '' if nothing.

  Args:
    name: that `identify` takes for a path.
  """
  if ',' in name and (hint := errors.explain_list(name)):
    return f'. If several networks are meant: {hint}'
  if any(pathlib.Path(name).glob('*.npy')):
    return f'. If the features in it are meant: {FEATURES_PREFIX}{name}'
  if ':' in name:
    return (
      '. If a function is meant: package.module:function or file.py:function'
    )
  namespace, _, repository = name.partition('/')
  looks_like_repository = (
    _HUB_NAME.fullmatch(namespace)
    and _HUB_NAME.fullmatch(repository)
    and not name.endswith('.safetensors')
    and not pathlib.Path(name).exists()
  )
  if not looks_like_repository:
    return ''
  return (
    f'. If a repository on the hub is meant: only those named {HUB_NAMESPACE}/'
    'NAME can be converted by themselves. Look there for the same network '
    f'({HUB_NAMESPACE} has copies of many), or get its checkpoint, convert it '
    'with tf-transfer-convert, and name the file that this writes'
  )
