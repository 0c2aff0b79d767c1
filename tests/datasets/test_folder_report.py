"""The text of a folder's report."""

import dataclasses

import pytest

from tf_transfer.datasets import folder_report
from tf_transfer.datasets.folder_report import Alike, File, FolderReport, Sizes

CAT = File('cat/0.png', 'cat', 'train')
DOG = File('dog/0.png', 'dog', 'test')

REPORT = FolderReport(
  name='folder:pets',
  classes=('cat', 'dog'),
  counts={'train': (60, 3), 'val': (20, 1), 'test': (1_200, 1)},
  num_files=(1_281, 5),
  num_unreadable=(2, 0),
  unopened=(('cat/locked.png', 'cannot be read (Permission denied)'),),
  undecodable=(('cat/bad.png', 'the file is empty'),),
  identical=(Alike((CAT, DOG)),),
  similar=(),
  left_out={'.txt': (12, ('a.txt', 'b.txt')), 'hidden': (3, ())},
  notes=('cat: 3 of its 9 images are in 1 folder inside it',),
  sizes=Sizes((8, 9), (100, 120), (300, 400), ('cat/tiny.png',), 7),
  num_folds=0,
  stops=(),
)


def test_all_is_said():
  text = folder_report.render(REPORT)
  for part in (
    'folder:pets: 2 classes',
    '  cat         60       20    1,200    1,281           2\n',
    '  total       63       21    1,201    1,286           2\n',
    '1 file cannot be decoded:\n  cat/bad.png: the file is empty\n',
    'identical files in two or more classes, two or more splits, 1:\n'
    '  cat/0.png (train) = dog/0.png (test)\n  -> one of the labels is wrong',
    '  -> copies of test are left out of train and val',
    'classes too small to be tested:\n  dog: 1 image of test\n',
    'smallest 9 x 8, median 120 x 100, largest 400 x 300',
    '  7 of 1,284 images have a side below 224 pixels, the usual input of '
    'networks: they are enlarged.\n  1 of these have a side below 32 pixels, '
    'which hardly shows anything:\n    cat/tiny.png\n  -> use larger',
    '1 file cannot be opened:\n  cat/locked.png: cannot be read (Permission '
    'denied)\n  -> make them readable, or remove them.\n',
    '  12 .txt: a.txt, b.txt and 10 more\n  3 hidden\n',
    '1 folder inside it',
    'nothing stops a job.',
  ):
    assert part in text
  assert 'look alike' not in text


def test_folds_are_not_advised_where_there_are_some():
  report = dataclasses.replace(
    REPORT, counts={'fold 1': (9, 2), 'fold 2': (9, 2)}, num_folds=2
  )
  text = folder_report.render(report)
  assert 'dog: 4 images of test\n' in text
  assert '--config.data.folds' not in text
  assert '--config.data.folds=5' in folder_report.render(REPORT)


def test_nothing_is_said_of_nothing():
  report = dataclasses.replace(
    REPORT,
    counts={'train': (60, 60), 'val': (20, 20), 'test': (20, 20)},
    num_unreadable=(0, 0),
    unopened=(),
    undecodable=(),
    identical=(),
    left_out={},
    notes=(),
    sizes=None,
    stops=('a test is empty',),
  )
  text = folder_report.render(report)
  assert '->' not in text
  assert text.endswith('this stops every job:\n  a test is empty')


@pytest.mark.parametrize('has_workdir', [True, False])
def test_long_lists_are_cut_if_a_file_has_all(tmp_path, capsys, has_workdir):
  bad = tuple((f'cat/{i}.png', 'damaged') for i in range(50))
  report = dataclasses.replace(REPORT, undecodable=bad)
  lines = folder_report.show(report, tmp_path if has_workdir else None)
  printed = capsys.readouterr().out
  assert lines == printed.rstrip().splitlines()
  assert ('  ... and 30 more' in printed) == has_workdir
  assert ('cat/49.png' in printed) != has_workdir
  if has_workdir:
    (path,) = tmp_path.glob('folder_report_*.txt')
    assert lines[-1] == f'all of it is in {path}'
    assert 'cat/49.png' in path.read_text()
