import dataclasses

import numpy as np
import pytest

from tf_transfer.transfer import estimators
from tf_transfer.transfer.estimators.table import ESTIMATORS


def without_a_class(examples):
  return dataclasses.replace(examples, num_classes=examples.num_classes + 1)


def constant(examples):
  features = np.full_like(examples.features, 0.1)
  return dataclasses.replace(examples, features=features)


def duplicated(examples):
  return dataclasses.replace(
    examples,
    features=np.repeat(examples.features, 2, axis=0),
    labels=np.repeat(examples.labels, 2),
    head_probabilities=np.repeat(examples.head_probabilities, 2, axis=0),
  )


def of_two_classes(examples):
  labels = examples.labels % 2
  return dataclasses.replace(examples, labels=labels, num_classes=2)


def of_one_class(examples):
  return dataclasses.replace(examples, labels=np.zeros_like(examples.labels))


def with_several_labels(examples):
  labels = np.eye(examples.num_classes, dtype=int)[examples.labels]
  return dataclasses.replace(examples, labels=labels)


def without_a_head(examples):
  return dataclasses.replace(examples, head_probabilities=None)


@pytest.mark.parametrize('fixture', ['tall', 'wide'])
@pytest.mark.parametrize(
  'change',
  [
    without_a_class,
    constant,
    duplicated,
    of_two_classes,
    of_one_class,
    with_several_labels,
    without_a_head,
  ],
)
def test_every_value_is_finite_or_has_a_reason(fixture, change, request):
  examples = change(request.getfixturevalue(fixture))
  results = estimators.estimate_all(examples)
  assert list(results) == list(ESTIMATORS)
  for name, result in results.items():
    assert np.isfinite(result.value) == (result.reason == ''), name
    assert result.seconds >= 0


@pytest.mark.parametrize('fixture', ['tall', 'wide'])
def test_values_do_not_depend_on_the_order_of_examples(fixture, request):
  examples = request.getfixturevalue(fixture)
  order = np.random.default_rng(0).permutation(len(examples))
  reordered = dataclasses.replace(
    examples,
    features=examples.features[order],
    labels=examples.labels[order],
    head_probabilities=examples.head_probabilities[order],
  )
  other = estimators.estimate_all(reordered)
  for name, result in estimators.estimate_all(examples).items():
    assert other[name].value == pytest.approx(result.value, rel=1e-9), name


def test_what_needs_a_head_is_undefined_without_one(tall):
  results = estimators.estimate_all(without_a_head(tall))
  undefined = {name for name, result in results.items() if result.reason}
  needy = {name for name, row in ESTIMATORS.items() if row.needs_head}
  assert undefined == needy == {'leep', 'nce'}
