"""Oxford's 102 flowers: the names of the classes, and the official layout."""

import numpy as np

from tf_transfer.datasets.sources import annotations
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
  given = np.atleast_1d(annotations.read_mat(root, 'imagelabels.mat', 'labels'))
  labels = annotations.numbers(root, 'imagelabels.mat', given, len(CLASSES))
  parts = {}
  # The large one of the three, tstid, is the test.
  for part, key in (('train', 'trnid'), ('val', 'valid'), ('test', 'tstid')):
    ids = np.atleast_1d(annotations.read_mat(root, 'setid.mat', key))
    positions = annotations.numbers(root, 'setid.mat', ids, len(labels))
    names = [f'image_{i + 1:05d}.jpg' for i in positions]
    paths = [f'jpg/{name}' for name in names]
    of_part = labels[positions]
    parts[part] = annotations.examples(root, 'setid.mat', names, of_part, paths)
  return Contents(CLASSES, parts)
