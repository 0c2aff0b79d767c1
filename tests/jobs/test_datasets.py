"""The job that examines datasets."""

import pathlib
import subprocess
import sys

import pytest

from tests.datasets import image_folders, miniatures
from tf_transfer.configs import datasets as datasets_config
from tf_transfer.datasets import table
from tf_transfer.errors import InputError
from tf_transfer.jobs import datasets as datasets_job


@pytest.fixture(autouse=True)
def rows(monkeypatch):
  """Makes the table expect the counts of the miniatures."""
  monkeypatch.setattr(table, 'TABLE', miniatures.rows())


@pytest.fixture
def data_dir(tmp_path):
  """A directory with three of the datasets."""
  for name in ('pets', 'dtd', 'voc2007'):
    miniatures.make(name, tmp_path / 'data')
  return tmp_path / 'data'


@pytest.fixture
def run(capsys):
  """Runs the job; returns its output on one line."""

  def run_job(data_dir, names='', workdir=None, **fields):
    config = datasets_config.get_config(names)
    config.data.dir = str(data_dir)
    config.update(fields)
    datasets_job.run(config.lock(), workdir)
    return ' '.join(capsys.readouterr().out.split())

  return run_job


def test_all_datasets(run, data_dir):
  text = run(data_dir)
  assert f'looking in {data_dir}' in text
  assert '3 of 13 found' in text
  assert 'configs/datasets.py:NAME' in text
  assert 'pitfalls: ' not in text


def test_named_datasets_are_explained(run, data_dir):
  text = run(data_dir, 'birdsnap,pets,aircraft')
  assert '1 of 3 found' in text
  assert text.count('pitfalls: ') == 2


def test_a_faulty_dataset_is_an_error(run, data_dir):
  (data_dir / 'dtd/images/class_0004/class_0004_val0.jpg').unlink()
  with pytest.raises(InputError, match='dtd: there are problems, see above'):
    run(data_dir)


def test_digests_are_kept_in_the_workdir(run, data_dir, tmp_path):
  work = tmp_path / 'work'
  text = run(data_dir, 'pets', work)
  assert (work / 'digests').is_dir()
  assert 'decoded' not in text
  assert 'all 185 images can be decoded' in run(
    data_dir, 'pets', work, decode=True
  )


def test_manifest(run, data_dir, tmp_path):
  path = tmp_path / 'manifest.txt'
  text = run(data_dir, 'pets,dtd', manifest=str(path))
  assert 'manifest: 660 files written' in text
  (data_dir / 'dtd/new').write_text('')
  with pytest.raises(InputError, match='1 not in it .dtd/new'):
    run(data_dir, 'dtd', manifest=str(path))


def test_bad_arguments(run, data_dir, tmp_path):
  with pytest.raises(InputError, match='did you mean pets'):
    run(data_dir, 'pet')
  with pytest.raises(InputError, match='cannot write'):
    run(data_dir, 'pets', manifest=str(tmp_path / 'no' / 'manifest'))
  with pytest.raises(InputError, match='no such directory'):
    run(tmp_path / 'none', 'pets')


def test_a_folder(run, tmp_path):
  root = image_folders.write(tmp_path / 'a,b', image_folders.animals())
  text = run('', f'folder:{root}', tmp_path / 'work')
  assert f'folder:{root}' in text
  assert '2 classes' in text
  assert 'looking in' not in text
  assert (tmp_path / 'work' / 'digests').is_dir()


def test_folders_beside_datasets(run, data_dir, tmp_path):
  for name in ('one', 'two'):
    image_folders.write(tmp_path / name, image_folders.animals())
  paths = f'folder:{tmp_path}/one,folder:{tmp_path}/two'
  text = run(data_dir, f'pets,{paths}')
  assert '1 of 1 found' in text
  assert text.count('total 12 4 4 20') == 2


def test_what_stops_a_job_on_a_folder_is_an_error(run, tmp_path):
  files = {**image_folders.animals(), 'cat/cut.png': b''}
  root = image_folders.write(tmp_path / 'images', files)
  with pytest.raises(InputError, match='there are problems, see above'):
    run('', f'folder:{root}')
  config = datasets_config.get_config(f'folder:{root}')
  config.data.corrupt = 'skip'
  datasets_job.run(config.lock(), None)
  with pytest.raises(InputError, match='there are problems, see above'):
    run('', f'folder:{tmp_path}/none')
  with pytest.raises(InputError, match='manifest'):
    run('', f'folder:{root}', manifest=str(tmp_path / 'manifest'))


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
  assert 'flowers     missing    102 classes' in result.stdout
  assert '1,020 / 1,020 / 6,149' in result.stdout
  assert max(map(len, result.stdout.splitlines())) <= 100
