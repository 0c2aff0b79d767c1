"""Resizing for evaluation, beside other libraries, and for training."""

import dataclasses
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from tf_transfer.contract import Contract
from tf_transfer.images import resizing
from tf_transfer.images.resizing import whole_image


@pytest.fixture(scope='module')
def photo():
  """A smooth picture, uint8 [48, 64, 3], with no symmetry."""
  rng = np.random.default_rng(0)
  small = rng.integers(30, 226, (6, 8, 3), dtype=np.uint8)
  return np.array(Image.fromarray(small).resize((64, 48), Image.BICUBIC))


def assert_near(pixels, expected, levels):
  assert pixels.dtype == np.uint8
  assert pixels.shape == expected.shape
  assert np.abs(pixels.astype(int) - expected).max() <= levels


def make_contract(size, interpolation, antialias):
  return Contract(
    size,
    mean=(0, 0, 0),
    std=(1, 1, 1),
    interpolation=interpolation,
    antialias=antialias,
  )


SHAPES = [(48, 64), (37, 91), (50, 20), (1, 1), (2, 3), (300, 7)]


@pytest.mark.parametrize('interpolation', ['bilinear', 'bicubic'])
@pytest.mark.parametrize('antialias', [False, True])
def test_resize_is_tensorflows(interpolation, antialias):
  tf = pytest.importorskip('tensorflow')
  rng = np.random.default_rng(2)
  for shape in SHAPES:
    # Away from black and white: Pillow clips between its passes too.
    image = rng.integers(64, 192, (*shape, 3), dtype=np.uint8)
    for size in (24, 61):
      resized = whole_image(
        image, make_contract(size, interpolation, antialias)
      )
      expected = tf.image.resize(
        image, (size, size), method=interpolation, antialias=antialias
      )
      assert_near(resized, np.rint(np.clip(expected, 0, 255)), 1)


@pytest.mark.parametrize('interpolation', ['bilinear', 'bicubic'])
def test_resize_without_antialias_is_tensorflows_at_full_contrast(
  interpolation,
):
  tf = pytest.importorskip('tensorflow')
  image = (
    np.random.default_rng(3).choice([0, 255], (40, 53, 3)).astype(np.uint8)
  )
  resized = whole_image(image, make_contract(97, interpolation, False))
  expected = tf.image.resize(image, (97, 97), method=interpolation)
  assert_near(resized, np.rint(np.clip(expected, 0, 255)), 1)


def test_antialiased_resize_is_pillows(photo):
  for name, kernel in (
    ('bilinear', Image.BILINEAR),
    ('bicubic', Image.BICUBIC),
  ):
    expected = np.array(Image.fromarray(photo).resize((20, 20), kernel))
    resized = whole_image(photo, make_contract(20, name, True))
    np.testing.assert_array_equal(resized, expected)


@pytest.mark.parametrize('interpolation', ['bilinear', 'bicubic'])
@pytest.mark.parametrize('antialias', [False, True])
def test_same_size_and_constant_images_stay(photo, interpolation, antialias):
  square = photo[:, :48]
  resized = whole_image(square, make_contract(48, interpolation, antialias))
  np.testing.assert_array_equal(resized, square)
  for value in (0, 137, 255):
    flat = np.full((17, 5, 3), value, np.uint8)
    resized = whole_image(flat, make_contract(33, interpolation, antialias))
    assert (resized == value).all()


def test_keys_cubic_by_hand():
  resized = resizing._keys_cubic(np.array([0, 0.5, 1, 1.5, 2]))
  np.testing.assert_allclose(resized, [1, 0.5625, 0, -0.0625, 0], atol=1e-15)


def test_interpolation_weights_at_the_edge_by_hand():
  position, weight = resizing._interpolation_weights(2, 4, 0, 4, 'bilinear')
  dense = np.zeros((4, 2))
  for row in range(4):
    np.add.at(dense[row], position[row], weight[row])
  np.testing.assert_allclose(
    dense, [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
  )


# Evaluation as the publishers of weights do it.


def with_crop(fraction, **fields):
  contract = make_contract(**{'size': 56, 'interpolation': 'bilinear'} | fields)
  return dataclasses.replace(contract, crop_fraction=fraction)


def torchvisions(image, resize_size, crop_size, kernel):
  """Resize and CenterCrop of torchvision on a PIL image."""
  width, height = image.size
  if width < height:
    size = (resize_size, int(resize_size * height / width))
  else:
    size = (int(resize_size * width / height), resize_size)
  left, top = (round((side - crop_size) / 2.0) for side in size)
  box = (left, top, left + crop_size, top + crop_size)
  return np.array(image.resize(size, kernel).crop(box))


@pytest.mark.parametrize(
  ('interpolation', 'kernel'),
  [('bilinear', Image.BILINEAR), ('bicubic', Image.BICUBIC)],
)
@pytest.mark.parametrize(
  ('crop_size', 'fraction', 'resize_size'),
  [
    (56, 0.875, 64),
    # A quotient that is a hair off: torchvision's Inception v3.
    (299, 299 / 342, 342),
    # timm takes the integer below: 331 / 0.911 = 363.3.
    (331, 0.911, 363),
    (56, 1.0, 56),
  ],
)
def test_resize_then_crop_is_torchvisions_and_timms(
  photo, interpolation, kernel, crop_size, fraction, resize_size
):
  contract = with_crop(
    fraction, size=crop_size, interpolation=interpolation, antialias=True
  )
  for shape in ((48, 64), (64, 47), (33, 33), (91, 37)):
    image = Image.fromarray(photo).resize(shape[::-1])
    np.testing.assert_array_equal(
      resizing.resize_then_crop(np.array(image), contract),
      torchvisions(image, resize_size, crop_size, kernel),
    )


def test_resize_then_crop_without_antialias_is_tensorflows(photo):
  tf = pytest.importorskip('tensorflow')
  contract = with_crop(0.875, antialias=False)
  resized = resizing.resize_then_crop(photo, contract)
  # The shorter side to 64, so 48 x 64 to 64 x 85: 4 and 14 pixels cut away.
  expected = tf.image.resize(photo, (64, 85))[4:60, 14:70]
  assert_near(resized, np.rint(expected), 1)


@pytest.mark.parametrize('antialias', [False, True])
@pytest.mark.parametrize('fraction', [0.875, 0.5, 1.0])
def test_crop_then_resize_is_tensorflows(photo, antialias, fraction):
  tf = pytest.importorskip('tensorflow')
  contract = with_crop(fraction, antialias=antialias)
  for image in (photo, photo[:37, :51], photo[:1, :2]):
    cropped = tf.image.central_crop(image, fraction)
    expected = tf.image.resize(cropped, (56, 56), antialias=antialias)
    assert_near(
      resizing.crop_then_resize(image, contract), np.rint(expected), 1
    )


@pytest.mark.parametrize('fraction', [0.875, 1.0])
def test_crop_then_resize_is_tf_slims(photo, fraction):
  """preprocess_for_eval of TF-Slim's inception_preprocessing, op for op."""
  tf = pytest.importorskip('tensorflow')
  contract = dataclasses.replace(
    with_crop(fraction, antialias=False), pixel_centers=False
  )
  rng = np.random.default_rng(11)
  noise = rng.choice([0, 255], (300, 201, 3)).astype(np.uint8)
  for image in (photo, noise, photo[:1, :2]):
    pixels = tf.image.convert_image_dtype(image, tf.float32)
    if fraction < 1:
      pixels = tf.image.central_crop(pixels, central_fraction=fraction)
    pixels = tf.compat.v1.image.resize_bilinear(
      pixels[None], [56, 56], align_corners=False
    )[0]
    assert_near(
      resizing.crop_then_resize(image, contract), np.rint(255 * pixels), 1
    )


@pytest.mark.parametrize('interpolation', ['bilinear', 'bicubic'])
def test_whole_image_is_kerass_resizing_layer(photo, interpolation):
  keras = pytest.importorskip('keras')
  layer = keras.layers.Resizing(24, 24, interpolation=interpolation)
  resized = whole_image(photo, make_contract(24, interpolation, False))
  assert_near(
    resized, np.rint(np.asarray(layer(photo[None].astype(np.float32)))[0]), 1
  )


def test_whole_image_is_kerass_loading(photo, tmp_path):
  keras = pytest.importorskip('keras')
  path = tmp_path / 'photo.png'
  Image.fromarray(photo).save(path)
  for interpolation in ('bilinear', 'bicubic'):
    expected = keras.utils.load_img(
      path, target_size=(24, 24), interpolation=interpolation
    )
    resized = whole_image(photo, make_contract(24, interpolation, True))
    np.testing.assert_array_equal(resized, np.array(expected))


def test_every_resize_gives_the_networks_input_size():
  for shape in SHAPES:
    image = np.full((*shape, 3), 99, np.uint8)
    for resize in resizing.RESIZES.values():
      for antialias in (True, False):
        resized = resize(image, with_crop(0.8, size=21, antialias=antialias))
        np.testing.assert_array_equal(resized, np.full((21, 21, 3), 99))


# For training.


@pytest.mark.parametrize('installed', [True, False])
@pytest.mark.parametrize('interpolation', ['bilinear', 'bicubic'])
def test_resize_for_training_is_pillows_within_a_level(
  monkeypatch, interpolation, installed
):
  if installed:
    pytest.importorskip('cykooz_resizer')
  else:
    monkeypatch.setattr(resizing, 'cykooz_resizer', None)
  rng = np.random.default_rng(8)
  contract = make_contract(31, interpolation, True)
  kernel = getattr(Image, interpolation.upper())
  for shape in [(31, 31), (64, 47), (300, 7), (1, 1), (12, 200)]:
    # Away from black and white: which pass comes first matters to clipping.
    image = rng.integers(64, 192, (*shape, 3), dtype=np.uint8)
    expected = np.array(Image.fromarray(image).resize((31, 31), kernel))
    assert_near(resizing.resize_for_training(image, contract), expected, 1)


@pytest.mark.parametrize(
  ('interpolation', 'pixel_centers'),
  [('bilinear', True), ('bilinear', False), ('bicubic', True)],
)
def test_resize_for_training_without_antialias(interpolation, pixel_centers):
  pytest.importorskip('tensorflow')
  rng = np.random.default_rng(8)
  contract = dataclasses.replace(
    make_contract(31, interpolation, False), pixel_centers=pixel_centers
  )
  for shape in [(31, 31), (64, 47), (300, 7), (1, 1), (12, 200)]:
    image = rng.choice([0, 90, 255], (*shape, 3)).astype(np.uint8)
    assert_near(
      resizing.resize_for_training(image, contract),
      whole_image(image, contract),
      1,
    )


# Extreme shapes.


def traced(function, *arguments):
  """Returns a result, and the bytes that NumPy allocated at most."""
  tracemalloc.start()
  result = function(*arguments)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  return result, peak


STRIPS = [(1, 40_000), (40_000, 1)]


@pytest.mark.parametrize('shape', STRIPS)
@pytest.mark.parametrize(
  ('interpolation', 'antialias'),
  [('bilinear', True), ('bicubic', True), ('bicubic', False)],
)
@pytest.mark.parametrize(
  'resize', [*resizing.RESIZES.values(), resizing.resize_for_training]
)
def test_memory_is_bounded_by_the_image_and_the_result(
  resize, interpolation, antialias, shape, monkeypatch
):
  # Pillow's own memory is not traced: it must not be asked for much.
  resize_by_pillow = Image.Image.resize

  def small(image, size, *arguments):
    first_pass = image.height * size[0]
    assert first_pass + size[0] * size[1] <= 2**20
    return resize_by_pillow(image, size, *arguments)

  monkeypatch.setattr(Image.Image, 'resize', small)
  monkeypatch.setattr(resizing, '_MAX_PIXELS', 2**20)
  contract = make_contract(64, interpolation, antialias)
  contract = dataclasses.replace(contract, crop_fraction=0.875)
  image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
  resizing._interpolation_weights.cache_clear()
  pixels, peak = traced(resize, image, contract)
  assert pixels.shape == (64, 64, 3)
  assert peak < 16 * 2**20


def test_a_strip_shows_what_it_would_if_it_were_resized_as_a_whole(
  monkeypatch,
):
  monkeypatch.setattr(resizing, '_MAX_PIXELS', 2**16)
  image = np.random.default_rng(0).integers(0, 256, (2, 100, 3), np.uint8)
  for interpolation in ('bilinear', 'bicubic'):
    for antialias in (True, False):
      contract = make_contract(150, interpolation, antialias)
      part = resizing.Box(5, 7_000, 150, 150)
      whole = resizing.Box(0, 0, 300, 15_000)
      pixels = resizing._resize(image, 300, 15_000, part, contract)
      if antialias:
        kernel = resizing._PILLOW_KERNELS[interpolation]
        full = Image.fromarray(image).resize((15_000, 300), kernel)
        expected = part.crop(np.array(full))
      else:
        expected = part.crop(
          resizing._resize(image, 300, 15_000, whole, contract)
        )
      assert_near(pixels, expected, 1 if antialias else 0)


def test_a_tiny_crop_fraction_needs_no_huge_image(photo):
  contract = make_contract(64, 'bicubic', True)
  contract = dataclasses.replace(contract, crop_fraction=0.0005)
  pixels, peak = traced(resizing.resize_then_crop, photo, contract)
  assert pixels.shape == (64, 64, 3)
  assert peak < 8 * 2**20


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_the_strip_of_a_report_takes_little_memory_in_all():
  program = (
    'import numpy as np\n'
    'from tf_transfer.contract import Contract\n'
    'from tf_transfer.images import resizing\n'
    'image = np.zeros((1, 19_200, 3), np.uint8)\n'
    'contract = Contract(224, (0, 0, 0), (1, 1, 1), crop_fraction=0.875)\n'
    'resizing.resize_then_crop(image, contract)\n'
    'lines = open("/proc/self/status").read().splitlines()\n'
    'print(*[x.split()[1] for x in lines if x.startswith("VmHWM")])\n'
  )
  run = subprocess.run(
    [sys.executable, '-c', program], capture_output=True, text=True, check=True
  )
  assert int(run.stdout) < 512 * 1024  # KiB.
