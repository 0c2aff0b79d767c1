"""What is found in a folder of images."""

import pytest

from tests.datasets.images.test_near_duplicates import COPIES, encode, photo
from tests.datasets.sources.test_folder import png
from tf_transfer import datasets
from tf_transfer.configs import datasets as datasets_config
from tf_transfer.datasets.sources import image_facts
from tf_transfer.errors import InputError


def animals(count):
  return {
    f'{name}/{i}.png': png(100 * number + i)
    for number, name in enumerate(('cat', 'dog'))
    for i in range(count)
  }


@pytest.fixture
def report(tmp_path):
  """Reports on files of a folder, with fields of `data`."""

  def make(files, **fields):
    for name, data in files.items():
      path = tmp_path / name
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_bytes(data)
    data = datasets_config.get_config().copy_and_resolve_references().data
    data.unlock()
    data.update(fields)
    return datasets.report_folder(f'folder:{tmp_path}', data, None)

  return make


def pairs(alike):
  return [[(x.name, x.split) for x in each.files] for each in alike]


def test_counts_are_those_of_the_dataset(report, tmp_path):
  found = report(animals(20))
  dataset = datasets.open(f'folder:{tmp_path}')
  for name, split in dataset.splits.items():
    assert sum(found.counts[name]) == len(split)
    assert found.counts[name][1] == (split.labels == 1).sum()
  assert found.num_files == (20, 20)
  assert found.stops == ()


def test_every_unreadable_file_is_named_and_stops(report):
  bad = {f'cat/bad{i}.png': b'<html>' for i in range(30)}
  found = report(animals(20) | bad)
  assert {name for name, _ in found.undecodable} == set(bad)
  assert all(reason for _, reason in found.undecodable)
  assert found.num_unreadable == (30, 0)
  (stop,) = found.stops
  assert '30 files' in stop
  assert sum(map(sum, found.counts.values())) == 40


def test_skipped_files_stop_nothing(report):
  found = report(animals(20) | {'cat/bad.png': b''}, corrupt='skip')
  assert found.undecodable == (('cat/bad.png', 'the file is empty'),)
  assert found.stops == ()


def test_files_that_cannot_be_opened_end_no_report(report, monkeypatch):
  """All are named, beside all else that is wrong."""
  read_bytes = image_facts.read_bytes

  def read(path):
    if path.endswith(('1.png', '2.png')):
      raise InputError(f'{path}: cannot be read (Permission denied)')
    return read_bytes(path)

  monkeypatch.setattr(image_facts, 'read_bytes', read)
  files = animals(10) | {'cat/bad.png': b'', 'cat/copy.png': png(3)}
  found = report(files, corrupt='skip')
  assert found.unopened == tuple(
    (f'{name}/{i}.png', 'cannot be read (Permission denied)')
    for name in ('cat', 'dog')
    for i in (1, 2)
  )
  assert found.undecodable == (('cat/bad.png', 'the file is empty'),)
  assert found.num_unreadable == (3, 2)
  assert [len(each.files) for each in found.identical] == [2]
  assert found.stops == (
    '4 files cannot be opened: make them readable, or remove them',
  )
  with pytest.raises(InputError, match='4 files cannot be read: .*1.png'):
    datasets.open(found.name, corrupt='skip')


def test_classes_without_images_end_no_report(report):
  found = report(animals(10) | {'cow/a.txt': b'', 'cat/bad.png': b''})
  assert found.classes == ('cat', 'cow', 'dog')
  assert found.num_files == (11, 0, 10)
  assert found.undecodable
  without_images, undecodable = found.stops
  assert 'cow: a class without images (so are 1 of 3: cow)' in without_images
  assert '1 file cannot be decoded' in undecodable
  with pytest.raises(InputError, match='cow: a class without images'):
    datasets.open(found.name)


def test_a_class_without_images_in_one_split(report):
  files = {
    f'{split}/{name}/{i}.png': png(100 * k + 10 * j + i)
    for k, split in enumerate(('train', 'test'))
    for j, name in enumerate(('cat', 'dog'))
    for i in range(5)
  }
  files = {n: f for n, f in files.items() if not n.startswith('test/cat')}
  found = report(files | {'test/cat/a.txt': b''})
  (stop,) = found.stops
  assert 'test/cat: a class without images' in stop
  assert found.num_files == (5, 10)


def test_what_is_left_out_is_said_once(report):
  found = report(animals(10) | {'cat/a.txt': b'', 'cat/.b': b''})
  assert found.left_out == {'.txt': (1, ('cat/a.txt',)), 'hidden': (1, ())}
  assert found.notes == ()
  dataset = datasets.open(found.name)
  assert 'left out: 1 .txt, 1 hidden file' in dataset.notes


def test_a_split_that_cannot_be_drawn_stops(report):
  found = report({'cat/0.png': png(0), 'dog/1.png': png(1)})
  assert len(found.stops) == 1
  assert found.counts == {}
  assert found.num_files == (1, 1)


def test_copies_within_and_across_classes(report):
  files = animals(20)
  copies = {
    'dog/copy.png': files['cat/0.png'],
    'dog/other.png': files['dog/1.png'],
  }
  found = report(files | copies)
  places = [each.places for each in found.identical]
  assert places == ['two or more classes, one split', 'one class, one split']
  names = [{name for name, _ in pair} for pair in pairs(found.identical)]
  assert names[0] == {'cat/0.png', 'dog/copy.png'}
  assert names[1] == {'dog/1.png', 'dog/other.png'}


def test_copies_across_given_splits(report):
  files = {
    f'{split}/{name}/{i}.png': png(1000 * s + 100 * c + i)
    for s, split in enumerate(('train', 'val', 'test'))
    for c, name in enumerate(('cat', 'dog'))
    for i in range(6)
  }
  files['train/cat/copy.png'] = files['test/cat/0.png']
  found = report(files)
  (pair,) = pairs(found.identical)
  assert pair == [
    ('test/cat/0.png', 'test'),
    ('train/cat/copy.png', 'train'),
  ]
  assert found.counts['train'] == (6, 6)  # The copy is left out.


def test_images_that_look_alike(report):
  image = photo(1)
  files = animals(20) | {
    'cat/photo.png': encode(image, 'PNG'),
    'dog/small.png': COPIES['halved'](image),
  }
  found = report(files)
  (pair,) = [x for x in found.similar if x.files[0].name == 'cat/photo.png']
  assert pair.places.startswith('two or more classes')
  assert found.identical == ()


def test_folds_are_counted_by_their_tests(report):
  found = report(animals(20), folds=4)
  assert found.num_folds == 4
  assert sum(map(sum, found.counts.values())) == 40


def test_sizes(report):
  files = animals(20) | {'cat/big.png': encode(photo(2), 'PNG')}
  sizes = report(files).sizes
  assert sizes.largest == (120, 160)
  assert len(sizes.tiny) == 40
  assert sizes.num_below_usual >= 40


def test_a_few_examples_leave_the_others_out(report):
  found = report(animals(20), examples_per_class=2)
  assert found.counts['train'] == (2, 2)
  assert sum(map(sum, found.counts.values())) < 40
