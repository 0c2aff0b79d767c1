"""Names, checks and the opening of datasets."""

import ml_collections
import pytest

from tests.datasets import miniatures
from tests.datasets.sources.test_folder import animals, write
from tf_transfer import datasets
from tf_transfer.datasets import table
from tf_transfer.errors import InputError


def test_unknown_name_hints_and_mentions_folders():
  with pytest.raises(InputError, match=r'did you mean digits.*folder:PATH'):
    datasets.open('digit')
  with pytest.raises(InputError, match='fashion_mnist'):
    datasets.check('fashion-mnist')


def test_a_directory_needs_the_word_folder(tmp_path, monkeypatch):
  (tmp_path / 'photos').mkdir()
  monkeypatch.chdir(tmp_path)
  with pytest.raises(InputError, match='a directory.* write folder:photos'):
    datasets.check('photos')


def test_check_is_about_names_and_directories(tmp_path):
  datasets.check('digits')
  with pytest.raises(InputError, match='no such directory'):
    datasets.check(f'folder:{tmp_path}/none')
  with pytest.raises(InputError, match='has no path'):
    datasets.check('folder:')
  with pytest.raises(InputError, match='data_dir'):
    datasets.check('fashion_mnist', str(tmp_path / 'none'))
  for name in 'ab':
    (tmp_path / name).mkdir()
  datasets.check(f'folder:{tmp_path}')


def test_bad_fractions_are_refused():
  with pytest.raises(InputError, match='val_fraction'):
    datasets.open('digits', val_fraction=2)


@pytest.fixture
def data_config():
  """The `data` of a config, with values that are nobody's defaults."""
  return ml_collections.ConfigDict(
    {
      'corrupt': 'error',
      'split_version': 2,
      'group_by': '',
      'folds': 0,
      'dir': '',
      'split_seed': 1,
      'val_fraction': 0.1,
      'test_fraction': 0.5,
      'cut_banner': False,
      'prepare': False,
      'cache_dir': '',
      'examples_per_class': 0,
      'subset_seed': 0,
    }
  ).lock()


def test_open_from_config_passes_on_seed_and_fractions(
  data_config, tmp_path, capsys
):
  dataset = datasets.open_from_config('digits', data_config, tmp_path)
  expected = datasets.open(
    'digits', seed=1, val_fraction=0.1, test_fraction=0.5
  )
  hashes = [
    {name: split.hash for name, split in each.splits.items()}
    for each in (dataset, expected)
  ]
  assert hashes[0] == hashes[1]
  counts = [len(split) for split in expected.splits.values()]
  assert capsys.readouterr().out == (
    f'digits: 10 classes, {counts[0]:,} train, {counts[1]:,} val, '
    f'{counts[2]:,} test\n'
  )


def test_open_from_config_draws_few_examples(data_config, tmp_path, capsys):
  data_config.examples_per_class = 2
  data_config.subset_seed = 3
  dataset = datasets.open_from_config('digits', data_config, tmp_path)
  whole = datasets.open('digits', seed=1, val_fraction=0.1, test_fraction=0.5)
  expected = datasets.few_examples(whole, 2, seed=3)
  assert dataset.splits['train'].hash == expected.splits['train'].hash
  assert (
    '  note: 2 training images of each class, drawn with seed 3'
    in capsys.readouterr().out
  )


@pytest.fixture
def aircraft(monkeypatch, tmp_path, data_config):
  """Aircraft in miniature, below the directory that the config names."""
  monkeypatch.setattr(table, 'TABLE', miniatures.rows())
  monkeypatch.setattr('tf_transfer.datasets.sources.official.BANNER', 3)
  miniatures.make('aircraft', tmp_path / 'data')
  data_config.dir = str(tmp_path / 'data')
  return data_config


def test_open_from_config_cuts_the_banner(aircraft, tmp_path):
  hashes = set()
  for aircraft.cut_banner in (False, True):
    dataset = datasets.open_from_config('aircraft', aircraft, tmp_path / 'd')
    hashes.add(dataset.splits['test'].hash)
    assert any('cut off' in n for n in dataset.notes) == aircraft.cut_banner
  assert len(hashes) == 2


def test_open_from_config_keeps_digests_where_it_should(aircraft, tmp_path):
  datasets.open_from_config('aircraft', aircraft, tmp_path / 'default')
  assert list((tmp_path / 'default').glob('*.npz'))
  aircraft.cache_dir = str(tmp_path / 'shared')
  datasets.open_from_config('aircraft', aircraft, tmp_path / 'unused')
  assert list((tmp_path / 'shared').glob('*.npz'))
  assert not (tmp_path / 'unused').exists()


def test_open_test_from_config(aircraft, tmp_path):
  split = datasets.open_test_from_config(
    'aircraft', aircraft, tmp_path / 'default'
  )
  whole = datasets.open('aircraft', data_dir=aircraft.dir)
  assert split.hash == whole.splits['test'].hash
  assert list((tmp_path / 'default').glob('*.npz'))


def test_the_name_that_an_opened_dataset_has(tmp_path):
  assert datasets.normalized_name('cars') == 'cars'
  root = write(tmp_path / 'pets', animals())
  for name in (f'folder:{root}/', f'folder:{root}/cat/..'):
    assert datasets.normalized_name(name) == f'folder:{root}'
    assert datasets.open(name).name == f'folder:{root}'


@pytest.mark.parametrize(
  ('text', 'name'),
  [
    ('digits', 'digits'),
    ('folder:digits', 'folder:digits'),
    ('photos', 'folder:photos'),
    ('~/photos', 'folder:~/photos'),
    ('~', 'folder:~'),
    ('not/there', 'folder:not/there'),
    ('notthere', 'notthere'),
    ('a\0b', 'a\0b'),
  ],
)
def test_a_path_is_the_name_of_a_folder(text, name, tmp_path, monkeypatch):
  # A folder that has the name of a dataset is written with 'folder:'.
  (tmp_path / 'digits').mkdir()
  (tmp_path / 'photos').mkdir()
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv('HOME', str(tmp_path))
  assert datasets.name_of(text) == name
