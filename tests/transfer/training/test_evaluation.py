"""Checks the metric on val of several trials."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.transfer.training import searches
from tf_transfer import errors
from tf_transfer.transfer import metrics
from tf_transfer.transfer.training import evaluation, predictions


def test_metric_of_each_trial_and_view(tmp_path, tiny_net):
  """A trial that diverged has none."""
  search = searches.build_search(tiny_net, tmp_path)
  job = search.build_job(search.dataset.splits['train'])
  val = search.dataset.splits['val']
  # With this bias every image is of class 7.
  constant = jax.tree.map(np.array, job.variables)
  constant['params']['head']['bias'][7] = 1e6
  evaluator = evaluation.Evaluator(search)
  first, second, third = evaluator.evaluate_on_val(
    [job.variables, None, constant]
  )
  assert second == {}
  assert set(first) == set(third) == set(predictions.VIEWS)
  expected = metrics.measure('top1', val.labels, np.full(len(val), 7))
  assert third['central'] == dataclasses.asdict(expected)
  (logits,), positions = evaluator.predict([job.variables], val, 'whole_image')
  np.testing.assert_array_equal(positions, np.arange(len(val)))
  assert logits.shape == (len(val), 10)
  predicted = logits.argmax(axis=1)
  assert first['whole_image']['value'] == metrics.top1(val.labels, predicted)


def test_undefined_metric(tmp_path, tiny_net, monkeypatch):
  monkeypatch.setitem(metrics.METRICS, 'top1', lambda *_: float('nan'))
  search = searches.build_search(tiny_net, tmp_path)
  job = search.build_job(search.dataset.splits['train'])
  evaluator = evaluation.Evaluator(search)
  with pytest.raises(errors.InputError, match='top1 on val is not defined'):
    evaluator.evaluate_on_val([job.variables])
