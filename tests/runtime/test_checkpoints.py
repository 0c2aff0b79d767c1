"""Checkpoints: what comes back, and what damage does."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tf_transfer import errors
from tf_transfer.runtime import checkpoints

ROOT = pathlib.Path(__file__).parents[2]


def state(step):
  rng = np.random.default_rng(step)
  return {
    'noise': jnp.asarray(rng.normal(size=30_000).astype(np.float32)),
    'rest': [jnp.int32(step), None, jnp.ones((2, 3)) * step],
  }


def like(notes):
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
    state(notes['step']),
  )


def save(directory, *steps):
  with checkpoints.Checkpoints(directory, 'job') as manager:
    for step in steps:
      manager.save(step, state(step), {'step': step})


def latest(directory, identity='job'):
  with checkpoints.Checkpoints(directory, identity) as manager:
    return manager.latest(like)


def assert_is(restored, step):
  assert restored[0] == step
  assert restored[2] == {'step': step}
  jax.tree.map(np.testing.assert_array_equal, restored[1], state(step))


def test_the_last_comes_back_and_two_are_kept(tmp_path):
  assert latest(tmp_path) is None
  save(tmp_path, 3, 5, 9)
  assert_is(latest(tmp_path), 9)
  assert sorted(p.name for p in tmp_path.iterdir()) == ['5', '9']


def test_memory_may_be_taken_once_saved(tmp_path):
  """Donated to the next step while the checkpoint is still written."""
  step = jax.jit(lambda x: x + 1, donate_argnums=0)
  with checkpoints.Checkpoints(tmp_path, 'job') as manager:
    values = state(1)
    manager.save(1, values, {'step': 1})
    noise = values['noise']
    for _ in range(50):
      noise = step(noise)
  assert_is(latest(tmp_path), 1)


def save_scored(directory, scores):
  with checkpoints.Checkpoints(directory, 'job') as manager:
    for step, score in scores.items():
      manager.save(step, state(step), {'step': step}, score)


def best(directory):
  with checkpoints.Checkpoints(directory, 'job') as manager:
    return manager.best(like)


def test_the_best_stays_beside_the_last(tmp_path):
  """In one life and over several; the first of equals; some unscored."""
  assert best(tmp_path) is None
  save_scored(tmp_path, {1: 0.2, 2: 0.7, 3: None, 4: 0.5})
  assert_is(best(tmp_path), 2)
  save_scored(tmp_path, {5: 0.7, 6: 0.6, 7: None})
  assert sorted(p.name for p in tmp_path.iterdir()) == ['2', '6', '7']
  assert_is(best(tmp_path), 2)
  assert_is(latest(tmp_path), 7)
  save_scored(tmp_path, {8: 0.8, 9: 0.1, 10: 0.1})
  assert sorted(p.name for p in tmp_path.iterdir()) == ['10', '8', '9']
  assert_is(best(tmp_path), 8)


def test_a_damaged_best_gives_way(tmp_path, caplog):
  save_scored(tmp_path, {1: 0.9, 2: 0.2, 3: 0.3})
  for path in (tmp_path / '1').rglob('*'):
    if path.is_file() and path.name != 'sums.json':
      path.write_bytes(b'')
  assert_is(best(tmp_path), 3)
  assert 'best checkpoint, of step 1, is damaged' in caplog.text


@pytest.mark.parametrize('how', ['flipped', 'cut', 'gone'])
def test_damage_is_never_taken_for_a_checkpoint(tmp_path, how, caplog):
  """Each file in turn: the one before it comes back, and it is said."""
  whole = tmp_path / 'whole'
  save(whole, 3, 5)
  for path in sorted((whole / '5').rglob('*')):
    if not path.is_file():
      continue
    data = path.read_bytes()
    if how == 'flipped':
      middle = len(data) // 2
      bad = bytes([*data[:middle], data[middle] ^ 16, *data[middle + 1 :]])
    else:
      bad = data[: len(data) // 2]
    copy = tmp_path / 'copy' / str(path.relative_to(whole)).replace('/', '_')
    shutil.copytree(whole, copy)
    target = copy / path.relative_to(whole)
    if how == 'gone':
      target.unlink()
    else:
      target.write_bytes(bad)
    caplog.clear()
    assert_is(latest(copy), 3)
    assert 'step 5' in caplog.text
    said = 'half-written' if target.name == 'sums.json' else 'damaged'
    assert (said if how == 'gone' else 'damaged') in caplog.text
    assert path.name in caplog.text or how == 'gone'


def replace_by_pipe(path):
  path.unlink()
  os.mkfifo(path)


@pytest.mark.parametrize('name', ['_CHECKPOINT_METADATA', 'sums.json'])
@pytest.mark.parametrize(
  'spoil',
  [
    lambda path: path.write_text('[1, {}]'),
    lambda path: path.write_text('{"init_timestamp_nsecs": "x"}'),
    replace_by_pipe,
  ],
)
def test_another_file_in_the_place_of_one(tmp_path, caplog, name, spoil):
  """Of the earlier one too, which Orbax reads to list them."""
  save(tmp_path, 3, 5, 7)
  spoil(tmp_path / '5' / name)
  assert_is(latest(tmp_path), 7)
  spoil(tmp_path / '7' / name)
  assert latest(tmp_path) is None
  assert 'step 7 is damaged' in caplog.text
  assert 'step 5 is damaged' in caplog.text


def test_half_written(tmp_path):
  """Killed before Orbax had moved the last one to its place."""
  save(tmp_path, 3, 5)
  (tmp_path / '5').rename(tmp_path / '5.orbax-checkpoint-tmp')
  assert_is(latest(tmp_path), 3)
  save(tmp_path, 5)
  assert_is(latest(tmp_path), 5)


def test_all_damaged(tmp_path):
  save(tmp_path, 5)
  for path in (tmp_path / '5').rglob('*'):
    if path.is_file():
      path.write_bytes(b'')
  assert latest(tmp_path) is None
  save(tmp_path, 5)
  assert_is(latest(tmp_path), 5)


def step_of(tree):
  return int(tree['rest'][0])


def swap(directory, first, second):
  (directory / first).rename(directory / 'x')
  (directory / second).rename(directory / first)
  (directory / 'x').rename(directory / second)


@pytest.mark.parametrize('sealed', [True, False])
def test_two_that_are_swapped_by_name(tmp_path, sealed, caplog):
  """Those of earlier versions, without a step beside the sums, too."""
  save(tmp_path, 3, 5)
  if not sealed:
    for path in tmp_path.glob('*/sums.json'):
      content = json.loads(path.read_text())
      del content['step']
      path.write_text(json.dumps(content))
  with checkpoints.Checkpoints(tmp_path, 'job') as manager:
    assert_is(manager.latest(like, step_of), 5)
  swap(tmp_path, '3', '5')
  with checkpoints.Checkpoints(tmp_path, 'job') as manager:
    assert manager.latest(like, step_of) is None
  assert 'step 5 is damaged (it is that of step 3): going on' in caplog.text
  assert 'step 3 is damaged (it is that of step 5): starting' in caplog.text
  save(tmp_path, 5)
  assert_is(latest(tmp_path), 5)


def test_one_under_a_later_name(tmp_path, caplog):
  save_scored(tmp_path, {3: 0.9, 5: 0.1})
  shutil.copytree(tmp_path / '3', tmp_path / '7')
  assert_is(latest(tmp_path), 5)
  assert 'step 7 is damaged (it is that of step 3)' in caplog.text
  assert_is(best(tmp_path), 3)


# What may be in the place of a checkpoint's last file.
SEALS = (
  '{}',
  '[]',
  '{"sums": []}',
  '{"sums": {"a": 1}}',
  '{"sums": {}}',
  '{"sums": {"../../../../etc/passwd": "0"}}',
  '{"sums": {}, "score": "high"}',
  '{"sums": {}, "step": "5"}',
  '[' * 100_000,
  None,
)


@pytest.mark.parametrize('content', SEALS)
def test_sums_of_the_wrong_type(tmp_path, content, caplog):
  save(tmp_path, 3, 5)
  path = tmp_path / '5' / 'sums.json'
  path.unlink()
  if content is None:
    path.mkdir()
  else:
    path.write_text(content)
  assert_is(latest(tmp_path), 3)
  assert 'step 5 is damaged' in caplog.text


def test_notes_of_another_kind(tmp_path, caplog):
  """The caller says that it cannot use them."""
  save(tmp_path, 3, 5)

  def like_of_step_3(notes):
    if notes['step'] == 5:
      raise errors.InputError('notes.step: expected 3')
    return like(notes)

  with checkpoints.Checkpoints(tmp_path, 'job') as manager:
    assert_is(manager.latest(like_of_step_3), 3)
  assert 'step 5 is damaged (notes.step: expected 3)' in caplog.text


def test_files_of_others_change_nothing(tmp_path, caplog):
  save(tmp_path, 3, 5)
  for path in ('5/Thumbs.db', '5/state/.DS_Store', '7', 'a', '9.orbax-tmp'):
    (tmp_path / path).write_text('other')
  (tmp_path / 'copy of 5').mkdir()
  (tmp_path / '6.orbax-checkpoint-tmp').write_text('no directory')
  assert_is(latest(tmp_path), 5)
  assert not caplog.text


def test_of_another_job(tmp_path):
  save(tmp_path, 5)
  with pytest.raises(errors.InputError, match='of another job'):
    latest(tmp_path, 'another')


def test_disk_that_is_full(tmp_path):
  """One clear error, for the arrays and for the files beside them."""
  sizes_bytes = (50_000, 20)
  paths = [tmp_path / str(size) for size in sizes_bytes]
  for path in paths:
    save(path, 3)
  script = (
    'import pathlib, resource, sys\n'
    'from tests.runtime import test_checkpoints\n'
    'from tf_transfer import errors\n'
    'test_checkpoints.state(5)\n'
    '_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)\n'
    f'for size, path in zip({sizes_bytes}, sys.argv[1:], strict=True):\n'
    '  resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))\n'
    '  try:\n'
    '    test_checkpoints.save(pathlib.Path(path), 5)\n'
    '  except errors.CannotWrite as error:\n'
    '    print(error)\n'
  )
  result = subprocess.run(
    [sys.executable, '-c', script, *map(str, paths)],
    capture_output=True,
    text=True,
    cwd=ROOT,
    env={**os.environ, 'JAX_ENABLE_COMPILATION_CACHE': 'false'},
    check=False,
  )
  assert result.returncode == 0, result.stderr
  for path in paths:
    assert f'cannot write {path}: File too large' in result.stdout
    # With room again the job resumes from the previous checkpoint.
    assert_is(latest(path), 3)
    save(path, 5)
    assert_is(latest(path), 5)


def test_directory_that_cannot_be_made(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(errors.CannotWrite, match='Not a directory'):
    save(tmp_path / 'file' / 'job', 3)
