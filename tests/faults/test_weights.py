"""Weights files that are damaged, tampered with, or none at all."""

import json
import os
import pathlib
import shutil
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tests.faults import programs

pytestmark = pytest.mark.slow

_FILE = 'weights/tiny.safetensors'
_KERNEL = 'params/backbone/stem/conv/kernel'
_VARIANCE = 'batch_stats/backbone/stem/bn/var'
Spoil = Callable[[pathlib.Path], None]


def _read(path: pathlib.Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """Reads the header and the tensors, unchecked."""
  with safetensors.safe_open(path, framework='numpy') as file:
    header = json.loads(file.metadata()['tf_transfer'])
    return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _write(
  path: pathlib.Path, header: dict[str, Any] | str, tensors: dict[str, Any]
) -> None:
  """Writes them; a header of text as it is."""
  text = header if isinstance(header, str) else json.dumps(header)
  safetensors.numpy.save_file(tensors, path, {'tf_transfer': text})


def _header(**fields: Any) -> Spoil:
  """Sets fields of the header; ... removes one."""

  def spoil(root: pathlib.Path) -> None:
    header, tensors = _read(root / _FILE)
    header.update(fields)
    header = {k: v for k, v in header.items() if v is not ...}
    _write(root / _FILE, header, tensors)

  return spoil


def _contract(**fields: Any) -> Spoil:
  """Sets fields of the contract in the header."""

  def spoil(root: pathlib.Path) -> None:
    header, tensors = _read(root / _FILE)
    header['contract'].update(fields)
    _write(root / _FILE, header, tensors)

  return spoil


def _header_text(text: str) -> Spoil:
  """Replaces the header by a text."""

  def spoil(root: pathlib.Path) -> None:
    _write(root / _FILE, text, _read(root / _FILE)[1])

  return spoil


def _tensor(
  name: str, change: Callable[[np.ndarray], np.ndarray], *, digest: bool
) -> Spoil:
  """Changes a tensor.

  Args:
    name: of the tensor.
    change: gives the new one.
    digest: whether the file has a digest of its tensors, as new ones do.
  """

  def spoil(root: pathlib.Path) -> None:
    header, tensors = _read(root / _FILE)
    tensors[name] = np.ascontiguousarray(change(tensors[name].copy()))
    if not digest:
      header = {k: v for k, v in header.items() if 'digest' not in k}
      header['format'] = 2
    _write(root / _FILE, header, tensors)

  return spoil


def _content(data: bytes) -> Spoil:
  """Replaces the file by bytes."""
  return lambda root: (root / _FILE).write_bytes(data)


def _cut(fraction: float) -> Spoil:
  """Cuts the file short."""

  def spoil(root: pathlib.Path) -> None:
    data = (root / _FILE).read_bytes()
    (root / _FILE).write_bytes(data[: int(fraction * len(data))])

  return spoil


def _flip_bit(position: float) -> Spoil:
  """Flips a bit at a place in the tensors, from 0 to 1."""

  def spoil(root: pathlib.Path) -> None:
    data = bytearray((root / _FILE).read_bytes())
    start = 8 + struct.unpack('<Q', data[:8])[0]
    data[start + int(position * (len(data) - start))] ^= 1
    (root / _FILE).write_bytes(data)

  return spoil


def _directory(root: pathlib.Path) -> None:
  (root / _FILE).unlink()
  (root / _FILE).mkdir()


def _pipe(root: pathlib.Path) -> None:
  (root / _FILE).unlink()
  os.mkfifo(root / _FILE)


def _set(index: int, value: float) -> Callable[[np.ndarray], np.ndarray]:
  """Returns a change that sets one element."""

  def change(array: np.ndarray) -> np.ndarray:
    array.reshape(-1)[index] = value
    return array

  return change


_FAULTS: dict[str, Spoil] = {
  'options_list': _header(options=[1]),
  'options_unknown': _header(options={'depths': 3}),
  'options_wrong_type': _header(options={'normalized': 'perhaps'}),
  'classes_negative': _header(num_classes=-1),
  'classes_zero': _header(num_classes=0),
  'classes_text': _header(num_classes='many'),
  'classes_other': _header(num_classes=7),
  'classes_huge': _header(num_classes=2**40),
  'top1_nan': _header(imagenet_top1=float('nan')),
  'top1_in_percent': _header(imagenet_top1=70.4),
  'top1_text': _header(imagenet_top1='good'),
  'top1_source_number': _header(imagenet_top1_source=3),
  'network_unknown': _header(network='resnet5000'),
  'network_number': _header(network=50),
  'network_missing': _header(network=...),
  'contract_missing': _header(contract=...),
  'contract_text': _header(contract='usual'),
  'image_size_zero': _contract(image_size=0),
  'image_size_huge': _contract(image_size=10**6),
  'image_size_text': _contract(image_size='big'),
  'interpolation_unknown': _contract(interpolation='magic'),
  'contract_unknown_field': _contract(colour='BGR'),
  'recipe_list': _header(recipe=[]),
  'recipe_wrong_type': _header(recipe={'label_smoothing': 'some'}),
  'field_unknown': _header(author='me'),
  'format_of_the_future': _header(format=99),
  'format_missing': _header(format=...),
  'sha256_number': _header(source_sha256=1),
  'background_text': _header(background='no'),
  'license_controls_the_terminal': _header(licence='\x1b[2J\x1b[31mfree'),
  'header_nested': _header_text('{"x":' + '[' * 100_000),
  'header_no_json': _header_text('{"network": "tiny"'),
  'header_list': _header_text('[]'),
  'header_empty': _header_text(''),
  'bit_flipped_first': _flip_bit(0.0),
  'bit_flipped_middle': _flip_bit(0.5),
  'bit_flipped_last': _flip_bit(0.999),
  'kernel_zero': _tensor(_KERNEL, np.zeros_like, digest=True),
  'kernel_zero_no_digest': _tensor(_KERNEL, np.zeros_like, digest=False),
  'kernel_huge': _tensor(_KERNEL, _set(3, 1e30), digest=True),
  'kernel_huge_no_digest': _tensor(_KERNEL, _set(3, 1e30), digest=False),
  'kernel_nan': _tensor(_KERNEL, _set(3, np.nan), digest=False),
  'kernel_infinite': _tensor(_KERNEL, _set(3, np.inf), digest=False),
  'kernel_int32': _tensor(_KERNEL, lambda a: a.astype(np.int32), digest=False),
  'kernel_float16': _tensor(
    _KERNEL, lambda a: a.astype(np.float16), digest=False
  ),
  'kernel_float64': _tensor(
    _KERNEL, lambda a: a.astype(np.float64), digest=False
  ),
  'kernel_other_shape': _tensor(_KERNEL, lambda a: a[:2], digest=False),
  'kernel_transposed': _tensor(_KERNEL, np.transpose, digest=False),
  'variance_negative': _tensor(_VARIANCE, _set(0, -1.0), digest=False),
  'empty': _content(b''),
  'eight_bytes': _content(b'\x08' + bytes(7)),
  'header_of_exabytes': _content(struct.pack('<Q', 2**60) + b'{}' * 50),
  'text': _content(b'weights, to be uploaded\n'),
  'web_page': _content(b'<!DOCTYPE html><html><title>404</title></html>'),
  'git_lfs_pointer': _content(
    b'version https://git-lfs.github.com/spec/v1\noid sha256:'
    + b'4d' * 32
    + b'\nsize 97781949\n'
  ),
  'zip': _content(b'PK\x03\x04' + bytes(200)),
  'cut_in_the_header': _cut(0.02),
  'cut_in_the_tensors': _cut(0.9),
  'a_directory': _directory,
  'a_pipe': _pipe,
  'missing': lambda root: (root / _FILE).unlink(),
}


@pytest.mark.parametrize('fault', _FAULTS)
def test_refused(program, copy, fault):
  root = copy('photos', 'weights')
  _FAULTS[fault](root)
  outcome = program.study(seconds=60)
  programs.judge_refused(outcome, r'tiny\.safetensors')
  assert '\x1b' not in outcome.output
  assert not program.records()


def test_another_network_under_the_name(program, copy):
  root = copy('photos', 'weights')
  shutil.copy(root / 'weights/tinier.safetensors', root / _FILE)
  outcome = program.study('--config.weights_dir=weights', network='tiny')
  programs.judge_refused(outcome, 'tinier')
