"""The job that audits a dataset for leaks."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from tests.study.leaky import config, ledger_of, other, root
from tf_transfer import datasets
from tf_transfer.jobs import leaks

__all__ = ['config', 'other', 'root']  # fixtures


def test_what_the_job_writes(config, tmp_path, capsys):
  config.against += ('no_such_dataset',)
  leaks.run(config, tmp_path)
  rows = list(csv.DictReader(io.StringIO((tmp_path / 'leaks.csv').read_text())))
  assert [row['kind'] for row in rows] == ['hash'] * 3 + ['exact']
  moved = [row for row in rows if row['its label'] != row['label']]
  assert {row['image'].rpartition('/')[2] for row in moved[:1]} == {
    'copy2.img.png'
  }
  report = json.loads((tmp_path / 'leaks.json').read_text())
  assert report['leaked_test_images'] == 4
  assert report['test_images'] == 16
  counts = report['searched']
  assert counts[f'{config.dataset} train'] == {
    'exact': 0,
    'hash': 3,
    'features': 0,
  }
  assert sum(sum(kinds.values()) for kinds in counts.values()) == 4
  with Image.open(tmp_path / 'leaks.png') as sheet:
    pixels = np.asarray(sheet)
  # Four pairs in a row of five; both sides of each show a picture.
  assert pixels[:80, : 4 * 232].std() > 20
  printed = capsys.readouterr().out
  assert '4 of 16 test images are leaked' in printed
  assert "not searched: unknown dataset 'no_such_dataset'" in printed


def test_accuracy_without_the_leaked_images(config, tmp_path, capsys):
  dataset = datasets.open(config.dataset)
  study = tmp_path / 'study'
  study.mkdir()
  # Leaked are 0, 1, 2 and 5: right on all of them, wrong on 7 and 8.
  ledger_of(study, dataset, wrong={7, 8})
  config.ledger = str(study)
  leaks.run(config, tmp_path)
  (row,) = json.loads((tmp_path / 'leaks.json').read_text())['records']
  assert row['all']['value'] == pytest.approx(14 / 16)
  assert row['without']['value'] == pytest.approx(10 / 12)
  assert row['without']['examples'] == 12
  assert '83.33%' in capsys.readouterr().out


def test_no_leaks_draw_no_pictures(config, tmp_path):
  config.max_distance = -1
  config.against = ()
  leaks.run(config, tmp_path)
  assert not (tmp_path / 'leaks.png').exists()
  assert len((tmp_path / 'leaks.csv').read_text().splitlines()) == 1
