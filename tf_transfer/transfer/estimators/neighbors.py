"""Computes the accuracy of nearest neighbors, each image left out in turn."""

import numpy as np
from scipy import sparse

from tf_transfer.transfer.estimators import draws
from tf_transfer.transfer.estimators.examples import Examples, one_hot

NEIGHBORS = 5
MAX_QUERIES = 5000  # images that are classified; more are drawn from
_SAME = 1e-9  # Similarities that differ by less are equal.
_CELLS = 2**24  # similarities that are held at a time


def knn_loo(examples: Examples) -> float:
  """Computes the leave-one-out accuracy of the 5 nearest neighbors.

  Neighbors are nearest by cosine. All that are as near as the fifth vote; a
  tie of votes goes to the class with the largest sum of similarities, then to
  the first. Of more than 5,000 images as many are drawn, which all the others
  classify.
  """
  rows = examples.features.astype(np.float64)
  norms = np.sqrt(np.einsum('nd,nd->n', rows, rows))
  rows /= np.where(norms > 0, norms, 1)[:, None]
  queries = np.arange(len(rows))
  if len(rows) > MAX_QUERIES:
    queries = np.sort(draws.order(examples)[:MAX_QUERIES])
  votes_of = one_hot(examples.labels, examples.num_classes)
  size = max(1, _CELLS // len(rows))
  num_right = 0
  for start in range(0, len(queries), size):
    block = queries[start : start + size]
    predicted = _classify(rows[block] @ rows.T, block, votes_of)
    num_right += int(np.sum(predicted == examples.labels[block]))
  return num_right / len(queries)


def _classify(
  similarity: np.ndarray, queries: np.ndarray, votes_of: sparse.csr_array
) -> np.ndarray:
  """Classifies images by all others.

  Args:
    similarity: float [Q, N] to all images; overwritten.
    queries: int [Q], the images' positions among all.
    votes_of: [N, C], the class of each.

  Returns:
    int [Q], their classes.
  """
  num_queries, num_examples = similarity.shape
  similarity[np.arange(num_queries), queries] = -np.inf
  k = min(NEIGHBORS, num_examples - 1)
  least = np.partition(similarity, num_examples - k, axis=1)[:, -k]
  is_near = similarity >= least[:, None] - _SAME
  # Of a single other image, the image itself must not be near.
  is_near[np.arange(num_queries), queries] = False
  near = sparse.csr_array(is_near.astype(np.float64))
  votes = (near @ votes_of).toarray()
  near.data = similarity[is_near]
  sums = (near @ votes_of).toarray()
  tied = votes == votes.max(axis=1, keepdims=True)
  sums[~tied] = -np.inf
  is_best = sums >= sums.max(axis=1, keepdims=True) - _SAME
  return is_best.argmax(axis=1)
