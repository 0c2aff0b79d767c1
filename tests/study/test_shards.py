"""Shards of a study: no two run the same cell."""

import pytest

from tests.study.studies import comparable, read_records
from tf_transfer import errors
from tf_transfer.jobs import study


@pytest.mark.parametrize('part', ['3', '0/2', '3/2', 'a/b', '1/'])
def test_a_part_that_cannot_be_parsed(tmp_path, tiny_config, part):
  tiny_config.part = part
  with pytest.raises(errors.InputError, match=r'config\.part: expected'):
    study.run(tiny_config, tmp_path / 'work')


def cells(records):
  return sorted(
    (r['weights_sha256'], r['dataset'], r['setting']) for r in records
  )


@pytest.mark.usefixtures('no_figures')
def test_parts_run_every_cell_once(tmp_path, tiny_config, capsys):
  """Though the second finds more cells; the study then merges them."""
  work = tmp_path / 'work'
  tiny_config.part = '1/2'
  tiny_config.settings = ('ridge',)
  study.run(tiny_config, work)
  tiny_config.settings = ('ridge', 'logistic_regression')
  tiny_config.part = '2/2'
  study.run(tiny_config, work)
  first, second = (
    read_records(work, f'results.{k}-of-2.jsonl') for k in (1, 2)
  )
  assert first
  assert second
  assert not set(cells(first)) & set(cells(second))
  assert {'ridge', 'logistic_regression'} == {r['setting'] for r in second}
  assert not (work / 'results.jsonl').exists()
  tiny_config.part = '1/2'
  study.run(tiny_config, work)
  first = read_records(work, 'results.1-of-2.jsonl')
  assert len(set(cells(first)) | set(cells(second))) == 6
  assert len(first) + len(second) == 6
  capsys.readouterr()
  tiny_config.part = ''
  study.run(tiny_config, work)
  assert '6 found in the ledger, 0 to run' in capsys.readouterr().out
  assert cells(read_records(work)) == sorted(cells(first) + cells(second))
  undivided = tmp_path / 'undivided'
  study.run(tiny_config, undivided)
  assert comparable(undivided) == comparable(work)
