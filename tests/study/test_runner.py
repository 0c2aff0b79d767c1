"""A study in process: records, repetition, and what is refused early."""

import dataclasses
import json

import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from tests.datasets import miniatures
from tests.study.report import page_records
from tf_transfer import errors
from tf_transfer.datasets import table
from tf_transfer.networks import weights
from tf_transfer.study import runner
from tf_transfer.study.analysis import ties
from tf_transfer.study.figures import canvas
from tf_transfer.study.paper import numbers as numbers_lib
from tf_transfer.transfer.fixed_features import classifiers


def records(workdir):
  lines = (workdir / 'results.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]


def test_one_cell(tmp_path, small_config, capsys):
  runner.run(small_config, tmp_path)
  out = capsys.readouterr().out
  assert '1 cells: 0 found' in out
  (record,) = records(tmp_path)
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
  runner.run(small_config, tmp_path)
  out = capsys.readouterr().out
  assert '1 cells: 1 found' in out
  assert '0 to run' in out
  assert f'{record["test"]["value"]:.2%}' in out
  assert (tmp_path / 'results.jsonl').stat().st_mtime_ns == before


def test_a_run_ends_with_its_report(tmp_path, small_config, capsys):
  small_config.report = True
  runner.run(small_config, tmp_path)
  assert f'report   {tmp_path / "report.html"}' in capsys.readouterr().out
  (record,) = records(tmp_path)
  page = (tmp_path / 'report.html').read_text()
  assert 'no correlation of 1 network' in page
  assert record['weights_sha256'] in page
  # Of a ledger what the run was asked for is shown.
  small_config.settings = ('ridge',)
  runner.run(small_config, tmp_path)
  assert 'Logistic regression' not in (tmp_path / 'report.html').read_text()


def test_another_setting_is_another_record(tmp_path, small_config):
  runner.run(small_config, tmp_path)
  small_config.logistic_regression.num_penalties = 4
  runner.run(small_config, tmp_path)
  assert [len(r['validation_curve']) for r in records(tmp_path)] == [5, 4]


def test_classifiers_side_by_side(tmp_path, small_config, capsys):
  small_config.settings = tuple(classifiers.CLASSIFIERS)
  small_config.linear_svm.num_penalties = 3
  small_config.linear_svm.penalty_min = 1e-1
  small_config.linear_svm.penalty_max = 1e1
  runner.run(small_config, tmp_path)
  out = capsys.readouterr().out
  found = {record['setting']: record for record in records(tmp_path)}
  assert tuple(found) == tuple(classifiers.CLASSIFIERS)
  assert len({record['identity'] for record in found.values()}) == 4
  for setting, record in found.items():
    assert list(record['search']) == sorted(small_config[setting].to_dict())
    assert record['test']['value'] > 0.5
  (chosen,) = found['nearest_neighbors']['chosen'].values()
  assert f'neighbors {chosen}' in out


def test_features_of_a_layer_are_another_record(tmp_path, small_config):
  small_config.settings = ('ridge',)
  runner.run(small_config, tmp_path)
  small_config.features.layer = 'stage7_block1'
  small_config.features.pyramid = (1, 2)
  small_config.image_size = 40
  runner.run(small_config, tmp_path)
  plain, layer = records(tmp_path)
  assert (plain['layer'], plain['pyramid'], plain['image_size']) == ('', [1], 0)
  assert layer['layer'] == 'stage7_block1'
  assert layer['pyramid'] == [1, 2]
  assert layer['image_size'] == 40
  small_config.features.layer = 'stage7_block9'
  with pytest.raises(errors.InputError, match='did you mean stage7_block1'):
    runner.run(small_config, tmp_path)


def make_folder(root, corrupt=False):
  rng = np.random.default_rng(0)
  for label, name in enumerate(('dark', 'light')):
    (root / name).mkdir(parents=True)
    for number in range(30):
      pixels = rng.integers(0, 100, (20, 30, 3)) + 120 * label
      Image.fromarray(pixels.astype(np.uint8)).save(
        root / name / f'{number}.png'
      )
  if corrupt:
    path = root / 'dark' / '7.png'
    path.write_bytes(path.read_bytes()[:-200])
  return root


def test_folder_with_a_corrupt_image(tmp_path, small_config, capsys):
  root = make_folder(tmp_path / 'images', corrupt=True)
  small_config.datasets = (f'folder:{root}',)
  with pytest.raises(errors.InputError, match=r'dark.7\.png'):
    runner.run(small_config, tmp_path / 'work')
  assert not (tmp_path / 'work' / 'results.jsonl').exists()
  small_config.data.corrupt = 'skip'
  runner.run(small_config, tmp_path / 'work')
  (record,) = records(tmp_path / 'work')
  assert len(record['skipped']) == 1
  assert '7.png' in record['skipped'][0]
  assert '1 corrupt images left out' in capsys.readouterr().out
  assert record['test']['value'] == 1.0


def test_unconverged_fits_are_said(tmp_path, small_config, capsys, caplog):
  small_config.logistic_regression.max_evaluations = 2
  runner.run(small_config, tmp_path)
  (record,) = records(tmp_path)
  assert not record['solver']['converged']
  assert record['solver']['unconverged_penalties']
  assert 'did NOT converge' in caplog.text
  assert capsys.readouterr().out.count(' NO\n') == 1


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'networks': ('resnet5',)}, 'unknown network'),
    ({'networks': ()}, r'config\.networks is empty'),
    ({'datasets': ('digits', 'digits')}, 'names one twice'),
    ({'datasets': ('digitz',)}, 'did you mean digits'),
    ({'settings': ('finetuned',)}, 'unknown setting'),
    ({'networks': ('none.safetensors',)}, 'no weights file at'),
    ({'datasets': ('folder:none',)}, 'no such directory'),
    ({'data.corrupt': 'ignore'}, "expected 'error' or 'skip'"),
    ({'logistic_regression.num_penalties': 0}, 'expected 1 or more'),
    ({'logistic_regression.penalty_min': 0.0}, 'penalty_min'),
    ({'features.batch_size': 0}, 'expected 1 or more'),
    ({'features.cache_gib': -1.0}, 'expected 0 or more gigabytes'),
    ({'features.pyramid': (1, 2)}, 'name a layer'),
    (
      {
        'settings': ('nearest_neighbors',),
        'nearest_neighbors.neighbors': (0, 1),
      },
      'neighbors: expected 1 or more',
    ),
  ],
)
def test_refused_before_anything_is_written(
  tmp_path, small_config, change, message
):
  small_config.update_from_flattened_dict(change)
  with pytest.raises(errors.InputError, match=message):
    runner.run(small_config, tmp_path / 'work')
  assert not (tmp_path / 'work').exists()


def test_workdir_that_cannot_be_written(tmp_path, small_config):
  (tmp_path / 'file').write_text('')
  with pytest.raises(errors.InputError, match='cannot write'):
    runner.run(small_config, tmp_path / 'file')


def test_event_files_hold_the_curve(tmp_path, small_config):
  from tensorboard.backend.event_processing import event_accumulator

  small_config.tensorboard = True
  runner.run(small_config, tmp_path)
  (record,) = records(tmp_path)
  directory = tmp_path / 'tensorboard' / record['identity']
  events = event_accumulator.EventAccumulator(str(directory))
  events.Reload()
  tensors = events.Tensors('validation/top1')
  curve = [float(np.ravel(_value(e.tensor_proto))[0]) for e in tensors]
  np.testing.assert_allclose(curve, record['validation_curve'], rtol=1e-6)


def _value(proto):
  from tensorboard.util import tensor_util

  return tensor_util.make_ndarray(proto)


def test_two_networks_that_share_a_name(tmp_path, small_config, small_lite0):
  """Weights files tell networks apart by content, not by name."""
  header = dataclasses.replace(small_lite0.header, imagenet_top1=None)
  other = tmp_path / 'other.safetensors'
  weights.save(other, header, small_lite0.variables)
  small_config.networks = (*small_config.networks, str(other))
  runner.run(small_config, tmp_path / 'work')
  first, second = records(tmp_path / 'work')
  assert first['weights_sha256'] != second['weights_sha256']
  assert second['imagenet_top1'] is None


def test_one_of_the_papers_datasets(
  tmp_path, small_config, monkeypatch, capsys
):
  """VOC in miniature, from its official layout to the table."""
  monkeypatch.setattr(table, 'ROWS', miniatures.rows())
  miniatures.make('voc2007', tmp_path / 'data')
  small_config.datasets = ('voc2007',)
  with pytest.raises(errors.InputError, match='official archives'):
    runner.run(small_config, tmp_path / 'work')
  assert not (tmp_path / 'work').exists()
  small_config.data.dir = str(tmp_path / 'data')
  small_config.features.cache_dir = ''
  runner.run(small_config, tmp_path / 'work')
  (record,) = records(tmp_path / 'work')
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


@pytest.mark.parametrize(
  ('networks', 'settings', 'numbers'),
  [
    (3, ('logistic_regression',), (1, 2)),
    (3, ('logistic_regression', 'fine_tuned'), (1, 2, 6)),
    (3, numbers_lib.SETTINGS, (1, 2, 6, 7)),
    (1, ('fine_tuned', 'random_init'), (6, 7)),
  ],
)
@pytest.mark.parametrize('holm', [False, True])
def test_figures_that_the_settings_are_enough_for(
  tmp_path, monkeypatch, networks, settings, numbers, holm
):
  asked, saved = [], []

  def tied(records, workdir, *, correct_with_holm):
    asked.append(correct_with_holm)
    return {}

  monkeypatch.setattr(ties, 'find_ties', tied)
  monkeypatch.setattr(
    canvas, 'save', lambda figure, path: (saved.append(path), plt.close(figure))
  )
  cells = page_records.of_the_paper(networks, settings)
  drawn = runner._draw(
    [fields for fields, _ in cells], tmp_path, correct_with_holm=holm
  )
  assert drawn == saved
  found = [path.name for path in drawn if path.name.startswith('figure')]
  assert found == [f'figure_{number}' for number in numbers]
  assert asked == [holm] * (1 in numbers)
