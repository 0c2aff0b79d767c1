"""Sentences on what is left out of a folder."""

import pytest

from tf_transfer.datasets.sources import folder_counts


def notes(**fields):
  counts = folder_counts.Counts()
  for name, value in fields.items():
    getattr(counts, name).update(value) if isinstance(value, dict) else setattr(
      counts, name, value
    )
  return [*counts.notes('/root', ()), *counts.left_out_notes()]


def test_nothing_is_said_of_nothing():
  assert notes() == []


@pytest.mark.parametrize(
  ('fields', 'text'),
  [
    ({'num_hidden': 1}, 'left out: 1 hidden file'),
    ({'num_hidden': 1200}, 'left out: 1,200 hidden files'),
    ({'num_special': 1}, 'left out: 1 pipe, socket or device'),
    (
      {'beside': ['/root/a.png', '/root/b.png']},
      '2 images beside the class folders are left out, the first a.png',
    ),
    (
      {'unusual': {'.bin': 2, 'without extension': 1}},
      '3 files are images by content, not by name: 2 .bin, 1 without extension',
    ),
    ({'num_file_links': 1}, '1 image is a link to a file'),
    (
      {'num_repeated_files': 1},
      '1 link to an image that is read anyway is left out',
    ),
    (
      {'left_out': {f'.x{i}': 9 - i for i in range(9)}},
      'left out: 9 .x0, 8 .x1, 7 .x2, 6 .x3, 5 .x4, 4 .x5, 3 .x6, 2 .x7 and '
      '1 other kind',
    ),
  ],
)
def test_sentences(fields, text):
  assert notes(**fields) == [text]


def test_names_of_links_can_be_printed():
  counts = folder_counts.Counts()
  counts.links['outside']['/root/a\x1b[31m\n'] = None
  (note,) = counts.notes('/root', ())
  assert note == (
    '1 link to a folder outside of the directory is left out: a\\x1b[31m\\n; '
    'copy what should be read, or link its files'
  )
