"""Computes LEEP and NCE, from what the network's own head says of images.

Both ask how well the classes z that the network was pretrained on tell the
labels y. They need the head's probabilities of each image, and no features.
"""

import numpy as np
from scipy import special

from tf_transfer import networks
from tf_transfer.transfer.estimators.examples import Examples, UndefinedError

_BLOCK = 4096  # rows


def probabilities(net: networks.Network, features: np.ndarray) -> np.ndarray:
  """Computes the probabilities of a network's own classes, float32 [N, Z].

  Args:
    net: the network.
    features: [N, D], those that feed its head.

  Raises:
    InputError: the network has no head.
  """
  blocks = [
    special.softmax(
      np.asarray(net.logits_from_features(features[start : start + _BLOCK])),
      axis=1,
    )
    for start in range(0, len(features), _BLOCK)
  ]
  return np.concatenate(blocks)


def leep(examples: Examples) -> float:
  """Computes the log expected empirical prediction; at most 0.

  Nguyen et al., 2020 (arXiv 2002.12462), equations 1 and 2: the mean over
  images of log ∑_z P(y | z) θ(x)_z, with P(y, z) the mean of θ(x)_z over the
  images of y, divided by N.

  Raises:
    UndefinedError: there are no probabilities of a head.
  """
  theta = _checked(examples)
  joint = examples.class_sums(theta) / len(examples)
  marginal = joint.sum(axis=0)
  conditional = joint / np.where(marginal > 0, marginal, 1)
  total = 0.0
  for rows, block in examples.blocks(theta):
    expected = np.einsum('nz,nz->n', block, conditional[examples.labels[rows]])
    total += float(np.log(expected).sum())
  return total / len(examples)


def nce(examples: Examples) -> float:
  """Computes the negative conditional entropy -H(Y | Z); at most 0.

  Tran et al., 2019 (arXiv 1908.08142), equations 5 to 7, with z the class
  that the head holds for the most likely.

  Raises:
    UndefinedError: there are no probabilities of a head.
  """
  theta = _checked(examples)
  joint = np.zeros((examples.num_classes, theta.shape[1]))
  np.add.at(joint, (examples.labels, theta.argmax(axis=1)), 1 / len(examples))
  return float(
    -special.entr(joint).sum() + special.entr(joint.sum(axis=0)).sum()
  )


def _checked(examples: Examples) -> np.ndarray:
  """Returns the probabilities of the head.

  Raises:
    UndefinedError: there are none, or one is not finite.
  """
  theta = examples.head_probabilities
  if theta is None:
    raise UndefinedError(examples.without_head)
  if not np.isfinite(theta).all():
    raise UndefinedError("a probability of the network's head is not finite")
  return theta
