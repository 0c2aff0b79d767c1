"""Facts of image files: sizes, hashes, problems, and their cache."""

import io
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from tf_transfer.datasets.dataset import no_progress
from tf_transfer.datasets.sources import image_facts
from tf_transfer.images import decoding


def photo(seed, height=60, width=80):
  """A smooth image of several waves, uint8 [H, W, 3]."""
  rng = np.random.default_rng(seed)
  coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
  image = Image.fromarray(coarse).resize((width, height), Image.BICUBIC)
  return np.array(image)


def encode(image, kind='PNG', **options):
  buffer = io.BytesIO()
  Image.fromarray(image).save(buffer, kind, **options)
  return buffer.getvalue()


@pytest.fixture
def paths(tmp_path):
  folder = tmp_path / 'images'
  folder.mkdir()
  contents = {
    'a.png': encode(photo(0)),
    'b.jpg': encode(photo(1, 40, 30), 'JPEG', quality=90),
    'cut.png': encode(photo(2))[:-60],
    'page.jpg': b'<html></html>',
    'same.png': encode(photo(0)),
  }
  for name, content in contents.items():
    (folder / name).write_bytes(content)
  return [str(folder / name) for name in contents]


def find(paths, tmp_path, cache_dir=None, progress=no_progress):
  return image_facts.find(paths, str(tmp_path), 'folder:x', cache_dir, progress)


def test_sizes_formats_and_problems(paths, tmp_path):
  facts = find(paths, tmp_path)
  assert facts.heights.tolist() == [60, 40, 0, 0, 60]
  assert facts.widths.tolist() == [80, 30, 0, 0, 80]
  assert facts.formats == ('PNG', 'JPEG', 'PNG', '', 'PNG')
  assert facts.is_readable.tolist() == [True, True, False, False, True]
  assert facts.problems[0] == ''
  assert facts.problems[3] == 'a web page'
  assert facts.hashes[0] == facts.hashes[4]
  assert np.bitwise_count(facts.hashes[0] ^ facts.hashes[1]) > 10


def test_thumbnails_are_means_of_the_image(tmp_path):
  image = np.zeros((32, 32, 3), np.uint8)
  image[:16, :16] = (200, 100, 50)
  path = tmp_path / 'flat.png'
  path.write_bytes(encode(image))
  thumbnail = find([str(path)], tmp_path).thumbnails[0]
  assert np.array_equal(thumbnail, image[::2, ::2])


def test_the_second_run_decodes_nothing(paths, tmp_path, monkeypatch):
  before = find(paths, tmp_path, tmp_path / 'cache')

  def decode(*_):
    raise AssertionError('decoded again')

  monkeypatch.setattr(decoding, 'decode', decode)
  after = find(paths[::-1], tmp_path, tmp_path / 'cache')
  for name in ('digests', 'heights', 'widths', 'hashes', 'thumbnails'):
    assert np.array_equal(getattr(before, name)[::-1], getattr(after, name))
  assert after.formats == before.formats[::-1]
  assert after.problems == before.problems[::-1]


def test_only_a_new_content_is_decoded(paths, tmp_path, monkeypatch):
  find(paths, tmp_path, tmp_path / 'cache')
  with open(paths[0], 'wb') as file:
    file.write(encode(photo(7, 50, 50)))
  decoded = []
  decode = decoding.decode
  monkeypatch.setattr(
    decoding,
    'decode',
    lambda data, name: decoded.append(name) or decode(data, name),
  )
  facts = find(paths, tmp_path, tmp_path / 'cache')
  assert decoded == [paths[0]]
  assert facts.heights[0] == 50
  assert len(list((tmp_path / 'cache').iterdir())) == 1


def test_progress_counts_files(paths, tmp_path):
  bars = []

  def progress(iterable, **options):
    items = list(iterable)
    bars.append((len(items), options))
    return items

  find(paths, tmp_path, progress=progress)
  expected = {'total': 5, 'desc': 'reading folder:x', 'unit': 'file'}
  assert bars == [(5, expected)]


def test_files_that_cannot_be_opened_have_no_digest(paths, tmp_path):
  pipe, missing = str(tmp_path / 'pipe.png'), str(tmp_path / 'missing.png')
  os.mkfifo(pipe)
  cache_dir = tmp_path / 'cache'
  for _ in range(2):
    facts = find([pipe, *paths, missing], tmp_path, cache_dir)
    np.testing.assert_array_equal(
      facts.is_opened, [False, *[True] * len(paths), False]
    )
    assert facts.problems[0] == f'{pipe}: not a regular file: remove it'
    assert facts.problems[-1].startswith(f'{missing}: cannot be read (No such')
    assert not facts.is_readable[0]
    assert not facts.digests[0].any()
    assert facts.is_opened[1:-1].all()


def test_a_file_that_can_be_opened_again_is_read(paths, tmp_path):
  late = tmp_path / 'late.png'
  cache_dir = tmp_path / 'cache'
  find([*paths, str(late)], tmp_path, cache_dir)
  late.write_bytes(pathlib.Path(paths[0]).read_bytes())
  facts = find([*paths, str(late)], tmp_path, cache_dir)
  np.testing.assert_array_equal(facts.digests[-1], facts.digests[0])
  assert facts.problems[-1] == ''


def test_no_files_have_no_facts(tmp_path):
  assert len(find([], tmp_path, tmp_path / 'cache')) == 0
