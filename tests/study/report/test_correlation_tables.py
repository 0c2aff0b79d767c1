from tests.study.report import page_records
from tf_transfer.study.paper import numbers
from tf_transfer.study.report import correlation_tables


def rows_of(table):
  return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_the_papers_random_initialization():
  records = [r for r in numbers.records() if r['setting'] == 'random_init']
  titles = {r['dataset']: r['dataset'].upper() for r in records}
  rows = rows_of(correlation_tables.by_dataset(records, titles))
  assert len(rows) == 12 + 2
  small = rows[-2]
  assert small['Dataset'] == 'mean of 7 small datasets'
  assert small['Networks'] == 16
  assert small['r'] == '0.29'
  assert small['Interval over networks'].startswith('−0.2')
  assert small['p, Holm'] == '–'
  assert rows[0]['Dataset'] == 'FOOD101'
  assert rows[0]['Training images'] == 75_750
  assert rows[0]['p'] == '< 0.001'


def test_settings():
  records = [
    fields
    for fields, _ in page_records.of_the_paper(
      6, ('logistic_regression', 'fine_tuned')
    )
  ]
  (row,) = rows_of(correlation_tables.between_settings(records))
  assert row['Setting'] == 'Logistic regression'
  assert row['Other setting'] == 'Fine-tuned'
  assert (row['Networks'], row['Datasets']) == (6, 2)
  assert 'to' in row['Interval over networks']


def test_as_text():
  records = [r for r in numbers.records() if r['setting'] != 'fine_tuned']
  lines = correlation_tables.as_text(records).splitlines()
  assert len(lines) == 2 + 12 + 2
  assert lines[0].split('  ')[0] == 'r with ImageNet'
  assert 'Logistic regression' in lines[0]
  assert 'Random initialization' in lines[0]
  assert '0.29, −0.2' in lines[-2]
  assert lines[-1].startswith('mean of 5 large datasets')
  assert max(map(len, lines)) <= 120
