"""Predictions of images of any size, from files, bytes and pixels."""

import dataclasses
import io

import numpy as np
import pytest
import scipy.special
from PIL import Image

from tests.networks import drawn
from tf_transfer import contract, errors, networks
from tf_transfer.images import decoding, resizing
from tf_transfer.networks import predict, weights

CLASSES = ('ant', 'bee', 'cow')
SIZE = 32


@pytest.fixture(scope='module')
def net(tmp_path_factory):
  header = weights.Header(
    'inception_small',
    {},
    contract.Contract(SIZE, (127.5,) * 3, (127.5,) * 3),
    num_classes=len(CLASSES),
    classes=CLASSES,
    temperature=2.0,
    resize='whole_image',
  )
  model = networks.build('inception_small', num_classes=len(CLASSES))
  path = tmp_path_factory.mktemp('net') / 'net.safetensors'
  weights.save(path, header, drawn.variables(model, SIZE))
  return networks.load(path)


@pytest.fixture(scope='module')
def pixels():
  rng = np.random.default_rng(0)
  sizes = [(20, 31), (64, 40), (32, 32), (9, 80), (50, 50), (33, 17), (48, 12)]
  return [rng.integers(256, size=(*s, 3), dtype=np.uint8) for s in sizes]


def png(image):
  file = io.BytesIO()
  Image.fromarray(image).save(file, 'PNG')
  return file.getvalue()


def expected(net, pixels):
  """Probabilities of one image at a time, without the module under test."""
  rows = []
  for image in pixels:
    resized = resizing.whole_image(image, net.contract)
    logits = net.logits(net.contract.scale(resized[None]))
    rows.append(scipy.special.softmax(np.asarray(logits, float)[0] / 2.0))
  return np.array(rows)


@pytest.mark.parametrize('batch_size', [1, 3, 64])
def test_pixels_bytes_and_files_agree(net, pixels, tmp_path, batch_size):
  paths = [tmp_path / f'{i}.png' for i in range(len(pixels))]
  for path, image in zip(paths, pixels, strict=True):
    path.write_bytes(png(image))
  wanted = expected(net, pixels)
  for images in (pixels, [png(image) for image in pixels], paths):
    found = net.predict(images, batch_size=batch_size)
    np.testing.assert_allclose(found.probabilities, wanted, atol=1e-6)
    np.testing.assert_array_equal(found.labels, wanted.argmax(axis=1))
    assert found.names == tuple(CLASSES[i] for i in wanted.argmax(axis=1))
    assert found.problems == {}


def test_one_image_alone_and_none(net, pixels, tmp_path):
  path = tmp_path / 'one.png'
  path.write_bytes(png(pixels[0]))
  wanted = expected(net, pixels[:1])
  for image in (str(path), path, pixels[0], png(pixels[0])):
    found = net.predict(image)
    assert len(found) == 1
    np.testing.assert_allclose(found.probabilities, wanted, atol=1e-6)
  assert net.predict([]).probabilities.shape == (0, 3)


def test_all_bad_images_are_named(net, pixels, tmp_path):
  (tmp_path / 'text.jpg').write_text('no image')
  (tmp_path / 'cut.png').write_bytes(png(pixels[1])[:200])
  images = [
    tmp_path / 'text.jpg',
    pixels[0],
    tmp_path / 'cut.png',
    tmp_path / 'missing.png',
    tmp_path,
  ]
  with pytest.raises(decoding.CorruptImage) as error:
    net.predict(images, batch_size=2)
  for name in ('text.jpg', 'cut.png', 'missing.png', str(tmp_path)):
    assert name in str(error.value)
  assert '4 of 5 images cannot be read' in str(error.value)
  found = net.predict(images, batch_size=2, corrupt='skip')
  assert list(found.problems) == [0, 2, 3, 4]
  assert [name is None for name in found.names] == [1, 0, 1, 1, 1]
  assert np.isnan(found.probabilities[[0, 2, 3, 4]]).all()
  np.testing.assert_allclose(
    found.probabilities[1], expected(net, pixels[:1])[0], atol=1e-6
  )


def test_features_are_those_of_the_network(net, pixels):
  values, problems = predict.features(net, [*pixels, b''], corrupt='skip')
  assert list(problems) == [len(pixels)]
  for row, image in zip(values, pixels, strict=False):
    resized = resizing.whole_image(image, net.contract)
    wanted = net.features(net.contract.scale(resized[None]))[0]
    np.testing.assert_allclose(row, wanted, atol=1e-5)


def test_network_without_names_gives_numbers(net, pixels):
  header = dataclasses.replace(net.header, classes=(), resize='')
  plain = dataclasses.replace(net, header=header)
  found = plain.predict(pixels[:2])
  assert found.names == tuple(str(label) for label in found.labels)
  assert predict.resize_of(plain) == 'resize_then_crop'


def test_top_classes_begin_with_the_prediction():
  found = predict.Predictions(
    CLASSES, np.array([1]), np.float32([[0.4, 0.4, 0.2]]), {}
  )
  assert [name for name, _ in found.top(0, 2)] == ['bee', 'ant']


@pytest.mark.parametrize(
  ('images', 'options', 'message'),
  [
    ([np.zeros((4, 4, 3))], {}, 'expected pixels uint8'),
    ([3], {}, 'expected a path'),
    ([], {'corrupt': 'maybe'}, 'corrupt'),
    ([], {'resize': 'stretch'}, 'resize'),
    ([], {'batch_size': 0}, 'batch_size'),
  ],
)
def test_wrong_arguments(net, images, options, message):
  with pytest.raises(errors.InputError, match=message):
    net.predict(images, **options)
