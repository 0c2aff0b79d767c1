"""Names of repositories on the hub, in every job that takes a network."""

import ml_collections
import numpy as np
import pytest
from huggingface_hub import constants

from tests.jobs import hub_networks
from tests.study import studies
from tf_transfer import errors, networks
from tf_transfer.configs import choose as choose_config
from tf_transfer.configs import export as export_config
from tf_transfer.configs import features as features_config
from tf_transfer.configs import leaks as leaks_config
from tf_transfer.jobs import choose, export, features, leaks, study
from tf_transfer.networks import weights
from tf_transfer.study import cells, check, ledger, weights_files
from tf_transfer.study.choice import page

FIRST, SECOND = hub_networks.NAMES


@pytest.fixture
def config(tiny_config):
  """A study of two repositories beside a weights file."""
  made = ml_collections.ConfigDict(tiny_config)
  made.networks = (FIRST, SECOND, 'tinier')
  made.settings = ('ridge',)
  return made.lock()


@pytest.fixture
def hub(tiny_config, tmp_path):
  with hub_networks.serve(tmp_path / 'cache') as server:
    yield server


def test_study(config, hub, tmp_path, monkeypatch, no_figures):
  check.check_config(config)
  study.run(config, tmp_path / 'run')
  directory = tmp_path / 'weights' / 'timm'
  paths = [
    directory / f'tinynet.{tag}_in1k.safetensors' for tag in ('a1', 'a2')
  ]
  records = list(ledger.read_all(tmp_path / 'run').values())
  # By the hash of their content, as those of any weights file.
  assert [r['weights_sha256'] for r in records[:2]] == [
    weights.sha256(path) for path in paths
  ]
  assert [r['network'] for r in records] == ['tiny', 'tiny', 'tinier']
  assert [r.get('weights_tag') for r in records] == ['a1_in1k', 'a2_in1k', None]
  # A second run has the same cells, without the hub and the client's cache.
  monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
  monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'none'))
  hub.requests.clear()
  listed, obstacles = cells.list_cells(config, tmp_path / 'run')
  assert [c.identity for c in listed] == [r['identity'] for r in records]
  assert [c.label for c in listed] == [
    'tiny (a1_in1k)',
    'tiny (a2_in1k)',
    'tinier',
  ]
  assert not obstacles
  assert not hub.requests


def test_export_of_a_study(config, hub, tmp_path, no_figures):
  study.run(config, tmp_path / 'run')
  made = export_config.get_config(f'{SECOND},digits')
  made.weights_dir = config.weights_dir
  export.run(made, tmp_path / 'run')
  path = tmp_path / 'run' / 'exports' / 'tiny_a2_in1k_digits.safetensors'
  net = networks.load(path)
  exported = net.variables['params']['backbone']['stem']['conv']['kernel']
  fetched = networks.load(tmp_path / 'weights' / f'{SECOND}.safetensors')
  kernel = fetched.variables['params']['backbone']['stem']['conv']['kernel']
  np.testing.assert_array_equal(exported, kernel)
  # By the identity alone, the file is found by its hash.
  made.network = made.dataset = ''
  made.identity = next(
    record['identity']
    for record in ledger.read_all(tmp_path / 'run').values()
    if record.get('weights_tag') == 'a1_in1k'
  )
  export.run(made, tmp_path / 'run')
  assert (tmp_path / 'run/exports/tiny_a1_in1k_digits.safetensors').exists()


def test_choose(config, hub, tmp_path, monkeypatch):
  choices = []
  monkeypatch.setattr(
    page, 'write', lambda choice, *_, **__: choices.append(choice) or tmp_path
  )
  made = choose_config.get_config('digits')
  made.networks = (FIRST, SECOND, 'timm/tinynet.a3_in1k')
  made.weights_dir = config.weights_dir
  made.setting = 'ridge'
  made.ridge = config.ridge
  made.num_folds = 3
  choose.run(made, tmp_path / 'run')
  (choice,) = choices
  assert {one.network for one in choice.candidates} == {
    'tiny (a1_in1k)',
    'tiny (a2_in1k)',
  }
  (skipped,) = choice.skipped
  assert 'there is no repository timm/tinynet.a3_in1k' in skipped.reason


def test_leaks(config, hub, tmp_path):
  folder = studies.make_folder(tmp_path / 'photos')
  made = leaks_config.get_config(f'folder:{folder}')
  made.network = FIRST
  made.weights_dir = config.weights_dir
  made.against = ()
  leaks.run(made, tmp_path / 'run')
  assert (tmp_path / 'weights' / f'{FIRST}.safetensors').exists()


def test_study_goes_on_without_what_cannot_be_fetched(config, hub, tmp_path):
  del hub.files[FIRST]
  listed, obstacles = cells.list_cells(config, tmp_path / 'run')
  assert len(listed) == 2
  (obstacle,) = obstacles
  assert f'there is no repository {FIRST}' in obstacle.reason
  assert obstacle.key[0] == FIRST


def test_all_takes_what_was_fetched_before(config, hub, tmp_path):
  before = weights_files.available(config, tmp_path)
  weights_files.prepare(weights_files.locate(FIRST), config, tmp_path)
  after = weights_files.available(config, tmp_path)
  assert set(after) - set(before) == {FIRST}


def test_architecture_without_weights(config, hub, tmp_path):
  source = weights_files.locate(FIRST)
  net = weights_files.load(source, config, tmp_path, with_weights=False)
  assert (net.name, net.sha256) == ('tiny', '')


def test_features(config, hub, tmp_path):
  made = features_config.get_config(f'{FIRST},digits')
  made.weights_dir = config.weights_dir
  features.run(made, tmp_path / 'run')
  assert np.load(tmp_path / 'run' / 'features.npy').shape == (1797, 6)


def test_misspelled_name_is_found_at_once(config):
  made = ml_collections.ConfigDict(config)
  made.networks = ('timm/a/b',)
  with pytest.raises(errors.InputError, match='expected timm/NAME'):
    check.check_config(made)
