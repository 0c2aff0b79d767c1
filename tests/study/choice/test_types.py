"""Tests what a choice among networks is made of."""

import numpy as np
import pytest

from tf_transfer import datasets
from tf_transfer.study.choice import types
from tf_transfer.transfer import metrics


def candidate(network):
  return types.Candidate(
    network=network,
    title=network,
    weights=network,
    weights_sha256='',
    accuracy=metrics.measure('top1', np.array([0, 1]), np.array([0, 0])),
    predictions=np.array([0, 0]),
    scores=np.zeros((2, 2), np.float16),
    chosen={},
    converged=True,
    cost=types.Cost(1, 1.0, {1: 1.0}, 1, 1.0),
    estimates={},
  )


def test_candidate_by_name():
  choice = types.Choice(
    dataset=datasets.open('digits'),
    images=datasets.open('digits').splits['val'],
    folds=np.zeros(2, int),
    candidates=(candidate('a'), candidate('b')),
    skipped=(),
    verdict=types.Verdict('a', {'b': 1.0}, ('b', 'a'), 'b', ()),
    test=None,
    test_name='',
    learning_curve=None,
  )
  assert choice.candidate('b') is choice.candidates[1]
  with pytest.raises(StopIteration):
    choice.candidate('c')
