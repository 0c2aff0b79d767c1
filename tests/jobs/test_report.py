import ml_collections
import pytest

from tests.study.report import page_records
from tf_transfer import errors, main
from tf_transfer.jobs import report
from tf_transfer.networks import recipe


def test_the_report_is_written_and_its_answers_are_printed(tmp_path, capsys):
  assert main._JOBS['report'] == report.__name__
  config = ml_collections.ConfigDict(
    {'job': 'report', 'ledger': str(tmp_path / 'none')}
    | {'correct_with_holm': False}
  )
  with pytest.raises(errors.InputError, match='no records in'):
    report.run(config, tmp_path / 'page')
  page_records.write(
    tmp_path / 'study', [page_records.cell('network', 0.7, 0.7)]
  )
  config.ledger = str(tmp_path / 'study')
  report.run(config, tmp_path / 'page')
  printed = capsys.readouterr().out
  assert printed.startswith(
    'Cannot say. Logistic regression: no correlation of 1'
  )
  page = tmp_path / 'page' / 'report.html'
  assert printed.endswith(f'report  {page}\n')
  assert page.stat().st_size > 1_000_000


def test_different_recipes_are_warned_of_before_the_answer(tmp_path, capsys):
  plain = recipe.Recipe(True, False, False, False, 'imagenet').to_json()
  cells = [
    page_records.cell('a', 0.7, 0.7),
    page_records.cell('b', 0.8, 0.8, recipe=plain),
  ]
  page_records.write(tmp_path, cells)
  config = ml_collections.ConfigDict(
    {'job': 'report', 'ledger': '', 'correct_with_holm': False}
  )
  report.run(config, tmp_path)
  printed = capsys.readouterr().out
  assert printed.startswith('WARNING: these networks were not trained alike')
  assert '\nCannot say. Logistic regression: ' in printed


def test_a_page_that_cannot_be_written_is_one_line(
  tmp_path, monkeypatch, capsys
):
  page_records.write(tmp_path, [page_records.cell('network', 0.7, 0.7)])

  def fail(*arguments, **options):
    raise KeyError('field')

  monkeypatch.setattr(report.page, 'render', fail)
  config = ml_collections.ConfigDict(
    {'job': 'report', 'ledger': '', 'correct_with_holm': False}
  )
  with pytest.raises(errors.InputError, match='1 figure or page could not be'):
    report.run(config, tmp_path)
  lines = capsys.readouterr().out.splitlines()
  assert lines[0] == (
    f"{tmp_path}/report.html could not be made: KeyError: 'field'"
  )
  assert lines[1].startswith('Cannot say. Logistic regression')
