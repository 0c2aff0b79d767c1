"""Corrupt images of a folder stop a study, or are named, in each split."""

import numpy as np
import pytest
from PIL import Image

from tf_transfer import errors
from tf_transfer.jobs import study
from tf_transfer.study import ledger


def make_folder(root, corrupt_split):
  """Writes images of two classes in three splits, one of them corrupt."""
  rng = np.random.default_rng(0)
  for split in ('train', 'val', 'test'):
    for name, level in (('dark', 40), ('light', 200)):
      folder = root / split / name
      folder.mkdir(parents=True)
      for i in range(6):
        pixels = rng.normal(level, 15, (32, 32, 3)).clip(0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f'{i}.png')
  bad = root / corrupt_split / 'dark' / 'bad.png'
  bad.write_bytes((bad.parent / '0.png').read_bytes()[:60])
  return root


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
@pytest.mark.usefixtures('no_figures')
def test_one_corrupt_image(tmp_path, tiny_config, split):
  root = make_folder(tmp_path / 'images', split)
  tiny_config.networks = ('tiny',)
  tiny_config.datasets = (f'folder:{root}',)
  tiny_config.settings = ('logistic_regression',)
  work = tmp_path / 'work'
  with pytest.raises(errors.InputError) as error:
    study.run(tiny_config, work)
  text = str(error.value)
  assert '1 of 37 files cannot be decoded' in text
  assert f'{split}/dark/bad.png' in text
  assert f'--config=datasets:folder:{root} lists all' in text
  assert not ledger.read_all(work)
  tiny_config.data.corrupt = 'skip'
  study.run(tiny_config, work)
  (record,) = ledger.read_all(work).values()
  (skipped,) = record['skipped']
  assert f'{split}/dark/bad.png' in skipped
  assert '1 of 37 files cannot be decoded' in ' '.join(record['notes'])
