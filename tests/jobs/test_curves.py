"""Figures 8 and 9, each with one command."""

import pytest

from tests.study.studies import comparable, read_records
from tf_transfer import config_fields, errors, main
from tf_transfer.configs import curves as curves_config
from tf_transfer.configs.presets import accuracy_vs_examples, accuracy_vs_steps
from tf_transfer.jobs import curves, study


@pytest.fixture
def config(tiny_config):
  """The tiny network on digits, without points."""
  fields = config_fields.defaults(curves_config.Curves)
  given = tiny_config.to_dict()
  fields.update({name: given[name] for name in given if name != 'job'})
  fields.networks = ('tiny',)
  fields.examples = ()
  return fields


def test_points_are_studies_with_their_own_examples(config):
  config.examples, config.draws = (8, 2), 2
  config.data.subset_seed = 5
  points = curves.list_points(config)
  assert [point.title for point in points] == [
    *('2 images a class, draw 1 of 2', '2 images a class, draw 2 of 2'),
    *('8 images a class, draw 1 of 2', '8 images a class, draw 2 of 2'),
  ]
  data = [point.config.data for point in points]
  assert [d.examples_per_class for d in data] == [2, 2, 8, 8]
  assert [d.subset_seed for d in data] == [5, 6, 5, 6]
  for point in points:
    config_fields.check_job(point.config, 'study')


def test_points_are_studies_with_their_own_steps(config):
  config.steps, config.settings = (80, 20), ('fine_tuned', 'ridge')
  config.fine_tuned.min_epochs = 100
  points = curves.list_points(config)
  assert [point.title for point in points] == ['20 steps', '80 steps']
  tuned = [point.config.fine_tuned for point in points]
  assert [(t.steps, t.min_epochs) for t in tuned] == [(20, 0), (80, 0)]
  config.settings = ('ridge',)
  with pytest.raises(errors.InputError, match='none of config.settings trains'):
    curves.list_points(config)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({}, 'config.examples: expected numbers either here'),
    ({'examples': (1,), 'steps': (1,)}, 'config.examples: expected numbers'),
    ({'examples': (1,), 'export': 'net.safetensors'}, 'config.export'),
    ({'examples': (0,)}, r'config.examples: .*from 1'),
    ({'examples': (1, 1)}, 'names 1 twice'),
  ],
)
def test_fields_that_do_not_go_together(tmp_path, config, fields, message):
  config.update(fields)
  with pytest.raises(errors.InputError, match=message):
    curves.run(config, tmp_path)


def test_a_plan_of_all_points_comes_first(tmp_path, config, capsys):
  assert main._JOBS['curves'] == curves.__name__
  config.examples, config.draws, config.only_plan = (1, 2), 2, True
  curves.run(config, tmp_path)
  printed = capsys.readouterr().out
  assert '2 images a class, draw 1 of 2      2     0              0' in printed
  assert '4 points: about' in printed
  assert read_records(tmp_path) == []
  config.examples = (1000,)
  with pytest.raises(errors.InputError, match=r'1,000 images a class, draw 1'):
    curves.run(config, tmp_path)


@pytest.mark.usefixtures('no_figures')
def test_figure_9_of_a_tiny_run_that_goes_on(tmp_path, config, capsys):
  config.examples, config.draws, config.report = (1, 4), 2, True
  # A study of one point, as a run that was ended leaves it.
  study.run(curves.list_points(config)[0].config, tmp_path, concludes=False)
  assert not list(tmp_path.glob('*.png'))
  capsys.readouterr()
  curves.run(config, tmp_path)
  printed = capsys.readouterr().out
  assert 'point 4 of 4: 4 images a class, draw 2 of 2' in printed
  assert '2 cells: 2 found in the ledger, 0 to run' in printed
  assert 'Tables and averages are of 4 training images' in printed
  assert f'figure   {tmp_path}/figure_9.png' in printed
  assert 'Means over 2 draws' in printed
  assert (
    'Ridge reaches' in printed
    or 'Ridge is' in printed
    or ('Ridge does not reach' in printed)
  )
  assert printed.count('report.html') == 1
  records = read_records(tmp_path)
  assert len(records) == 8
  assert records[0]['split_sizes'] == {'train': 10, 'val': 384, 'test': 367}
  assert (tmp_path / 'figure_9.pdf').exists()
  assert not (tmp_path / 'figure_8.pdf').exists()
  page = (tmp_path / 'report.html').read_text()
  assert 'Accuracy against training images of each class (figure 9)' in page
  before = comparable(tmp_path)
  # A study of another point alone shows the curve of the ledger.
  (tmp_path / 'figure_9.pdf').unlink()
  study.run(curves.list_points(config)[0].config, tmp_path)
  assert (tmp_path / 'figure_9.pdf').exists()
  assert comparable(tmp_path) == before


def test_figure_8_of_a_tiny_run(tmp_path, config, capsys):
  config.steps, config.settings = (4, 2), ('fine_tuned',)
  curves.run(config, tmp_path)
  printed = capsys.readouterr().out
  assert f'figure   {tmp_path}/figure_8.png' in printed
  assert [r['chosen']['steps'] for r in read_records(tmp_path)] == [2, 4]


@pytest.mark.usefixtures('no_figures')
def test_a_point_that_fails_does_not_stop_the_others(
  tmp_path, config, monkeypatch, capsys
):
  config.settings, config.examples, config.draws = ('ridge',), (1, 2, 4), 1
  run = study.run

  def fail_at_two(point, *arguments, **options):
    if point.data.examples_per_class == 2:
      raise errors.InputError('no memory')
    run(point, *arguments, **options)

  monkeypatch.setattr(study, 'run', fail_at_two)
  with pytest.raises(errors.InputError) as caught:
    curves.run(config, tmp_path)
  assert str(caught.value) == (
    '1 point of 3 failed: 2 images a class, draw 1 of 1: no memory'
  )
  assert 'FAILED: no memory' in capsys.readouterr().out
  sizes = [r['examples_per_class'] for r in read_records(tmp_path)]
  assert sizes == [1, 4]
  assert (tmp_path / 'figure_9.png').exists()


def test_presets():
  config = accuracy_vs_examples.get_config('resnet50,folder:/a,b')
  assert config.datasets == ('folder:/a,b',)
  assert config.settings == ('logistic_regression', 'fine_tuned', 'random_init')
  assert (config.fine_tuned.batch_size, config.random_init.batch_size) == (
    *(64, 16),
  )
  assert (config.data.examples_per_class, config.steps) == (0, ())
  assert len(curves.list_points(config)) == 15
  config = accuracy_vs_steps.get_config('resnet50,pets')
  assert config.settings == ('fine_tuned', 'random_init')
  # The rates and batches of fine-tuning on all examples.
  assert config.fine_tuned.batch_size == 256
  assert len(curves.list_points(config)) == 11
  for preset in (accuracy_vs_examples, accuracy_vs_steps, curves_config):
    config_fields.check_job(preset.get_config(), 'curves')
    with pytest.raises(errors.InputError, match='DATASET is missing'):
      preset.get_config('resnet50')
