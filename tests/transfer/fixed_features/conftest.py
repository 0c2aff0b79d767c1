"""Examples, a network and a fit that the tests of fixed features share."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
import sklearn.datasets
from flax import linen as nn

from tests.transfer.fixed_features import image_files
from tf_transfer import contract, networks
from tf_transfer.configs import base
from tf_transfer.networks import classifier, weights
from tf_transfer.transfer.fixed_features import classifiers, fitted


@pytest.fixture(scope='session')
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Train features [300, 64] with columns of zeros, labels, test features."""
  x, y = sklearn.datasets.load_digits(return_X_y=True)
  x = x.astype(np.float32)
  return x[:300], y[:300].astype(np.int32), x[300:500]


@pytest.fixture(scope='session')
def digits_multi_label(digits) -> np.ndarray:
  """Three labels [300, 3] of each train digit, a fifth of them ignored."""
  y = digits[1]
  rng = np.random.default_rng(0)
  labels = np.stack([y > 4, y % 2 == 0, y == 3], axis=1)
  return np.where(rng.random(labels.shape) < 0.2, -1, labels).astype(np.int32)


@pytest.fixture
def config() -> ml_collections.ConfigDict:
  """The default config of a study of fixed features."""
  return base.get_config()


@pytest.fixture
def fit(config) -> Callable[..., fitted.Fitted]:
  """Fits a classifier by name, with the changes to its default config."""

  def fit_by_name(
    name: str,
    features: np.ndarray,
    labels: np.ndarray,
    grid: Any,
    num_classes: int,
    **changes: Any,
  ) -> fitted.Fitted:
    fields = config.get(name, ml_collections.ConfigDict())
    fields.update(changes)
    return classifiers.CLASSIFIERS[name].fit(
      features, labels, np.asarray(grid), fields, num_classes
    )

  return fit_by_name


class TinyBackbone(nn.Module):
  """Two convolutions: [B, H, W, 3] -> [B, 6]."""

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    x = nn.relu(nn.Conv(4, (3, 3), name='stem')(x))
    x = nn.Conv(6, (3, 3), name='top')(x)
    return x.mean(axis=(1, 2))


class TinyNetwork(networks.Network):
  """A network of the tiny backbone, which the table does not have."""

  @property
  def feature_dim(self) -> int:
    return 6


@pytest.fixture(scope='session')
def tiny_net() -> networks.Network:
  """A network of 8 px that compiles in a moment."""
  model = classifier.Classifier(TinyBackbone(), num_classes=3)
  variables = jax.jit(model.init)(
    jax.random.key(0), jnp.zeros((1, 8, 8, 3), jnp.float32)
  )
  header = weights.Header(
    'tiny',
    {},
    contract.Contract(8, (128.0,) * 3, (64.0,) * 3, interpolation='bicubic'),
    num_classes=3,
  )
  return TinyNetwork(header, model, variables, sha256='0' * 64)


@pytest.fixture
def corrupt_split(tmp_path, photos):
  """A split of copies of the photos, and the path of one that is cut short."""
  root = tmp_path / 'photos'
  for folder in photos.iterdir():
    (root / folder.name).mkdir(parents=True)
    for file in folder.iterdir():
      (root / folder.name / file.name).write_bytes(file.read_bytes())
  corrupt = root / 'china' / '01.jpg'
  corrupt.write_bytes(corrupt.read_bytes()[:-100])
  dataset = image_files.open_files(root)
  for split in dataset.splits.values():
    names = [split.describe(i) for i in range(len(split))]
    if any(str(corrupt) in name for name in names):
      return split, str(corrupt)
  raise AssertionError('the corrupt image is in no split')
