"""A study of several networks: the plan, what fails, parts, kills."""

import dataclasses
import json
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tests.study import tiny
from tf_transfer import datasets, errors, networks
from tf_transfer.datasets.sources import fashion_mnist
from tf_transfer.jobs import study
from tf_transfer.runtime import files
from tf_transfer.study import failures, ledger, plan, shards
from tf_transfer.transfer.fixed_features import evaluate as evaluate_lib

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path, monkeypatch):
  """Three tiny networks × digits × two classifiers."""
  for name in ('tiny', 'tinier'):
    monkeypatch.setitem(networks.TABLE, name, tiny.ROW)
  monkeypatch.setattr(fashion_mnist, 'DEBIAN_DIR', str(tmp_path / 'none'))
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'none'))
  tiny.write_weights(tmp_path / 'weights')
  return tiny.config(tmp_path / 'weights')


def records(workdir, name='results.jsonl'):
  path = workdir / name
  if not path.exists():
    return []
  return [json.loads(line) for line in path.read_text().splitlines()]


def comparable(workdir):
  found = records(workdir)
  for record in found:
    del record['seconds'], record['finished']
  return sorted(found, key=lambda record: record['identity'])


def cells(found):
  return sorted(
    (r['weights_sha256'], r['dataset'], r['setting']) for r in found
  )


def make_folder(root, corrupt=False):
  rng = np.random.default_rng(0)
  for label, name in enumerate(('dark', 'light')):
    (root / name).mkdir(parents=True, exist_ok=True)
    for number in range(20):
      pixels = rng.integers(0, 100, (8, 8, 3)) + 120 * label
      Image.fromarray(pixels.astype(np.uint8)).save(
        root / name / f'{number}.png'
      )
  if corrupt:
    path = root / 'dark' / '7.png'
    path.write_bytes(path.read_bytes()[:-40])


def test_all_that_is_there(tmp_path, config, capsys, monkeypatch):
  """And each image is decoded once for all three networks."""
  decoded = []

  def open_counted(*arguments, **options):
    dataset = datasets.open(*arguments, **options)

    def counted(name, split):
      def read(i):
        decoded.append((name, i))
        return split.read(i)

      return dataclasses.replace(split, read=read)

    splits = {n: counted(n, split) for n, split in dataset.splits.items()}
    return dataclasses.replace(dataset, splits=splits)

  monkeypatch.setattr(
    plan, 'datasets', type('', (), {**vars(datasets), 'open': open_counted})
  )
  config.datasets = ('all',)
  study.run(config, tmp_path / 'work')
  out = capsys.readouterr().out
  assert '6 cells: 0 found in the ledger, 6 to run' in out
  assert 'give or take a factor of three' in out
  assert len(decoded) == len(set(decoded)) == 1797
  found = records(tmp_path / 'work')
  assert len(found) == 6
  assert {r['dataset'] for r in found} == {'digits'}
  # Two weights of one architecture are told apart in table and figures.
  assert out.count('tinier (') > 4
  names = {path.name for path in (tmp_path / 'work').glob('*.png')}
  assert names == {
    'accuracy_vs_imagenet_logistic_regression.png',
    'accuracy_vs_imagenet_ridge.png',
    'figure_1.png',
    'figure_2.png',
  }
  assert not (tmp_path / 'work' / 'failures.jsonl').exists()
  decoded.clear()
  study.run(config, tmp_path / 'work')
  assert '6 found in the ledger, 0 to run' in capsys.readouterr().out
  assert not decoded


def test_only_the_plan(tmp_path, config, capsys):
  config.only_plan = True
  config.leave_out = (*config.leave_out, ('tiny', 'digits', 'ridge'))
  study.run(config, tmp_path)
  out = capsys.readouterr().out
  assert '5 cells: 0 found in the ledger, 5 to run' in out
  # Under logistic regression, and not under ridge.
  (row,) = [x for x in out.splitlines() if x.startswith('tiny ')]
  assert row.split() == ['tiny', '1', 'min']
  assert not (tmp_path / 'results.jsonl').exists()


def test_what_fails_stops_nothing_else(tmp_path, config, capsys):
  work = tmp_path / 'work'
  (tmp_path / 'weights' / 'zbroken.safetensors').write_bytes(b'none')
  make_folder(tmp_path / 'images', corrupt=True)
  folder = f'folder:{tmp_path / "images"}'
  config.datasets = (folder, 'dtd', 'digits')
  config.settings = ('ridge',)
  with pytest.raises(errors.InputError, match='9 cells have no record'):
    study.run(config, work)
  out = capsys.readouterr().out
  assert '12 cells: 0 found in the ledger, 6 to run, 6 cannot be run' in out
  assert out.count('CANNOT') == 6
  assert len(records(work)) == 3
  assert {r['dataset'] for r in records(work)} == {'digits'}
  failing = records(work, 'failures.jsonl')
  assert len(failing) == 9
  for failure in failing:
    assert set(failure) == set(failures.FIELDS)
    assert all(isinstance(value, str) for value in failure.values())
  reasons = {(f['network'], f['dataset']): f['error'] for f in failing}
  assert 'dark/7.png' in reasons['tiny', folder]
  assert 'dtd' in reasons['tiny', 'dtd']
  broken = str(tmp_path / 'weights' / 'zbroken.safetensors')
  assert 'cannot be read as safetensors' in reasons[broken, 'digits']

  make_folder(tmp_path / 'images')
  (tmp_path / 'weights' / 'zbroken.safetensors').unlink()
  config.datasets = (folder, 'digits')
  study.run(config, work)
  assert '6 cells: 3 found in the ledger, 3 to run' in capsys.readouterr().out
  assert len(records(work)) == 6
  assert records(work, 'failures.jsonl') == []


def test_what_nobody_foresaw_is_one_cells_too(
  tmp_path, config, monkeypatch, caplog
):
  evaluate = evaluate_lib.evaluate

  def failing(extract, dataset, setting, *rest):
    if setting == 'ridge':
      raise MemoryError('no 900 GB')
    return evaluate(extract, dataset, setting, *rest)

  monkeypatch.setattr(evaluate_lib, 'evaluate', failing)
  with pytest.raises(errors.InputError, match='MemoryError: no 900 GB'):
    study.run(config, tmp_path)
  assert [r['setting'] for r in records(tmp_path)] == 3 * [
    'logistic_regression'
  ]
  assert 'Traceback' in caplog.text


def test_nothing_that_can_be_run_is_found_out_at_once(tmp_path, config):
  config.datasets = ('dtd', 'folder:none')
  with pytest.raises(errors.InputError, match='folder:none|no such directory'):
    study.run(config, tmp_path / 'work')
  config.datasets = ('digits',)
  config.leave_out = (('*', 'digits', '*'),)
  with pytest.raises(errors.InputError, match='no cell'):
    study.run(config, tmp_path / 'work')
  assert not (tmp_path / 'work').exists()


@pytest.mark.parametrize('part', ['3', '0/2', '3/2', 'a/b', '1/'])
def test_part_that_is_none(tmp_path, config, part):
  config.part = part
  with pytest.raises(errors.InputError, match=r'config\.part: expected'):
    study.run(config, tmp_path / 'work')


def test_what_is_left_out_has_three_parts(tmp_path, config):
  config.leave_out = ('digits',)
  with pytest.raises(errors.InputError, match=r'leave_out: expected \(network'):
    study.run(config, tmp_path / 'work')


def test_one_network_is_exported_not_all(tmp_path, config):
  config.settings = ('fine_tuned',)
  config.export = str(tmp_path / 'tuned.safetensors')
  with pytest.raises(errors.InputError, match='must be one network'):
    study.run(config, tmp_path / 'work')


def test_parts(tmp_path, config, capsys):
  """No two run the same cell, though one finds more; then they are one."""
  work = tmp_path / 'work'
  config.part = '1/2'
  config.settings = ('ridge',)
  study.run(config, work)
  config.settings = ('ridge', 'logistic_regression')
  config.part = '2/2'
  study.run(config, work)
  first, second = (records(work, f'results.{k}-of-2.jsonl') for k in (1, 2))
  assert first
  assert second
  assert not set(cells(first)) & set(cells(second))
  assert {'ridge', 'logistic_regression'} == {r['setting'] for r in second}
  assert not (work / 'results.jsonl').exists()
  config.part = '1/2'
  study.run(config, work)
  first = records(work, 'results.1-of-2.jsonl')
  assert len(set(cells(first)) | set(cells(second))) == 6
  assert len(first) + len(second) == 6
  capsys.readouterr()
  config.part = ''
  study.run(config, work)
  assert '6 found in the ledger, 0 to run' in capsys.readouterr().out
  assert cells(records(work)) == sorted(cells(first) + cells(second))
  whole = tmp_path / 'whole'
  study.run(config, whole)
  assert comparable(whole) == comparable(work)


def test_cell_that_another_process_runs(tmp_path, config, capsys):
  config.networks = (str(tmp_path / 'weights' / 'tiny.safetensors'),)
  study.run(config, tmp_path / 'before')
  first, second = records(tmp_path / 'before')
  claim = ledger.cell_locks(tmp_path / 'work') / first['identity']
  with files.locked(claim):
    study.run(config, tmp_path / 'work')
  assert 'another process is running it' in capsys.readouterr().out
  (found,) = records(tmp_path / 'work')
  assert found['identity'] == second['identity']


def test_records_of_a_part_that_has_just_written(tmp_path, config, monkeypatch):
  """A cell that was done between the plan and its turn is not run again."""
  config.networks = (str(tmp_path / 'weights' / 'tiny.safetensors'),)
  config.settings = ('ridge',)
  study.run(config, tmp_path)
  (record,) = records(tmp_path)
  recorded, calls = ledger.read_all, []

  def none_at_first(workdir):
    calls.append(workdir)
    return {} if len(calls) == 1 else recorded(workdir)

  monkeypatch.setattr(ledger, 'read_all', none_at_first)
  study.run(config, tmp_path)
  assert records(tmp_path) == [record]


def test_one_network_alone_has_no_correlation(tmp_path, config, capsys):
  config.networks = (str(tmp_path / 'weights' / 'tiny.safetensors'),)
  config.settings = ('ridge',)
  study.run(config, tmp_path / 'one')
  out = capsys.readouterr().out
  assert 'Cannot say. Ridge: no correlation of 1 network: it takes' in out
  names = {path.name for path in (tmp_path / 'one').glob('*.png')}
  assert names == {'accuracy_vs_imagenet.png'}


def test_all_right_and_no_images_alike(tmp_path, config, capsys):
  """100 % everywhere: log-odds are finite, and there is no correlation."""
  make_folder(tmp_path / 'images')
  config.datasets = (f'folder:{tmp_path / "images"}',)
  config.settings = ('ridge',)
  study.run(config, tmp_path)
  assert {r['test']['value'] for r in records(tmp_path)} == {1.0}
  out = capsys.readouterr().out
  assert 'Cannot say. Ridge: no correlation: all accuracies are' in out
  assert (tmp_path / 'figure_2.pdf').exists()


def test_conflicting_ledgers_are_said(tmp_path, config, capsys):
  config.networks = (str(tmp_path / 'weights' / 'tiny.safetensors'),)
  config.settings = ('ridge',)
  study.run(config, tmp_path)
  (record,) = records(tmp_path)
  record['test']['value'] = 0.123
  other = ledger.Ledger(tmp_path, shards.Shard(1, 2))
  other.put({record['identity']: record})
  with pytest.raises(errors.InputError, match='different results'):
    study.run(config, tmp_path)
  assert 'and 0.123' in capsys.readouterr().out
  assert len(records(tmp_path)) == 1
  assert records(tmp_path)[0]['test']['value'] != 0.123


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
