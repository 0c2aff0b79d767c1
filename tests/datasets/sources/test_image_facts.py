"""Facts of image files: sizes, hashes, problems, and their cache."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from tf_transfer.datasets.dataset import no_progress
from tf_transfer.datasets.sources import image_facts
from tf_transfer.errors import InputError
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


def test_a_file_that_cannot_be_read_is_an_error(paths, tmp_path):
  with pytest.raises(InputError, match=r'missing\.png'):
    find([*paths, str(tmp_path / 'missing.png')], tmp_path)


def test_all_files_that_cannot_be_read_are_one_error(paths, tmp_path):
  pipes = [str(tmp_path / f'pipe{i}.png') for i in range(3)]
  for pipe in pipes:
    os.mkfifo(pipe)
  with pytest.raises(InputError, match='3 files cannot be read: ') as error:
    find([*pipes[:2], *paths, pipes[2]], tmp_path)
  assert all(
    f'{pipe}: not a regular file' in str(error.value) for pipe in pipes
  )


def test_no_files_have_no_facts(tmp_path):
  assert len(find([], tmp_path, tmp_path / 'cache')) == 0
