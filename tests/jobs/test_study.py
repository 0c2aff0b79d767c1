"""Studies from end to end."""

import dataclasses
import json
import pathlib
import random
import signal
import subprocess
import sys
import time

import ml_collections
import numpy as np
import pytest

from tests.datasets import miniatures
from tests.study.studies import comparable, make_folder, read_records
from tf_transfer import errors
from tf_transfer.datasets import table
from tf_transfer.jobs import study
from tf_transfer.networks import weights
from tf_transfer.study import cells as cells_lib
from tf_transfer.study import ledger, predictions, shards
from tf_transfer.transfer.fixed_features import classifiers

ROOT = pathlib.Path(__file__).parents[2]


def test_one_cell(tmp_path, small_config, capsys):
  study.run(small_config, tmp_path)
  out = capsys.readouterr().out
  assert '1 cell: 0 found' in out
  (record,) = read_records(tmp_path)
  assert record['network'] == 'efficientnet_lite0'
  assert record['dataset'] == 'digits'
  assert record['setting'] == 'logistic_regression'
  assert record['test']['examples'] == 367
  assert (
    record['test']['low'] < record['test']['value'] < record['test']['high']
  )
  assert record['test']['value'] > 0.5
  assert len(record['validation_curve']) == 5
  assert record['validation']['value'] == max(record['validation_curve'])
  assert set(record['splits_sha256']) == {'train', 'val', 'test'}
  assert record['search'] == small_config.logistic_regression.to_dict()
  with np.load(tmp_path / record['predictions']) as predictions:
    assert predictions['correct'].mean() == record['test']['value']
  assert (tmp_path / 'accuracy_vs_imagenet.png').stat().st_size > 5000
  assert f'{record["test"]["value"]:.2%}' in out

  before = (tmp_path / 'results.jsonl').stat().st_mtime_ns
  study.run(small_config, tmp_path)
  out = capsys.readouterr().out
  assert '1 cell: 1 found' in out
  assert '0 to run' in out
  assert f'{record["test"]["value"]:.2%}' in out
  assert (tmp_path / 'results.jsonl').stat().st_mtime_ns == before


def test_a_run_ends_with_its_report(tmp_path, small_config, capsys):
  small_config.report = True
  study.run(small_config, tmp_path)
  assert f'report   {tmp_path / "report.html"}' in capsys.readouterr().out
  (record,) = read_records(tmp_path)
  page = (tmp_path / 'report.html').read_text()
  assert 'no correlation of 1 network' in page
  assert record['weights_sha256'] in page
  # Of a ledger what the run was asked for is shown.
  small_config.settings = ('ridge',)
  study.run(small_config, tmp_path)
  page = (tmp_path / 'report.html').read_text()
  shown, _, log = page.partition('<table id="test-reads"')
  assert 'Logistic regression' not in shown
  # It was evaluated, though, on the same test split.
  assert 'Logistic regression' in log


def test_another_setting_is_another_record(tmp_path, small_config):
  study.run(small_config, tmp_path)
  small_config.logistic_regression.num_penalties = 4
  study.run(small_config, tmp_path)
  assert [len(r['validation_curve']) for r in read_records(tmp_path)] == [5, 4]


def test_classifiers_side_by_side(tmp_path, small_config, capsys):
  small_config.settings = tuple(classifiers.CLASSIFIERS)
  small_config.linear_svm.num_penalties = 3
  small_config.linear_svm.penalty_min = 1e-1
  small_config.linear_svm.penalty_max = 1e1
  study.run(small_config, tmp_path)
  out = capsys.readouterr().out
  found = {record['setting']: record for record in read_records(tmp_path)}
  assert tuple(found) == tuple(classifiers.CLASSIFIERS)
  assert len({record['identity'] for record in found.values()}) == len(found)
  for setting, record in found.items():
    fields = small_config.get(setting, ml_collections.ConfigDict())
    assert list(record['search']) == sorted(fields.to_dict())
    assert record['test']['value'] > 0.5
  (chosen,) = found['nearest_neighbors']['chosen'].values()
  assert f'neighbors {chosen}' in out


def test_features_of_a_layer_are_another_record(tmp_path, small_config):
  small_config.settings = ('ridge',)
  study.run(small_config, tmp_path)
  small_config.features.layer = 'stage7_block1'
  small_config.features.pyramid = (1, 2)
  small_config.image_size = 40
  study.run(small_config, tmp_path)
  plain, layer = read_records(tmp_path)
  assert (plain['layer'], plain['pyramid'], plain['image_size']) == ('', [1], 0)
  assert layer['layer'] == 'stage7_block1'
  assert layer['pyramid'] == [1, 2]
  assert layer['image_size'] == 40
  small_config.features.layer = 'stage7_block9'
  with pytest.raises(errors.InputError, match='did you mean stage7_block1'):
    study.run(small_config, tmp_path)


def test_folder_with_a_corrupt_image(tmp_path, small_config, capsys):
  root = make_folder(tmp_path / 'images', corrupt=True)
  small_config.datasets = (f'folder:{root}',)
  with pytest.raises(errors.InputError, match=r'dark.7\.png'):
    study.run(small_config, tmp_path / 'work')
  assert not (tmp_path / 'work' / 'results.jsonl').exists()
  small_config.data.corrupt = 'skip'
  study.run(small_config, tmp_path / 'work')
  (record,) = read_records(tmp_path / 'work')
  assert len(record['skipped']) == 1
  assert '7.png' in record['skipped'][0]
  assert '1 corrupt image left out' in capsys.readouterr().out
  assert record['test']['value'] == 1.0


def test_unconverged_fits_are_said(tmp_path, small_config, capsys, caplog):
  small_config.logistic_regression.max_evaluations = 2
  study.run(small_config, tmp_path)
  (record,) = read_records(tmp_path)
  assert not record['solver']['converged']
  assert record['solver']['unconverged_penalties']
  assert 'did NOT converge' in caplog.text
  assert capsys.readouterr().out.count(' NO\n') == 1


def test_workdir_that_cannot_be_written(tmp_path, small_config):
  (tmp_path / 'file').write_text('')
  with pytest.raises(errors.InputError, match='cannot write'):
    study.run(small_config, tmp_path / 'file')


def test_event_files_hold_the_curve(tmp_path, small_config):
  from tensorboard.backend.event_processing import event_accumulator

  small_config.tensorboard = True
  study.run(small_config, tmp_path)
  (record,) = read_records(tmp_path)
  directory = tmp_path / 'tensorboard' / record['identity']
  events = event_accumulator.EventAccumulator(str(directory))
  events.Reload()
  tensors = events.Tensors('validation/top1')
  curve = [float(np.ravel(_value(e.tensor_proto))[0]) for e in tensors]
  np.testing.assert_allclose(curve, record['validation_curve'], rtol=1e-6)


def test_two_networks_that_share_a_name(tmp_path, small_config, small_lite0):
  """Weights files tell networks apart by content, not by name."""
  header = dataclasses.replace(small_lite0.header, imagenet_top1=None)
  other = tmp_path / 'other.safetensors'
  weights.save(other, header, small_lite0.variables)
  small_config.networks = (*small_config.networks, str(other))
  study.run(small_config, tmp_path / 'work')
  first, second = read_records(tmp_path / 'work')
  assert first['weights_sha256'] != second['weights_sha256']
  assert second['imagenet_top1'] is None


def test_one_of_the_papers_datasets(
  tmp_path, small_config, monkeypatch, capsys
):
  """VOC in miniature, from its official layout to the table."""
  monkeypatch.setattr(table, 'TABLE', miniatures.rows())
  miniatures.make('voc2007', tmp_path / 'data')
  small_config.datasets = ('voc2007',)
  with pytest.raises(errors.InputError, match='official archives'):
    study.run(small_config, tmp_path / 'work')
  assert not (tmp_path / 'work').exists()
  small_config.data.dir = str(tmp_path / 'data')
  small_config.features.cache_dir = ''
  study.run(small_config, tmp_path / 'work')
  (record,) = read_records(tmp_path / 'work')
  assert record['metric'] == 'map11'
  assert record['test']['examples'] == 40
  assert 0 < record['test']['value'] < 1
  with np.load(tmp_path / 'work' / record['predictions']) as predictions:
    assert predictions['prediction'].shape == (40, 20)
    assert predictions['correct'].shape == (40, 20)
    assert set(np.unique(predictions['label'])) == {-1, 0, 1}
  out = capsys.readouterr().out
  assert 'voc2007: 20 classes, 40 train, 20 val, 40 test' in out
  assert '11-point mean average precision' in out
  assert len(list((tmp_path / 'work/digests').iterdir())) == 3


def _value(proto):
  from tensorboard.util import tensor_util

  return tensor_util.make_ndarray(proto)


def test_conflicting_ledgers_are_said(tmp_path, tiny_config, capsys):
  tiny_config.networks = (str(tmp_path / 'weights' / 'tiny.safetensors'),)
  tiny_config.settings = ('ridge',)
  study.run(tiny_config, tmp_path)
  (record,) = read_records(tmp_path)
  record['test'].update(value=0.123, low=0.1)
  other = ledger.Ledger(tmp_path, shards.Shard(1, 2))
  other.put({record['identity']: record})
  with pytest.raises(errors.InputError, match='different results'):
    study.run(tiny_config, tmp_path)
  assert 'and 0.123' in capsys.readouterr().out
  assert len(read_records(tmp_path)) == 1
  assert read_records(tmp_path)[0]['test']['value'] != 0.123


def run_tiny(workdir, *more):
  return subprocess.run(
    [sys.executable, '-m', 'tests.study.tiny', str(workdir), *more],
    capture_output=True,
    text=True,
    cwd=ROOT,
    check=False,
  )


@pytest.mark.slow
def test_killed_three_times(tmp_path):
  """Within features, after a record, and within training."""
  for event, number in (('shard', '4'), ('record', '2'), ('checkpoint', '2')):
    result = run_tiny(tmp_path / 'killed', event, number)
    assert result.returncode == -signal.SIGKILL, result.stderr
  result = run_tiny(tmp_path / 'killed')
  assert result.returncode == 0, result.stderr
  assert '5 cells: 3 found in the ledger, 2 to run' in result.stdout
  result = run_tiny(tmp_path / 'undisturbed')
  assert result.returncode == 0, result.stderr
  found = comparable(tmp_path / 'killed')
  assert len(found) == 5
  assert found == comparable(tmp_path / 'undisturbed')
  assert list((tmp_path / 'killed' / 'claims').iterdir()) == []


@pytest.mark.slow
def test_real_networks_killed_three_times(tmp_path, photos):
  """configs/offline_study.py, without Fashion-MNIST, by its own command."""

  def command(workdir):
    return [
      *(sys.executable, '-m', 'tf_transfer.main', f'--workdir={workdir}'),
      f'--config=configs/offline_study.py:{photos}',
      f"--config.datasets=('digits','folder:{photos}')",
      '--config.fine_tuned.steps=6',
      '--config.fine_tuned.checkpoint_every=2',
      '--config.tensorboard=False',
    ]

  started = time.monotonic()
  result = subprocess.run(
    command(tmp_path / 'undisturbed'), capture_output=True, text=True, cwd=ROOT
  )
  assert result.returncode == 0, result.stderr
  duration = time.monotonic() - started
  moments = random.Random(0)
  for _ in range(3):
    process = subprocess.Popen(
      command(tmp_path / 'killed'),
      cwd=ROOT,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    )
    time.sleep(moments.uniform(0.2, 0.5) * duration)
    process.send_signal(signal.SIGKILL)
    process.wait()
  result = subprocess.run(
    command(tmp_path / 'killed'), capture_output=True, text=True, cwd=ROOT
  )
  assert result.returncode == 0, result.stderr
  found = comparable(tmp_path / 'killed')
  assert len(found) == 9
  assert found == comparable(tmp_path / 'undisturbed')
  fixed = [r for r in found if r['setting'] == 'logistic_regression']
  assert all(r['solver']['converged'] for r in fixed)
  assert min(r['test']['value'] for r in fixed) > 0.9


@pytest.mark.usefixtures('no_figures')
def test_a_workdir_of_schema_2_is_found_by_any_name_of_its_folder(
  tmp_path, tiny_config, capsys, monkeypatch
):
  work, photos = tmp_path / 'work', make_folder(tmp_path / 'photos')
  tiny_config.networks = (str(tmp_path / 'weights' / 'tiny.safetensors'),)
  tiny_config.settings = ('ridge',)
  tiny_config.datasets = (f'folder:{photos}/',)
  study.run(tiny_config, work)
  (record,) = read_records(work)
  # As version 0.1.0 wrote it: with the path as it was typed in its identity.
  ((cell,), _) = cells_lib.list_cells(tiny_config, work)
  old = {
    **record,
    'schema': 2,
    'dataset': f'folder:{photos}/',
    'identity': cell.former_identity,
    'predictions': f'predictions/{cell.former_identity}.npz',
  }
  (work / record['predictions']).rename(work / old['predictions'])
  (work / 'results.jsonl').write_text(json.dumps(old) + '\n')
  monkeypatch.chdir(tmp_path)
  for name in ('photos', './photos/', photos):
    capsys.readouterr()
    tiny_config.datasets = (f'folder:{name}',)
    (found,) = study.run(tiny_config, work)
    assert '1 found in the ledger, 0 to run' in capsys.readouterr().out
    assert found['test'] == record['test']
    assert predictions.read(found, work)
  assert read_records(work) == [old]
