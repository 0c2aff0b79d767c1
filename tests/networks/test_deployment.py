"""Networks in forms that run without this package."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from tests.networks import drawn
from tf_transfer import contract, errors, networks
from tf_transfer.networks import deployment, weights

SIZE = 64
CLASSES = ('ant', 'bee', 'cow')
# All that the file needs: JAX with what JAX needs, and flatbuffers, with which
# JAX reads its files.
PACKAGES = (
  *('jax', 'jaxlib', 'numpy', 'numpy.libs', 'scipy', 'scipy.libs'),
  *('ml_dtypes', 'opt_einsum', 'flatbuffers'),
)
# The lines of docs/use.md.
PROGRAM = """
import sys
import numpy as np
from jax import export

with open(sys.argv[1], 'rb') as file:
  network = export.deserialize(bytearray(file.read()))
images = np.load(sys.argv[2])
np.save(sys.argv[3], network.call(images))
allowed = ('tf_transfer', 'tensorflow', 'flax', 'sklearn', 'PIL')
assert not set(allowed) & set(sys.modules)
"""


@pytest.fixture(scope='module')
def net():
  header = weights.Header(
    'inception_small',
    {},
    contract.Contract(SIZE, (127.5,) * 3, (120.0,) * 3, channels='bgr'),
    num_classes=len(CLASSES),
    classes=CLASSES,
    temperature=1.7,
    resize='whole_image',
  )
  model = networks.build('inception_small', num_classes=len(CLASSES))
  variables = jax.tree.map(np.asarray, drawn.variables(model, SIZE))
  return networks.Network(header, model, variables, '')


@pytest.fixture(scope='module')
def images():
  rng = np.random.default_rng(0)
  return rng.integers(256, size=(5, SIZE, SIZE, 3), dtype=np.uint8)


def bare_environment(directory):
  """Links JAX and what it needs, and nothing else, into a directory."""
  directory.mkdir()
  for name in PACKAGES:
    for folder in map(pathlib.Path, sys.path):
      if (folder / name).is_dir() and 'site-packages' in str(folder):
        (directory / name).symlink_to(folder / name)
        break
  return directory


def test_stablehlo_runs_with_jax_alone(net, images, tmp_path):
  path = tmp_path / 'net.stablehlo'
  deployment.write_stablehlo(net, path)
  site = bare_environment(tmp_path / 'site')
  np.save(tmp_path / 'images.npy', images)
  files = (path, tmp_path / 'images.npy', tmp_path / 'out.npy')
  # -S and -I: no other package can be imported.
  program = f'import sys; sys.path.insert(0, {str(site)!r})\n{PROGRAM}'
  result = subprocess.run(
    [sys.executable, '-S', '-I', '-c', program, *map(str, files)],
    capture_output=True,
    text=True,
    check=False,
    cwd=tmp_path,
    env={'JAX_PLATFORMS': 'cpu'},
  )
  assert result.returncode == 0, result.stderr
  wanted = net.predict(images).probabilities
  np.testing.assert_allclose(np.load(files[-1]), wanted, rtol=0, atol=1e-5)


def test_description_beside_it(net, tmp_path):
  path = tmp_path / 'net.stablehlo'
  deployment.write_stablehlo(net, path)
  found = json.loads((tmp_path / 'net.stablehlo.json').read_text())
  assert found['classes'] == list(CLASSES)
  assert (found['image_size'], found['resize']) == (SIZE, 'whole_image')
  exported = jax.export.deserialize(bytearray(path.read_bytes()))
  assert set(exported.platforms) == {'cpu', 'cuda', 'tpu'}


def test_saved_model_agrees(net, images, tmp_path):
  tf = pytest.importorskip('tensorflow')
  path = tmp_path / 'net.saved_model'
  for temperature in (1.0, 1.7):  # The second replaces the first.
    header = dataclasses.replace(net.header, temperature=temperature)
    deployment.write_saved_model(dataclasses.replace(net, header=header), path)
  loaded = tf.saved_model.load(str(path))
  wanted = net.predict(images).probabilities
  for count in (1, 5):
    found = loaded.predict(images[:count]).numpy()
    np.testing.assert_allclose(found, wanted[:count], rtol=0, atol=1e-5)
  assert (tmp_path / 'net.saved_model.json').exists()


@pytest.mark.parametrize(
  'write', [deployment.write_stablehlo, deployment.write_saved_model]
)
def test_a_network_without_a_head_is_refused(net, tmp_path, write):
  """It has no probabilities: its file would give [B, 0] for all images."""
  headless = networks.build('inception_small', num_classes=0)
  path = tmp_path / 'net'
  with pytest.raises(errors.InputError, match='has no head'):
    write(dataclasses.replace(net, model=headless), path)
  assert not list(tmp_path.iterdir())
