"""Classifying folders, files and lists into a CSV file."""

import csv

import numpy as np
import pytest
from PIL import Image

from tests.networks import drawn
from tf_transfer import contract, errors, networks
from tf_transfer.configs import predict as config_lib
from tf_transfer.jobs import predict
from tf_transfer.networks import weights

CLASSES = ('=ant', 'bee', 'cow')


@pytest.fixture(scope='module')
def weights_file(tmp_path_factory):
  header = weights.Header(
    'inception_small',
    {},
    contract.Contract(32, (127.5,) * 3, (127.5,) * 3),
    num_classes=3,
    classes=CLASSES,
    resize='whole_image',
  )
  model = networks.build('inception_small', num_classes=3)
  path = tmp_path_factory.mktemp('net') / 'net.safetensors'
  weights.save(path, header, drawn.variables(model, 32))
  return path


@pytest.fixture
def folder(tmp_path):
  rng = np.random.default_rng(0)
  root = tmp_path / 'photos'
  (root / 'deeper').mkdir(parents=True)
  for name in ('b.png', '=a.jpg', 'deeper/c.PNG', '.hidden.png'):
    pixels = rng.integers(256, size=(20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(root / name)
  (root / 'notes.md').write_text('no image')
  return root


def rows(workdir):
  with open(workdir / 'predictions.csv') as file:
    return list(csv.DictReader(file))


def run(weights_file, path, workdir, **fields):
  config = config_lib.get_config(f'{weights_file},{path}')
  config.update(fields)
  predict.run(config, workdir)
  return rows(workdir)


def test_folder(weights_file, folder, tmp_path, capsys):
  found = run(weights_file, folder, tmp_path / 'out')
  assert [row['file'] for row in found] == ["'=a.jpg", 'b.png', 'deeper/c.PNG']
  net = networks.load(weights_file)
  wanted = net.predict([folder / n for n in ('=a.jpg', 'b.png')])
  for row, name, p in zip(
    found, wanted.names, wanted.probabilities, strict=False
  ):
    assert row['class'] == (f"'{name}" if name == '=ant' else name)
    np.testing.assert_allclose(float(row['probability']), p.max(), atol=1e-6)
    assert sum(float(row[f'probability{n}']) for n in ('', '_2', '_3')) == (
      pytest.approx(1, abs=1e-5)
    )
  assert '1 file of no image left out' in capsys.readouterr().out


def test_one_file_and_a_list(weights_file, folder, tmp_path):
  (one,) = run(weights_file, folder / 'b.png', tmp_path / 'out', num_classes=1)
  assert list(one) == ['file', 'class', 'probability', 'problem']
  (tmp_path / 'list.txt').write_text(f'photos/b.png\n\n{folder}/deeper/c.PNG\n')
  found = run(weights_file, tmp_path / 'list.txt', tmp_path / 'out')
  assert [row['file'] for row in found] == [
    'photos/b.png',
    'photos/deeper/c.PNG',
  ]
  assert found[0]['class'] == one['class']


def test_home_in_a_list(weights_file, folder, tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(folder))
  (tmp_path / 'list.txt').write_text('~/b.png\n')
  (row,) = run(weights_file, tmp_path / 'list.txt', tmp_path / 'out')
  assert row['file'] == 'photos/b.png'


def test_bad_files_have_a_row_and_end_with_an_error(
  weights_file, folder, tmp_path
):
  (folder / 'bad.png').write_text('no image')
  with pytest.raises(errors.InputError, match='1 of 4 images cannot be read'):
    run(weights_file, folder, tmp_path / 'out')
  found = rows(tmp_path / 'out')
  (bad,) = (row for row in found if row['problem'])
  assert (bad['file'], bad['class']) == ('bad.png', '')
  assert len(found) == 4


def test_nothing_to_classify(weights_file, tmp_path):
  for path, message in (
    (tmp_path / 'none', 'no file or folder'),
    (tmp_path, 'no images in'),
  ):
    with pytest.raises(errors.InputError, match=message):
      run(weights_file, path, tmp_path / 'out')
  with pytest.raises(errors.InputError, match='weights is missing'):
    predict.run(config_lib.get_config(), tmp_path)
