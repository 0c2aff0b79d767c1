"""Tests which networks are tried, and in which order."""

import dataclasses

import numpy as np

from tf_transfer.configs import choose
from tf_transfer.study.choice import candidates, selection, types
from tf_transfer.transfer import metrics


def source(name, image_size, digits_contract):
  header = dataclasses.make_dataclass('Header', ['network'])(name)
  contract = dataclasses.replace(digits_contract, image_size=image_size)
  return candidates.Source(name, name, None, header, name, contract, 1000)


def test_a_network_is_skipped_if_it_is_estimated_to_end_too_late(lite0):
  """At twice the width and height it takes four times as long."""
  first = source('efficientnet_lite0', 100, lite0.contract)
  second = dataclasses.replace(
    source('efficientnet_lite0', 200, lite0.contract), network='second'
  )
  candidate = types.Candidate(
    network='efficientnet_lite0',
    title='',
    weights='',
    weights_sha256='',
    accuracy=metrics.Measurement(1, 1, 1, 1),
    predictions=np.zeros(0),
    scores=np.zeros(0),
    chosen={},
    converged=True,
    cost=types.Cost(1, 1, {}, 1, seconds=20.0),
    estimates={},
  )
  kept = [candidates.Kept(candidate, np.zeros(0, int), ())]
  config = choose.get_config('digits')
  now = selection.time.monotonic()

  def reason(budget, kept=kept):
    config.budget = budget
    return selection._over_budget(second, kept, [first, second], config, now)

  assert reason('') == reason('90s') == reason('10s', kept=[]) == ''
  assert 'estimated to take 2 min' in reason('70s')
