"""TFDS's own builders on the miniatures: both sources give the same.

The builders that come with TFDS read the same files as we do, by their own
code; only the downloading is taken out.
"""

import contextlib
import io
import resource
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from tests.datasets import miniatures
from tf_transfer import datasets
from tf_transfer.datasets import table
from tf_transfer.datasets.sources import tfds_records
from tf_transfer.errors import InputError

tfds = pytest.importorskip('tensorflow_datasets')
epath = pytest.importorskip('etils.epath')

# Where a builder of TFDS looks in what it has "downloaded".
FOLDERS = {
  'food101': 'food-101',
  'sun397': 'SUN397',
  'voc2007': 'VOCdevkit/VOC2007',
  'dtd': 'dtd',
  'caltech101': 'images/101_ObjectCategories',
  'birdsnap': 'birdsnap',
  'aircraft': 'fgvc-aircraft-2013b',
}
DOWNLOADS = {
  'sun397': lambda path: {
    'images': path,
    'partitions': path / 'SUN397/Partitions',
  },
  'cars': lambda path: {
    **dict.fromkeys(('train', 'test', 'extra'), path),
    'test_annos': path / 'cars_test_annos_withlabels.mat',
  },
  'voc2007': lambda path: dict.fromkeys(('trainval', 'test'), path),
  'pets': lambda path: dict.fromkeys(('images', 'annotations'), path),
  'flowers': lambda path: {
    'images': path,
    'labels': path / 'imagelabels.mat',
    'setid': path / 'setid.mat',
  },
}


@pytest.fixture(autouse=True)
def rows(monkeypatch):
  monkeypatch.setattr(table, 'TABLE', miniatures.rows())


def class_names(name):
  """As TFDS has them, where the files have to agree with it."""
  if name in ('cifar10', 'cifar100', 'birdsnap', 'aircraft'):
    return None
  features = tfds.builder(datasets.row(name).tfds.name).info.features
  return features['label'].names


def tar(path, files):
  """{name: bytes} as a tar file."""
  with tarfile.open(path, 'w') as archive:
    for name, content in files.items():
      info = tarfile.TarInfo(name)
      info.size = len(content)
      archive.addfile(info, io.BytesIO(content))


def imagenet_archives(root):
  """Adds the two archives, one of archives, that TFDS wants."""
  (root / 'one').mkdir()
  for folder in (root / 'train').iterdir():
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    tar(root / 'one' / f'{folder.name}.tar', files)
  for part, folder in (('train', 'one'), ('val', 'val')):
    files = {p.name: p.read_bytes() for p in (root / folder).iterdir()}
    tar(root / f'ILSVRC2012_img_{part}.tar', files)


def miniature(name, directory):
  """A miniature with TFDS's class names, where its builder looks for it."""
  options = {} if name == 'voc2007' else {'classes': class_names(name)}
  if name == 'imagenet':
    names = tfds.core.tfds_path('datasets/imagenet2012/validation_labels.txt')
    options['truth'] = names.read_text().split()[:1000]
  if name == 'caltech101':
    # In the archive two names have capitals.
    capitals = {
      'background_google': 'BACKGROUND_Google',
      'faces_easy': 'Faces_easy',
    }
    options['classes'] = [capitals.get(n, n) for n in options['classes']]
  root = directory / FOLDERS.get(name, '.')
  miniatures.MAKERS[name](root, **options)
  return root


@pytest.fixture
def offline(monkeypatch):
  """Gives TFDS a directory in place of what it would download."""
  manager = 'tensorflow_datasets.core.download.DownloadManager'

  def use(name, directory):
    path = epath.Path(directory)
    result = DOWNLOADS.get(name, lambda path: path)(path)
    for method, value in (
      ('download_and_extract', result),
      ('extract', path / 'images'),
    ):
      monkeypatch.setattr(f'{manager}.{method}', lambda *_, v=value: v)
    monkeypatch.setattr(f'{manager}.manual_dir', path)
    if name == 'sun397':
      _stream_sun397(monkeypatch, manager, directory / 'SUN397')
    if name == 'caltech101':
      builder = tfds.builder_cls('caltech101').__module__
      monkeypatch.setattr(f'{builder}._TRAIN_POINTS_PER_CLASS', 3)

  return use


def _stream_sun397(monkeypatch, manager, root):
  """What the builder reads out of its archive; it needs OpenCV to encode."""

  def stream(self, resource):
    for path in sorted(root.glob('?/**/*.jpg')):
      yield f'SUN397/{path.relative_to(root)}', io.BytesIO(path.read_bytes())

  monkeypatch.setattr(f'{manager}.iter_archive', stream)
  monkeypatch.setattr(
    'tensorflow_datasets.datasets.sun397.sun397_dataset_builder.'
    '_process_image_file',
    lambda fobj, *_, **__: fobj,
  )


@pytest.mark.parametrize('name', miniatures.MAKERS)
def test_both_sources_are_the_same(tmp_path, offline, name):
  root = miniature(name, tmp_path / 'source')
  if name == 'imagenet':
    imagenet_archives(root)
  offline(name, tmp_path / 'source')
  (tmp_path / 'official').mkdir()
  (tmp_path / 'official' / name).symlink_to(root)
  (tmp_path / 'tfds').mkdir()
  official = datasets.open(name, data_dir=str(tmp_path / 'official'))
  prepared = datasets.open(
    name,
    data_dir=str(tmp_path / 'tfds'),
    prepare=True,
    cache_dir=tmp_path / 'cache',
  )
  assert prepared.classes == official.classes
  for part, split in official.splits.items():
    other = prepared.splits[part]
    assert other.hash == split.hash
    np.testing.assert_array_equal(other.labels, split.labels)
    for i in range(0, len(split), 50):
      np.testing.assert_array_equal(other.read(i), split.read(i))
  again = datasets.open(
    name, data_dir=str(tmp_path / 'tfds'), cache_dir=tmp_path / 'cache'
  )
  for part, split in prepared.splits.items():
    assert again.splits[part].hash == split.hash
    assert again.splits[part].describe(3) == split.describe(3)


@pytest.fixture
def prepared(tmp_path, offline):
  """Aircraft, prepared: the directory of the version."""
  miniature('aircraft', tmp_path / 'source')
  offline('aircraft', tmp_path / 'source')
  tfds_records.prepare(datasets.row('aircraft').tfds, str(tmp_path / 'tfds'))
  return tmp_path / 'tfds/fgvc_aircraft/1.0.0'


def open_tfds(path):
  return datasets.open(
    'aircraft',
    data_dir=str(path.parent.parent),
    cache_dir=path.parent.parent.parent / 'cache',
  )


def _broken(records):
  """The same with nonsense in the first record, which begins at byte 12."""
  return records[:12] + b'\xff' * 30 + records[42:]


def test_what_is_wrong_with_prepared_data(prepared):
  """One after the other, each mended before the next."""
  shard = prepared / 'fgvc_aircraft-train.tfrecord-00000-of-00001'
  labels = prepared / 'label.labels.txt'
  info = prepared / 'dataset_info.json'
  for path, content, message in (
    (shard, shard.read_bytes()[:-1000], 'train.*: ends inside a record'),
    (shard, _broken(shard.read_bytes()), 'the record at byte 12 is broken'),
    (shard, shard.read_bytes()[:5], 'train.*: ends inside a record'),
    (shard, shard.read_bytes() + b'x' * 40, 'train.*: ends inside a record'),
    (shard, None, 'train.tfrecord-00000-of-00001: missing'),
    (labels, None, r'label\.labels\.txt: cannot be read'),
    (
      labels,
      b'\n'.join(labels.read_bytes().splitlines()[:90]),
      'label 9[0-9] in train, expected 0 to 89',
    ),
    (info, b'{', r'dataset_info\.json: .* prepare the dataset again'),
    (
      info,
      info.read_bytes().replace(b'"tfrecord"', b'"array_record"'),
      'prepared as array_record, .* --file_format=tfrecord',
    ),
    (
      info,
      info.read_bytes().replace(b'"validation"', b'"valid"'),
      'no split validation',
    ),
    (
      info,
      info.read_bytes().replace(b'"200"', b'"201"'),
      'train.*: 200 records, but dataset_info.json says 201',
    ),
  ):
    whole = path.read_bytes()
    path.unlink()
    if content is not None:
      path.write_bytes(content)
    with pytest.raises(InputError, match=message):
      open_tfds(prepared)
    path.write_bytes(whole)
  assert len(open_tfds(prepared).splits['train']) == 200


def test_the_newest_version_of_the_right_kind_is_read(prepared):
  folder = prepared.parent
  for name in ('1.0.10', '1.0.9', '2.0.0', 'incomplete.X_1.2.0', '1.9'):
    (folder / name).mkdir()
    (folder / name / 'dataset_info.json').write_text('{}')
  (folder / '1.1.0').mkdir()
  dataset = tfds_records.find(datasets.row('aircraft').tfds, str(folder.parent))
  assert dataset == str(folder / '1.0.10')


def test_reading_needs_no_tensorflow(prepared):
  code = (
    'import sys\n'
    'from tests.datasets import miniatures\n'
    'from tf_transfer import datasets\n'
    'from tf_transfer.datasets import table\n'
    'table.TABLE = miniatures.rows()\n'
    "dataset = datasets.open('aircraft', data_dir=sys.argv[1])\n"
    "dataset.splits['val'].read(0)\n"
    "assert 'tensorflow' not in sys.modules\n"
  )
  command = [sys.executable, '-c', code, str(prepared.parent.parent)]
  subprocess.run(command, check=True)


# Prepares once a line comes from stdin.
PREPARE = (
  'import sys\n'
  'from tests.datasets import miniatures\n'
  'from tf_transfer import datasets\n'
  'from tf_transfer.datasets import table\n'
  'from tf_transfer.datasets.sources import tfds_builders\n'
  'from tf_transfer.runtime import tensorflow\n'
  'table.TABLE = miniatures.rows()\n'
  'tensorflow.import_without_gpu()\n'
  "print('ready', flush=True)\n"
  'sys.stdin.readline()\n'
  "dataset = datasets.open('aircraft', data_dir=sys.argv[1], prepare=True)\n"
  'print(*(split.hash for split in dataset.splits.values()))\n'
)


@pytest.fixture
def manual(tmp_path):
  """A directory for TFDS with the official layout where it wants it."""
  root = tmp_path / 'tfds/downloads/manual/fgvc-aircraft-2013b'
  miniatures.aircraft(root)
  return tmp_path / 'tfds'


@contextlib.contextmanager
def limited_files(size_bytes):
  """Lets no file grow beyond a size, as on a disk with that much left."""
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fills_while_tfds_prepares(manual):
  with (
    limited_files(60_000),
    pytest.raises(
      InputError, match='fgvc_aircraft cannot be prepared in'
    ) as raised,
  ):
    datasets.open('aircraft', data_dir=str(manual), prepare=True)
  assert 'Nothing of it is kept' in str(raised.value)
  left = [p for p in (manual / 'fgvc_aircraft').rglob('*') if p.is_file()]
  assert not left
  with pytest.raises(InputError, match='aircraft is not in'):
    datasets.check('aircraft', str(manual))


def test_two_processes_prepare_at_once(manual):
  """One of them, which may be this one, waits for the other."""
  process = subprocess.Popen(
    [sys.executable, '-c', PREPARE, str(manual)],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  assert 'ready' in process.stdout.readline()
  process.stdin.write('\n')
  process.stdin.flush()
  here = datasets.open('aircraft', data_dir=str(manual), prepare=True)
  stdout, stderr = process.communicate(timeout=300)
  assert process.returncode == 0, stderr
  root = manual / 'downloads/manual'
  (root / 'aircraft').symlink_to(root / 'fgvc-aircraft-2013b')
  official = datasets.open('aircraft', data_dir=str(root))
  expected = [split.hash for split in official.splits.values()]
  assert stdout.split()[-3:] == expected
  assert [split.hash for split in here.splits.values()] == expected
  assert [p.name for p in (manual / 'fgvc_aircraft').iterdir()] == ['1.0.0']


def test_nothing_to_prepare_from(tmp_path):
  """Neither our builders nor TFDS's find what a person has to bring."""
  for name, words in (
    ('aircraft', 'fgvc-aircraft-2013b'),
    ('imagenet', 'ILSVRC2012_img_train.tar'),
  ):
    with pytest.raises(InputError, match='cannot be prepared') as raised:
      datasets.open(name, data_dir=str(tmp_path), prepare=True)
    assert words in str(raised.value)
    assert 'Nothing of it is kept' in str(raised.value)
