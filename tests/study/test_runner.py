"""The runner: what fails, what other processes run, what is decoded once."""

import dataclasses
import os
import pathlib

import pytest

from tests.study.studies import make_folder, read_records
from tf_transfer import datasets, errors
from tf_transfer.jobs import study
from tf_transfer.runtime import files
from tf_transfer.study import failures, ledger, predictions
from tf_transfer.transfer import cross_validation
from tf_transfer.transfer.fixed_features import evaluate as evaluate_lib
from tf_transfer.transfer.training import search


@pytest.mark.usefixtures('no_figures')
@pytest.mark.parametrize('setting', ['logistic_regression', 'fine_tuned'])
def test_folds_of_a_study(tmp_path, tiny_config, setting, capsys):
  """They are one record, of every image; a page is made of it."""
  work = tmp_path / 'work'
  tiny_config.networks = ('tiny',)
  tiny_config.data.folds = 3
  tiny_config.settings = (setting,)
  tiny_config.report = True
  tiny_config.fine_tuned.update(
    {'num_learning_rates': 2, 'learning_rate_min': 0.01}
  )
  study.run(tiny_config, work)
  out = capsys.readouterr().out
  assert [f'fold {number} of 3' in out for number in (1, 2, 3)] == 3 * [True]
  assert '1,797 test images' in out
  assert 'of the draw of images, trained on and tested in folds' in out
  (record,) = read_records(work)
  arrays = predictions.read(record, work)
  assert record['test']['examples'] == len(arrays['digest']) == 1797
  measured = cross_validation.measure(
    'top1', arrays['label'], arrays['prediction'], arrays['fold']
  )
  assert record['test'] == dataclasses.asdict(measured)
  assert sum(fold['examples'] for fold in record['folds']) == 1797
  assert len(record['folds']) == 3
  log = pathlib.Path(os.environ['TF_TRANSFER_TEST_READS_DIR'])
  logs = [path.read_text() for path in log.rglob('*') if path.is_file()]
  assert len(''.join(logs).splitlines()) == 1
  # Nothing of the searches is left, and nothing is run again.
  assert not list(work.glob('searches/*'))
  study.run(tiny_config, work)
  assert '1 found in the ledger, 0 to run' in capsys.readouterr().out


@pytest.mark.usefixtures('no_figures')
def test_interrupted_folds_resume(tmp_path, tiny_config, monkeypatch):
  """The trials of a fold that is done are not trained again."""
  tiny_config.networks = ('tiny',)
  tiny_config.data.folds = 3
  tiny_config.settings = ('fine_tuned',)
  run, calls, trained = search.run, [], []

  def interrupted(of_fold):
    calls.append(of_fold.identity)
    if len(calls) == 2:
      raise errors.Preempted('SIGTERM')
    return run(of_fold)

  train = search._SearchRunner._train_group

  def counted(runner, *arguments):
    trained.append(runner._search.identity)
    return train(runner, *arguments)

  monkeypatch.setattr(search, 'run', interrupted)
  monkeypatch.setattr(search._SearchRunner, '_train_group', counted)
  with pytest.raises(errors.Preempted):
    study.run(tiny_config, tmp_path / 'work')
  assert len(list((tmp_path / 'work' / 'searches').iterdir())) == 2
  study.run(tiny_config, tmp_path / 'work')
  assert len(read_records(tmp_path / 'work')) == 1
  # Each fold's trials were trained once.
  assert trained == [calls[0], calls[1], calls[4]]
  assert calls[:2] == calls[2:4]


def test_no_fold_is_exported(tmp_path, tiny_config):
  tiny_config.networks = ('tiny',)
  tiny_config.data.folds = 3
  tiny_config.settings = ('fine_tuned',)
  tiny_config.export = str(tmp_path / 'tuned.safetensors')
  with pytest.raises(errors.InputError, match='3 networks are trained, one'):
    study.run(tiny_config, tmp_path / 'work')


def test_everything_available(tmp_path, tiny_config, capsys, monkeypatch):
  """Each image is decoded once for all three networks."""
  decoded = []
  open_dataset = datasets.open_from_config

  def open_counted(*arguments):
    dataset = open_dataset(*arguments)

    def counted(name, split):
      def read(i):
        decoded.append((name, i))
        return split.read(i)

      return dataclasses.replace(split, read=read)

    splits = {n: counted(n, split) for n, split in dataset.splits.items()}
    return dataclasses.replace(dataset, splits=splits)

  monkeypatch.setattr(datasets, 'open_from_config', open_counted)
  tiny_config.datasets = ('all',)
  study.run(tiny_config, tmp_path / 'work')
  out = capsys.readouterr().out
  assert '6 cells: 0 found in the ledger, 6 to run' in out
  assert 'give or take a factor of three' in out
  assert len(decoded) == len(set(decoded)) == 1797
  records = read_records(tmp_path / 'work')
  assert len(records) == 6
  assert {r['dataset'] for r in records} == {'digits'}
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
  study.run(tiny_config, tmp_path / 'work')
  assert '6 found in the ledger, 0 to run' in capsys.readouterr().out
  assert not decoded


@pytest.mark.usefixtures('no_figures')
def test_a_failing_cell_does_not_stop_the_others(tmp_path, tiny_config, capsys):
  work = tmp_path / 'work'
  (tmp_path / 'weights' / 'zbroken.safetensors').write_bytes(b'none')
  make_folder(tmp_path / 'images', corrupt=True)
  folder = f'folder:{tmp_path / "images"}'
  tiny_config.datasets = (folder, 'dtd', 'digits')
  tiny_config.settings = ('ridge',)
  with pytest.raises(errors.InputError, match='9 cells have no record'):
    study.run(tiny_config, work)
  out = capsys.readouterr().out
  assert '12 cells: 0 found in the ledger, 3 to run, 9 cannot be run' in out
  assert out.count('CANNOT') == 9
  assert len(read_records(work)) == 3
  assert {r['dataset'] for r in read_records(work)} == {'digits'}
  failing = read_records(work, 'failures.jsonl')
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
  tiny_config.datasets = (folder, 'digits')
  study.run(tiny_config, work)
  assert '6 cells: 3 found in the ledger, 3 to run' in capsys.readouterr().out
  assert len(read_records(work)) == 6
  assert read_records(work, 'failures.jsonl') == []


@pytest.mark.usefixtures('no_figures')
def test_an_unexpected_error_is_a_failure_of_one_cell(
  tmp_path, tiny_config, monkeypatch, caplog
):
  evaluate = evaluate_lib.evaluate

  def failing(extract, dataset, setting, *rest):
    if setting == 'ridge':
      raise MemoryError('no 900 GB')
    return evaluate(extract, dataset, setting, *rest)

  monkeypatch.setattr(evaluate_lib, 'evaluate', failing)
  with pytest.raises(errors.InputError, match='MemoryError: no 900 GB'):
    study.run(tiny_config, tmp_path)
  assert [r['setting'] for r in read_records(tmp_path)] == 3 * [
    'logistic_regression'
  ]
  assert 'Traceback' in caplog.text


@pytest.mark.usefixtures('no_figures')
def test_a_cell_that_another_process_runs(tmp_path, tiny_config, capsys):
  tiny_config.networks = (str(tmp_path / 'weights' / 'tiny.safetensors'),)
  study.run(tiny_config, tmp_path / 'before')
  first, second = read_records(tmp_path / 'before')
  lock = ledger.cell_locks(tmp_path / 'work') / first['identity']
  with files.locked(lock):
    study.run(tiny_config, tmp_path / 'work')
  assert 'another process is running it' in capsys.readouterr().out
  (record,) = read_records(tmp_path / 'work')
  assert record['identity'] == second['identity']


def test_records_of_a_part_that_has_just_written(
  tmp_path, tiny_config, monkeypatch
):
  """It is not run again."""
  tiny_config.networks = (str(tmp_path / 'weights' / 'tiny.safetensors'),)
  tiny_config.settings = ('ridge',)
  study.run(tiny_config, tmp_path)
  (record,) = read_records(tmp_path)
  recorded, calls = ledger.read_all, []

  def none_at_first(workdir):
    calls.append(workdir)
    return {} if len(calls) == 1 else recorded(workdir)

  monkeypatch.setattr(ledger, 'read_all', none_at_first)
  study.run(tiny_config, tmp_path)
  assert read_records(tmp_path) == [record]
