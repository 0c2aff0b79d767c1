"""Networks of anybody's own in the jobs, by the examples of the documentation.

docs/own_network.md shows docs/examples; here they run.
"""

import json
import pathlib
import re
import sys

import numpy as np
import pytest

from tests.study import tiny
from tf_transfer import datasets, errors
from tf_transfer.configs import choose as choose_config
from tf_transfer.configs import features as features_config
from tf_transfer.jobs import choose, features, leaks, study

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = ROOT / 'docs' / 'examples'
FLAX = f'{EXAMPLES}/own_flax.py:patches'
FUNCTION = f'{EXAMPLES}/own_function.py:pca'


@pytest.fixture(autouse=True)
def _restore_modules(monkeypatch):
  """Modules that a test imports are gone after it."""
  monkeypatch.setattr(sys, 'path', list(sys.path))
  before = set(sys.modules)
  yield
  for name in set(sys.modules) - before:
    if name.startswith('own_'):
      del sys.modules[name]


def configure(tmp_path, *networks, settings=('ridge',), **fields):
  config = tiny.config(tmp_path / 'none').unlock()
  config.networks = networks
  config.settings = settings
  config.leave_out = ()
  config.update(fields)
  return config.lock()


def run(tmp_path, *networks, **fields):
  """The records of a study, by network."""
  config = configure(tmp_path, *networks, **fields)
  records = study.run(config, tmp_path / 'run')
  return {record['network']: record for record in records}


def test_document_shows_the_examples():
  text = (ROOT / 'docs' / 'own_network.md').read_text()
  shown = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
  for path in sorted(EXAMPLES.glob('*.py')):
    assert path.read_text() in shown, path.name


@pytest.mark.usefixtures('tiny_config', 'no_figures')
def test_examples_in_a_study(tmp_path, capsys):
  records = run(tmp_path, FLAX, FUNCTION)
  assert records.keys() == {'patches', 'pca'}
  assert records['patches']['family'] == 'Random'
  assert 'family' not in records['pca']
  assert records['pca']['test']['value'] > 0.9
  assert records['pca']['contract']['image_size'] == 16
  assert len(set(records['pca']['weights_sha256'])) > 8
  capsys.readouterr()
  again = run(tmp_path, FLAX, FUNCTION)
  assert '2 found in the ledger, 0 to run' in capsys.readouterr().out
  assert {r['identity'] for r in again.values()} == {
    r['identity'] for r in records.values()
  }


@pytest.mark.usefixtures('tiny_config', 'no_figures')
def test_flax_module_is_fine_tuned_and_a_function_is_not(tmp_path):
  with pytest.raises(errors.InputError, match='pca is a function from images'):
    run(tmp_path, FLAX, FUNCTION, settings=('fine_tuned',))
  lines = (tmp_path / 'run' / 'results.jsonl').read_text().splitlines()
  (record,) = map(json.loads, lines)
  assert (record['network'], record['setting']) == ('patches', 'fine_tuned')
  assert record['losses'][-1] < record['losses'][0]


@pytest.mark.usefixtures('tiny_config', 'no_figures')
def test_what_a_network_of_ones_own_cannot(tmp_path):
  with pytest.raises(errors.InputError, match='no training from random values'):
    run(tmp_path, FLAX, settings=('random_init',))
  path = str(tmp_path / 'out.safetensors')
  with pytest.raises(errors.InputError, match='no weights file can hold'):
    run(tmp_path, FLAX, settings=('fine_tuned',), export=path)


CODE = """
import numpy as np
from tf_transfer import networks
from tf_transfer.contract import Contract

def mine():
  weights = np.random.default_rng({seed}).normal(size=(192, 9))
  return networks.CustomNetwork(
    contract=Contract(8, mean=(127.5,) * 3, std=(127.5,) * 3),
    features=lambda x: x.reshape(len(x), -1) @ weights,
    identity={identity!r})
"""


@pytest.mark.usefixtures('tiny_config', 'no_figures')
def test_other_weights_never_reuse_records_or_features(tmp_path):
  path = tmp_path / 'own_code.py'
  spec = f'{path}:mine'

  def run_code(seed, identity=''):
    path.write_text(CODE.format(seed=seed, identity=identity))
    sys.modules.pop('own_code', None)
    return run(tmp_path, spec)

  (first,) = run_code(0).values()
  (other,) = run_code(1).values()
  assert first['identity'] != other['identity']
  assert first['validation']['value'] != other['validation']['value']
  (stated,) = run_code(0, 'weights 0').values()
  assert stated['identity'] not in (first['identity'], other['identity'])
  assert stated['validation'] == first['validation']
  run_code(0, 'weights 0')
  with pytest.raises(errors.InputError, match='state another identity'):
    run_code(1, 'weights 0')


def write_features(directory, found, dataset):
  """Writes what the job `features` gave as an own network's, in other order."""
  directory.mkdir()
  values = np.load(found / 'features.npy')
  start = 0
  for name, split in dataset.splits.items():
    rows = np.random.default_rng(0).permutation(len(split))
    np.save(directory / f'{name}.npy', values[start : start + len(split)][rows])
    np.save(directory / f'{name}_labels.npy', split.labels[rows])
    names = '\n'.join(split.describe(int(row)) for row in rows)
    (directory / f'{name}_names.txt').write_text(names)
    start += len(split)
  return directory


@pytest.mark.usefixtures('tiny_config', 'no_figures')
def test_features_from_elsewhere_are_those_of_a_network(tmp_path):
  config = features_config.get_config(f'{FUNCTION},digits')
  features.run(config, tmp_path / 'features')
  directory = write_features(
    tmp_path / 'stored', tmp_path / 'features', datasets.open('digits')
  )
  records = run(tmp_path, FUNCTION, f'features:{directory}')
  computed, stored = records['pca'], records['stored']
  for field in ('validation', 'test', 'chosen'):
    assert stored[field] == computed[field]
  one, two = (
    np.load(tmp_path / 'run' / record['predictions'])
    for record in (computed, stored)
  )
  np.testing.assert_array_equal(one['prediction'], two['prediction'])
  np.testing.assert_array_equal(one['digest'], two['digest'])
  # And without any images, as the only ones that can be transferred there.
  labels = f'labels:{directory}'
  with pytest.raises(errors.InputError, match='has labels and no images'):
    run(tmp_path, FUNCTION, f'features:{directory}', datasets=(labels,))
  (record,) = run(
    tmp_path, f'features:{directory}', datasets=(labels,)
  ).values()
  assert record['dataset'] == labels
  assert record['test']['value'] == computed['test']['value']


@pytest.mark.slow
@pytest.mark.usefixtures('tiny_config', 'no_figures')
def test_choice_among_ones_own(tmp_path, capsys):
  directory = tmp_path / 'stored'
  directory.mkdir()
  np.save(directory / 'val.npy', np.ones((2, 2)))
  config = choose_config.get_config('digits')
  config.networks = (FLAX, FUNCTION, f'features:{directory}')
  choose.run(config, tmp_path / 'run')
  out = capsys.readouterr().out
  assert re.search(r'pca +9\d\.\d', out)
  assert 'features from elsewhere have no cost' in out
  lines = [line for line in out.splitlines() if line.startswith('pca  ')]
  (row,) = (line for line in lines if ' M ' in line)
  assert '0.0 M' in row  # The number of parameters, which it states.
  assert row.count('–') == 2  # Neither operations nor a file are known.


@pytest.mark.slow
def test_leaks_by_features_of_ones_own(tmp_path):
  from tf_transfer.configs import leaks as leaks_config

  config = leaks_config.get_config('digits')
  config.network = FUNCTION
  config.against = ()
  leaks.run(config, tmp_path / 'leaks')
  assert (tmp_path / 'leaks' / 'leaks.csv').exists()


KERAS = """
import keras
from tf_transfer import networks
from tf_transfer.contract import Contract

def net():
  keras.utils.set_random_seed(0)
  model = keras.Sequential([
    keras.Input((16, 16, 3)),
    keras.layers.Conv2D(32, 3, 2, activation='relu'),
    keras.layers.GlobalAveragePooling2D(),
  ])
  return networks.CustomNetwork(
    contract=Contract(16, mean=(127.5,) * 3, std=(127.5,) * 3),
    features=lambda x: model(x, training=False),
    parameters=model.count_params())
"""


@pytest.mark.slow
@pytest.mark.usefixtures('tiny_config', 'no_figures')
def test_keras_model(tmp_path):
  """Its tensors are of TensorFlow."""
  path = tmp_path / 'own_keras.py'
  path.write_text(KERAS)
  (record,) = run(tmp_path, f'{path}:net').values()
  assert record['test']['value'] > 0.5
  before = record['identity']
  (record,) = run(tmp_path, f'{path}:net').values()
  assert record['identity'] == before
