"""A network of one's own as a function: a PCA of pixels by scikit-learn."""

import hashlib

import numpy as np
from sklearn import datasets, decomposition

from tf_transfer import networks
from tf_transfer.contract import Contract

IMAGE_SIZE = 16


def pca() -> networks.CustomNetwork:
  """Makes the network of a PCA that was fitted to other images."""
  photos = [
    datasets.load_sample_image(name) / np.float32(255)
    for name in ('china.jpg', 'flower.jpg')
  ]
  patches = [
    photo[row : row + IMAGE_SIZE, column : column + IMAGE_SIZE].ravel()
    for photo in photos
    for row in range(0, 400, 8)
    for column in range(0, 600, 8)
  ]
  model = decomposition.PCA(48, svd_solver='covariance_eigh').fit(patches)
  return networks.CustomNetwork(
    # Pixels of 0 to 255 become 0 to 1.
    contract=Contract(IMAGE_SIZE, mean=(0,) * 3, std=(255,) * 3),
    features=lambda x: model.transform(x.reshape(len(x), -1)),
    identity=hashlib.sha256(model.components_.tobytes()).hexdigest(),
    parameters=model.components_.size,
  )
