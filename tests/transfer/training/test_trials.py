"""Trials that train together: kills, divergence, devices, predictions."""

import dataclasses
import json
import math
import pathlib
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from tests.transfer.training import killable
from tf_transfer import contract, datasets, networks
from tf_transfer.datasets.images import resizing
from tf_transfer.networks import weights
from tf_transfer.runtime import devices
from tf_transfer.transfer.training import train_step, trials

ROOT = pathlib.Path(__file__).parents[3]


def command(directory, *more):
  return [
    *(sys.executable, '-m', 'tests.transfer.training.killable', str(directory)),
    *map(str, more),
  ]


def run(*arguments):
  return subprocess.run(
    command(*arguments), capture_output=True, text=True, cwd=ROOT, check=False
  )


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
  """The digest of what an undisturbed run gives."""
  directory = tmp_path_factory.mktemp('undisturbed')
  return killable.digest(killable.train(killable.job(), directory).variables)


def test_killed_and_told_to_end(tmp_path, undisturbed):
  """SIGKILL off a checkpoint and while one is written; SIGTERM."""
  begun = []
  for ending in (
    (10, int(signal.SIGKILL), 7),
    (22, int(signal.SIGKILL)),
    (29, int(signal.SIGTERM)),
    (),
  ):
    result = run(tmp_path, *ending)
    first, *last = result.stdout.splitlines()
    begun.append(int(first.removeprefix('from step ')))
    if signal.SIGKILL in ending:
      assert result.returncode == -signal.SIGKILL, result.stderr
    elif ending:
      assert last == ['tiny: 29 of 40 steps']
      assert (tmp_path / '29').is_dir()
  assert last == [undisturbed], result.stderr
  # That of 21 may have been whole when the process was killed.
  assert begun in ([0, 7, 14, 29], [0, 7, 21, 29])


@pytest.mark.slow
def test_killed_at_twenty_moments(tmp_path):
  result = run('lives', tmp_path, 20, 0)
  assert result.returncode == 0, result.stderr
  whole, killed, steps, _ = json.loads(result.stdout.splitlines()[-1])
  assert killed == whole
  # They were hit in the middle of it, in different places.
  assert len(set(steps)) > 3
  assert steps == sorted(steps)


def test_trials_do_not_see_each_other(tmp_path, undisturbed):
  job = killable.job()
  alone = [
    killable.trials.train(
      job,
      job.compile(),
      [trial],
      killable.checkpoints.Checkpoints(tmp_path / str(number), 'alone'),
      'alone',
    ).variables[0]
    for number, trial in enumerate(killable.TRIALS)
  ]
  assert killable.digest(alone) == undisturbed


def test_a_diverged_trial_stops_costing(tmp_path, monkeypatch):
  """One whose loss is NaN, and one with twice that of its start; a fifth more
  is what slow learning looks like."""
  job = killable.job()
  rates = (0.1, 0.2, 0.3, 0.4)
  calls = []

  def step(state, trial, batch):
    calls.append(trial['learning_rate'])
    loss = {
      0.1: 1.0,
      0.2: math.nan,
      0.3: 2.0 if state.step else 1.0,
      0.4: 1.2 if state.step else 1.0,
    }[trial['learning_rate']]
    return dataclasses.replace(state, step=state.step + 1), {'loss': loss}

  with killable.checkpoints.Checkpoints(tmp_path, 'diverging') as kept:
    trained = trials.train(
      job,
      step,
      [train_step.Trial(rate, 0.0) for rate in rates],
      kept,
      'diverging',
    )
  assert [c.diverged for c in trained.courses] == [None, 5, 30, None]
  assert [v is None for v in trained.variables] == [False, True, True, False]
  assert [calls.count(rate) for rate in rates] == [40, 5, 30, 40]


def test_training_ends_when_all_have_diverged(tmp_path):
  job = killable.job()

  def step(state, trial, batch):
    return state, {'loss': math.inf}

  with killable.checkpoints.Checkpoints(tmp_path, 'diverging') as kept:
    trained = trials.train(job, step, killable.TRIALS, kept, 'diverging')
  assert [c.diverged for c in trained.courses] == [5, 5]


def test_restored_on_another_number_of_devices(tmp_path, monkeypatch, capsys):
  whole = killable.job(mesh=devices.data_mesh())
  expected = killable.train(whole, tmp_path / 'eight').variables
  result = run(tmp_path / 'moved', 20, int(signal.SIGKILL), 14)
  assert result.returncode == -signal.SIGKILL
  monkeypatch.setattr(trials, '_advance', trials._advance)  # Put back after.
  killable.watch_steps(tmp_path / 'moved')
  found = killable.train(whole, tmp_path / 'moved').variables
  assert 'from step 14\n' in capsys.readouterr().out
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
    found,
    expected,
  )


def test_predictions_see_every_example_once():
  """Two trials' logits, both views, a split that no batch size divides."""
  job = killable.job()
  header = weights.Header('tiny', {}, job.contract, num_classes=10)
  net = networks.Network(header, job.model, job.variables, sha256='')
  test = datasets.open('digits').splits['test']
  mesh = devices.data_mesh()
  other = jax.tree.map(np.array, dict(net.variables))
  other['params']['head']['bias'] += 1
  for view in trials.VIEWS:
    (first, second), kept = trials.predictions(
      trials.compile_predict(net, mesh),
      net.contract,
      [net.variables, other],
      test,
      view,
      mesh,
      batch_size=100,
      corrupt='error',
      description='test',
    )
    np.testing.assert_array_equal(kept, np.arange(len(test)))
    np.testing.assert_allclose(second, first + 1, atol=1e-5)
    # Of 8 pixels 87.5 % leave half a pixel on each side, cut to none.
    pixels = np.stack([test.read(i) for i in range(len(test))])
    expected = net.logits(net.contract.scale(pixels))
    np.testing.assert_allclose(first, expected, atol=1e-5)


def test_central_view():
  """87.5 % of each side whatever the contract's own evaluation crops."""
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (32, 64, 3)).astype(np.uint8)
  given = contract.Contract(28, (0,) * 3, (1,) * 3, crop_fraction=0.5)
  resize, seen = trials.view_of('central', given)
  np.testing.assert_array_equal(
    resizing.RESIZES[resize](image, seen),
    resizing.whole_image(image[2:30, 4:60], given),
  )
