"""Computes a cell's estimates from the features at hand."""

from collections.abc import Mapping

import ml_collections
import numpy as np

from tf_transfer import networks
from tf_transfer.transfer import estimators
from tf_transfer.transfer.estimators import source_head
from tf_transfer.transfer.fixed_features import evaluate
from tf_transfer.transfer.fixed_features import features as features_lib


def estimator(
  net: networks.Network,
  num_classes: int,
  config: ml_collections.ConfigDict,
) -> evaluate.Estimate | None:
  """Returns what computes the estimates that a config asks for.

  Args:
    net: whose features are taken.
    num_classes: of the dataset.
    config: `features` of the study's config.

  Returns:
    A function of features and digests; None where it asks for none.
  """
  names = tuple(config.estimators)
  if not names:
    return None

  def estimate(
    features: features_lib.Features, digests: np.ndarray
  ) -> Mapping[str, estimators.Estimate]:
    """Computes the estimates, in the order of the config."""
    theta, reason = None, ''
    if any(estimators.ESTIMATORS[name].needs_head for name in names):
      theta, reason = head_probabilities(net, features.values, config.layer)
    examples = estimators.Examples(
      features.values,
      features.labels,
      num_classes,
      theta,
      digests,
      without_head=reason,
    )
    return estimators.estimate_all(examples, names)

  return estimate


def head_probabilities(
  net: networks.Network, features: np.ndarray, layer: str
) -> tuple[np.ndarray | None, str]:
  """Computes what a network's own head says of features.

  Args:
    net: the network.
    features: [N, D].
    layer: whose output they are; '' where they feed the head.

  Returns:
    The probabilities [N, Z] and ''; or None, and why there are none.
  """
  if layer:
    return None, f'the features are those of {layer}, not those of the head'
  if not net.header.num_classes:
    return None, 'the weights file has no head'
  return source_head.probabilities(net, features), ''
