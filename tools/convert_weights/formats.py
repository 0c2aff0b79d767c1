"""Tells the format of a checkpoint by its content.

Public checkpoints go under many names (`model_best.pth.tar`, `net.ckpt`, no
extension at all), and downloads often hold something else than they are named
for. The name decides only where the content does not tell.
"""

import os
import pathlib
import re
import struct
import tarfile
import zipfile

from tf_transfer import errors
from tf_transfer.convert_weights import tensorflow_files

_SUFFIXES = {
  '.pth': 'torch',
  '.pt': 'torch',
  '.bin': 'torch',
  '.safetensors': 'safetensors',
  '.h5': 'keras',
  '.hdf5': 'keras',
  '.keras': 'keras',
  '.pb': 'graph',
}
# How files that are no checkpoints begin, and what they are.
_OTHERS = (
  (b'\x1f\x8b', 'a gzip archive: unpack it, and give the file in it'),
  (b'BZh', 'a bzip2 archive: unpack it, and give the file in it'),
  (b'\xfd7zXZ\0', 'an xz archive: unpack it, and give the file in it'),
  (b'\x28\xb5\x2f\xfd', 'a zstd archive: unpack it, and give the file in it'),
  (b'7z\xbc\xaf\x27\x1c', 'a 7z archive: unpack it, and give the file in it'),
  (b'Rar!', 'a RAR archive: unpack it, and give the file in it'),
  (b'\x93NUMPY', 'a NumPy array, without the names of a network'),
  (b'GGUF', 'a GGUF file of quantized weights'),
  (b'\x89PNG', 'a PNG image'),
  (b'\xff\xd8\xff', 'a JPEG image'),
  (b'%PDF', 'a PDF document'),
  (b'\x08\x01\x12', 'a SavedModel of TensorFlow: save the weights with Keras'),
)
_LFS = b'version https://git-lfs.github.com/spec/'
_HDF5 = b'\x89HDF\r\n\x1a\n'
# Where HDF5's signature may stand, behind a block of the user's.
_HDF5_OFFSETS = (0, 512, 1024, 2048)
# Ends the tables of a TensorFlow checkpoint.
_TABLE_MAGIC = bytes.fromhex('57fb808b247547db')
_BINARY = re.compile('[\0-\x08\x0e-\x1a\x1c-\x1f]')
_HEAD = 4096  # bytes that are looked at
_QUOTED = 80  # characters of a text in an error
_LISTED = 4  # entries of an archive in an error
_MAX_HEADER = 100_000_000  # bytes of a .safetensors' header, as its reader's


def identify(path: os.PathLike | str) -> str:
  """Returns the format of a checkpoint.

  Args:
    path: of a file, or the prefix of a TensorFlow checkpoint.

  Returns:
    'torch', 'safetensors', 'keras', 'graph' or 'tensorflow'.

  Raises:
    InputError: there is no such file, it cannot be read, or it is no
      checkpoint; it says what it is.
  """
  path = pathlib.Path(path)
  if path.is_dir():
    raise errors.InputError(_explain_directory(path))
  if not path.is_file():
    return _identify_prefix(path)
  if tensorflow_files.is_part(path):
    return 'tensorflow'
  try:
    with open(path, 'rb') as file:
      head = file.read(_HEAD)
      size = os.fstat(file.fileno()).st_size
      file.seek(max(0, size - len(_TABLE_MAGIC)))
      tail = file.read(len(_TABLE_MAGIC))
  except OSError as error:
    raise errors.InputError(
      f'input {path} cannot be read: {error.strerror or error}'
    ) from error
  file_format = _identify_content(path, head, tail, size)
  return file_format or _SUFFIXES.get(path.suffix.lower(), 'tensorflow')


def _explain_directory(path: pathlib.Path) -> str:
  """Says that a directory is no checkpoint, and names files in it."""
  names = sorted(entry.name for entry in path.iterdir() if entry.is_file())
  if 'saved_model.pb' in names:
    return (
      f'input {path} is a SavedModel of TensorFlow: save its weights with '
      'Keras, to a .weights.h5, and convert that'
    )
  listed = ', '.join(names[:_LISTED]) or 'no files'
  more = ', ...' if len(names) > _LISTED else ''
  return (
    f'input {path} is a directory: give the checkpoint in it; it holds '
    f'{listed}{more}'
  )


def _identify_prefix(path: pathlib.Path) -> str:
  """Returns 'tensorflow' for the prefix of a checkpoint's parts."""
  if path.exists():
    raise errors.InputError(f'input {path}: no regular file')
  if tensorflow_files.data_file(path) is None:
    raise errors.InputError(f'input {path}: no such file')
  return 'tensorflow'


def _identify_content(
  path: pathlib.Path, head: bytes, tail: bytes, size: int
) -> str | None:
  """Returns the format that a file's bytes tell; None if they do not.

  Raises:
    InputError: they tell that it is no checkpoint.
  """
  if any(head[offset:].startswith(_HDF5) for offset in _HDF5_OFFSETS):
    return 'keras'
  if head.startswith(b'PK\x03\x04'):
    return _identify_zip(path, head)
  if _is_safetensors(head, size):
    return 'safetensors'
  # The opcode of a pickle's protocol, 2 or later.
  if head[:1] == b'\x80' and head[1:2] in (b'\x02', b'\x03', b'\x04', b'\x05'):
    return 'torch'
  if tail == _TABLE_MAGIC:
    return 'tensorflow'
  other = _describe_other(path, head, size)
  if other:
    raise errors.InputError(f'{path} is no complete checkpoint: it is {other}')
  # A node of a graph, which begins with the node's name.
  if head[:1] == b'\n' and b'\x12\x05Const' in head:
    return 'graph'
  return None


def _is_safetensors(head: bytes, size: int) -> bool:
  """Tells whether a file begins as a .safetensors does, if it is complete."""
  if len(head) < 9:
    return False
  (length,) = struct.unpack('<Q', head[:8])
  return head[8:9] == b'{' and length < min(size, _MAX_HEADER)


def _identify_zip(path: pathlib.Path, head: bytes) -> str | None:
  """Returns the format of a zip archive.

  Raises:
    InputError: it holds no checkpoint in a layout of PyTorch's or Keras's.
  """
  try:
    with zipfile.ZipFile(path) as archive:
      names = archive.namelist()
  except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
    # Cut short: the reader of what it was says so.
    return 'torch' if b'/data.pkl' in head else None
  if any(pathlib.PurePosixPath(name).name == 'data.pkl' for name in names):
    return 'torch'
  if 'model.weights.h5' in names or path.suffix.lower() == '.keras':
    return 'keras'
  listed = ', '.join(names[:_LISTED])
  more = ', ...' if len(names) > _LISTED else ''
  kind = 'a zip archive'
  if all(name.endswith('.npy') for name in names):
    kind = 'an archive of NumPy arrays'
  raise errors.InputError(
    f'{path} is no checkpoint: it is {kind} of {listed}{more}. Unpack it, and '
    'give the checkpoint in it'
  )


def _describe_other(path: pathlib.Path, head: bytes, size: int) -> str | None:
  """Says what a file is that is no checkpoint; None if that is not known."""
  if not size:
    return 'empty. Get it again.'
  if head.startswith(_LFS):
    return (
      'a Git LFS pointer, which stands for a file elsewhere: fetch that with '
      'git lfs pull'
    )
  if head[257:262] == b'ustar' or (
    path.suffix.lower() == '.tar' and tarfile.is_tarfile(path)
  ):
    return 'a tar archive: unpack it, and give the file in it'
  if head[4:8] == b'TFL3':
    return 'a TFLite model: give the checkpoint that it was made from'
  for magic, description in _OTHERS:
    if head.startswith(magic):
      return description
  return _describe_text(head)


def _describe_text(head: bytes) -> str | None:
  """Says what a text is: a web page, JSON or another; None if it is none."""
  text = head.decode('utf-8', errors='replace').lstrip('\ufeff \t\r\n')
  # The last character may be cut.
  if not text or '\ufffd' in text[:-1] or _BINARY.search(text):
    return None
  quoted = errors.printable(' '.join(text[:_QUOTED].split()))
  if text.startswith('<'):
    return (
      f'a web page ({quoted}): the address was not that of the file itself, '
      'or asks for a login. Get it again.'
    )
  kind = 'JSON' if text[0] in '{[' else 'a text'
  return f'{kind} ({quoted}). Get the checkpoint itself.'
