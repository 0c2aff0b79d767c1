"""How long cells are held to take, as far as it can be said by hand."""

import types

import pytest
from tf_transfer.configs import base

from tf_transfer.study import cost_model


def cost(**fields):
  """In forward passes of ResNet-50, on 1,000 images of 600 to train on."""
  contract = types.SimpleNamespace(image_size=224)
  net = types.SimpleNamespace(name='resnet50', contract=contract)
  dataset = types.SimpleNamespace(
    splits={'train': range(600), 'val': range(200), 'test': range(200)}
  )
  given = base.fine_tuned_fields()
  given.update({'steps': 80, 'batch_size': 10, **fields})
  found = cost_model.cell(net, dataset, 'fine_tuned', {'fine_tuned': given})
  return found / cost_model.forward(net)


@pytest.mark.parametrize(
  ('fields', 'steps', 'runs'),
  [
    ({}, 57 * 80, 57),
    ({'search': 'both'}, 57 * 80, 57),
    # An eighth of the steps of all, then half of them as far again, and so on.
    ({'search': 'halving'}, 56 * 10 + 28 * 10 + 14 * 20 + 7 * 40 + 80, 57),
    ({'refit_on_trainval': False}, 56 * 80, 56),
    ({'min_epochs': 2}, 57 * 120, 57),
  ],
)
def test_steps_of_a_search(fields, steps, runs):
  expected = 3 * 10 * steps + 1000 * runs
  assert cost(**fields) == pytest.approx(expected)
