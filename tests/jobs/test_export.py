"""The jobs export and predict, after a study of a folder that is gone."""

import csv
import shutil

import numpy as np
import pytest

from tests.study import studies
from tf_transfer import errors, networks
from tf_transfer.configs import export as export_config
from tf_transfer.configs import predict as predict_config
from tf_transfer.jobs import export, predict, study
from tf_transfer.networks import weights
from tf_transfer.study import ledger, predictions


@pytest.mark.usefixtures('no_figures')
def test_study_export_predict(tiny_config, tmp_path, capsys):
  folder = studies.make_folder(tmp_path / 'photos, mine')
  name, workdir = f'folder:{folder}', tmp_path / 'work'
  with tiny_config.unlocked():
    tiny_config.networks = ('tiny',)
    tiny_config.datasets = (name,)
  study.run(tiny_config, workdir)
  kept = tmp_path / 'kept'
  shutil.move(folder, kept)
  config = export_config.get_config(f'tiny,{name}')
  config.weights_dir = tiny_config.weights_dir
  with pytest.raises(errors.InputError, match='2 records fit'):
    export.run(config, workdir)
  config.setting = 'ridge'
  export.run(config, workdir)
  (path,) = (workdir / 'exports').iterdir()
  printed = capsys.readouterr().out
  assert str(path) in printed
  assert '--config=predict:' in printed
  for form in ('stablehlo', 'saved_model'):
    config.format = form
    config.output = str(tmp_path / f'net.{form}')
    export.run(config, workdir)
    assert (tmp_path / f'net.{form}').exists()
    assert (tmp_path / f'net.{form}.json').exists()

  predict.run(
    predict_config.get_config(f'{path},{kept}'), tmp_path / 'predicted'
  )
  with open(tmp_path / 'predicted' / 'predictions.csv') as file:
    rows = {row['file']: row for row in csv.DictReader(file)}
  (record,) = (
    r for r in ledger.read_all(workdir).values() if r['setting'] == 'ridge'
  )
  stored = predictions.read(record, workdir)
  classes = weights.read_header(path).classes
  net = networks.load(path)
  for described, label in zip(
    stored['name'], stored['prediction'], strict=True
  ):
    file = str(described).removeprefix(f'{folder}/')
    assert rows[file]['class'] == classes[label]
    found = net.predict(kept / file)
    assert found.names == (classes[label],)
    np.testing.assert_allclose(
      float(rows[file]['probability']), found.probabilities.max(), atol=1e-5
    )


def test_workdir_without_records(tmp_path):
  config = export_config.get_config('tiny,digits')
  with pytest.raises(errors.InputError, match='no records in'):
    export.run(config, tmp_path)


def test_a_workdir_without_records(tmp_path):
  with pytest.raises(errors.InputError, match='no records in .*a study that'):
    export.run(export_config.get_config(), tmp_path)
