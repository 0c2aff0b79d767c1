import re

from tests.study.analysis import test_estimator_ranks
from tests.study.report import page_records
from tf_transfer.study.analysis import estimator_ranks
from tf_transfer.study.report import chart_data, estimator_table, page

NAMES = chart_data.Names(
  network={}, dataset={'digits': 'Digits'}, table_name={}
)


def records_of(count):
  accuracies = [0.5 + i / 20 for i in range(count)]
  return test_estimator_ranks.records_of(accuracies, range(count))


def test_rows():
  ranks = estimator_ranks.rank(records_of(5))
  (row,) = estimator_table.build(ranks, NAMES).rows
  assert row[1:9] == (
    'Digits',
    'LogME',
    5,
    '0.5',
    '5 %',
    '1.00',
    '1.00 to 1.00',
    '1.00',
  )


def test_of_few_networks_intervals_say_nothing():
  ranks = estimator_ranks.rank(records_of(3))
  (row,) = estimator_table.build(ranks, NAMES).rows
  assert row[6:8] == ('1.00', 'cannot say: fewer than 5 networks')


def test_console():
  text = estimator_table.text(estimator_ranks.rank(records_of(5)))
  assert 'logme' in text.splitlines()[2]
  assert '1.00 1.00 to 1.00' in text
  assert estimator_table.text([]) == ''


def test_the_page_has_the_section_only_where_there_are_estimates(tmp_path):
  cells = [page_records.cell(f'n{i}', 0.7, 0.5 + i / 20) for i in range(5)]
  records = page_records.write(tmp_path, cells)
  assert 'Which estimators' not in page.render(records, [], tmp_path)
  for i, one in enumerate(records):
    one['estimates'] = {'h_score': {'value': i, 'seconds': 1, 'reason': ''}}
    one['fit_seconds'] = 2.0
  text = page.render(records, [], tmp_path)
  assert 'Which estimators can be trusted' in text
  assert re.search(r'<td>\s*H-score\s*</td>', text)
