"""Manifests: written, checked, and compared with changed files."""

import os
import pathlib
import shutil
import subprocess

import pytest

from tests.datasets import miniatures
from tf_transfer.datasets import dataset, manifest
from tf_transfer.errors import InputError


@pytest.fixture
def data_dir(tmp_path):
  """A directory with two datasets."""
  for name in ('pets', 'dtd'):
    miniatures.make(name, tmp_path / 'data')
  return tmp_path / 'data'


@pytest.fixture
def check(data_dir, capsys):
  """Writes or checks a manifest of named datasets; returns the output."""

  def run(path, *names):
    roots = {
      name: str(data_dir / name) for name in names if (data_dir / name).exists()
    }
    manifest.write_or_check(str(path), names, roots, dataset.no_progress)
    return capsys.readouterr().out

  return run


def test_sha256sum_accepts_a_manifest(check, data_dir, tmp_path):
  path = tmp_path / 'manifest.txt'
  text = check(path, 'pets', 'dtd')
  # Images, trimaps and lists of pets; images and six lists of dtd.
  assert f'manifest: {185 * 2 + 2 + 282 + 6} files written' in text
  result = subprocess.run(
    ['sha256sum', '--check', '--quiet', str(path)], cwd=data_dir, check=False
  )
  assert result.returncode == 0


def test_unchanged_files(check, tmp_path):
  path = tmp_path / 'manifest.txt'
  check(path, 'pets', 'dtd')
  written = path.read_text()
  assert '660 files compared, all as' in check(path, 'pets', 'dtd')
  assert path.read_text() == written
  # A part of the datasets in a manifest may be checked.
  assert '372 files compared, all' in check(path, 'pets')


def test_changed_files(check, data_dir, tmp_path):
  path = tmp_path / 'manifest.txt'
  check(path, 'pets', 'dtd')
  image = data_dir / 'pets/images/class_0005_1001.jpg'
  image.write_bytes(miniatures.Photos(seed=5)())
  (data_dir / 'pets/annotations/trimaps/class_0005_1001.png').unlink()
  (data_dir / 'dtd/new').write_text('')
  with pytest.raises(InputError) as raised:
    check(path, 'pets', 'dtd')
  for words in (
    '1 changed (pets/images/class_0005_1001.jpg)',
    '1 missing (pets/annotations/trimaps/class_0005_1001.png)',
    '1 not in it (dtd/new)',
  ):
    assert words in str(raised.value)
  shutil.rmtree(data_dir / 'dtd')
  with pytest.raises(InputError, match='288 missing'):
    check(path, 'dtd')


def test_a_file_that_is_no_manifest(check, tmp_path):
  path = tmp_path / 'manifest.txt'
  path.write_text('something else\n')
  with pytest.raises(InputError, match='line 1: expected a SHA-256'):
    check(path, 'pets')


def test_names_of_any_bytes(check, data_dir, tmp_path):
  path = tmp_path / 'manifest.txt'
  folder = data_dir / 'pets'
  shutil.rmtree(folder)
  folder.mkdir()
  names = [
    b'a\nb',
    b'back\\slash',
    b'\xff\xfe',
    'a\u2028\x85b'.encode(),
    b'c\rd',
  ]
  for name in names:
    pathlib.Path(os.fsdecode(bytes(folder) + b'/' + name)).touch()
  assert '5 files written' in check(path, 'pets')
  assert '5 files compared, all as' in check(path, 'pets')
  command = ['sha256sum', '--check', '--quiet', str(path)]
  assert subprocess.run(command, cwd=data_dir, check=False).returncode == 0


@pytest.mark.parametrize(
  'line',
  ['x' * 64 + '  pets/a', 'a' * 63 + '  pets/a', 'a' * 64 + ' pets/a', ''],
)
def test_lines_of_another_format(check, tmp_path, line):
  path = tmp_path / 'manifest.txt'
  path.write_text(f'{"a" * 64}  pets/b\n{line}\n')
  with pytest.raises(InputError, match='line 2: expected a SHA-256'):
    check(path, 'pets')


def test_a_manifest_that_cannot_be_written(check, tmp_path):
  with pytest.raises(InputError, match='cannot write'):
    check(tmp_path / 'no' / 'manifest', 'pets')
