"""Reads Oxford's 102 flowers in the official layout, and names the classes."""

import numpy as np

from tf_transfer.datasets.sources.annotations import (
  listed_examples,
  read_mat,
  zero_based,
)
from tf_transfer.datasets.sources.image_files import Contents

# In the order of imagelabels.mat; the archive has numbers only.
CLASSES = (
  'pink primrose',
  'hard-leaved pocket orchid',
  'canterbury bells',
  'sweet pea',
  'english marigold',
  'tiger lily',
  'moon orchid',
  'bird of paradise',
  'monkshood',
  'globe thistle',
  'snapdragon',
  "colt's foot",
  'king protea',
  'spear thistle',
  'yellow iris',
  'globe-flower',
  'purple coneflower',
  'peruvian lily',
  'balloon flower',
  'giant white arum lily',
  'fire lily',
  'pincushion flower',
  'fritillary',
  'red ginger',
  'grape hyacinth',
  'corn poppy',
  'prince of wales feathers',
  'stemless gentian',
  'artichoke',
  'sweet william',
  'carnation',
  'garden phlox',
  'love in the mist',
  'mexican aster',
  'alpine sea holly',
  'ruby-lipped cattleya',
  'cape flower',
  'great masterwort',
  'siam tulip',
  'lenten rose',
  'barbeton daisy',
  'daffodil',
  'sword lily',
  'poinsettia',
  'bolero deep blue',
  'wallflower',
  'marigold',
  'buttercup',
  'oxeye daisy',
  'common dandelion',
  'petunia',
  'wild pansy',
  'primula',
  'sunflower',
  'pelargonium',
  'bishop of llandaff',
  'gaura',
  'geranium',
  'orange dahlia',
  'pink-yellow dahlia?',
  'cautleya spicata',
  'japanese anemone',
  'black-eyed susan',
  'silverbush',
  'californian poppy',
  'osteospermum',
  'spring crocus',
  'bearded iris',
  'windflower',
  'tree poppy',
  'gazania',
  'azalea',
  'water lily',
  'rose',
  'thorn apple',
  'morning glory',
  'passion flower',
  'lotus',
  'toad lily',
  'anthurium',
  'frangipani',
  'clematis',
  'hibiscus',
  'columbine',
  'desert-rose',
  'tree mallow',
  'magnolia',
  'cyclamen',
  'watercress',
  'canna lily',
  'hippeastrum',
  'bee balm',
  'ball moss',
  'foxglove',
  'bougainvillea',
  'camellia',
  'mallow',
  'mexican petunia',
  'bromelia',
  'blanket flower',
  'trumpet creeper',
  'blackberry lily',
)


def read_flowers(root: str) -> Contents:
  """Reads setid.mat, imagelabels.mat and jpg/."""
  numbers = np.atleast_1d(read_mat(root, 'imagelabels.mat', 'labels'))
  labels = zero_based(root, 'imagelabels.mat', numbers, len(CLASSES))
  splits = {}
  # The largest one of the three, tstid, is test.
  for split_name, variable in (
    ('train', 'trnid'),
    ('val', 'valid'),
    ('test', 'tstid'),
  ):
    ids = np.atleast_1d(read_mat(root, 'setid.mat', variable))
    positions = zero_based(root, 'setid.mat', ids, len(labels))
    names = [f'image_{i + 1:05d}.jpg' for i in positions]
    paths = [f'jpg/{name}' for name in names]
    splits[split_name] = listed_examples(
      root, 'setid.mat', names, labels[positions], paths
    )
  return Contents(CLASSES, splits)
