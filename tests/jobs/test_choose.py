"""The job that chooses a network, on the smallest networks."""

import dataclasses
import json
import pathlib
import shlex

import numpy as np
import pytest
from PIL import Image

from tests.datasets import image_folders
from tests.transfer.training.test_corrupt_images import make_dataset
from tf_transfer import datasets, errors
from tf_transfer.configs import choose as config_file
from tf_transfer.configs import export as export_config
from tf_transfer.jobs import choose, export
from tf_transfer.study import cost_model, ledger
from tf_transfer.study.choice import candidates, page, selection


@pytest.fixture
def config(tiny_config, tmp_path):
  """Three tiny networks on digits, two penalties."""
  made = config_file.get_config('digits')
  other = tmp_path / 'weights' / 'other.safetensors'
  made.networks = ('tiny', 'tinier', str(other))
  made.weights_dir = tiny_config.weights_dir
  for name in ('num_penalties', 'penalty_min', 'penalty_max'):
    made.logistic_regression[name] = tiny_config.logistic_regression[name]
  made.num_folds = 3
  return made


@pytest.fixture
def written(monkeypatch):
  """What the page is made of, which has tests of its own."""
  choices = []

  def write(choice, workdir, *_, **__):
    choices.append(choice)
    return workdir / 'choice.html'

  monkeypatch.setattr(page, 'write', write)
  return choices


@pytest.fixture
def folder(tmp_path):
  """A folder of two classes of 20 small images."""
  random = np.random.default_rng(0)
  for name in ('a', 'b'):
    (tmp_path / 'images' / name).mkdir(parents=True)
    for number in range(20):
      pixels = random.integers(0, 256, (16, 16, 3), np.uint8)
      path = tmp_path / 'images' / name / f'{number}.png'
      Image.fromarray(pixels).save(path)
  return tmp_path / 'images'


def test_a_choice_ends_with_a_verdict_and_one_test(
  config, tmp_path, capsys, written, monkeypatch
):
  choose.run(config, tmp_path)
  (choice,) = written
  assert len(choice.candidates) == 3
  assert len(choice.images) == 1430  # train + val, not test.
  assert set(np.unique(choice.folds)) == {0, 1, 2}
  for one in choice.candidates:
    assert np.mean(one.predictions == choice.images.labels) == (
      pytest.approx(one.accuracy.value)
    )
    assert one.cost.images_per_second[1] > 0
    assert one.cost.flops > 0
  (record,) = ledger.read_all(tmp_path).values()
  recommended = choice.candidate(choice.verdict.recommended)
  assert record['weights_sha256'] == recommended.weights_sha256
  assert choice.test.value == record['test']['value']
  curve = choice.learning_curve
  assert curve.network == recommended.network
  assert [len(point.accuracies) for point in curve.points] == [2, 2, 1, 1]
  assert curve.points[-1].examples == pytest.approx(1430 * 2 / 3, abs=1)
  assert curve.examples[-1] == 4 * 1430
  printed = capsys.readouterr().out
  assert 'Take ' in printed
  assert 'kept aside (test of digits)' in printed
  assert 'With twice as many images (2,860) the fitted curve gives' in printed

  # The same command goes on: no network is tried again, nothing tested again.
  def fail(*_, **__):
    raise AssertionError

  monkeypatch.setattr(candidates, 'try_network', fail)
  choose.run(config, tmp_path)
  assert written[1].verdict.p_values == choice.verdict.p_values
  assert written[1].test == choice.test
  assert len(ledger.read_all(tmp_path)) == 1


def test_more_networks_only_add(config, tmp_path, written, monkeypatch):
  networks = config.networks
  config.networks = networks[:1]
  choose.run(config, tmp_path)
  assert 'nothing is compared' in ' '.join(written[0].verdict.lines)
  tried, try_network = [], candidates.try_network

  def note(source, *arguments):
    tried.append(source.weights)
    return try_network(source, *arguments)

  monkeypatch.setattr(candidates, 'try_network', note)
  config.networks = networks[:2]
  choose.run(config, tmp_path)
  assert tried == [networks[1]]


def test_networks_beyond_the_budget_are_skipped_and_named(
  config, tmp_path, capsys, written, monkeypatch
):
  try_network = candidates.try_network

  def take_a_minute(*arguments):
    kept = try_network(*arguments)
    cost = dataclasses.replace(kept.candidate.cost, seconds=60.0)
    candidate = dataclasses.replace(kept.candidate, cost=cost)
    return dataclasses.replace(kept, candidate=candidate)

  monkeypatch.setattr(candidates, 'try_network', take_a_minute)
  config.budget = '1s'
  config.networks = config.networks[:2]
  choose.run(config, tmp_path)
  (skipped,) = written[0].skipped
  assert len(written[0].candidates) == 1
  assert 'is left of 1s' in skipped.reason
  assert f'{skipped.network}: not tried' in capsys.readouterr().out


def test_a_choice_of_more_than_a_day_asks_first(
  config, tmp_path, written, monkeypatch
):
  monkeypatch.setattr(cost_model, 'operations_per_second', lambda: 1.0)

  def fail(*_, **__):
    raise AssertionError

  with monkeypatch.context() as patch:
    patch.setattr(candidates, 'try_network', fail)
    with pytest.raises(errors.InputError, match='config.budget') as raised:
      choose.run(config, tmp_path)
  assert '--config.allow_long=True' in str(raised.value)
  config.networks = config.networks[:1]
  config.allow_long = True
  choose.run(config, tmp_path)
  # What is done takes no time again.
  config.allow_long = False
  choose.run(config, tmp_path)
  assert len(written) == 2


def test_the_printed_export_works_as_pasted(
  config, tmp_path, capsys, written, folder
):
  # A path that a shell would take apart, and weights elsewhere.
  path = tmp_path / "it's a, b: naïve"
  folder.rename(path)
  config.dataset = str(path)
  config.networks = config.networks[:1]
  workdir = tmp_path / 'w d'
  choose.run(config, workdir)
  # As of the same folder before it was changed.
  (record,) = ledger.read_all(workdir).values()
  other = {**record, 'identity': 'f' * 32}
  with (workdir / 'results.jsonl').open('a') as file:
    file.write(json.dumps(other) + '\n')
  assert len(ledger.read_all(workdir)) == 2
  (line,) = [
    line
    for line in capsys.readouterr().out.splitlines()
    if line.startswith('use it')
  ]
  arguments = dict(
    word.removeprefix('--').split('=', 1)
    for word in shlex.split(line)
    if word.startswith('--')
  )
  made = export_config.get_config(arguments['config'].removeprefix('export:'))
  made.identity = arguments['config.identity']
  made.weights_dir = arguments['config.weights_dir']
  export.run(made, pathlib.Path(arguments['workdir']))
  (file,) = (workdir / 'exports').iterdir()
  assert f'{written[0].test.value:.2%} on test' in capsys.readouterr().out
  assert file.suffix == '.safetensors'


def test_no_export_is_offered_of_what_cannot_be_exported(
  config, tmp_path, capsys, written
):
  config.setting = 'nearest_class_mean'
  config.networks = config.networks[:1]
  choose.run(config, tmp_path)
  assert len(ledger.read_all(tmp_path)) == 1
  assert 'use it' not in capsys.readouterr().out


def test_folds_of_the_dataset_leave_no_test(config, tmp_path, written):
  config.networks = config.networks[:2]
  config.data.folds = 3
  choose.run(config, tmp_path)
  (choice,) = written
  assert choice.test is None
  assert len(choice.images) == 1797
  assert 'a bootstrap of the choice expects' in choice.verdict.lines[-2]
  assert 'each fold has its own' in choice.verdict.lines[-1]
  assert not ledger.read_all(tmp_path)


def test_what_is_in_a_folder_is_said_first_and_on_the_page(
  config, tmp_path, capsys, monkeypatch
):
  files = image_folders.animals(20) | {'dog/copy.png': 1001, 'cat/a.txt': b'a'}
  root = image_folders.write(tmp_path / 'images', files)
  config.dataset = str(root)
  config.networks = ('tiny',)
  reports = []

  def write(choice, workdir, report=None):
    reports.append(report)
    return workdir / 'choice.html'

  monkeypatch.setattr(page, 'write', write)
  choose.run(config, tmp_path / 'work')
  text = capsys.readouterr().out
  (lines,) = reports
  assert lines[0] == f'folder:{root}: 2 classes'
  assert any('dog/1.png' in line and 'dog/copy.png' in line for line in lines)
  assert text.index('1 .txt: cat/a.txt') < text.index('1 network to try')


@pytest.mark.parametrize('by', ['accuracy', 'logme'])
def test_corrupt_images_of_test_are_found_before_networks_are_tried(
  config, tmp_path, monkeypatch, by
):
  dataset = make_dataset(corrupt={'test': [0, 11]})
  monkeypatch.setattr(datasets, 'open_from_config', lambda *_, **__: dataset)

  def fail(*_, **__):
    raise AssertionError

  monkeypatch.setattr(selection, 'try_all', fail)
  monkeypatch.setattr(selection, 'rank', fail)
  config.by = by
  config.num_folds = 2
  with pytest.raises(errors.InputError, match='test 0, test 11'):
    choose.run(config, tmp_path)


def test_a_ranking_by_estimate(config, tmp_path, capsys, written):
  config.by = 'logme'
  config.networks = config.networks[:2]
  choose.run(config, tmp_path)
  printed = capsys.readouterr().out
  assert 'by an estimate' in printed
  assert 'no test says whether it is better' in printed
  assert len(ledger.read_all(tmp_path)) == 1


def test_a_network_that_cannot_be_loaded_stops_no_other(
  config, tmp_path, written
):
  config.networks = ('tiny', 'resnet50')
  choose.run(config, tmp_path)
  (skipped,) = written[0].skipped
  assert skipped.network == 'resnet50'
  assert 'no weights of resnet50' in skipped.reason


def test_what_cannot_be_chosen_for_is_said_at_once(config, tmp_path):
  config.dataset = 'no_such_dataset'
  with pytest.raises(errors.InputError, match='no_such_dataset'):
    choose.run(config, tmp_path)
  config.dataset = 'digits'
  config.networks = ('resnet50',)
  with pytest.raises(errors.InputError, match='no weights of resnet50'):
    choose.run(config, tmp_path)


def test_a_damaged_candidate_is_named(config, tmp_path, written):
  config.networks = config.networks[:1]
  choose.run(config, tmp_path)
  (path,) = (tmp_path / 'candidates').glob('*.json')
  fields = json.loads(path.read_text())
  del fields['cost']
  path.write_text(json.dumps(fields))
  with pytest.raises(errors.InputError, match='is damaged: remove it'):
    choose.run(config, tmp_path)
