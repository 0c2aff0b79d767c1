"""Shards of a study: no two run the same cell."""

import pytest

from tests.study.studies import comparable, read_records
from tf_transfer import errors
from tf_transfer.jobs import study
from tf_transfer.study import shards


@pytest.mark.parametrize(
  'part', ['3', '0/2', '3/2', 'a/b', '1/', '1/10000000', '1/' + 5000 * '9']
)
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


def test_names_that_are_no_parts_are_said(tmp_path, caplog):
  good = ['results.1-of-3.jsonl', 'results.12-of-16.jsonl']
  bad = [
    *('results.foo-of-bar.jsonl', 'results.0-of-3', 'results.5-of-3.jsonl'),
    *('results.0-of-3.jsonl', 'results.01-of-3.jsonl', 'results-of-me.jsonl'),
    *('results.1-of-3.jsonl.bak', f'results.{"9" * 200}-of-3.jsonl'),
  ]
  for name in (*good, *bad):
    (tmp_path / name).write_text('')
  assert shards.find_shards(tmp_path) == [
    shards.Shard(1, 3),
    shards.Shard(12, 16),
  ]
  for name in bad:
    assert f'{tmp_path / name} is ignored' in caplog.text
  assert caplog.text.count('is ignored') == len(bad)
  # The ledger of a study is none of a part.
  caplog.clear()
  (tmp_path / 'results.jsonl').write_text('')
  assert len(shards.find_shards(tmp_path)) == 2
  assert not caplog.text


IDENTITY = 'a' * 32


@pytest.mark.parametrize(
  'content',
  [
    *('[1, 2]', 'null', '7', '', '{', '[' * 100_000, '\x00\xff'),
    *(f'{{"{IDENTITY}": {value}}}' for value in (0, 3, -1, 1.5, '"1"', '[1]')),
    *('{"no identity": 1}', f'{{"{IDENTITY}": {"9" * 5000}}}'),
  ],
)
def test_assignments_that_are_damaged(tmp_path, content):
  path = tmp_path / 'parts.2.json'
  path.write_bytes(content.encode('latin-1'))
  with pytest.raises(errors.InputError) as raised:
    shards.select_cells([], {}, tmp_path, shards.Shard(1, 2))
  text = str(raised.value)
  assert text.startswith(f'{path} is damaged: ')
  assert text.endswith('end all parts, remove it, and start again')
  assert '\n' not in text


def test_assignments_in_a_directory(tmp_path):
  (tmp_path / 'parts.2.json').mkdir()
  with pytest.raises(errors.InputError, match=r'parts\.2\.json: expected a fi'):
    shards.select_cells([], {}, tmp_path, shards.Shard(1, 2))
