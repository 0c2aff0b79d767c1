import json

import pytest

from tests.study import test_measured_top1 as measured
from tests.study.report import page_records
from tf_transfer import errors, main
from tf_transfer.configs import report as config_file
from tf_transfer.jobs import report
from tf_transfer.networks import recipe


def test_the_report_is_written_and_its_answers_are_printed(tmp_path, capsys):
  assert main._JOBS['report'] == report.__name__
  config = config_file.get_config()
  config.ledger = str(tmp_path / 'none')
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
  report.run(config_file.get_config(), tmp_path)
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
  config = config_file.get_config()
  with pytest.raises(errors.InputError, match='1 figure or page could not be'):
    report.run(config, tmp_path)
  lines = capsys.readouterr().out.splitlines()
  assert lines[0] == (
    f"{tmp_path}/report.html could not be made: KeyError: 'field'"
  )
  assert lines[1].startswith('Cannot say. Logistic regression')


def test_measurements_of_the_study_replace_published_numbers(tmp_path, capsys):
  """They are in its workdir; without them the page has the publishers'."""
  workdir = tmp_path / 'study'
  records = page_records.write(
    workdir,
    [page_records.cell(f'n{i}', 0.7 + i / 20, 0.7) for i in range(4)],
  )
  config = config_file.get_config()
  config.ledger = str(workdir)

  def rows():
    report.run(config, tmp_path / 'page')
    capsys.readouterr()
    text = (tmp_path / 'page' / 'report.html').read_text()
    return text.split('id="imagenet-top1"')[1].split('</table>')[0]

  assert rows_say(rows(), 'made up', 4)
  for i, record in enumerate(records):
    measured.write(workdir / 'imagenet', record, 300 + i)
  assert rows_say(rows(), 'measured here, on 400 images', 4)
  before = (workdir / 'results.jsonl').read_text()
  assert 'measured here' not in before
  assert {json.loads(one)['imagenet_top1'] for one in before.splitlines()} == {
    0.7
  }
  config.imagenet_results = str(tmp_path / 'none')
  with pytest.raises(errors.InputError, match='is no directory'):
    report.run(config, tmp_path / 'page')


def rows_say(table, words, count):
  """Whether so many cells of a table hold these words."""
  return table.count(f'<td>{words}</td>') == count
