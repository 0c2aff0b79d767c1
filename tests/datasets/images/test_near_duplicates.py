"""Copies of images are grouped, and drawings that only look simple are not."""

import io
import itertools

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import no_progress
from tf_transfer.datasets.images import near_duplicates
from tf_transfer.datasets.sources import image_facts


def photo(seed):
  """An image with the spectrum of a photo, 120 x 160 pixels."""
  rng = np.random.default_rng(seed)
  image = np.zeros((120, 160, 3))
  for size in (3, 6, 12, 24):
    noise = rng.uniform(0, 255, (size, size, 3)).astype(np.uint8)
    layer = Image.fromarray(noise).resize((160, 120), Image.BICUBIC)
    image += np.array(layer, float) * 3 / size
  image *= 255 / image.max()
  return Image.fromarray(image.astype(np.uint8))


def encode(image, kind='PNG', **options):
  buffer = io.BytesIO()
  image.save(buffer, kind, **options)
  return buffer.getvalue()


def facts_of(tmp_path, contents):
  paths = []
  for i, content in enumerate(contents):
    path = tmp_path / f'{i:04}'
    path.write_bytes(content)
    paths.append(str(path))
  return image_facts.find(paths, str(tmp_path), 'x', None, no_progress)


def group(facts, labels=None, keys=None):
  count = len(facts)
  return near_duplicates.group(
    facts.digests,
    np.zeros(count, int) if labels is None else np.array(labels),
    facts.hashes,
    facts.thumbnails,
    [''] * count if keys is None else keys,
  )


def pairs_in(numbers):
  return {
    (i, j)
    for i, j in itertools.combinations(range(len(numbers)), 2)
    if numbers[i] == numbers[j]
  }


COPIES = {
  'recoded': lambda image: encode(image, 'JPEG', quality=50),
  'halved': lambda image: encode(image.resize((80, 60)), 'JPEG', quality=75),
  'enlarged': lambda image: encode(image.resize((240, 180), Image.BICUBIC)),
  'brighter': lambda image: encode(ImageEnhance.Brightness(image).enhance(1.1)),
}


@pytest.mark.parametrize('copy', COPIES)
def test_copies_of_photos_are_found_and_other_photos_are_not(tmp_path, copy):
  images = [photo(seed) for seed in range(12)]
  contents = [encode(x) for x in images] + [COPIES[copy](x) for x in images]
  groups = group(facts_of(tmp_path, contents))
  assert pairs_in(groups.numbers) == {(i, i + 12) for i in range(12)}
  assert {tuple(sorted(pair)) for pair in groups.similar.tolist()} == {
    (i, i + 12) for i in range(12)
  }
  assert groups.num_refused == 0


def test_drawings_of_other_shapes_or_places_are_not_grouped(tmp_path):
  contents = []
  for shape in ('ellipse', 'rectangle'):
    for place in (10, 30, 50):
      for color in ('red', 'blue'):
        image = Image.new('RGB', (100, 100), 'white')
        draw = getattr(ImageDraw.Draw(image), shape)
        draw((place, place, place + 40, place + 40), fill=color)
        contents.append(encode(image))
  # A text of one letter, which a hash of 64 bits hardly sees.
  assert pairs_in(group(facts_of(tmp_path, contents)).numbers) == set()


def test_flat_images_are_not_grouped(tmp_path):
  contents = [
    encode(Image.new('RGB', (20, 20), (level, 3 * level, 7)))
    for level in range(40)
  ]
  assert pairs_in(group(facts_of(tmp_path, contents)).numbers) == set()


def test_digits_are_rarely_grouped(tmp_path):
  # Of 79,800 pairs of digits, drawn by hand at 8 x 8 pixels, none.
  from sklearn.datasets import load_digits

  pixels = np.floor(load_digits().images[:400] * (255 / 16) + 0.5)
  contents = [encode(Image.fromarray(x.astype(np.uint8))) for x in pixels]
  facts = facts_of(tmp_path, contents)
  assert len(near_duplicates.find_pairs(facts.hashes, facts.thumbnails)[0]) == 0
  # The hash alone would group some.
  bits = np.bitwise_count(facts.hashes[:, None] ^ facts.hashes)
  assert (bits <= near_duplicates.MAX_BITS).sum() > len(bits)


def test_blocks_change_nothing(tmp_path, monkeypatch):
  contents = [
    copy
    for seed in range(8)
    for copy in (encode(photo(seed)), COPIES['recoded'](photo(seed)))
  ]
  facts = facts_of(tmp_path, contents)
  before = near_duplicates.find_pairs(facts.hashes, facts.thumbnails)
  monkeypatch.setattr(near_duplicates, '_BLOCK_SIZE', 20)
  monkeypatch.setattr(near_duplicates, '_PAIRS_AT_ONCE', 3)
  after = near_duplicates.find_pairs(facts.hashes, facts.thumbnails)
  assert sorted(before[0].tolist()) == sorted(after[0].tolist())
  assert len(after[0]) == 8


def test_keys_and_identical_files_are_grouped_across_classes(tmp_path):
  contents = [encode(photo(seed)) for seed in (0, 1, 2, 3, 0)]
  numbers = group(
    facts_of(tmp_path, contents), [0, 0, 1, 1, 1], ['', 'p', 'p', '', '']
  ).numbers
  assert pairs_in(numbers) == {(0, 4), (1, 2)}


def fake(hashes, thumbnails):
  """Facts with given hashes and thumbnails, of contents that all differ."""
  count = len(hashes)
  digests = splits.content_digests([str(i).encode() for i in range(count)])
  return image_facts.ImageFacts(
    digests,
    np.ones(count, np.int32),
    np.ones(count, np.int32),
    np.array(hashes, np.uint64),
    thumbnails,
    ('PNG',) * count,
    ('',) * count,
  )


def chain(count, seed=0):
  """Facts of images each of which is near the next, in one chain."""
  rng = np.random.default_rng(seed)
  start, end = rng.uniform(0, 255, (2, 16, 16, 3))
  shares = np.linspace(0, 1, count)[:, None, None, None]
  thumbnails = (1 - shares) * start + shares * end
  return fake(np.zeros(count), thumbnails.astype(np.uint8))


def test_a_chain_does_not_swallow_a_class():
  groups = group(chain(40))
  sizes = np.unique(groups.numbers, return_counts=True)[1]
  assert len(sizes) >= 2
  assert sizes.max() <= 20
  assert groups.num_refused > 0
  # Beside enough other images, the same chain is one group.
  apart = np.random.default_rng(1).uniform(0, 255, (60, 16, 16, 3))
  thumbnails = np.concatenate([chain(40).thumbnails, apart.astype(np.uint8)])
  groups = group(fake(np.zeros(100), thumbnails))
  assert np.unique(groups.numbers, return_counts=True)[1].max() == 40
  assert groups.num_refused == 0


@hypothesis.given(st.permutations(range(40)))
@hypothesis.settings(max_examples=20)
def test_order_changes_no_group(order):
  facts = chain(40)
  before = pairs_in(group(facts).numbers)
  after = pairs_in(group(facts.take(np.array(order))).numbers)
  renamed = {tuple(sorted((order[i], order[j]))) for i, j in after}
  assert renamed == before


@hypothesis.given(
  st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**64 - 1)), max_size=30)
)
def test_near_hashes_are_those_of_a_comparison_of_all(items):
  base = np.array([0, 2**64 - 1, 0x5555555555555555, 99], np.uint64)
  # Sparse noise, of about 8 of 64 bits.
  noise = np.array([x & (x >> 21) & (x >> 43) for _, x in items], np.uint64)
  hashes = base[np.array([i for i, _ in items], int)] ^ noise
  found = [
    (int(i), int(j))
    for pairs in near_duplicates._near_hashes(hashes)
    for i, j in pairs
  ]
  assert len(found) == len(set(found))
  bits = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
  near = np.argwhere(bits <= near_duplicates.MAX_BITS)
  assert set(found) == {(i, j) for i, j in near.tolist() if i < j}
