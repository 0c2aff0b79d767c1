"""Eight CPU devices, and real ImageNet weights, for all tests."""

import os
import pathlib

# Before JAX starts: sharding is tested for real, on forced host devices.
os.environ['XLA_FLAGS'] = (
  os.environ.get('XLA_FLAGS', '') + ' --xla_force_host_platform_device_count=8'
)
os.environ['JAX_PLATFORMS'] = 'cpu'
# Most of the time goes into compiling, so each program is compiled once for all
# workers, subprocesses and later runs. With a maximum size JAX locks the cache;
# an entry that was written without one would make it fail.
if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
  os.environ['JAX_COMPILATION_CACHE_DIR'] = str(
    pathlib.Path(__file__).parents[1] / '.pytest_cache' / 'compiled'
  )
  os.environ['JAX_COMPILATION_CACHE_MAX_SIZE'] = str(4 * 2**30)
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.1')

import dataclasses
import gc
import hashlib
import sys

import jax
import numpy as np
import pytest

# Tests that take long have modules of few tests, which pytest-xdist would hand
# out last: one worker would wait for the other.
_FIRST = ('tests/jobs/', 'tests/transfer/', 'tests/study/', 'tests/networks/')
LITES = ('efficientnet_lite0', 'efficientnet_lite1', 'efficientnet_lite2')


def pytest_configure(config):
  """Has XLA compile fast tests without optimizing, which halves their time.

  Slow ones run the programs that users run.
  """
  flag = '--xla_backend_optimization_level=0'
  if (
    'not slow' in config.option.markexpr and flag not in os.environ['XLA_FLAGS']
  ):
    os.environ['XLA_FLAGS'] += f' {flag}'


def pytest_collection_modifyitems(items):
  """Puts folders of long tests first; the order in a folder stays."""

  def rank(item):
    path = item.path.relative_to(item.config.rootpath).as_posix()
    ranks = [i for i, folder in enumerate(_FIRST) if path.startswith(folder)]
    return ranks[0] if ranks else len(_FIRST)

  items.sort(key=rank)


@pytest.fixture(scope='session', autouse=True)
def _no_log_in_the_home(tmp_path_factory):
  """Evaluations on test are logged in a directory of the tests.

  Subprocesses inherit it, and so does what fixtures of a session run.
  """
  directory = tmp_path_factory.mktemp('test_reads')
  os.environ['TF_TRANSFER_TEST_READS_DIR'] = str(directory)
  yield
  del os.environ['TF_TRANSFER_TEST_READS_DIR']


@pytest.fixture(autouse=True)
def _no_log_of_other_tests(request, monkeypatch):
  """What a test logs is seen by no other."""
  directory = pathlib.Path(os.environ['TF_TRANSFER_TEST_READS_DIR'])
  name = hashlib.sha256(request.node.nodeid.encode()).hexdigest()
  monkeypatch.setenv('TF_TRANSFER_TEST_READS_DIR', str(directory / name))


@pytest.fixture(autouse=True)
def _nothing_large_stays(request):
  """Slow tests compile large programs, which JAX and Keras would all keep.

  Those of one worker took 14 GB together, and the machine had no more.
  """
  yield
  if request.node.get_closest_marker('slow'):
    jax.clear_caches()
    if 'keras' in sys.modules:
      sys.modules['keras'].utils.clear_session()
    gc.collect()


@pytest.fixture(scope='session')
def weights_dir(tmp_path_factory) -> pathlib.Path:
  """NAME.safetensors of the three EfficientNet-Lites, real weights."""
  from tf_transfer import convert_weights

  directory = tmp_path_factory.mktemp('weights')
  for name in LITES:
    package = convert_weights.get_source(name).package
    convert_weights.convert(
      name,
      convert_weights.package_file(package),
      directory / f'{name}.safetensors',
    )
  return directory


@pytest.fixture(scope='session')
def lite0(weights_dir):
  """EfficientNet-Lite0 with its real weights."""
  from tf_transfer import networks

  return networks.load(weights_dir / 'efficientnet_lite0.safetensors')


@pytest.fixture(scope='session')
def small_lite0(lite0):
  """The same at 64 px, where only that the numbers agree is of interest."""
  contract = dataclasses.replace(lite0.contract, image_size=64)
  header = dataclasses.replace(lite0.header, contract=contract)
  return dataclasses.replace(lite0, header=header)


@pytest.fixture(scope='session')
def golden_input():
  """Makes the images that the golden outputs belong to."""

  def make(size: int) -> np.ndarray:
    generator = np.random.Generator(np.random.PCG64(0))
    return generator.uniform(-1, 1, (2, size, size, 3)).astype(np.float32)

  return make


@pytest.fixture(scope='session')
def photos(tmp_path_factory) -> pathlib.Path:
  """A folder of tiles of scikit-learn's two photos, two classes of 30."""
  import sklearn.datasets
  from PIL import Image

  root = tmp_path_factory.mktemp('photos')
  rng = np.random.default_rng(0)
  images = sklearn.datasets.load_sample_images()
  for path, photo in zip(images.filenames, images.images, strict=True):
    folder = root / pathlib.Path(path).stem
    folder.mkdir()
    for number in range(30):
      height, width = rng.integers(60, 240, 2)
      top = rng.integers(0, photo.shape[0] - height)
      left = rng.integers(0, photo.shape[1] - width)
      tile = photo[top : top + height, left : left + width]
      suffix = 'jpg' if number % 3 else 'png'
      Image.fromarray(tile).save(folder / f'{number:02d}.{suffix}')
  return root


@pytest.fixture(scope='session')
def small_weights(tmp_path_factory, small_lite0) -> pathlib.Path:
  """A weights file of the small network."""
  from tf_transfer.networks import weights

  path = tmp_path_factory.mktemp('small') / 'small.safetensors'
  weights.save(path, small_lite0.header, small_lite0.variables)
  return path


@pytest.fixture(scope='session')
def digits_cache(tmp_path_factory) -> pathlib.Path:
  """A feature cache that tests on digits and the small network share."""
  return tmp_path_factory.mktemp('features')


@pytest.fixture
def small_config(small_weights, digits_cache):
  """One quick cell: the small network on digits, five penalties."""
  from tf_transfer.configs import base

  config = base.get_config(f'{small_weights},digits')
  config.features.cache_dir = str(digits_cache)
  config.logistic_regression.num_penalties = 5
  config.logistic_regression.penalty_min = 1e-2
  config.logistic_regression.penalty_max = 1e2
  config.tensorboard = False
  config.report = False
  return config.lock()


@pytest.fixture
def tiny_config(tmp_path, monkeypatch):
  """Three tiny networks × digits × two classifiers, without a report."""
  from tests.study import tiny
  from tf_transfer import networks
  from tf_transfer.datasets.sources import fashion_mnist

  for name in ('tiny', 'tinier'):
    monkeypatch.setitem(networks.TABLE, name, tiny.ROW)
  monkeypatch.setattr(fashion_mnist, 'DEBIAN_DIR', str(tmp_path / 'none'))
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'none'))
  tiny.write_weights(tmp_path / 'weights')
  return tiny.config(tmp_path / 'weights')


@pytest.fixture
def no_figures(monkeypatch):
  """Leaves out the figures at the end of a study, which take seconds."""
  from tf_transfer.study import conclude

  monkeypatch.setattr(conclude, 'draw_figures', lambda *_, **__: [])
