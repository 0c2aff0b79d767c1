"""The cells of a study, and what cannot be run."""

import shutil

import pytest

from tests.datasets.sources.test_folder import animals, write
from tests.study import studies
from tests.transfer.training import small
from tf_transfer import errors, networks
from tf_transfer.configs import base
from tf_transfer.jobs import study
from tf_transfer.study import cells as cells_lib
from tf_transfer.study import record, schema
from tf_transfer.transfer import settings
from tf_transfer.transfer.setting import Cell


def test_a_study_without_a_runnable_cell_is_refused(tmp_path, tiny_config):
  tiny_config.datasets = ('dtd', 'folder:none')
  with pytest.raises(errors.InputError, match='folder:none|no such directory'):
    study.run(tiny_config, tmp_path / 'work')
  tiny_config.datasets = ('digits',)
  tiny_config.leave_out = (('*', 'digits', '*'),)
  with pytest.raises(errors.InputError, match='no cell'):
    study.run(tiny_config, tmp_path / 'work')
  assert not (tmp_path / 'work').exists()


def test_what_leaves_nothing_out_is_said(tmp_path, tiny_config, capsys):
  tiny_config.leave_out = (('efficientnet*', '*', '*'), ('tinyy', '*', 'rid*'))
  cells_lib.list_cells(tiny_config, tmp_path / 'work')
  lines = capsys.readouterr().out.splitlines()
  line = "config.leave_out: ('tinyy', '*', 'rid*') matches no cell"
  assert line in lines


def list_random_init(config, workdir):
  cells, obstacles = cells_lib.list_cells(config, workdir)
  return (
    [cell for cell in cells if cell.setting.name == 'random_init'],
    [cell for cell in cells if cell.setting.name != 'random_init'],
    obstacles,
  )


@pytest.fixture
def with_random_init(tiny_config):
  tiny_config.unlock()
  tiny_config.random_init = base.fine_tuned_fields()
  tiny_config.settings = ('ridge', 'random_init')
  return tiny_config.lock()


def test_random_init_needs_no_weights_beside_settings_that_do(
  tmp_path, with_random_init
):
  with_random_init.networks = ('tiny', 'resnet50')
  random_init, others, obstacles = list_random_init(
    with_random_init, tmp_path / 'work'
  )
  assert [cell.label for cell in random_init] == ['tiny', 'resnet50']
  assert [cell.label for cell in others] == ['tiny']
  (obstacle,) = obstacles
  assert obstacle.key == ('resnet50', 'digits', 'ridge')
  assert 'no weights of resnet50' in obstacle.reason


def test_random_init_takes_nothing_from_a_weights_file(
  tmp_path, with_random_init
):
  """Two weights of one architecture have one cell, with its defaults."""
  with_random_init.networks = tuple(
    str(tmp_path / 'weights' / f'{name}.safetensors')
    for name in ('tinier', 'other')
  )
  random_init, others, _ = list_random_init(with_random_init, tmp_path / 'work')
  (cell,) = random_init
  assert cell.label == 'tinier'
  assert cell.network.sha256 == ''
  assert cell.network.header.options == {}
  assert cell.network.contract == networks.untrained('tinier').contract
  assert len({cell.label for cell in others}) == 2


def test_identity_of_random_init_without_weights_is_as_before(
  tmp_path, with_random_init
):
  """Where random_init was the only setting, no weights file was read."""
  with_random_init.networks = ('resnet50',)
  with_random_init.settings = ('random_init',)
  alone, _, _ = list_random_init(with_random_init, tmp_path / 'alone')
  with_random_init.settings = ('ridge', 'random_init')
  beside, _, _ = list_random_init(with_random_init, tmp_path / 'beside')
  assert alone[0].identity == beside[0].identity


def test_fine_tuning_does_not_depend_on_the_layer_of_features(
  tmp_path, tiny_config
):
  tiny_config.networks = ('tiny',)
  tiny_config.settings = ('ridge', 'fine_tuned')
  default, _ = cells_lib.list_cells(tiny_config, tmp_path / 'work')
  layer = next(
    name
    for name in default[0].network.layers(small.SIZE)
    if name and '/' not in name
  )
  tiny_config.features.layer = layer
  other, _ = cells_lib.list_cells(tiny_config, tmp_path / 'work')
  same = {
    cell.setting.name: cell.identity == cell_again.identity
    for cell, cell_again in zip(default, other, strict=True)
  }
  assert same == {'ridge': False, 'fine_tuned': True}


def test_a_folder_that_is_named_in_many_ways_is_one(
  tmp_path, tiny_config, monkeypatch, capsys
):
  """Beside itself, its copy and a directory that is not there."""
  write(tmp_path / 'pets', animals(20))
  shutil.copytree(tmp_path / 'pets', tmp_path / 'copy')
  monkeypatch.chdir(tmp_path)
  tiny_config.datasets = tuple(
    f'folder:{path}'
    for path in ('pets', 'pets/', './copy/../pets', f'{tmp_path}/copy', 'no')
  )
  tiny_config.settings = ('ridge',)
  tiny_config.leave_out = ()
  cells, obstacles = cells_lib.list_cells(tiny_config, tmp_path / 'work')
  assert {cell.dataset.name for cell in cells} == {'folder:pets'}
  assert {obstacle.key[1] for obstacle in obstacles} == {'folder:no'}
  out = capsys.readouterr().out
  for name in tiny_config.datasets[1:4]:
    assert f'{name} holds the same images and labels as folder:pets' in out


def test_weights_that_are_named_in_several_ways_are_said(
  tmp_path, tiny_config, capsys
):
  first = str(tmp_path / 'weights' / 'tiny.safetensors')
  tiny_config.networks = (first,)
  path = tmp_path / 'copy.safetensors'
  shutil.copy(first, path)
  alone, _ = cells_lib.list_cells(tiny_config, tmp_path / 'work')
  assert 'same weights' not in capsys.readouterr().out
  tiny_config.networks = (*tiny_config.networks, str(path))
  both, _ = cells_lib.list_cells(tiny_config, tmp_path / 'work')
  assert [c.identity for c in both] == [c.identity for c in alone]
  expected = f'{path} holds the same weights as {first}: their cells are run'
  assert capsys.readouterr().out.count(expected) == 1


def test_a_dataset_that_cannot_be_opened_ends_a_study_of_nothing_else(
  tmp_path, tiny_config
):
  """Its folders are in order, but one of them holds no image."""
  write(tmp_path / 'pets', animals(20))
  (tmp_path / 'pets' / 'ape').mkdir()
  tiny_config.datasets = (f'folder:{tmp_path}/pets',)
  tiny_config.only_plan = True
  with pytest.raises(errors.InputError, match='ape: a class without images'):
    study.run(tiny_config, tmp_path / 'work')


def test_one_folder_written_in_several_ways_has_its_cells_once(
  tmp_path, tiny_config, monkeypatch
):
  studies.make_folder(tmp_path / 'photos')
  monkeypatch.chdir(tmp_path)
  tiny_config.settings = ('ridge',)
  names = ('photos', 'photos/', './photos', str(tmp_path / 'photos'))

  def identities(*folders):
    tiny_config.datasets = tuple(f'folder:{name}' for name in folders)
    cells, obstacles = cells_lib.list_cells(tiny_config, tmp_path / 'work')
    assert not obstacles
    return [cell.identity for cell in cells]

  first = identities(names[0])
  assert all(identities(name) == first for name in names[1:])
  assert identities(*names) == first


def test_the_former_identity_of_a_cell_on_a_folder(tmp_path, tiny_config):
  """It is the one that a record of schema 2 has."""
  studies.make_folder(tmp_path / 'photos')
  tiny_config.settings = ('ridge',)
  tiny_config.datasets = ('digits', f'folder:{tmp_path}/photos/')
  cells, _ = cells_lib.list_cells(tiny_config, tmp_path / 'work')
  for cell in cells:
    old = {
      **record.determinants(
        cell.network, cell.dataset, cell.setting, tiny_config
      ),
      'schema': 2,
    }
    if cell.dataset.name == 'digits':
      assert cell.former_identity == ''
      old['identity'] = cell.identity
    else:
      old['dataset'] += '/'
      old['identity'] = cell.former_identity
      assert cell.identity != cell.former_identity
    assert (
      schema.cell_identity(
        {k: v for k, v in old.items() if k not in ('schema', 'identity')}
      )
      == old['identity']
    )
    assert schema.upgrade(old)['identity'] == cell.identity
    assert schema.identity_name(old['dataset']) == cell.dataset.identity_name


def test_a_search_that_was_begun_by_the_former_identity_goes_on(tmp_path):
  cell = Cell(None, None, None, 'new', 'n', 'former')
  assert settings.search_directory(cell, tmp_path).name == 'new'
  (tmp_path / 'searches' / 'former').mkdir(parents=True)
  assert settings.search_directory(cell, tmp_path).name == 'former'
