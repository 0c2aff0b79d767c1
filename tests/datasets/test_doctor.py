"""What the doctor says of datasets that are here, broken, or not here."""

import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.datasets import miniatures
from tf_transfer import datasets
from tf_transfer.configs import datasets as datasets_config
from tf_transfer.datasets import table
from tf_transfer.errors import InputError
from tf_transfer.jobs import datasets as datasets_job

HERE = ('pets', 'dtd', 'voc2007')


@pytest.fixture(autouse=True)
def rows(monkeypatch):
  monkeypatch.setattr(table, 'TABLE', miniatures.rows())


@pytest.fixture
def data_dir(tmp_path):
  for name in HERE:
    miniatures.make(name, tmp_path / 'data')
  return tmp_path / 'data'


@pytest.fixture
def examine(capsys):
  """Runs the doctor and returns what it prints, in one line each."""

  def run(data_dir, names='', workdir=None, **fields):
    config = datasets_config.get_config(names)
    config.data.dir = str(data_dir)
    config.update(fields)
    try:
      datasets_job.run(config.lock(), workdir)
    finally:
      text = ' '.join(capsys.readouterr().out.split())
    return text

  return run


def test_a_short_line_for_each(examine, data_dir):
  text = examine(data_dir)
  assert f'looking in {data_dir}' in text
  assert text.count(' not here ') == 10
  assert 'sun397 not here 397 classes, 794 / 397 / 794 images, top1' in text
  assert '3 of 13 are here' in text
  assert 'configs/datasets.py:NAME' in text
  assert 'princeton' not in text
  for name in HERE:
    found = datasets.open(name, data_dir=str(data_dir))
    assert f'official layout, {data_dir / name} ' in text
    for part, split in found.splits.items():
      assert f'{part} {split.hash[:16]}' in text
  assert 'validation drawn by name from each class, seed 0' in text
  assert text.count('validation is official') == 2


def test_how_to_get_those_that_are_asked_for(examine, data_dir):
  text = examine(data_dir, 'birdsnap,pets,aircraft')
  assert '1 of 3 are here' in text
  for words in (
    'birdsnap not here 500 classes',
    'http://thomasberg.org/',
    f'{data_dir}/birdsnap',
    'images.txt, test_images.txt, species.txt',
    'fetched from Flickr one by one',
    'beware: many photos are gone',
    'configs/datasets.py:birdsnap',
    '--config.data.prepare=True',
    'TFDS, fgvc_aircraft:1.*.*: put the folder fgvc-aircraft-2013b',
    'license: for non-commercial research',
    'cite: S. Maji',
  ):
    assert words in text, words


def test_problems_are_told_and_the_others_still_looked_at(examine, data_dir):
  (data_dir / 'dtd/images/class_0004/class_0004_val0.jpg').unlink()
  (data_dir / 'voc2007/ImageSets').rename(data_dir / 'voc2007/Sets')
  with pytest.raises(InputError, match='something is wrong with dtd: see'):
    examine(data_dir)
  config = datasets_config.get_config()
  config.data.dir = str(data_dir)
  with pytest.raises(InputError):
    datasets_job.run(config, None)


def test_what_is_told_of_problems(data_dir, capsys):
  (data_dir / 'dtd/images/class_0004/class_0004_val0.jpg').unlink()
  shutil.rmtree(data_dir / 'voc2007/ImageSets')
  config = datasets_config.get_config()
  config.data.dir = str(data_dir)
  with pytest.raises(InputError):
    datasets_job.run(config, None)
  text = ' '.join(capsys.readouterr().out.split())
  assert 'PROBLEM: ' in text
  assert '1 of the 94 images that it names are not there' in text
  assert 'voc2007 NOT WHOLE' in text
  assert 'has no ImageSets/Main' in text
  assert 'pets here 37 classes' in text


def test_images_that_cannot_be_decoded(examine, data_dir, tmp_path):
  work = tmp_path / 'work'
  assert 'decoded' not in examine(data_dir, 'pets', work)
  assert (work / 'digests').is_dir()
  text = examine(data_dir, 'pets', work, decode=True)
  assert 'all 185 images can be decoded' in text
  for number in (1001, 1004):
    path = data_dir / f'pets/images/class_0005_{number}.jpg'
    path.write_bytes(b'<html>404 Not Found</html>')
  assert 'decoded' not in examine(data_dir, 'pets', work)
  with pytest.raises(InputError, match='something is wrong with pets'):
    examine(data_dir, 'pets', work, decode=True)


def test_manifest(examine, data_dir, tmp_path):
  path = tmp_path / 'manifest.txt'
  names = 'pets,dtd'
  text = examine(data_dir, names, manifest=str(path))
  written = path.read_text()
  # Images, trimaps and lists of pets; images and six lists of dtd.
  assert f'manifest: {185 * 2 + 2 + 282 + 6} files written' in text
  result = subprocess.run(
    ['sha256sum', '--check', '--quiet', str(path)], cwd=data_dir, check=False
  )
  assert result.returncode == 0
  assert 'all 660 files are as' in examine(data_dir, names, manifest=str(path))
  assert path.read_text() == written
  # A part of what it lists may be asked for.
  assert 'all 372 files' in examine(data_dir, 'pets', manifest=str(path))
  image = data_dir / 'pets/images/class_0005_1001.jpg'
  image.write_bytes(miniatures.Photos(seed=5)())
  (data_dir / 'pets/annotations/trimaps/class_0005_1001.png').unlink()
  (data_dir / 'dtd/new').write_text('')
  with pytest.raises(InputError) as found:
    examine(data_dir, names, manifest=str(path))
  for words in (
    '1 have changed (pets/images/class_0005_1001.jpg)',
    '1 are gone (pets/annotations/trimaps/class_0005_1001.png)',
    '1 are not in it (dtd/new)',
  ):
    assert words in str(found.value)
  shutil.rmtree(data_dir / 'dtd')
  with pytest.raises(InputError, match='288 are gone'):
    examine(data_dir, 'dtd', manifest=str(path))
  path.write_text('something else\n')
  with pytest.raises(InputError, match='line 1: expected a SHA-256'):
    examine(data_dir, 'pets', manifest=str(path))


def test_bad_arguments(examine, data_dir, tmp_path):
  with pytest.raises(InputError, match='did you mean pets'):
    examine(data_dir, 'pet')
  with pytest.raises(InputError, match="unknown dataset 'digits'"):
    examine(data_dir, 'digits')
  with pytest.raises(InputError, match='cannot write'):
    examine(data_dir, 'pets', manifest=str(tmp_path / 'no' / 'manifest'))
  with pytest.raises(InputError, match='no such directory'):
    examine(tmp_path / 'none', 'pets')


def test_as_a_command(tmp_path):
  command = [
    *(sys.executable, '-m', 'tf_transfer.main'),
    '--config=configs/datasets.py:flowers',
    f'--config.data.dir={tmp_path}',
  ]
  root = pathlib.Path(__file__).parents[2]
  result = subprocess.run(
    command, capture_output=True, text=True, cwd=root, check=False
  )
  assert result.returncode == 0, result.stderr
  assert 'flowers     not here   102 classes' in result.stdout
  assert '1,020 / 1,020 / 6,149' in result.stdout
  assert max(map(len, result.stdout.splitlines())) <= 100
