"""Perceptual hashes of similar and of unrelated images."""

import io

import numpy as np
import pytest
import scipy.fft
from PIL import Image

from tf_transfer.datasets import splits
from tf_transfer.datasets.dataset import Split, no_progress
from tf_transfer.datasets.images import perceptual_hash
from tf_transfer.images.decoding import CorruptImage, decode


def photo(seed, height=120, width=160):
  """A image with large and small structure, uint8 [H, W, 3]."""
  rng = np.random.default_rng(seed)
  layers = [
    np.asarray(
      Image.fromarray(
        rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
      ).resize((width, height), Image.BICUBIC),
      float,
    )
    / cells
    for cells in (3, 6, 12, 24)
  ]
  total = sum(layers)
  return (255 * (total - total.min()) / np.ptp(total)).astype(np.uint8)


def make_split(images):
  return Split(
    name='train',
    labels=np.zeros(len(images)),
    digests=splits.content_digests([image.tobytes() for image in images]),
    read=images.__getitem__,
    describe=str,
  )


def hash_all(images):
  hashes, readable = perceptual_hash.hash_split(
    make_split(images), no_progress, ''
  )
  assert readable.all()
  return hashes


def recompressed(image):
  file = io.BytesIO()
  Image.fromarray(image).save(file, 'JPEG', quality=40)
  return decode(file.getvalue(), 'x')


def resized(image):
  return np.asarray(Image.fromarray(image).resize((91, 66), Image.BILINEAR))


def cropped(image):
  return image[3:-2, 2:-3]


def brighter(image):
  return np.clip(image * 1.1 + 10, 0, 255).astype(np.uint8)


CHANGES = (recompressed, resized, cropped, brighter)


@pytest.mark.parametrize('change', CHANGES)
def test_near_copies_differ_in_few_bits(change):
  photos = [photo(seed) for seed in range(40)]
  copies = [change(x) for x in photos]
  distance = np.bitwise_count(hash_all(photos) ^ hash_all(copies))
  assert distance.max() <= 8


def test_other_photos_differ_in_many():
  hashes = hash_all([photo(seed) for seed in range(60)])
  distance = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
  others = distance[~np.eye(60, dtype=bool)]
  assert others.min() > 12
  assert 28 < others.mean() < 36


def test_hash_by_hand():
  # A cosine of one frequency: only its bit and that of the mean are set.
  x = (np.arange(32) + 0.5) * np.pi / 32
  wave = 128 + 100 * np.cos(3 * x)[None, :] * np.ones((32, 1))
  images = np.repeat(np.round(wave)[None, ..., None], 3, -1).astype(np.uint8)
  bits = f'{int(perceptual_hash.hash_images(images)[0]):064b}'
  assert bits[0] == '1'  # brightness
  assert bits[3] == '1'  # no change down the rows, the third along them
  down = f'{int(perceptual_hash.hash_images(images.swapaxes(1, 2))[0]):064b}'
  assert down[3 * 8] == '1'


def test_hash_follows_its_definition():
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
  for hash_value, image in zip(
    perceptual_hash.hash_images(images), images, strict=True
  ):
    gray = sum(
      weight * image[..., c].astype(float)
      for c, weight in enumerate((0.299, 0.587, 0.114))
    )
    waves = scipy.fft.dct(scipy.fft.dct(gray, axis=0), axis=1)[:8, :8].ravel()
    value = 0
    for wave in waves:
      value = 2 * value + int(wave > np.median(waves[1:]))
    assert int(hash_value) == value


def test_nearest(monkeypatch):
  rng = np.random.default_rng(1)
  queries, others = (
    rng.integers(0, 2**64, n, dtype=np.uint64) for n in (50, 70)
  )
  queries[7] = others[20]
  others[30] = others[20]  # the first of equals counts
  for block in (1, 1000, 2**24):
    monkeypatch.setattr(perceptual_hash, '_BLOCK_SIZE', block)
    position, distance = perceptual_hash.nearest(queries, others)
    for i, query in enumerate(queries):
      apart = [bin(int(query) ^ int(other)).count('1') for other in others]
      assert distance[i] == min(apart)
      assert position[i] == apart.index(min(apart))
  assert (position[7], distance[7]) == (20, 0)


def test_most_similar(monkeypatch):
  rng = np.random.default_rng(2)
  queries, vectors = rng.normal(size=(9, 4)), rng.normal(size=(11, 4))
  queries[3] = 5 * vectors[6]
  for block in (1, 2**24):
    monkeypatch.setattr(perceptual_hash, '_BLOCK_SIZE', block)
    position, cosine = perceptual_hash.most_similar(queries, vectors)
    expected = [
      [q @ v / np.sqrt((q @ q) * (v @ v)) for v in vectors] for q in queries
    ]
    np.testing.assert_array_equal(position, np.argmax(expected, axis=1))
    np.testing.assert_allclose(cosine, np.max(expected, axis=1))
  assert position[3] == 6
  assert cosine[3] == pytest.approx(1)


def test_an_image_that_cannot_be_decoded_is_marked():
  photos = [photo(0), photo(1)]
  split = make_split(photos)

  def read(i):
    if i == 1:
      raise CorruptImage('1: broken')
    return photos[i]

  object.__setattr__(split, 'read', read)
  _, readable = perceptual_hash.hash_split(split, no_progress, '')
  assert readable.tolist() == [True, False]
