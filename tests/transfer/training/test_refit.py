"""Checks which network is tested."""

import numpy as np
import pytest

from tests.transfer.training import searches
from tf_transfer import errors
from tf_transfer.transfer.training import (
  monitor,
  refit,
  search_results,
  train_step,
)

CHOICE = search_results.Choice(0, 30, 'central', {})


def test_auxiliary_head_is_not_kept():
  values = {'backbone': 1, 'head': 2, 'auxiliary': 3}
  variables = refit.without_auxiliary_head(
    {'params': values, 'batch_stats': values}
  )
  assert variables['params'] == {'backbone': 1, 'head': 2}


def test_refit_that_diverges(tmp_path, tiny_net, monkeypatch):
  def compile_diverging(*arguments):
    return lambda state, trial, batch: (state, {'loss': float('nan')})

  monkeypatch.setattr(train_step, 'compile_step', compile_diverging)
  search = searches.build_search(tiny_net, tmp_path)
  job_monitor = monitor.JobMonitor(search.monitor_config)
  with pytest.raises(errors.InputError, match='the refit on train'):
    refit.refit(search, job_monitor, train_step.Trial(0.1, 0.0), CHOICE)
  search = searches.build_search(
    tiny_net, tmp_path, num_seeds=2, refit_on_trainval=False
  )
  job = search.build_job(search.dataset.splits['train'])
  with pytest.raises(errors.InputError, match='final run 2 of 2 on train div'):
    refit.repeat(search, job_monitor, train_step.Trial(0.1, 0.0), job, 30)


def test_scores_that_are_not_finite_are_left_out(tmp_path, tiny_net, capsys):
  """A file of predictions with such scores would be refused."""
  search = searches.build_search(tiny_net, tmp_path)
  logits = np.zeros((3, 10))
  assert refit.finite(search, logits) is logits
  assert capsys.readouterr().out == ''
  logits[1, 2] = np.inf
  assert refit.finite(search, logits) is None
  assert 'some scores on test are not finite' in capsys.readouterr().out


def test_checkpoint_that_is_gone(tmp_path, tiny_net):
  search = searches.build_search(tiny_net, tmp_path, refit_on_trainval=False)
  with pytest.raises(errors.InputError, match='of trial 1 after 30 steps, is'):
    refit.restore_choice(search, CHOICE, [0, 1], '0 1 to 30')
