"""What the log says of a cell: its config, and what it was trained on."""

import pytest

from tests.study.report import page_records
from tf_transfer import datasets, networks
from tf_transfer.configs import base
from tf_transfer.datasets import test_reads
from tf_transfer.jobs import study
from tf_transfer.study import cell_reads, ledger
from tf_transfer.transfer import settings
from tf_transfer.transfer.fixed_features import evaluate as evaluate_lib
from tf_transfer.transfer.fixed_features import features
from tf_transfer.transfer.setting import Cell
from tf_transfer.transfer.training import evaluation


def cell(setting='logistic_regression', **data):
  """Makes a cell of digits."""
  return Cell(
    networks.untrained('resnet50'),
    datasets.open('digits', **data),
    settings.row(setting),
    'a' * 32,
    'resnet50',
  )


def test_fields_that_differ_from_the_defaults():
  config = base.get_config()
  assert cell_reads.of_cell(cell(), config).changed == ()
  config.logistic_regression.num_penalties = 3
  config.features.resize = 'resize_then_crop'
  # Of another setting, and of what changes no number.
  config.ridge.num_penalties = 2
  config.features.batch_size = 3
  read = cell_reads.of_cell(cell(), config)
  assert read.changed == (
    'num_penalties = 3',
    'preprocessing = resize_then_crop',
  )
  assert cell_reads.of_cell(cell('ridge'), config).changed == (
    'num_penalties = 2',
    'preprocessing = resize_then_crop',
  )


def test_hashes_tell_configs_and_training_images_apart():
  config = base.get_config()
  first = cell_reads.of_cell(cell(), config)
  other_images = cell_reads.of_cell(cell(val_fraction=0.1), config)
  assert other_images.config_sha256 == first.config_sha256
  assert other_images.training_sha256 != first.training_sha256
  config.logistic_regression.tolerance = 1e-3
  other_config = cell_reads.of_cell(cell(), config)
  assert other_config.config_sha256 != first.config_sha256
  assert other_config.training_sha256 == first.training_sha256


def test_a_record_has_the_hashes_of_its_read(tmp_path):
  """Through JSON and back, of both kinds of setting."""
  for setting in ('logistic_regression', 'fine_tuned'):
    made, predictions = page_records.record('n', 'pets', setting, 0.8, 0.7)
    one = ledger.Ledger(tmp_path)
    one.add(made, predictions)
    (read,) = (
      r for r in one.read().values() if r['identity'] == made['identity']
    )
    assert cell_reads.config_hash(read) == cell_reads.config_hash(made)
    assert cell_reads.training_hash(read) == cell_reads.training_hash(made)


@pytest.fixture
def log():
  """The log that the tests' environment names."""
  return test_reads.Log.named('')


@pytest.mark.usefixtures('no_figures')
def test_a_study_logs_each_cell_across_workdirs(tmp_path, tiny_config, log):
  tiny_config.networks = ('tiny',)
  tiny_config.settings = ('ridge',)
  (first,) = study.run(tiny_config, tmp_path / 'one')
  (history,) = map(log.read, {first['splits_sha256']['test']})
  (read,) = history.reads
  assert read.identity == first['identity']
  assert read.weights_sha256 == first['weights_sha256']
  assert read.config_sha256 == cell_reads.config_hash(first)
  assert read.training_sha256 == cell_reads.training_hash(first)
  # What is in the ledger is not evaluated again.
  study.run(tiny_config, tmp_path / 'one')
  assert len(log.read(first['splits_sha256']['test']).reads) == 1
  # Another workdir does, and another config is another.
  study.run(tiny_config, tmp_path / 'two')
  tiny_config.ridge.num_penalties = 3
  study.run(tiny_config, tmp_path / 'two')
  reads = log.read(first['splits_sha256']['test']).reads
  assert [r.identity == first['identity'] for r in reads] == [True, True, False]


class _KillError(BaseException):
  """Stands for the kill of a process within the evaluation."""


@pytest.mark.usefixtures('no_figures')
@pytest.mark.parametrize(
  ('setting', 'owner', 'method'),
  [
    ('logistic_regression', features.Extractor, '__call__'),
    ('fine_tuned', evaluation.Evaluator, 'predict'),
  ],
)
def test_the_line_is_written_before_the_result_is_known(
  tmp_path, tiny_config, monkeypatch, log, setting, owner, method
):
  """Even if the process is killed before there is a record."""
  tiny_config.networks = ('tiny',)
  tiny_config.settings = (setting,)
  given, seen = getattr(owner, method), []

  def kill_at_test(self, *arguments, **options):
    (split,) = (a for a in arguments if isinstance(a, datasets.Split))
    seen.append((split.name, len(log.read(split.hash).reads)))
    if split.name == 'test':
      raise _KillError
    return given(self, *arguments, **options)

  monkeypatch.setattr(owner, method, kill_at_test)
  with pytest.raises(_KillError):
    study.run(tiny_config, tmp_path / 'work')
  assert seen[-1] == ('test', 1)
  assert ledger.read_all(tmp_path / 'work') == {}


@pytest.mark.usefixtures('no_figures')
def test_no_record_without_a_line(tmp_path, tiny_config, monkeypatch, log):
  """Whatever a setting forgets to call."""
  tiny_config.networks = ('tiny',)
  tiny_config.settings = ('ridge',)
  given = evaluate_lib.evaluate
  monkeypatch.setattr(
    evaluate_lib, 'evaluate', lambda *arguments: given(*arguments[:-1])
  )
  (made,) = study.run(tiny_config, tmp_path / 'work')
  assert len(log.read(made['splits_sha256']['test']).reads) == 1


@pytest.mark.usefixtures('no_figures')
def test_a_directory_that_cannot_be_written_stops_nothing(
  tmp_path, tiny_config, caplog
):
  (tmp_path / 'file').write_text('')
  test_reads._warn_once.cache_clear()
  tiny_config.networks = ('tiny',)
  tiny_config.settings = ('ridge',)
  tiny_config.data.test_reads_dir = str(tmp_path / 'file')
  assert len(study.run(tiny_config, tmp_path / 'work')) == 1
  assert caplog.text.count('are not logged') == 1
