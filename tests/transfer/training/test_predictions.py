"""Checks predictions of several trials in both views."""

import jax
import numpy as np

from tests.transfer.training import killable
from tf_transfer import contract, datasets, networks
from tf_transfer.images import resizing
from tf_transfer.networks import weights
from tf_transfer.runtime import devices
from tf_transfer.transfer.training import predictions


def test_predictions_see_every_example_once():
  """Two trials' logits, both views, a split that no batch size divides."""
  job = killable.job()
  header = weights.Header('tiny', {}, job.contract, num_classes=10)
  net = networks.Network(header, job.model, job.variables, sha256='')
  test = datasets.open('digits').splits['test']
  mesh = devices.data_mesh()
  other = jax.tree.map(np.array, dict(net.variables))
  other['params']['head']['bias'] += 1
  predict = predictions.compile_predict(net, mesh)
  # Of 8 pixels 87.5 % leave half a pixel on each side, cut to none.
  pixels = np.stack([test.read(i) for i in range(len(test))])
  expected = net.logits(net.contract.scale(pixels))
  for view in predictions.VIEWS:
    (first, second), positions = predictions.predict_logits(
      predict,
      net.contract,
      [net.variables, other],
      test,
      view,
      mesh,
      batch_size=100,
      corrupt='error',
      description='test',
    )
    np.testing.assert_array_equal(positions, np.arange(len(test)))
    np.testing.assert_allclose(second, first + 1, atol=1e-5)
    np.testing.assert_allclose(first, expected, atol=1e-5)


def test_central_view():
  """87.5 % of each side whatever the contract's evaluation crops."""
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (32, 64, 3)).astype(np.uint8)
  original = contract.Contract(28, (0,) * 3, (1,) * 3, crop_fraction=0.5)
  resize, central = predictions.resize_and_contract('central', original)
  np.testing.assert_array_equal(
    resizing.RESIZES[resize](image, central),
    resizing.whole_image(image[2:30, 4:60], original),
  )
