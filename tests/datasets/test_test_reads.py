"""The log of evaluations on test splits, and where it cannot be written."""

import datetime
import os
import pathlib
import stat
import subprocess
import sys

import hypothesis
import hypothesis.strategies as st
import ml_collections
import pytest

from tf_transfer.datasets import test_reads

SPLIT = 'f' * 64
TIME = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


def read(**changes):
  """Makes an evaluation."""
  fields = {
    'time': TIME,
    'job': 'study',
    'dataset': 'digits',
    'network': 'resnet50',
    'weights_sha256': 'a' * 64,
    'setting': 'logistic_regression',
    'identity': 'b' * 32,
    'config_sha256': 'c' * 64,
    'training_sha256': 'd' * 64,
    'changed': ('steps = 100',),
  }
  return test_reads.Read(**{**fields, **changes})


@pytest.fixture(autouse=True)
def _every_warning_is_logged():
  test_reads._warn_once.cache_clear()


@hypothesis.given(
  st.lists(
    st.builds(
      read,
      time=st.integers(0, 10**9).map(
        lambda s: TIME + datetime.timedelta(seconds=s)
      ),
      network=st.text('aé\n"\\猫', max_size=5),
      changed=st.lists(st.text(max_size=5), max_size=3).map(tuple),
    ),
    max_size=5,
  )
)
@hypothesis.settings(max_examples=25, deadline=None)
def test_what_is_added_is_read(tmp_path_factory, reads):
  log = test_reads.Log(tmp_path_factory.mktemp('log'))
  for one in reads:
    log.add(SPLIT, one)
  history = log.read(SPLIT)
  assert history.num_damaged == 0
  assert [r.time for r in history.reads] == sorted(r.time for r in reads)
  plain = [r for r in reads if '\n'.join(r.changed).isprintable()]
  assert all(r in history.reads for r in plain if r.network.isprintable())
  assert log.read('e' * 64) == test_reads.History(())


def test_a_line_has_no_accuracy_no_path_and_no_user(tmp_path):
  log = test_reads.Log(tmp_path)
  log.add(SPLIT, read())
  (line,) = log.path(SPLIT).read_text().splitlines()
  assert set(test_reads.json.loads(line)) == {
    *('time', 'job', 'dataset', 'network', 'weights_sha256', 'setting'),
    *('identity', 'config_sha256', 'training_sha256', 'changed'),
  }


@pytest.mark.parametrize(
  ('damage', 'num_damaged'),
  [
    (b'{"time": "2026-01-0', 1),
    (b'not JSON\n', 1),
    (b'{}\n{"time": 3}\n', 2),
    (b'\xff\xfe\n', 1),
    (b'\0\0\0\0', 1),
  ],
)
def test_damaged_lines_are_counted_and_left_out(
  tmp_path, caplog, damage, num_damaged
):
  log = test_reads.Log(tmp_path)
  log.add(SPLIT, read(identity='1'))
  with open(log.path(SPLIT), 'ab') as file:
    file.write(damage)
  # It begins a line of its own, whatever was cut short before.
  log.add(SPLIT, read(identity='2'))
  history = log.read(SPLIT)
  assert [r.identity for r in history.reads] == ['1', '2']
  assert history.num_damaged == num_damaged
  assert 'damaged and left out' in caplog.text


def test_controls_of_a_terminal_are_escaped(tmp_path):
  log = test_reads.Log(tmp_path)
  log.add(SPLIT, read(network='a\x1b[2J', changed=('x = \u202e',)))
  (found,) = log.read(SPLIT).reads
  assert found.network == 'a\\x1b[2J'
  assert found.changed == ('x = \\u202e',)


_WRITER = """
import sys, pathlib
from tests.datasets.test_test_reads import SPLIT, read, test_reads
log = test_reads.Log(pathlib.Path(sys.argv[1]))
for number in range(300):
  log.add(SPLIT, read(identity=f'{sys.argv[2]}{number}', network='n' * 3000))
"""


def test_two_processes_at_once(tmp_path):
  root = pathlib.Path(__file__).parents[2]
  writers = [
    subprocess.Popen(
      [sys.executable, '-c', _WRITER, str(tmp_path), name], cwd=root
    )
    for name in 'ab'
  ]
  assert [writer.wait(60) for writer in writers] == [0, 0]
  history = test_reads.Log(tmp_path).read(SPLIT)
  assert history.num_damaged == 0
  assert sorted(r.identity for r in history.reads) == sorted(
    f'{name}{number}' for name in 'ab' for number in range(300)
  )


def _cannot_be_made(tmp_path):
  (tmp_path / 'file').write_text('')
  return tmp_path / 'file' / 'log'


def _read_only(tmp_path):
  # Root may write anywhere: a directory of the kernel's is no directory to it.
  if os.geteuid():
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    return tmp_path
  return pathlib.Path('/proc/test_reads')


def _full(tmp_path):
  (tmp_path / f'{SPLIT}.jsonl').symlink_to('/dev/full')
  return tmp_path


@pytest.mark.parametrize('place', [_cannot_be_made, _read_only, _full])
def test_where_it_cannot_be_written_one_warning_says_so(
  tmp_path, caplog, place
):
  log = test_reads.Log(place(tmp_path))
  for _ in range(3):
    log.add(SPLIT, read())
  (record,) = caplog.records
  assert 'are not logged' in record.getMessage()
  assert '--config.data.test_reads_dir' in record.getMessage()


def test_a_log_that_cannot_be_read_is_no_error(tmp_path, caplog):
  log = test_reads.Log(tmp_path)
  log.path(SPLIT).mkdir()
  assert log.read(SPLIT) == test_reads.History((), 1)
  assert 'expected a file' in caplog.text


@pytest.mark.parametrize(
  ('fields', 'variables', 'expected'),
  [
    ({}, {}, '/home/me/.cache/tf_transfer/test_reads'),
    ({}, {'XDG_CACHE_HOME': '/x'}, '/x/tf_transfer/test_reads'),
    ({}, {test_reads.DIRECTORY_VARIABLE: '/shared'}, '/shared'),
    ({'cache_dir': '/c'}, {}, '/c/test_reads'),
    ({'cache_dir': '/c', 'test_reads_dir': '~/r'}, {}, '/home/me/r'),
  ],
)
def test_directory(monkeypatch, fields, variables, expected):
  for name in ('XDG_CACHE_HOME', test_reads.DIRECTORY_VARIABLE):
    monkeypatch.delenv(name, raising=False)
  monkeypatch.setenv('HOME', '/home/me')
  for name, value in variables.items():
    monkeypatch.setenv(name, value)
  data = {'cache_dir': '', 'test_reads_dir': '', **fields}
  log = test_reads.Log.from_config(ml_collections.ConfigDict(data))
  assert log.directory == pathlib.Path(expected)


def test_hash_does_not_depend_on_the_order_of_fields():
  first = test_reads.hash_fields({'a': 1, 'b': [2, 3]})
  assert first == test_reads.hash_fields({'b': (2, 3), 'a': 1})
  assert first != test_reads.hash_fields({'a': 1, 'b': [3, 2]})


def test_evaluation_of_no_cell():
  usual = {'resize': 'whole_image', 'crop_fraction': 0.0}
  network = 'resnet50', 'a' * 64
  first = test_reads.of_network('imagenet', 'imagenet', network, usual, usual)
  other = {**usual, 'crop_fraction': 0.875}
  second = test_reads.of_network('imagenet', 'imagenet', network, other, usual)
  assert first.changed == ()
  assert second.changed == ('crop_fraction = 0.875',)
  assert first.identity != second.identity
  assert first.config_sha256 != second.config_sha256
