"""The job that merges ledgers: agreement, conflicts, failures."""

import json

import numpy as np
import pytest

from tests.study.made_records import identity, predictions, record
from tf_transfer import errors
from tf_transfer.configs import merge as merge_config
from tf_transfer.jobs import merge as merge_job
from tf_transfer.study import failures, ledger, shards


def write_ledger(workdir, *records, part=None):
  workdir.mkdir(exist_ok=True)
  merged = ledger.Ledger(workdir, part)
  for one in records:
    merged.add(one, predictions(one['test']['value']))
  return merged


def run(workdir, *sources, prefer=''):
  config = merge_config.get_config(','.join(map(str, sources)))
  config.prefer = str(prefer)
  merge_job.run(config.lock(), workdir)


def values(workdir):
  known = {identity(name): name for name in 'abcvxyz'}
  return {
    known[one]: fields['test']['value']
    for one, fields in ledger.Ledger(workdir).read().items()
  }


def load(workdir, name):
  """The predictions of a cell."""
  with np.load(workdir / 'predictions' / f'{identity(name)}.npz') as arrays:
    return dict(arrays)


def test_ledgers_of_two_machines(tmp_path, capsys):
  a, b, into = (tmp_path / name for name in ('a', 'b', 'into'))
  write_ledger(a, record('x', 0.1), record('y', 0.2))
  # The same result of another machine, at another speed, is no conflict.
  write_ledger(
    b, record('y', 0.2, seconds=9.0, device='8 x TPU'), record('z', 0.3)
  )
  run(into, a, b)
  assert values(into) == {'x': 0.1, 'y': 0.2, 'z': 0.3}
  assert load(into, 'z')['correct'].sum() == 30
  assert f'{a / "results.jsonl"}: 2 records were new' in capsys.readouterr().out
  before = (into / 'results.jsonl').read_bytes()
  run(into, b, a)
  assert (into / 'results.jsonl').read_bytes() == before


def test_conflicts_are_shown_and_not_settled(tmp_path, capsys):
  a, b, into = (tmp_path / name for name in ('a', 'b', 'into'))
  write_ledger(a, record('x', 0.1), record('y', 0.2))
  write_ledger(b, record('x', 0.4, chosen={'penalty': 1.0}), record('z', 0.3))
  with pytest.raises(errors.InputError, match='1 cell has different'):
    run(into, a, b)
  out = capsys.readouterr().out
  assert 'network_x, pets, ridge' in out
  assert 'test 0.1 and 0.4' in out
  assert "chosen {'penalty': 0.1} and {'penalty': 1.0}" in out
  assert values(into) == {'x': 0.1, 'y': 0.2, 'z': 0.3}
  run(into, a, b, prefer=b)
  assert 'kept: the second' in capsys.readouterr().out
  assert values(into)['x'] == 0.4
  assert load(into, 'x')['correct'].sum() == 40


def test_parts_of_one_workdir_and_of_another(tmp_path):
  one, other = tmp_path / 'one', tmp_path / 'other'
  write_ledger(one, record('a', 0.1), part=shards.Shard(1, 2))
  write_ledger(one, record('b', 0.2), part=shards.Shard(2, 2))
  write_ledger(other, record('c', 0.3), part=shards.Shard(4, 16))
  run(one, other)
  assert values(one) == {'a': 0.1, 'b': 0.2, 'c': 0.3}


def test_failures_are_merged_unless_the_cell_has_a_record(tmp_path):
  a, b, into = (tmp_path / name for name in ('a', 'b', 'into'))
  write_ledger(a, record('x'))
  write_ledger(b, record('y'))
  failures.Failures(a).add(('network_y', 'pets', 'ridge'), 'no memory')
  failures.Failures(a).add(('network_z', 'pets', 'ridge'), 'no weights')
  run(into, a, b)
  (failure,) = failures.Failures(into).read()
  assert failure['error'] == 'no weights'


def test_failures_of_two_weights_of_one_network(tmp_path):
  """A plan that has both calls them by their hashes, another by the name."""
  a, b, into = (tmp_path / name for name in ('a', 'b', 'into'))
  x, y, v = ({'weights_sha256': 64 * digit} for digit in '123')
  y['network'] = x['network'] = 'n'
  write_ledger(a, record('x', **x), record('v', network='alone', **v))
  write_ledger(b, record('y', **y), record('z', **y, dataset='dtd'))
  for network, dataset in (
    *(('n (111111)', 'pets'), ('n (111111)', 'dtd'), ('n (222222)', 'pets')),
    *(('alone (333333)', 'pets'), ('alone (444444)', 'pets')),
    *(('n', 'pets'), ('n', 'dtd')),
  ):
    failures.Failures(a).add((network, dataset, 'ridge'), 'no memory')
  run(into, a, b)
  left = {failures.key(f)[:2] for f in failures.Failures(into).read()}
  # On dtd it is not known which of the two was meant, and one has no record.
  assert left == {
    *(('n (111111)', 'dtd'), ('alone (444444)', 'pets'), ('n', 'dtd')),
  }


@pytest.mark.parametrize(
  ('sources', 'prefer', 'message'),
  [
    (('none',), '', r'no results\.jsonl in .*none'),
    (('a',), 'b', 'prefer: .* is none of'),
  ],
)
def test_sources_that_cannot_be_merged(tmp_path, sources, prefer, message):
  write_ledger(tmp_path / 'a', record('x'))
  with pytest.raises(errors.InputError, match=message):
    run(
      tmp_path / 'into',
      *(tmp_path / name for name in sources),
      prefer=prefer and tmp_path / prefer,
    )


def test_predictions_that_are_missing(tmp_path):
  write_ledger(tmp_path / 'a', record('x'))
  (tmp_path / 'a' / 'predictions' / f'{identity("x")}.npz').unlink()
  with pytest.raises(
    errors.InputError,
    match=r'\.npz: the predictions of network_x on pets, ridge are missing',
  ):
    run(tmp_path / 'into', tmp_path / 'a')
  assert values(tmp_path / 'into') == {}


def edit(workdir, change):
  """Changes the only record of a ledger, as a stranger may."""
  path = workdir / 'results.jsonl'
  fields = json.loads(path.read_text())
  change(fields)
  path.write_text(json.dumps(fields) + '\n')


@pytest.mark.parametrize(
  'name',
  [
    *('../planted', '/tmp/planted', 'predictions/../../planted.npz', ''),
    *('planted.npz', 'predictions/a.npz', 'predictions', 'predictions\\\\a'),
  ],
)
def test_a_record_that_names_a_file_elsewhere(tmp_path, name):
  source, into = tmp_path / 'a' / 'source', tmp_path / 'b' / 'into'
  for directory in (source, into):
    directory.parent.mkdir()
  write_ledger(source, record('x'))
  (source.parent / 'planted').write_bytes(b'theirs')
  (into.parent / 'planted').write_bytes(b'ours')
  edit(source, lambda fields: fields.update(predictions=name))
  with pytest.raises(errors.InputError, match='line 1: predictions: expected'):
    run(into, source)
  assert (into.parent / 'planted').read_bytes() == b'ours'
  assert values(into) == {}


def test_predictions_of_another_record_are_not_overwritten(tmp_path):
  """A foreign record that names their file gets one of its own name."""
  source, into = tmp_path / 'source', tmp_path / 'into'
  write_ledger(into, record('x', 0.1))
  write_ledger(source, record('y', 0.2))
  own, foreign = (f'predictions/{identity(name)}.npz' for name in 'xy')
  (source / foreign).rename(source / own)
  edit(source, lambda fields: fields.update(predictions=own))
  run(into, source)
  assert load(into, 'x')['correct'].sum() == 10
  assert load(into, 'y')['correct'].sum() == 20


def test_predictions_of_another_cell_are_not_merged(tmp_path):
  write_ledger(tmp_path / 'a', record('x', 0.1))
  path = tmp_path / 'a' / 'predictions' / f'{identity("x")}.npz'
  with open(path, 'wb') as file:
    np.savez(file, **predictions(0.3))
  with pytest.raises(errors.InputError, match=r'top1 is 0\.3, .* states 0\.1'):
    run(tmp_path / 'into', tmp_path / 'a')
  assert values(tmp_path / 'into') == {}


def test_a_ledger_of_no_part_is_none(tmp_path):
  write_ledger(tmp_path / 'a', record('x'))
  path = tmp_path / 'a' / 'results.jsonl'
  path.rename(path.with_name('results.foo-of-bar.jsonl'))
  with pytest.raises(errors.InputError, match=r'no results\.jsonl'):
    run(tmp_path / 'into', tmp_path / 'a')


def test_one_record_is_counted_right(tmp_path, capsys):
  write_ledger(tmp_path / 'a', record('x'))
  run(tmp_path / 'into', tmp_path / 'a')
  out = capsys.readouterr().out
  assert '1 record was new' in out
  assert 'into/results.jsonl: 1 record\n' in out
