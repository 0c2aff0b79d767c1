"""Measures training images per second of one core, beside tf.data and PyTorch.

  python -m benchmarks.pipeline --rounds=7

Each candidate decodes, crops, flips and resizes to 224 px 200 JPEGs of
500 x 375 pixels (quality 90, parts of scikit-learn's two photos), in batches of
64, in one process on one core. The candidates take turns, so that other load on
the machine affects all of them. The processor time of all threads is measured:

  ours       training_batches, bilinear with antialiasing: uint8
  ours, bicubic   the same with the slower kernel
  tf.data    as Flax's ImageNet example: decode_and_crop_jpeg, bicubic resize
             without antialiasing, flip, normalization: float32
  PyTorch    a DataLoader with torchvision's transforms on PIL images: crop,
             bilinear resize, flip, to a float32 tensor, normalization; left
             out where PyTorch is not installed. torchvision itself need not
             be: its transforms on PIL images are calls of PIL and PyTorch.

It prints the medians of the rounds and of their ratios.
"""

import functools
import importlib.util
import io
import os
import time
from collections.abc import Callable, Iterator

import numpy as np
from absl import app, flags
from PIL import Image

from tf_transfer.contract import Contract
from tf_transfer.datasets import pipeline, splits
from tf_transfer.datasets.dataset import Split
from tf_transfer.datasets.images import augmentation
from tf_transfer.images import decoding

_ROUNDS = flags.DEFINE_integer('rounds', 7, 'Rounds of each candidate.')
_BATCHES = flags.DEFINE_integer('batches', 10, 'Batches in each round.')

_SIZE = 224
_BATCH_SIZE = 64
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def photos(count: int = 200, size: tuple[int, int] = (500, 375)) -> list[bytes]:
  """Makes JPEGs of parts of two photos, the same every time.

  Args:
    count: of JPEGs.
    size: width and height in pixels.
  """
  import sklearn.datasets

  originals = sklearn.datasets.load_sample_images().images
  rng = np.random.default_rng(0)
  jpegs = []
  for i in range(count):
    image = originals[i % len(originals)]
    height = int(rng.uniform(0.7, 1) * image.shape[0])
    width = min(height * 4 // 3, image.shape[1])
    top = rng.integers(image.shape[0] - height + 1)
    left = rng.integers(image.shape[1] - width + 1)
    part = image[top : top + height, left : left + width]
    part = part[:, :: rng.choice([-1, 1])]
    file = io.BytesIO()
    Image.fromarray(part).resize(size, Image.LANCZOS).save(
      file, 'JPEG', quality=90
    )
    jpegs.append(file.getvalue())
  return jpegs


def ours(data: list[bytes], interpolation: str) -> Iterator[object]:
  """Makes batches of JPEGs with this package."""
  split = Split(
    name='train',
    labels=np.zeros(len(data), np.int32),
    digests=splits.content_digests(data),
    read=lambda i: decoding.decode(data[i], f'photo {i}'),
    describe=lambda i: f'photo {i}',
    encoded=data.__getitem__,
  )
  contract = Contract(
    _SIZE, mean=(0,) * 3, std=(1,) * 3, interpolation=interpolation
  )
  return pipeline.training_batches(
    split, contract, _BATCH_SIZE, seed=0, stop=10**6, workers=1
  )


def tf_data(data: list[bytes]) -> Iterator[object]:
  """Makes batches of JPEGs with tf.data."""
  import tensorflow as tf

  def load(encoded: tf.Tensor) -> tuple[tf.Tensor, int]:
    """Decodes, crops, resizes, flips and normalizes a JPEG."""
    begin, size, _ = tf.image.sample_distorted_bounding_box(
      tf.io.extract_jpeg_shape(encoded),
      bounding_boxes=tf.constant([0.0, 0.0, 1.0, 1.0], shape=[1, 1, 4]),
      min_object_covered=0.1,
      aspect_ratio_range=augmentation.ASPECT,
      area_range=augmentation.AREA,
      max_attempts=10,
      use_image_if_no_bounding_boxes=True,
    )
    window = tf.concat([begin[:2], size[:2]], axis=0)
    image = tf.io.decode_and_crop_jpeg(encoded, window, channels=3)
    image = tf.image.resize(image, (_SIZE, _SIZE), method='bicubic')
    image = tf.image.random_flip_left_right(image)
    return (image - 255 * tf.constant(_MEAN)) / (255 * tf.constant(_STD)), 0

  dataset = tf.data.Dataset.from_tensor_slices(data).repeat()
  dataset = dataset.shuffle(len(data), seed=0)
  dataset = dataset.map(load, num_parallel_calls=1)
  dataset = dataset.batch(_BATCH_SIZE, drop_remainder=True).prefetch(2)
  options = tf.data.Options()
  options.threading.private_threadpool_size = 1
  options.threading.max_intra_op_parallelism = 1
  return dataset.with_options(options).as_numpy_iterator()


def pytorch(data: list[bytes]) -> Iterator[object]:
  """Makes batches of JPEGs with PyTorch."""
  import torch

  torch.set_num_threads(1)
  rng = np.random.default_rng(0)
  mean = torch.tensor(_MEAN)[:, None, None]
  std = torch.tensor(_STD)[:, None, None]

  class Photos(torch.utils.data.Dataset):
    """The JPEGs, again and again."""

    def __len__(self) -> int:
      """Returns a number of images that no benchmark reaches."""
      return 10**6

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
      """Decodes, crops, resizes, flips and normalizes a JPEG."""
      image = Image.open(io.BytesIO(data[i % len(data)])).convert('RGB')
      box = augmentation.random_crop(
        image.height, image.width, rng.random((10, 4))
      )
      image = image.crop(
        (box.left, box.top, box.left + box.width, box.top + box.height)
      )
      image = image.resize((_SIZE, _SIZE), Image.BILINEAR)
      if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
      pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
      return pixels.to(torch.float32).div(255).sub_(mean).div_(std), 0

  # On one core a worker process would only add the transfer from it.
  return iter(torch.utils.data.DataLoader(Photos(), _BATCH_SIZE))


def _settled_processor_time() -> float:
  """Waits until reading ahead has ended; returns processor seconds so far."""
  before = time.process_time()
  while True:
    time.sleep(0.2)
    now = time.process_time()
    if now - before < 0.01:
      return now
    before = now


def measure(
  candidates: dict[str, Iterator[object]], rounds: int, batches: int
) -> dict[str, np.ndarray]:
  """Measures images per second of processor time.

  Args:
    candidates: label -> its batches.
    rounds: number of measurements of each.
    batches: number of batches in each round.

  Returns:
    label -> rates [rounds].
  """
  rates = {label: [] for label in candidates}
  for turn in range(rounds + 1):
    for label, candidate_batches in candidates.items():
      started = _settled_processor_time()
      for _ in range(batches):
        next(candidate_batches)
      seconds = _settled_processor_time() - started
      if turn:  # The first round is a warm-up.
        rates[label].append(batches * _BATCH_SIZE / seconds)
  return {label: np.array(values) for label, values in rates.items()}


def main(argv: list[str]) -> None:
  """Runs the benchmark and prints its results."""
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  if hasattr(os, 'sched_setaffinity'):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
  data = photos()
  print(f'{len(data)} JPEGs of {np.mean([len(d) for d in data]):,.0f} bytes')
  makers: dict[str, Callable[[list[bytes]], Iterator[object]]] = {
    'ours': functools.partial(ours, interpolation='bilinear'),
    'ours, bicubic': functools.partial(ours, interpolation='bicubic'),
    'tf.data': tf_data,
  }
  if importlib.util.find_spec('torch'):
    makers['PyTorch'] = pytorch
  candidates = {label: make(data) for label, make in makers.items()}
  rates = measure(candidates, _ROUNDS.value, _BATCHES.value)
  for label, values in rates.items():
    ratio = np.median(rates['ours'] / values)
    print(f'{label}: {np.median(values):.0f}/s (ours × {ratio:.2f})')


if __name__ == '__main__':
  app.run(main)
