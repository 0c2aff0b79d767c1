"""What the page says of earlier evaluations of the test splits."""

import datetime

import pytest

from tests.study.report import page_records
from tf_transfer.datasets import test_reads as log_lib
from tf_transfer.study import cell_reads
from tf_transfer.study.analysis import accuracy_table
from tf_transfer.study.report import page as page_lib
from tf_transfer.study.report import test_reads

FINISHED = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
OTHER = 'f' * 64


@pytest.fixture
def log(tmp_path):
  return log_lib.Log(tmp_path / 'log')


def add(log, record, hours=-1, **changes):
  """Adds the evaluation of a record, some hours from its end."""
  fields = {
    'time': FINISHED + datetime.timedelta(hours=hours),
    'job': 'study',
    'dataset': record['dataset'],
    'network': record['network'],
    'weights_sha256': record['weights_sha256'],
    'setting': record['setting'],
    'identity': record['identity'],
    'config_sha256': cell_reads.config_hash(record),
    'training_sha256': cell_reads.training_hash(record),
    'changed': (),
  }
  log.add(
    record['splits_sha256']['test'], log_lib.Read(**{**fields, **changes})
  )


def cell(network='resnet50', dataset='pets'):
  return page_records.cell(network, 0.8, 0.76, dataset)[0]


def test_own_evaluations_are_not_counted(log):
  record = cell()
  add(log, record)
  add(log, record, -2)  # Killed, and run again.
  (split,) = test_reads.splits([record], log)
  assert split.earlier == split.later == ()
  assert split.num_unlogged == 0
  assert split.sentence == (
    'Oxford-IIIT Pets: this test split was not evaluated before these '
    'records, as far as the log knows.'
  )
  assert test_reads.warnings([record], log) == []


def test_tuning_on_test_shows(log):
  record = cell()
  add(log, record)
  for number in range(9):
    add(
      log,
      record,
      -9 + number,
      identity=f'other {number}',
      config_sha256=str(number % 3) * 64,
      changed=(f'num_penalties = {number % 3}',),
    )
  for number in range(4):
    add(log, record, -20, identity=f'net {number}', network='vgg')
  add(log, record, -30, identity='draw', training_sha256=OTHER)
  add(log, record, 5, identity='since', config_sha256=OTHER)
  (split,) = test_reads.splits([record], log)
  assert split.sentence == (
    'Oxford-IIIT Pets: this test split was evaluated 14 times before these '
    'records, 9 of them of the same network and setting with other search '
    'fields, and once since, likewise: choosing among them by test accuracy '
    'would be tuning on test.'
  )
  assert test_reads.warnings([record], log) == [split.sentence]
  assert (len(split.other_training), len(split.later)) == (1, 1)
  section = test_reads.build([record], log)
  (row,) = section.table.rows
  assert row[:7] == (
    *('Oxford-IIIT Pets', 14, 9, 1, 1),
    *('2025-12-31 21:04', '2026-01-02 08:04'),
  )
  hashed = record['weights_sha256'][:6]
  # In the order of their first.
  assert row[7][0] == (
    f'Logistic regression: ResNet-50 ({hashed}); default fields; trained '
    'on other images; last 2025-12-31 21:04'
  )
  assert (
    f'Logistic regression: ResNet-50 ({hashed}); num_penalties = 2; 3 times; '
    'last 2026-01-02 02:04'
  ) in row[7]
  assert len(row[7]) == 1 + 1 + 3 + 1


def test_keeping_the_first_of_two_configs_shows(log):
  record = cell()
  add(log, record)
  add(log, record, 1, identity='vgg', network='vgg', config_sha256=OTHER)
  assert test_reads.warnings([record], log) == []
  for hours in (2, 3):
    add(log, record, hours, identity=f'{hours}', config_sha256=OTHER)
  (split,) = test_reads.splits([record], log)
  assert (len(split.later), len(split.later_config)) == (3, 2)
  assert split.sentence == (
    'Oxford-IIIT Pets: this test split was not evaluated before these records, '
    'as far as the log knows, and 2 times since, of the same network and '
    'setting with other search fields: choosing among them by test accuracy '
    'would be tuning on test.'
  )
  assert test_reads.warnings([record], log) == [split.sentence]


def test_records_of_one_test_split_are_one_row(log):
  """As draws of few examples are; another network's config counts for it."""
  records = [cell('resnet50'), cell('densenet121')]
  add(log, records[0], identity='other', config_sha256=OTHER)
  add(log, records[1], identity='third', network='vgg', config_sha256=OTHER)
  (split,) = test_reads.splits(records, log)
  assert len(split.earlier) == 2
  assert [read.identity for read in split.other_config] == ['other']
  assert 'evaluated 2 times before these records, 1 of them' in split.sentence


def test_networks_of_one_architecture(log):
  """As `distinct` names them, by which the terminal speaks of them."""
  records = [cell(), {**cell(), 'weights_sha256': OTHER, 'identity': 'b' * 32}]
  for number, record in enumerate(records):
    add(log, record, identity=str(number), config_sha256=OTHER)
  for shown in (records, accuracy_table.distinct(records)):
    (split,) = test_reads.splits(shown, log)
    assert len(split.other_config) == 2


def test_what_the_log_does_not_know(log):
  records = [cell('resnet50'), cell('densenet121')]
  add(log, records[0])
  with open(log.path(records[0]['splits_sha256']['test']), 'a') as file:
    file.write('damaged\n')
  section = test_reads.build(records, log)
  assert section.remarks[0].startswith('1 of these 2 records is not in the log')
  assert section.remarks[1] == '1 line of the log is damaged and left out.'


def test_a_long_list_is_cut_off(log):
  record = cell()
  for number in range(120):
    add(
      log,
      record,
      identity=f'{number}',
      config_sha256=log_lib.hash_fields({'number': number}),
    )
  (row,) = test_reads.build([record], log).table.rows
  assert len(row[7]) == 101
  assert row[7][-1] == 'Others: 20 more configs'


def test_page(tmp_path, log):
  (record,) = page_records.write(
    tmp_path, [page_records.cell('resnet50', 0.8, 0.76)]
  )
  evil = '</script><b>'
  add(log, record, identity='other', config_sha256=OTHER, changed=(evil,))
  text = page_lib.render([record], [], tmp_path, log=log)
  assert 'evaluated once before these records, of the same' in text
  assert evil not in text
  assert '&lt;/script&gt;&lt;b&gt;' in text
  without = page_lib.render([record], [], tmp_path)
  assert 'How often the test splits were read' not in without
