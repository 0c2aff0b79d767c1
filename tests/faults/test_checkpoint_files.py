"""Checkpoints of others: told by content, refused by name, never executed."""

import argparse
import collections
import gzip
import io
import os
import pathlib
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tests.faults import inputs, programs
from tests.tools import checkpoint_files

pytestmark = pytest.mark.slow

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope='module')
def arrays() -> Arrays:
  """The state dict of a public checkpoint."""
  return inputs.read_checkpoint()


@pytest.fixture(scope='module')
def expected(forks, tmp_path_factory) -> Arrays:
  """The tensors of the weights file that the public checkpoint gives."""
  root = tmp_path_factory.mktemp('expected')
  inputs.write_checkpoint(root / 'a.pth')
  outcome = programs.Programs(forks, root).convert(
    *inputs.CONVERSION, '--input=a.pth', '--output=a.safetensors'
  )
  assert outcome.code == 0, outcome.output
  return safetensors.numpy.load_file(root / 'a.safetensors')


def _convert(
  program: programs.Programs, name: str, *more: str, **options: Any
) -> Any:
  return program.convert(
    *inputs.CONVERSION,
    f'--input={name}',
    '--output=out.safetensors',
    *more,
    **options,
  )


def _write(path: pathlib.Path, obj: Any, *, legacy: bool = False) -> None:
  with checkpoint_files.fake_torch():
    write = (
      checkpoint_files.write_legacy if legacy else checkpoint_files.write_zip
    )
    write(path, obj)


@pytest.mark.parametrize(
  'name',
  ['model_best.pth.tar', 'UPPER.PTH', 'lightning.ckpt', 'pytorch.bin', 'model'],
)
def test_told_by_content(program, arrays, expected, name):
  _write(program.root / name, inputs.as_tensors(arrays))
  programs.judge_said(_convert(program, name), 'efficientnet_lite0')
  written = safetensors.numpy.load_file(program.root / 'out.safetensors')
  for key, array in expected.items():
    np.testing.assert_array_equal(written[key], array)


_WRAPPERS = (
  'state_dict',
  'model',
  'model_state_dict',
  'state_dict_ema',
  'net',
  'teacher',
  'params',
)


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('key', _WRAPPERS)
def test_wrappers(program, arrays, expected, key, legacy):
  beside = {
    'args': argparse.Namespace(lr=0.1, arch='efficientnet_lite0'),
    'best_acc1': np.float64(75.1),
    'epoch': 90,
  }
  obj = {key: inputs.as_tensors(arrays), **beside}
  _write(program.root / 'a.pth', obj, legacy=legacy)
  programs.judge_said(_convert(program, 'a.pth'), 'efficientnet_lite0')
  written = safetensors.numpy.load_file(program.root / 'out.safetensors')
  np.testing.assert_array_equal(
    written['params/head/kernel'], expected['params/head/kernel']
  )


@pytest.mark.parametrize(
  'prefix',
  ['module.', 'model.', 'backbone.', '_orig_mod.', '_orig_mod.module.'],
)
def test_prefixes(program, arrays, expected, prefix):
  renamed = {prefix + name: array for name, array in arrays.items()}
  _write(program.root / 'a.pth', {'state_dict': inputs.as_tensors(renamed)})
  programs.judge_said(_convert(program, 'a.pth'), 'efficientnet_lite0')
  written = safetensors.numpy.load_file(program.root / 'out.safetensors')
  np.testing.assert_array_equal(
    written['params/head/kernel'], expected['params/head/kernel']
  )


def test_optimizer_beside_the_network(program, arrays):
  momenta = {
    name: checkpoint_files.tensor(f'm{number}', np.zeros(3, np.float32))
    for number, name in enumerate(arrays)
  }
  obj = {
    'state_dict': inputs.as_tensors(arrays),
    'optimizer': {'state': momenta, 'param_groups': [{'lr': 0.1}]},
  }
  _write(program.root / 'a.pth', obj, legacy=True)
  programs.judge_said(_convert(program, 'a.pth'), 'efficientnet_lite0')


def test_unknown_wrapper_is_named(program, arrays):
  obj = {'my_network': {'inner': inputs.as_tensors(arrays)}, 'epoch': 3}
  _write(program.root / 'a.pth', obj)
  outcome = _convert(program, 'a.pth')
  if outcome.code:
    programs.judge_refused(outcome, 'my_network.*--key')
  outcome = _convert(program, 'a.pth', '--key=my_network.inner')
  programs.judge_said(outcome, 'efficientnet_lite0')


class _Evil:
  """Would write a file where it is unpickled."""

  def __init__(self, path: pathlib.Path):
    self.path = path

  def __reduce__(self) -> tuple[Any, ...]:
    return os.system, (f'touch {self.path}',)


@pytest.mark.parametrize('legacy', [False, True])
def test_nothing_is_executed(program, arrays, legacy):
  planted = program.root / 'planted'
  obj = {'state_dict': inputs.as_tensors(arrays), 'args': _Evil(planted)}
  _write(program.root / 'a.pth', obj, legacy=legacy)
  outcome = _convert(program, 'a.pth')
  assert not planted.exists()
  assert outcome.code in (0, 1)
  assert 'Traceback' not in outcome.output


def _pickled(obj: Any) -> bytes:
  return pickle.dumps(obj, protocol=2)


def _in_tar(data: bytes) -> bytes:
  stream = io.BytesIO()
  with tarfile.open(fileobj=stream, mode='w') as archive:
    member = tarfile.TarInfo('a.pth')
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))
  return stream.getvalue()


def _in_zip(**members: bytes) -> bytes:
  stream = io.BytesIO()
  with zipfile.ZipFile(stream, 'w', zipfile.ZIP_DEFLATED) as archive:
    for name, data in members.items():
      archive.writestr(name.replace('__', '/'), data)
  return stream.getvalue()


_POINTER = (
  b'version https://git-lfs.github.com/spec/v1\noid sha256:'
  + b'4d' * 32
  + b'\nsize 97781949\n'
)
_PAGE = b'<!DOCTYPE html><html><head><title>Virus scan</title></head></html>'
_NO_WEIGHTS: dict[str, tuple[str, bytes, str]] = {
  'pointer_pth': ('a.pth', _POINTER, 'Git LFS pointer'),
  'pointer_safetensors': ('a.safetensors', _POINTER, 'Git LFS pointer'),
  'pointer_h5': ('a.h5', _POINTER, 'Git LFS pointer'),
  'pointer_pb': ('a.pb', _POINTER, 'Git LFS pointer'),
  'page_pth': ('a.pth', _PAGE, 'web page'),
  'page_h5': ('a.h5', _PAGE, 'web page'),
  'json_error': ('a.pth', b'{"error": "Entry not found"}', 'JSON'),
  'empty_pth': ('a.pth', b'', 'empty'),
  'empty_h5': ('a.h5', b'', 'empty'),
  'empty_safetensors': ('a.safetensors', b'', 'empty'),
  'text': ('a.pth', b'see the other disk', ''),
  'noise': ('a.pth', bytes(range(256)) * 9, ''),
  'gzip': ('a.pth', gzip.compress(b'x' * 99), 'gzip'),
  'tar': ('a.pth', _in_tar(b'x' * 99), 'tar'),
  'zip_of_something': ('a.pth', _in_zip(readme=b'x'), 'zip|archive'),
  'zip_of_a_checkpoint': ('a.pth', _in_zip(net__a=b'x' * 99), ''),
  'pickle_of_a_list': ('a.pth', _pickled([1, 2, 3]), ''),
  'pickle_of_numbers': ('a.pth', _pickled({'state_dict': 3}), ''),
  'pickle_cut_short': ('a.pth', _pickled({'x': 'y' * 99})[:-20], ''),
  'safetensors_without_tensors': (
    'a.safetensors',
    safetensors.numpy.save({}),
    '',
  ),
  'safetensors_of_exabytes': (
    'a.safetensors',
    (2**60).to_bytes(8, 'little') + b'{}',
    '',
  ),
  'other_variables': (
    'a.safetensors',
    safetensors.numpy.save(
      {f'v{i}': np.zeros(3, np.float32) for i in range(400)}
    ),
    'v0',
  ),
}


@pytest.mark.parametrize('fault', _NO_WEIGHTS)
def test_refused(program, fault):
  name, data, message = _NO_WEIGHTS[fault]
  (program.root / name).write_bytes(data)
  outcome = _convert(program, name, seconds=60)
  programs.judge_refused(outcome, f'{name}.*{message}')
  assert not (program.root / 'out.safetensors').exists()


def _spoiled(
  change: Callable[[Arrays], None],
) -> Callable[[Arrays], Arrays]:
  def spoil(arrays: Arrays) -> Arrays:
    copied = dict(arrays)
    change(copied)
    return copied

  return spoil


def _first_kernel(arrays: Arrays) -> str:
  return next(name for name in arrays if arrays[name].ndim == 4)


def _with_nan(arrays: Arrays) -> None:
  name = _first_kernel(arrays)
  arrays[name] = arrays[name].copy()
  arrays[name].reshape(-1)[5] = np.nan


def _all_zero(arrays: Arrays) -> None:
  name = _first_kernel(arrays)
  arrays[name] = np.zeros_like(arrays[name])


def _without_one(arrays: Arrays) -> None:
  del arrays[_first_kernel(arrays)]


def _misshapen(arrays: Arrays) -> None:
  name = _first_kernel(arrays)
  arrays[name] = arrays[name][:-1]


def _text(arrays: Arrays) -> None:
  arrays[_first_kernel(arrays)] = np.zeros((3, 3, 3, 3), np.int64)


_TENSORS = {
  'nan': _spoiled(_with_nan),
  'all_zero': _spoiled(_all_zero),
  'missing': _spoiled(_without_one),
  'misshapen': _spoiled(_misshapen),
  'integers': _spoiled(_text),
}


@pytest.mark.parametrize('fault', _TENSORS)
def test_tensors(program, arrays, fault):
  spoiled = _TENSORS[fault](arrays)
  _write(program.root / 'a.pth', inputs.as_tensors(spoiled))
  outcome = _convert(program, 'a.pth')
  # Which the network calls so.
  programs.judge_refused(outcome, 'params/backbone/stem/conv/kernel')
  assert not (program.root / 'out.safetensors').exists()


def test_another_architecture(program):
  inputs.write_checkpoint(program.root / 'a.pth')
  outcome = program.convert(
    '--network=resnet50', '--input=a.pth', '--output=out.safetensors'
  )
  programs.judge_refused(outcome, 'looks like efficientnet_lite0')
  assert len(outcome.output.splitlines()) <= 6


def test_other_variables_are_ignored_when_told_so(program, arrays):
  more = {**arrays, 'quality.weight': np.ones((3, 4), np.float32)}
  _write(program.root / 'a.pth', inputs.as_tensors(more))
  programs.judge_refused(_convert(program, 'a.pth'), 'quality.*--ignore')
  outcome = _convert(program, 'a.pth', '--ignore=quality.*')
  programs.judge_said(outcome, '1 variable')


def test_claims_are_of_the_file_alone(program, arrays):
  changed = collections.OrderedDict(arrays)
  name = _first_kernel(arrays)
  changed[name] = changed[name] * np.float32(1.5)
  _write(program.root / 'a.pth', inputs.as_tensors(changed))
  programs.judge_said(_convert(program, 'a.pth'), 'top-1 unknown')
