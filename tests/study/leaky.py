"""Images with planted copies, and a ledger on them, for tests of leaks."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from tests.study import made_records
from tf_transfer.configs import leaks as leaks_config
from tf_transfer.study import ledger as ledger_lib
from tf_transfer.transfer import metrics, result


def photo(seed):
  """A picture with large and small structure, 160 x 120."""
  rng = np.random.default_rng(seed)
  total = sum(
    np.asarray(
      Image.fromarray(
        rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
      ).resize((160, 120), Image.BICUBIC),
      float,
    )
    / cells
    for cells in (3, 6, 12, 24)
  )
  pixels = 255 * (total - total.min()) / np.ptp(total)
  return Image.fromarray(pixels.astype(np.uint8))


# Number of a test image -> how its copy in train differs.
PLANTED = {
  0: lambda image: (image, 'JPEG', {'quality': 35}),
  1: lambda image: (image.resize((96, 72)), 'PNG', {}),
  2: lambda image: (image.crop((3, 2, 158, 117)), 'JPEG', {'quality': 90}),
}


def save(path, image, kind='PNG', options=None):
  path.parent.mkdir(parents=True, exist_ok=True)
  image.save(path, kind, **(options or {}))


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  """A folder with 16 test images, 3 of them in train as near copies."""
  root = tmp_path_factory.mktemp('leaky')
  for i in range(16):
    save(root / f'test/{"ab"[i % 2]}/{i}.png', photo(i))
  for i in range(24):
    save(root / f'train/{"ab"[i % 2]}/{i}.png', photo(100 + i))
  for i, change in PLANTED.items():
    # The last is under another class.
    folder = 'ab'[(i + (i == 2)) % 2]
    save(root / f'train/{folder}/copy{i}.img.png', *change(photo(i)))
  for i in range(4):
    save(root / f'val/{"ab"[i % 2]}/{i}.png', photo(200 + i))
  return root


@pytest.fixture(scope='module')
def other(tmp_path_factory):
  """Another dataset, with an exact copy of test image 5 among others."""
  root = tmp_path_factory.mktemp('other')
  for part, start in (('train', 300), ('test', 400), ('val', 500)):
    for i in range(6):
      save(root / f'{part}/{"xy"[i % 2]}/{i}.png', photo(start + i))
  save(root / 'train/x/copy.png', photo(5))
  return root


@pytest.fixture
def config(root, other):
  fields = leaks_config.get_config(f'folder:{root}')
  fields.against = (f'folder:{other}',)
  return fields


def numbers(split, positions):
  """The numbers in the file names of examples."""
  return sorted(
    int(split.describe(i).rpartition('/')[2].split('.')[0]) for i in positions
  )


def ledger_of(workdir, dataset, wrong):
  """Writes a record that is right on all test images but these numbers."""
  test = dataset.splits['test']
  prediction = test.labels.copy()
  for i in range(len(test)):
    if numbers(test, [i])[0] in wrong:
      prediction[i] = 1 - prediction[i]
  measured = metrics.measure('top1', test.labels, prediction)
  record = made_records.record(
    'a',
    network='some_network',
    dataset=dataset.name,
    setting='ridge',
    num_classes=len(dataset.classes),
    splits_sha256={name: s.hash for name, s in dataset.splits.items()},
    test=dataclasses.asdict(measured),
  )
  positions = np.arange(len(test))
  ledger_lib.Ledger(workdir).add(
    record, result.per_example(test, positions, test.labels, prediction)
  )
