"""Images in files: reading, and files that are missing or change."""

import os
import shutil

import numpy as np
import pytest

from tests.datasets.sources.test_folder import animals, open_at, png, write
from tf_transfer.datasets import splits
from tf_transfer.datasets.sources import image_files
from tf_transfer.errors import InputError
from tf_transfer.images.decoding import CorruptImage, decode


def test_a_link_to_nowhere(tmp_path):
  write(tmp_path, animals())
  os.symlink(tmp_path / 'gone', tmp_path / 'cat' / 'x.png')
  with pytest.raises(InputError, match=r'cat/x\.png: cannot be read \(No such'):
    open_at(tmp_path)


def test_a_pipe(tmp_path):
  write(tmp_path, animals())
  os.mkfifo(tmp_path / 'cat' / 'x.png')
  with pytest.raises(InputError, match=r'cat/x\.png: not a regular file'):
    open_at(tmp_path)


def test_a_file_that_vanishes(tmp_path):
  part = open_at(write(tmp_path, animals())).splits['train']
  os.remove(part.describe(2))
  with pytest.raises(InputError, match='cannot be read') as raised:
    part.read(2)
  assert part.describe(2) in str(raised.value)
  shutil.rmtree(tmp_path / 'dog')
  with pytest.raises(InputError, match='cannot be read'):
    part.read(len(part) - 1)


def test_a_file_that_changes(tmp_path):
  part = open_at(write(tmp_path, animals())).splits['train']
  with open(part.describe(2), 'wb') as file:
    file.write(png(60_000))
  with pytest.raises(InputError, match='has changed since') as raised:
    part.read(2)
  assert not isinstance(raised.value, CorruptImage)


def test_a_corrupt_file_is_named_when_it_is_read(tmp_path):
  path = tmp_path / 'bad.png'
  path.write_bytes(png(1)[:40])
  digests = splits.content_digests([path.read_bytes()])
  part = image_files.make_split(
    'train', np.zeros(1, int), digests, image_files.whole_files([str(path)])
  )
  with pytest.raises(CorruptImage, match=r'/bad\.png: not a read'):
    part.read(0)


def test_the_encoded_image_is_the_file(tmp_path):
  write(tmp_path, animals())
  files = {png(number) for number in animals().values()}
  split = open_at(tmp_path).splits['train']
  for i in range(len(split)):
    data = split.encoded(i)
    assert data in files
    np.testing.assert_array_equal(decode(data, 'x'), split.read(i))


def test_names_that_are_no_text(tmp_path):
  root = write(tmp_path, animals())
  odd = os.path.join(os.fsencode(root), b'd\xffg')
  os.rename(root / 'dog', odd)
  dataset = open_at(root)
  assert dataset.classes == ('cat', 'd\\xffg')
  label = int(dataset.splits['test'].labels[-1])
  assert dataset.classes[label] == 'd\\xffg'
  dataset.splits['test'].describe(len(dataset.splits['test']) - 1).encode()


def test_read_bytes_of_a_part(tmp_path):
  path = tmp_path / 'file'
  path.write_bytes(b'0123456789')
  assert image_files.read_bytes(str(path)) == b'0123456789'
  assert image_files.read_bytes(str(path), 3, 4) == b'3456'
  with pytest.raises(InputError, match=r'ends after 10 bytes, but 12 were'):
    image_files.read_bytes(str(path), 8, 4)


def test_take_keeps_what_belongs_to_an_image(tmp_path):
  path = tmp_path / 'file'
  path.write_bytes(b'aabbbc')
  images = image_files.ImageFiles(
    (str(path),) * 3,
    ('first', 'second', 'third'),
    np.array([0, 2, 5]),
    np.array([2, 3, 1]),
  )
  taken = images.take(np.array([2, 1]))
  assert len(taken) == 2
  assert taken.descriptions == ('third', 'second')
  assert [taken.unverified_bytes(i) for i in range(2)] == [b'c', b'bbb']


@pytest.mark.parametrize(
  ('path', 'text'),
  [
    ('a/b.png', 'a/b.png'),
    ('a\nb\tc', 'a\\nb\\tc'),
    ('a\x1b[2J', 'a\\x1b[2J'),
    (os.fsdecode(b'caf\xe9'), 'caf\\xe9'),
    ('\u732b \U0001f600', '\u732b \U0001f600'),
  ],
)
def test_paths_are_printed_in_a_line(path, text):
  assert image_files.printable(path) == text


def test_a_file_that_is_larger_than_any_image(tmp_path):
  write(tmp_path, animals())
  with open(tmp_path / 'cat' / 'x.tif', 'wb') as file:
    file.truncate(5 * 2**30)
  with pytest.raises(InputError, match=r'cat/x\.tif: 5 GiB, which is no i'):
    open_at(tmp_path)
