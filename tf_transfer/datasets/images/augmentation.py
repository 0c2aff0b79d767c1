"""Crops, flips and recolors training images at random.

All random numbers come from a counter-based generator (Philox) whose key is the
seed and whose counter is the epoch and the example's position in its split. So
each example of each epoch can be made alone, on any machine.
"""

import functools
import math

import numpy as np

from tf_transfer.contract import Contract
from tf_transfer.datasets.dataset import Split
from tf_transfer.images import decoding, resizing
from tf_transfer.images.decoding import Box

# Ranges of the crop's share of the image's area, and of its width over height
# (Szegedy et al., Going Deeper with Convolutions, section 6).
AREA = (0.08, 1.0)
ASPECT = (3 / 4, 4 / 3)
# Random crops that are tried before the central one is used.
_NUM_ATTEMPTS = 10

# Ranges of TF-Slim's color distortion for Inception, on pixels of 0 to 1.
BRIGHTNESS = 32 / 255
SATURATION = (0.5, 1.5)
HUE = 0.2
CONTRAST = (0.5, 1.5)
# The orders of its operations in its two modes; each image draws one of four.
# The fast mode has two orders, of which the second is three times as frequent.
COLOR_ORDERS = {
  'fast': (
    ('brightness', 'saturation'),
    *(3 * (('saturation', 'brightness'),)),
  ),
  'slow': (
    ('brightness', 'saturation', 'hue', 'contrast'),
    ('saturation', 'brightness', 'contrast', 'hue'),
    ('contrast', 'hue', 'brightness', 'saturation'),
    ('hue', 'saturation', 'contrast', 'brightness'),
  ),
}


def generator(seed: int, epoch: int, index: int) -> np.random.Generator:
  """Returns the generator of the random numbers of an example in an epoch.

  Args:
    seed: 0 to 2^64 - 1.
    epoch: 0 or more.
    index: the example's position in its split, 0 or more.
  """
  return _philox(seed, 0, epoch, index)


def order_generator(seed: int, epoch: int) -> np.random.Generator:
  """Returns the generator of the order of examples in an epoch."""
  return _philox(seed, 1, epoch, 0)


def _philox(
  seed: int, purpose: int, epoch: int, index: int
) -> np.random.Generator:
  """Returns a generator that is independent for different arguments."""
  # The counter's upper two words are set here. The lower two count the numbers
  # that are drawn.
  return np.random.Generator(
    np.random.Philox(
      key=np.array([seed, purpose], np.uint64),
      counter=np.array([0, 0, epoch, index], np.uint64),
    )
  )


def crop_and_flip(
  split: Split, index: int, contract: Contract, generator: np.random.Generator
) -> np.ndarray:
  """Crops an example at random, resizes it, and mirrors it with chance 1/2.

  The crop is chosen before decoding. Of a JPEG file only this part is decoded.

  Args:
    split: the examples.
    index: position of the example.
    contract: image size S, interpolation, antialiasing and pixel centers.
    generator: of the random numbers.

  Returns:
    uint8 [S, S, 3].

  Raises:
    CorruptImage: the image cannot be decoded.
  """
  numbers = generator.random((_NUM_ATTEMPTS, 4))
  is_mirrored = generator.random() < 0.5
  choose_box = functools.partial(random_crop, numbers=numbers)
  data = split.encoded(index)
  if data is None:
    image = split.read(index)
    image = choose_box(*image.shape[:2]).crop(image)
  else:
    image = decoding.decode_box(data, split.describe(index), choose_box)
  image = resizing.resize_for_training(image, contract)
  return _mirror(image) if is_mirrored else image


def _mirror(image: np.ndarray) -> np.ndarray:
  """Mirrors an image [H, W, 3] left to right."""
  # One plane at a time: for whole pixels NumPy takes four times as long.
  mirrored = np.empty_like(image)
  for channel in range(3):
    mirrored[..., channel] = image[:, ::-1, channel]
  return mirrored


def random_crop(height: int, width: int, numbers: np.ndarray) -> Box:
  """Chooses a part of an image at random.

  The area is uniform in AREA, the aspect ratio log-uniform in ASPECT, and the
  position uniform. Of several attempts the first that fits into the image
  counts. If none fits, the largest central part with an allowed aspect ratio
  is chosen.

  Args:
    height: of the image.
    width: of the image.
    numbers: random, [A, 4] in [0, 1): for each of A attempts those for area,
      aspect ratio, top edge and left edge.
  """
  low, high = math.log(ASPECT[0]), math.log(ASPECT[1])
  for area, aspect, top, left in numbers.tolist():
    area = (AREA[0] + area * (AREA[1] - AREA[0])) * height * width
    aspect = math.exp(low + aspect * (high - low))
    rows, columns = round((area / aspect) ** 0.5), round((area * aspect) ** 0.5)
    if 0 < rows <= height and 0 < columns <= width:
      return Box(
        int(top * (height - rows + 1)),
        int(left * (width - columns + 1)),
        rows,
        columns,
      )
  columns = min(width, max(1, round(height * ASPECT[1])))
  rows = min(height, max(1, round(width / ASPECT[0])))
  return Box((height - rows) // 2, (width - columns) // 2, rows, columns)


def draw_color(generator: np.random.Generator) -> np.ndarray:
  """Draws a color distortion for `transfer.training.color.distort`.

  Both modes draw the same numbers: the fast one does not use the last two.

  Returns:
    float32 [5]: the index of the order, and the changes of brightness,
    saturation, hue and contrast.
  """
  return np.array(
    [
      generator.integers(len(COLOR_ORDERS['slow'])),
      generator.uniform(-BRIGHTNESS, BRIGHTNESS),
      generator.uniform(*SATURATION),
      generator.uniform(-HUE, HUE),
      generator.uniform(*CONTRAST),
    ],
    np.float32,
  )
