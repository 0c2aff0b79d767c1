"""What chance makes of a training image.

Every number comes from a counter-based generator (Philox) that is keyed by
the seed, the epoch and the example's position in its split: any example of
any epoch can be made alone, anywhere.
"""

import functools
import math

import numpy as np

from tf_transfer.contract import Contract
from tf_transfer.datasets.dataset import Split
from tf_transfer.datasets.images import decoding
from tf_transfer.datasets.images.decoding import Box

# The crop's share of the image's area, and its width over height (Szegedy et
# al., Going Deeper with Convolutions, section 6).
AREA = (0.08, 1.0)
ASPECT = (3 / 4, 4 / 3)
# Draws of a crop before the central one is taken.
_ATTEMPTS = 10

# TF-Slim's distortion of colors for Inception, on pixels of 0 to 1.
BRIGHTNESS = 32 / 255
SATURATION = (0.5, 1.5)
HUE = 0.2
CONTRAST = (0.5, 1.5)
# The orders in which it is applied, one of them for each image.
COLOUR_ORDERS = (
  ('brightness', 'saturation', 'hue', 'contrast'),
  ('saturation', 'brightness', 'contrast', 'hue'),
  ('contrast', 'hue', 'brightness', 'saturation'),
  ('hue', 'saturation', 'contrast', 'brightness'),
)


def generator(seed: int, epoch: int, index: int) -> np.random.Generator:
  """The random numbers of one visit to one example.

  Args:
    seed: 0 to 2^64 - 1.
    epoch: 0 or more.
    index: the example's position in its split, 0 or more.
  """
  return _philox(seed, 0, epoch, index)


def order_generator(seed: int, epoch: int) -> np.random.Generator:
  """The random numbers of the order of an epoch."""
  return _philox(seed, 1, epoch, 0)


def _philox(
  seed: int, purpose: int, epoch: int, index: int
) -> np.random.Generator:
  # The counter's two upper words are ours; the lower ones count the numbers.
  return np.random.Generator(
    np.random.Philox(
      key=np.array([seed, purpose], np.uint64),
      counter=np.array([0, 0, epoch, index], np.uint64),
    )
  )


def crop_and_flip(
  split: Split, index: int, contract: Contract, generator: np.random.Generator
) -> np.ndarray:
  """A random crop of an example, resized, and mirrored every other time.

  The crop is chosen before anything is decoded, and of a JPEG file only that
  part is.

  Args:
    split: the examples.
    index: which of them.
    contract: image size S, interpolation and antialiasing.
    generator: its next numbers are taken.

  Returns:
    uint8 [S, S, 3].

  Raises:
    CorruptImage: it cannot be decoded.
  """
  numbers = generator.random((_ATTEMPTS, 4))
  mirrored = generator.random() < 0.5
  choose = functools.partial(random_crop, numbers=numbers)
  data = split.encoded(index)
  if data is None:
    image = split.read(index)
    image = choose(*image.shape[:2]).cut(image)
  else:
    image = decoding.decode_part(data, split.describe(index), choose)
  image = decoding.resize_fast(image, contract)
  return _mirror(image) if mirrored else image


def _mirror(image: np.ndarray) -> np.ndarray:
  # NumPy takes four times as long over pixels as over planes.
  mirrored = np.empty_like(image)
  for channel in range(3):
    mirrored[..., channel] = image[:, ::-1, channel]
  return mirrored


def random_crop(height: int, width: int, numbers: np.ndarray) -> Box:
  """Chooses a part of an image.

  The area is uniform in AREA, the aspect log-uniform in ASPECT, the place
  uniform. The first draw that lies within the image counts; where none does,
  it is the largest central part whose aspect is allowed.

  Args:
    height: of the image.
    width: of the image.
    numbers: [A, 4] in [0, 1): what area, aspect and the place of the top and
      the left edge are made of, for each of A draws.
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
  """Draws what `transfer.color.distort` takes.

  Returns:
    float32 [5]: which order, and by how much brightness, saturation, hue and
    contrast change.
  """
  return np.array(
    [
      generator.integers(len(COLOUR_ORDERS)),
      generator.uniform(-BRIGHTNESS, BRIGHTNESS),
      generator.uniform(*SATURATION),
      generator.uniform(-HUE, HUE),
      generator.uniform(*CONTRAST),
    ],
    np.float32,
  )
