"""Features as arrays with the files that they are of."""

import csv

import numpy as np
import pytest

from tests.study import studies
from tf_transfer import datasets, errors, networks
from tf_transfer.configs import features as config_lib
from tf_transfer.images import resizing
from tf_transfer.jobs import features


def run(tiny_config, dataset, workdir, **fields):
  config = config_lib.get_config(f'tiny,{dataset}')
  config.weights_dir = tiny_config.weights_dir
  config.update(fields)
  features.run(config, workdir)
  with open(workdir / 'files.csv') as file:
    return np.load(workdir / 'features.npy'), list(csv.DictReader(file))


def test_features_of_a_dataset(tiny_config, tmp_path):
  values, rows = run(tiny_config, 'digits', tmp_path)
  dataset = datasets.open('digits')
  assert values.dtype == np.float32
  assert len(values) == len(rows) == sum(map(len, dataset.splits.values()))
  net = networks.load(f'{tiny_config.weights_dir}/tiny.safetensors')
  for i in (0, len(rows) - 1):
    split = dataset.splits[rows[i]['split']]
    index = int(rows[i]['index'])
    assert rows[i]['class'] == dataset.classes[split.labels[index]]
    pixels = resizing.whole_image(split.read(index), net.contract)
    wanted = net.features(net.contract.scale(pixels[None]))[0]
    np.testing.assert_allclose(values[i], wanted, atol=1e-5)


def test_folder_with_and_without_classes(tiny_config, tmp_path):
  folder = studies.make_folder(tmp_path / 'photos')
  values, rows = run(tiny_config, f'folder:{folder}', tmp_path / 'a')
  plain, files = run(tiny_config, folder, tmp_path / 'b')
  assert len(values) == len(plain) == len(rows) == len(files)
  assert {row['class'] for row in files} == {''}
  by_file = {
    row['file'].removeprefix(f'{folder}/'): value
    for row, value in zip(rows, values, strict=True)
  }
  for row, value in zip(files, plain, strict=True):
    np.testing.assert_allclose(by_file[row['file']], value, atol=1e-5)


def test_bad_image_of_a_folder_names_the_field(tiny_config, tmp_path):
  folder = studies.make_folder(tmp_path / 'photos')
  (tmp_path / 'photos/bad.png').write_text('no image')
  with pytest.raises(errors.InputError) as raised:
    run(tiny_config, folder, tmp_path / 'a')
  assert 'photos/bad.png' in str(raised.value)
  assert str(raised.value).endswith('or set --config.data.corrupt=skip')


def test_parquet_without_pyarrow(tiny_config, tmp_path, monkeypatch):
  monkeypatch.setitem(__import__('sys').modules, 'pyarrow.parquet', None)
  with pytest.raises(errors.InputError, match=r'tf-transfer\[parquet\]'):
    run(tiny_config, 'digits', tmp_path, parquet=True)
