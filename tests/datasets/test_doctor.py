"""The examination of datasets that are found, faulty, or missing."""

import shutil

import pytest

from tests.datasets import miniatures
from tf_transfer import datasets
from tf_transfer.datasets import dataset, doctor, table
from tf_transfer.datasets.sources import official
from tf_transfer.errors import InputError

NAMES = ('pets', 'dtd', 'voc2007')


@pytest.fixture(autouse=True)
def rows(monkeypatch):
  """Makes the table expect the counts of the miniatures."""
  monkeypatch.setattr(table, 'TABLE', miniatures.rows())


@pytest.fixture
def data_dir(tmp_path):
  """A directory with three of the datasets."""
  for name in NAMES:
    miniatures.make(name, tmp_path / 'data')
  return tmp_path / 'data'


@pytest.fixture
def examine(capsys):
  """Examines; returns the result, and the output on one line."""

  def run(data_dir, *names, cache_dir=None, explain=False, decode=False):
    options = official.Options(
      data_dir=str(data_dir),
      seed=0,
      cache_dir=cache_dir,
      prepare=False,
      cut_banner=False,
      progress=dataset.no_progress,
    )
    result = doctor.examine(
      doctor.select_rows(names), options, explain=explain, decode=decode
    )
    return result, ' '.join(capsys.readouterr().out.split())

  return run


def test_all_datasets_in_short(examine, data_dir):
  result, text = examine(data_dir)
  assert f'looking in {data_dir}' in text
  assert text.count(' missing ') == 10
  assert 'sun397 missing 397 classes, 794 / 397 / 794 images, top1' in text
  assert result.directories == {name: str(data_dir / name) for name in NAMES}
  assert result.faulty == ()
  assert 'princeton' not in text
  for name in NAMES:
    opened = datasets.open(name, data_dir=str(data_dir))
    assert f'official layout, {data_dir / name} ' in text
    for split_name, split in opened.splits.items():
      assert f'{split_name} {split.hash[:16]}' in text
  assert 'validation drawn by name from each class, seed 0' in text
  assert text.count('validation is official') == 2


def test_explanation_of_how_to_get_missing_ones(examine, data_dir):
  result, text = examine(data_dir, 'birdsnap', 'pets', 'aircraft', explain=True)
  assert list(result.directories) == ['pets']
  for words in (
    'birdsnap missing 500 classes',
    'http://thomasberg.org/',
    f'{data_dir}/birdsnap',
    'images.txt, test_images.txt, species.txt',
    'fetched from Flickr one by one',
    'pitfalls: many photos are gone',
    'configs/datasets.py:birdsnap',
    '--config.data.prepare=True',
    'TFDS, fgvc_aircraft:1.*.*: put the folder fgvc-aircraft-2013b',
    'license: for non-commercial research',
    'cite: S. Maji',
  ):
    assert words in text, words


def test_other_datasets_are_examined_after_a_faulty_one(examine, data_dir):
  (data_dir / 'dtd/images/class_0004/class_0004_val0.jpg').unlink()
  shutil.rmtree(data_dir / 'voc2007/ImageSets')
  result, text = examine(data_dir)
  assert result.faulty == ('dtd',)
  assert 'PROBLEM: ' in text
  assert '1 of the 94 images that it names is not there' in text
  assert 'voc2007 INCOMPLETE' in text
  assert 'has no ImageSets/Main' in text
  assert 'pets found 37 classes' in text


def test_images_that_cannot_be_decoded(examine, data_dir, tmp_path):
  cache_dir = tmp_path / 'digests'
  _, text = examine(data_dir, 'pets', cache_dir=cache_dir)
  assert 'decoded' not in text
  _, text = examine(data_dir, 'pets', cache_dir=cache_dir, decode=True)
  assert 'all 185 images can be decoded' in text
  for number in (1001, 1004):
    path = data_dir / f'pets/images/class_0005_{number}.jpg'
    path.write_bytes(b'<html>404 Not Found</html>')
  result, text = examine(data_dir, 'pets', cache_dir=cache_dir)
  assert 'decoded' not in text
  assert result.faulty == ()
  result, text = examine(data_dir, 'pets', cache_dir=cache_dir, decode=True)
  assert '2 of 185 images cannot be decoded: ' in text
  assert 'class_0005_1001.jpg' in text
  assert result.faulty == ('pets',)


def test_names_that_cannot_be_examined(examine, tmp_path):
  with pytest.raises(InputError, match='did you mean pets'):
    doctor.select_rows(['pet'])
  with pytest.raises(InputError, match="unknown dataset 'digits'"):
    doctor.select_rows(['digits'])
  with pytest.raises(InputError, match='no such directory'):
    examine(tmp_path / 'none', 'pets')
