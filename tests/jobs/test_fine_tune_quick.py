"""A fine-tuning within a budget, from end to end."""

import dataclasses
import json
import re
import time

import pytest

from tests.study.studies import read_records
from tf_transfer import datasets, errors
from tf_transfer.configs import fine_tune_quick as config_file
from tf_transfer.jobs import fine_tune_quick, study
from tf_transfer.study import quick_plan, step_timing
from tf_transfer.transfer import settings
from tf_transfer.transfer.setting import Cell
from tf_transfer.transfer.training import search

TIMINGS = quick_plan.Timings(
  image_size=8,
  setup=1.0,
  compile=2.0,
  step=0.1,
  compile_evaluation=1.0,
  evaluation=1e-4,
  decoding=1e-4,
  checkpoint=0.01,
  end=1.0,
)


@pytest.fixture
def config(tiny_config, tmp_path):
  made = config_file.get_config('tiny,digits')
  made.weights_dir = tiny_config.weights_dir
  made.report = False
  made.budget = '75s'
  return made.lock()


@pytest.fixture
def measured(monkeypatch):
  """A slower device, so that the plan is small; counts measurements."""
  sizes = []

  def measure(search):
    sizes.append(search.net.contract.image_size)
    return TIMINGS

  monkeypatch.setattr(step_timing, 'measure', measure)
  return sizes


def test_the_whole_job(tmp_path, config, measured, no_figures, capsys):
  """Logistic regression on the same split is there before."""
  fixed = fine_tune_quick._study_config(config)
  fixed.settings = ('logistic_regression',)
  fixed.logistic_regression.num_penalties = 2
  study.run(fixed, tmp_path)
  capsys.readouterr()
  fine_tune_quick.run(config, tmp_path)
  out = capsys.readouterr().out
  record = read_records(tmp_path)[-1]
  assert record['setting'] == 'fine_tuned'
  assert record['search']['search'] == 'halving'
  assert len(record['trials']) == 3
  steps = record['search']['steps']
  (path,) = (tmp_path / 'quick_plans').iterdir()
  plan = json.loads(path.read_text())['plan']
  assert plan['steps'] == steps
  assert plan['seconds'] <= 0.9 * 75
  assert 'chosen: 8 px; 3 trials (3 learning rates from 0.003 to 0.03' in out
  assert f'{steps:,} steps of 32 images' in out
  value, other = (
    f'{r["test"]["value"]:.2%}' for r in read_records(tmp_path)[::-1]
  )
  assert re.search(
    f'Logistic regression of the same network: {other}, fine-tuned {value}: '
    r'(they differ|the test does not tell them apart) \(McNemar, p = ',
    out,
  )
  # 57 x 20,000 steps of 256 images, eight times those of 0.1 s.
  assert "the paper's protocol, 1,140,000 steps of 256 images at 8 px" in out
  assert 'would take about 11 days on' in out
  assert re.search(r'took \d+ s of the budget of 1 min 15 s, \d+%', out)

  # The same command takes the plan and the record that are there.
  fine_tune_quick.run(config, tmp_path)
  out = capsys.readouterr().out
  assert f'goes on with the plan in {path}' in out
  assert '1 cell: 1 found' in out
  assert measured == [8]
  assert len(read_records(tmp_path)) == 2


def test_a_killed_job_goes_on_with_its_plan(
  tmp_path, config, measured, no_figures, monkeypatch, capsys
):
  """Whatever would be measured the second time."""

  def preempted(*_):
    raise errors.Preempted('told to end')

  with monkeypatch.context() as context:
    context.setattr(search, 'run', preempted)
    with pytest.raises(errors.Preempted):
      fine_tune_quick.run(config, tmp_path)
  (path,) = (tmp_path / 'quick_plans').iterdir()
  kept = path.read_text()
  fine_tune_quick.run(config, tmp_path)
  assert path.read_text() == kept
  assert measured == [8]
  (record,) = read_records(tmp_path)
  assert record['search']['steps'] == json.loads(kept)['plan']['steps']


def test_a_budget_that_is_too_small(tmp_path, config, measured):
  """The one that is named works."""
  config.budget = '10s'
  with pytest.raises(errors.InputError) as raised:
    fine_tune_quick.run(config, tmp_path)
  message = str(raised.value)
  assert message.startswith('config.budget: 10 s is too short here; the small')
  minutes = re.search(r'--config\.budget=(\d+)m$', message)[1]
  images = quick_plan.Images(1046, 384, 367)
  least = quick_plan.least_seconds([TIMINGS], images)
  assert 0.9 * 60 * int(minutes) > least
  assert not (tmp_path / 'quick_plans').exists()


def test_a_damaged_plan(tmp_path, config, measured, no_figures):
  with pytest.MonkeyPatch.context() as context:
    context.setattr(study, 'run', lambda *_: [])
    fine_tune_quick.run(config, tmp_path)
  (path,) = (tmp_path / 'quick_plans').iterdir()
  path.write_text('{"plan": 1}')
  with pytest.raises(errors.InputError, match=path.name):
    fine_tune_quick.run(config, tmp_path)


def test_the_budget_pays_for_a_smaller_size(config, monkeypatch, small_lite0):
  """Where the first size is too slow the next is measured, at most three."""
  sizes = []

  def measure(search):
    size = search.net.contract.image_size
    sizes.append(size)
    return dataclasses.replace(TIMINGS, image_size=size, step=1e-5 * size**2)

  monkeypatch.setattr(step_timing, 'measure', measure)
  monkeypatch.setattr(fine_tune_quick, '_first_size', lambda *_: 224)
  dataset = datasets.open('digits')
  net = small_lite0.with_image_size(224)
  setting = settings.row('fine_tuned')
  cell = Cell(net, dataset, setting, 'cell', 'lite0')
  images = fine_tune_quick._count(cell)
  stored = fine_tune_quick._plan(cell, config, images, 120.0, time.monotonic())
  assert sizes == [224, stored.plan.image_size]
  assert stored.plan.image_size < 224
  assert stored.timings.image_size == stored.plan.image_size


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'networks': ('a', 'b')}, 'config.networks: expected one, found a, b'),
    ({'datasets': ('all',)}, 'config.datasets: expected one, found all'),
    ({'part': '1/2'}, "config.part: expected '', found '1/2'"),
    ({'budget': '20'}, "config.budget: expected a duration such as '90s'"),
    ({'settings': ('ridge',)}, 'config.settings: expected one that trains'),
  ],
)
def test_what_is_refused(tmp_path, config, change, message):
  config.update(change)
  with pytest.raises(errors.InputError, match=re.escape(message)):
    fine_tune_quick.run(config, tmp_path)


def test_a_path_is_a_folder(tmp_path, monkeypatch):
  def dataset(argument):
    return config_file.get_config(f'tiny,{argument}').datasets[0]

  assert dataset('digits') == 'digits'
  assert dataset('folder:x,y') == 'folder:x,y'
  assert dataset(f'{tmp_path},z') == f'folder:{tmp_path},z'
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'photos').mkdir()
  assert dataset('photos') == 'folder:photos'
  assert dataset('photoz') == 'photoz'


def test_one_process(tmp_path, config, monkeypatch):
  monkeypatch.setattr(fine_tune_quick.jax, 'process_count', lambda: 2)
  with pytest.raises(errors.InputError, match='expected one process'):
    fine_tune_quick.run(config, tmp_path)
