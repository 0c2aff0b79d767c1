"""What a study shows at its end: figures and answers."""

import ml_collections
import pytest
from matplotlib import pyplot as plt

from tests.study.report import page_records
from tests.study.studies import make_folder, read_records
from tf_transfer.errors import InputError
from tf_transfer.jobs import study
from tf_transfer.study import attempts, conclude
from tf_transfer.study.analysis import ties
from tf_transfer.study.figures import averages, canvas
from tf_transfer.study.paper import numbers as numbers_lib


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
  drawn = conclude.draw_figures(
    [fields for fields, _ in cells],
    tmp_path,
    attempts.Attempts(),
    correct_with_holm=holm,
  )
  assert drawn == saved
  found = [path.name for path in drawn if path.name.startswith('figure')]
  assert found == [f'figure_{number}' for number in numbers]
  assert asked == [holm] * (1 in numbers)


def test_what_cannot_be_made_is_listed_and_the_rest_is_made(
  tmp_path, monkeypatch, capsys
):
  def fail(*arguments, **options):
    raise ValueError('Expected end of text, found $')

  cells = page_records.of_the_paper(3, ('logistic_regression',))
  records = page_records.write(tmp_path, cells)
  monkeypatch.setattr(averages, 'averages_vs_imagenet', fail)
  monkeypatch.setattr(conclude.page, 'write', fail)
  saved = []
  monkeypatch.setattr(
    canvas, 'save', lambda figure, path: (saved.append(path), plt.close(figure))
  )
  config = ml_collections.ConfigDict(
    {
      'part': '',
      'correct_with_holm': False,
      'report': True,
      'tensorboard': False,
      'imagenet_results': '',
      'data': {'cache_dir': '', 'test_reads_dir': ''},
    }
  )
  made = attempts.Attempts()
  conclude.conclude(records, config, tmp_path, made)
  assert [path.name for path in saved] == ['accuracy_vs_imagenet', 'figure_2']
  lines = capsys.readouterr().out.splitlines()
  for name in ('figure_1', 'report.html'):
    assert (
      f'{name} could not be made: ValueError: Expected end of text, found $'
    ) in lines
  assert f'figure   {saved[1]}.png, {saved[1]}.pdf' in lines
  assert 'Logistic regression: r = ' in '\n'.join(lines)
  with pytest.raises(InputError, match=r'\(figure_1, report.html\)'):
    made.raise_failures()


def test_one_network_alone_has_no_correlation(tmp_path, tiny_config, capsys):
  tiny_config.networks = (str(tmp_path / 'weights' / 'tiny.safetensors'),)
  tiny_config.settings = ('ridge',)
  study.run(tiny_config, tmp_path / 'one')
  out = capsys.readouterr().out
  assert 'Cannot say. Ridge: no correlation of 1 network: it takes' in out
  names = {path.name for path in (tmp_path / 'one').glob('*.png')}
  assert names == {'accuracy_vs_imagenet.png'}


def test_all_right_and_no_images_alike(tmp_path, tiny_config, capsys):
  """100 % everywhere: log-odds are finite, and there is no correlation."""
  make_folder(tmp_path / 'images')
  tiny_config.datasets = (f'folder:{tmp_path / "images"}',)
  tiny_config.settings = ('ridge',)
  study.run(tiny_config, tmp_path)
  assert {r['test']['value'] for r in read_records(tmp_path)} == {1.0}
  out = capsys.readouterr().out
  assert 'Cannot say. Ridge: no correlation: all accuracies are' in out
  assert (tmp_path / 'figure_2.pdf').exists()


@pytest.mark.usefixtures('no_figures')
def test_tuning_on_test_and_unlike_top1_are_said(tmp_path, tiny_config, capsys):
  """Of two searches of a cell, in two workdirs, the second says it."""
  tiny_config.settings = ('ridge',)
  study.run(tiny_config, tmp_path / 'one')
  first = capsys.readouterr().out
  tiny_config.ridge.num_penalties = 3
  study.run(tiny_config, tmp_path / 'two')
  second = capsys.readouterr().out
  words = 'with other search fields: choosing among them by test accuracy'
  assert words not in first
  assert 'evaluated 3 times before these records, all of the same' in second
  assert words in second
  for out in (first, second):
    assert 'It is not known whether ImageNet top-1 was measured alike' in out
