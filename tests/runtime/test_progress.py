"""Progress bars: what they count, and when they write."""

import io
import sys

from tf_transfer.runtime import progress


def test_an_iterable_passes_through():
  assert list(progress.bar(range(5), desc='counting')) == list(range(5))


def test_a_bar_counts_from_where_an_earlier_run_ended():
  with progress.bar(total=10, initial=4) as bar:
    bar.update(3)
    assert bar.n == 7
    assert bar.total == 10


def test_nothing_is_written_within_a_second(capsys):
  for _ in progress.bar(range(100), desc='quick'):
    pass
  assert 'quick' not in capsys.readouterr().err


class Terminal(io.StringIO):
  """A stream that claims to be a terminal."""

  def isatty(self):
    return True


def test_a_log_file_has_fewer_updates_than_a_terminal(monkeypatch):
  intervals = []
  for stream in (io.StringIO(), Terminal()):
    monkeypatch.setattr(sys, 'stderr', stream)
    with progress.bar(total=1) as bar:
      intervals.append(bar.mininterval)
  assert intervals == [10, 0.1]


def test_a_long_task_is_shown_with_name_and_unit(monkeypatch):
  stream = Terminal()
  monkeypatch.setattr(sys, 'stderr', stream)
  with progress.bar(total=3, desc='reading digits', unit='file') as bar:
    # As if a second had passed.
    bar.delay = 0
    bar.update(2)
    bar.refresh()
  text = stream.getvalue()
  assert 'reading digits' in text
  assert '2/3' in text
  assert 'file' in text
