"""Tests of telling a file's format, whatever it is called."""

import gzip
import io
import json
import os
import tarfile
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools import checkpoint_files
from tf_transfer import errors
from tf_transfer.convert_weights import formats

NAMES = (
  *('model_best.pth.tar', 'UPPER.PTH', 'lightning.ckpt', 'pytorch_model.bin'),
  *('none', 'a.h5', 'a.keras', 'a.pb', 'a.safetensors', 'a.weights', 'a.zip'),
)
ARRAYS = {'a/kernel': np.ones((2, 3), np.float32)}
WRITTEN_AS = {
  'torch': 'a.pth',
  'safetensors': 'a.safetensors',
  'keras': 'a.h5',
  'graph': 'a.pb',
  'tensorflow': 'v1.ckpt',
}


def write_legacy(path):
  with checkpoint_files.fake_torch():
    array = checkpoint_files.tensor('0', ARRAYS['a/kernel'])
    checkpoint_files.write_legacy(path, {'a': array})


@pytest.mark.parametrize('file_format', WRITTEN_AS)
def test_content_decides_under_every_name(tmp_path, file_format):
  path = tmp_path / WRITTEN_AS[file_format]
  checkpoint_files.write(path, ARRAYS)
  for name in NAMES:
    path = path.rename(tmp_path / name)
    assert formats.identify(path) == file_format, name


def test_other_layouts_of_a_format(tmp_path):
  path = tmp_path / 'a.ckpt'
  write_legacy(path)
  assert formats.identify(path) == 'torch'
  archive = tmp_path / 'a.keras'
  checkpoint_files.write(archive, ARRAYS)
  assert formats.identify(archive.rename(tmp_path / 'b.zip')) == 'keras'
  with h5py.File(tmp_path / 'c', 'w', userblock_size=512) as file:
    file['a'] = 1
  assert formats.identify(tmp_path / 'c') == 'keras'
  checkpoint_files.write(tmp_path / 'v2.ckpt', ARRAYS)
  for part in ('', '.index', '.data-00000-of-00001'):
    assert formats.identify(tmp_path / f'v2.ckpt{part}') == 'tensorflow'


def tar():
  buffer = io.BytesIO()
  with tarfile.open(fileobj=buffer, mode='w') as archive:
    archive.addfile(tarfile.TarInfo('../../a.ckpt'))
  return buffer.getvalue()


def zipped(name):
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, 'w') as archive:
    archive.writestr(name, b'')
  return buffer.getvalue()


LFS = f'version https://git-lfs.github.com/spec/v1\noid sha256:{"4d" * 32}\n'
OTHERS = [
  (LFS.encode(), 'a Git LFS pointer'),
  (b'<!DOCTYPE html><title>Virus scan warning</title>', r'a web page \(<!DOC'),
  (b'\xef\xbb\xbf\r\n <html>' + 'é'.encode() * 3000, 'a web page'),
  (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', 'a web page'),
  (b'{"error": "Repository not found"}', r'JSON \(\{"error": "Repository'),
  (json.dumps({'weight_map': dict.fromkeys(map(str, range(999)))}), 'JSON'),
  (b'Entry not found', r'a text \(Entry not found\)'),
  (b'\x1b[31mred', 'a text'),
  (b'', 'empty'),
  (tar(), 'a tar archive'),
  (gzip.compress(tar(), mtime=0), 'a gzip archive'),
  (zipped('net/model.pth'), r'a zip archive of net/model.pth'),
  (zipped('/etc/passwd'), r'a zip archive of /etc/passwd'),
  (zipped('a.npy'), r'NumPy arrays of a.npy'),
  (b'\x93NUMPY\x01\0', 'a NumPy array'),
  (b'\x1c\0\0\0TFL3' + bytes(99), 'a TFLite model'),
  (b'\x89PNG\r\n\x1a\n' + bytes(99), 'a PNG image'),
]


@pytest.mark.parametrize(('content', 'message'), OTHERS)
@pytest.mark.parametrize('name', ['a.pth', 'a.safetensors', 'a.h5', 'a.ckpt'])
def test_what_is_no_checkpoint_is_said(tmp_path, name, content, message):
  path = tmp_path / name
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  with pytest.raises(errors.InputError, match=message) as caught:
    formats.identify(path)
  assert str(path) in str(caught.value)
  assert '\n' not in str(caught.value)
  assert '\x1b' not in str(caught.value)


def test_not_a_file(tmp_path):
  (tmp_path / 'model.pth').touch()
  with pytest.raises(errors.InputError, match='a directory.* model.pth'):
    formats.identify(tmp_path)
  (tmp_path / 'saved_model.pb').touch()
  with pytest.raises(errors.InputError, match='a SavedModel'):
    formats.identify(tmp_path)
  with pytest.raises(errors.InputError, match='no such file'):
    formats.identify(tmp_path / 'none')
  # Opening one without a writer would wait for ever.
  os.mkfifo(tmp_path / 'pipe')
  with pytest.raises(errors.InputError, match='no regular file'):
    formats.identify(tmp_path / 'pipe')


@settings(deadline=None)
@given(st.binary(max_size=64))
def test_any_bytes_have_a_format_or_are_refused(tmp_path_factory, content):
  path = tmp_path_factory.getbasetemp() / 'any.pth'
  path.write_bytes(content)
  try:
    assert formats.identify(path) in WRITTEN_AS
  except errors.InputError as error:
    assert '\n' not in str(error)  # noqa: PT017
