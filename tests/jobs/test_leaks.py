import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from tf_transfer import datasets, errors
from tf_transfer.configs import leaks as leaks_config
from tf_transfer.jobs import leaks
from tf_transfer.study import leak_audit, schema
from tf_transfer.study import ledger as ledger_lib
from tf_transfer.transfer.fixed_features import feature_cache, features


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


# Planted: number of the test image -> what became of it in train.
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
    # The last under another class.
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
  made = leaks_config.get_config(f'folder:{root}')
  made.against = (f'folder:{other}',)
  return made


def numbers(split, positions):
  """The numbers in the file names of examples."""
  return sorted(
    int(split.describe(i).rpartition('/')[2].split('.')[0]) for i in positions
  )


def test_all_that_was_planted_is_found_and_no_more(config):
  dataset = datasets.open(config.dataset)
  elsewhere = datasets.open(config.against[0])
  found, unreadable = leak_audit.find_leaks(dataset, [elsewhere], config)
  assert unreadable == 0
  test, train = (dataset.splits[part] for part in ('test', 'train'))
  own = [leak for leak in found if leak.dataset == dataset.name]
  assert numbers(test, [leak.test for leak in own]) == [0, 1, 2]
  for leak in own:
    assert (leak.kind, leak.part, leak.cosine) == ('hash', 'train', None)
    assert leak.distance <= 8
    name = test.describe(leak.test).rpartition('/')[2].split('.')[0]
    assert train.describe(leak.other).endswith(f'copy{name}.img.png')
  (exact,) = [leak for leak in found if leak.dataset == elsewhere.name]
  assert (exact.kind, exact.part, exact.distance) == ('exact', 'train', 0)
  assert numbers(test, [exact.test]) == [5]


def test_max_distance_decides(config):
  config.max_distance = -1
  dataset = datasets.open(config.dataset)
  assert leak_audit.find_leaks(dataset, [], config)[0] == []
  config.max_distance = 64
  found, _ = leak_audit.find_leaks(dataset, [], config)
  assert len(found) == 2 * 16  # each test image has a nearest in both parts


def test_features_find_what_the_hash_does_not(config, small_lite0, tmp_path):
  config.max_distance = -1
  config.min_cosine = 0.9
  dataset = datasets.open(config.dataset)
  cache = feature_cache.FeatureCache(tmp_path, 1e9)
  extract = features.Extractor(small_lite0, cache, corrupt='skip')
  found, _ = leak_audit.find_leaks(dataset, [], config, extract)
  assert {0, 1, 2} <= set(
    numbers(dataset.splits['test'], {x.test for x in found})
  )
  for leak in found:
    assert leak.kind == 'features'
    assert 0.9 <= leak.cosine <= 1 + 1e-6


def test_what_the_job_writes(config, tmp_path, capsys):
  config.against += ('no_such_dataset',)
  leaks.run(config, tmp_path)
  rows = list(csv.DictReader(io.StringIO((tmp_path / 'leaks.csv').read_text())))
  assert [row['kind'] for row in rows] == ['hash'] * 3 + ['exact']
  moved = [row for row in rows if row['its label'] != row['label']]
  assert {row['image'].rpartition('/')[2] for row in moved[:1]} == {
    'copy2.img.png'
  }
  report = json.loads((tmp_path / 'leaks.json').read_text())
  assert report['leaked_test_images'] == 4
  assert report['test_images'] == 16
  counts = report['searched']
  assert counts[f'{config.dataset} train'] == {
    'exact': 0,
    'hash': 3,
    'features': 0,
  }
  assert sum(sum(kinds.values()) for kinds in counts.values()) == 4
  with Image.open(tmp_path / 'leaks.png') as sheet:
    pixels = np.asarray(sheet)
  # Four pairs in a row of five; both sides of each show a picture.
  assert pixels[:80, : 4 * 232].std() > 20
  printed = capsys.readouterr().out
  assert '4 of 16 test images are leaked' in printed
  assert "not searched: unknown dataset 'no_such_dataset'" in printed


def ledger_of(workdir, dataset, wrong):
  """A record that is right on all test images but those of these numbers."""
  test = dataset.splits['test']
  prediction = test.labels.copy()
  for i in range(len(test)):
    if numbers(test, [i])[0] in wrong:
      prediction[i] = 1 - prediction[i]
  record = {
    'version': schema.VERSION,
    'schema': schema.SCHEMA,
    'identity': 'abc',
    'network': 'some_network',
    'dataset': dataset.name,
    'setting': 'logistic_regression',
    'metric': 'top1',
    'splits_sha256': {'test': test.hash},
    'predictions': 'predictions/abc.npz',
  }
  ledger_lib.Ledger(workdir).add(
    record,
    {'digest': test.digests, 'label': test.labels, 'prediction': prediction},
  )


def test_accuracy_without_the_leaked_images(config, tmp_path, capsys):
  dataset = datasets.open(config.dataset)
  study = tmp_path / 'study'
  study.mkdir()
  # Leaked are 0, 1, 2 and 5: right on all of them, wrong on 7 and 8.
  ledger_of(study, dataset, wrong={7, 8})
  config.ledger = str(study)
  leaks.run(config, tmp_path)
  (row,) = json.loads((tmp_path / 'leaks.json').read_text())['records']
  assert row['all']['value'] == pytest.approx(14 / 16)
  assert row['without']['value'] == pytest.approx(10 / 12)
  assert row['without']['examples'] == 12
  assert '83.33%' in capsys.readouterr().out


def test_a_ledger_that_has_nothing_on_the_dataset(config, tmp_path):
  dataset = datasets.open(config.dataset)
  with pytest.raises(errors.InputError, match='no record on the test split'):
    leak_audit.measure_without(tmp_path, dataset, set())


def test_nothing_left(config, tmp_path):
  dataset = datasets.open(config.dataset)
  ledger_of(tmp_path, dataset, wrong=set())
  with pytest.raises(errors.InputError, match='every test image is leaked'):
    leak_audit.measure_without(tmp_path, dataset, set(range(16)))


def test_no_leaks_draw_no_pictures(config, tmp_path):
  config.max_distance = -1
  config.against = ()
  leaks.run(config, tmp_path)
  assert not (tmp_path / 'leaks.png').exists()
  assert len((tmp_path / 'leaks.csv').read_text().splitlines()) == 1
