"""Fetching from a hub on loopback: good, offline, refused, and damaged."""

import hashlib
import pathlib
import socket
import sys

import pytest
from huggingface_hub import constants, file_download

from tests.tools import hub_server
from tf_transfer import errors
from tf_transfer.convert_weights import hub as hub_lib

NAME = 'timm/resnet50.a1_in1k'
CONFIG = hub_server.config('resnet50')
WEIGHTS = bytes(range(256)) * 100


@pytest.fixture
def hub(empty_hub):
  """The hub of the tests with one repository."""
  empty_hub.files[NAME] = {'config.json': CONFIG, 'model.safetensors': WEIGHTS}
  return empty_hub


def fetch_error(name=NAME, directory=None):
  with pytest.raises(errors.InputError) as caught:
    hub_lib.fetch(name, directory)
  message = str(caught.value)
  assert '\n' not in message
  return message


def test_files_are_those_of_the_hub(hub):
  found = hub_lib.fetch(NAME)
  assert found.config.read_bytes() == CONFIG
  assert found.weights.read_bytes() == WEIGHTS
  assert found.is_checked
  # Of one commit, though the newest may change meanwhile.
  assert f'HEAD /{NAME}/resolve/main/config.json' in hub.requests
  commit = hub_server.COMMIT
  assert f'HEAD /{NAME}/resolve/{commit}/model.safetensors' in hub.requests


def test_second_time_nothing_is_fetched(hub, monkeypatch):
  first = hub_lib.fetch(NAME)
  hub.requests.clear()
  assert hub_lib.fetch(NAME) == first
  assert not any(request.startswith('GET') for request in hub.requests)
  monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
  hub.requests.clear()
  assert hub_lib.fetch(NAME) == first
  assert not hub.requests


def test_offline_says_what_is_missing_and_where_to_put_it(
  hub, monkeypatch, tmp_path
):
  monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
  directory = tmp_path / 'weights' / NAME
  message = fetch_error(directory=directory)
  assert 'HF_HUB_OFFLINE is set' in message
  for part in ('config.json', 'model.safetensors', str(directory)):
    assert part in message
  # What it says works.
  directory.mkdir(parents=True)
  (directory / 'config.json').write_bytes(CONFIG)
  fetch_error(directory=directory)
  (directory / 'model.safetensors').write_bytes(WEIGHTS)
  found = hub_lib.fetch(NAME, directory)
  assert found.weights == directory / 'model.safetensors'
  assert not found.is_checked
  assert not hub.requests
  # Without a directory there is the converter's flag.
  assert '--input' in fetch_error()


def test_no_connection(hub, monkeypatch):
  with socket.socket() as closed:
    closed.bind(('127.0.0.1', 0))
    endpoint = f'http://127.0.0.1:{closed.getsockname()[1]}'
  template = endpoint + '/{repo_id}/resolve/{revision}/{filename}'
  monkeypatch.setattr(constants, 'HUGGINGFACE_CO_URL_TEMPLATE', template)
  monkeypatch.setattr(file_download, '_ETAG_RETRY_TIMEOUT', 0.1)
  message = fetch_error()
  assert 'the hub cannot be reached: ' in message
  assert 'refused' in message


def test_without_the_client(monkeypatch):
  monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
  assert 'pip install huggingface_hub' in fetch_error()


def test_no_such_repository(hub):
  message = fetch_error('timm/resnet50.a1_in2k')
  assert 'there is no repository timm/resnet50.a1_in2k' in message
  assert 'did you mean timm/resnet50.a1_in1k' in message
  assert 'did you mean' not in fetch_error('timm/0123456789')


def test_gated_repository(hub):
  hub.gated.add(NAME)
  message = fetch_error()
  assert f'{NAME} is gated: accept its terms' in message
  assert 'HF_TOKEN' in message


@pytest.mark.parametrize('file', ['config.json', 'model.safetensors'])
def test_repository_without_a_file(hub, file):
  del hub.files[NAME][file]
  assert f'has no file {file}' in fetch_error()


def test_wrong_content(hub):
  wrong = WEIGHTS[:-1] + b'?'
  hub.served[f'{NAME}/model.safetensors'] = wrong
  message = fetch_error()
  assert 'its hash should be ' + hashlib.sha256(WEIGHTS).hexdigest() in message
  # What it says to remove is what was fetched, and removing it helps.
  hub.served.clear()
  assert 'its hash should be' in fetch_error()
  path = message.partition('Remove ')[2].partition(',')[0]
  pathlib.Path(path).unlink()
  assert hub_lib.fetch(NAME).weights.read_bytes() == WEIGHTS


def test_wrong_config(hub):
  hub.served[f'{NAME}/config.json'] = CONFIG.replace(b'0.95', b'0.96')
  message = fetch_error()
  assert f'its hash should be {hub_server.git_hash(CONFIG)}' in message


def test_download_that_is_cut_goes_on(hub):
  hub.cut = 2
  assert hub_lib.fetch(NAME).weights.read_bytes() == WEIGHTS


def test_download_that_stays_cut(hub, tmp_path):
  hub.served[f'{NAME}/model.safetensors'] = WEIGHTS[:1000]
  message = fetch_error()
  assert 'model.safetensors could not be fetched' in message
  assert 'should be of size 25600 but has size 1000' in message
  assert 'Run the command again' in message
  # Nothing of it stays that would be taken for the file.
  hub.served.clear()
  assert hub_lib.fetch(NAME).weights.read_bytes() == WEIGHTS


def test_links_that_the_file_system_does_not_have(hub, monkeypatch):
  monkeypatch.setattr(constants, 'HF_HUB_DISABLE_SYMLINKS', True)
  found = hub_lib.fetch(NAME)
  assert not found.weights.is_symlink()
  assert found.weights.read_bytes() == WEIGHTS
  found.weights.chmod(0o644)
  found.weights.write_bytes(WEIGHTS[::-1])
  assert 'its hash should be' in fetch_error()
