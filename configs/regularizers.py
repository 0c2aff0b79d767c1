"""Compares how regularizers of pretraining affect transfer: figures 3, 4 and 5.

  python -m tf_transfer.main --workdir=runs/regularizers \\
      --config=regularizers --config.transfer.data.dir=DIR
  python -m tf_transfer.main --workdir=runs/small --config=regularizers:small

The first is the paper's: five Inceptions in C1 to C5 (those without an
auxiliary head in C1 to C4) pretrained on ImageNet, then fixed features on the
twelve datasets. With --config.fine_tuning="('same',)" Inception v4 and
Inception-ResNet v2 are also fine-tuned with the regularizers that they were
pretrained with; with 'pretraining_only', without them. Expect thousands of
GPU-days: each pretraining prints how long it takes before its first step.

The second shows that the program works: a small Inception in C1 to C5
pretrained for a few hundred steps on Fashion-MNIST, then features of digits.
Expect a table of five rows and figures 3 and 4, in five to ten minutes on two
cores, and nothing about the finding. --config=regularizers:small,SOURCE,TARGET
takes two other datasets, for example small,digits,fashion_mnist. Each is a name
of the table or folder:PATH; the path of SOURCE must have no comma.
"""

import ml_collections

from tf_transfer import config_files, errors
from tf_transfer.configs import base, pretrain

_DATASETS = (
  *('food101', 'cifar10', 'cifar100', 'birdsnap', 'sun397', 'cars'),
  *('aircraft', 'voc2007', 'dtd', 'pets', 'caltech101', 'flowers'),
)
_NOTE = (
  'A small run: it shows that the machinery works, and nothing about the '
  'finding.'
)


def _paper_config() -> ml_collections.ConfigDict:
  """Returns the config of the paper's comparison."""
  config = ml_collections.ConfigDict()
  # The job that main runs.
  config.job = 'regularizers'

  # Names of the table.
  config.networks = (
    *('inception_v1', 'bn_inception', 'inception_v3', 'inception_v4'),
    'inception_resnet_v2',
  )
  # The configurations of the four factors in which they are pretrained.
  config.configurations = ('C1', 'C2', 'C3', 'C4', 'C5')
  # Height and width in pixels in place of the networks' own; 0: their own.
  config.image_size = 0
  # The dataset of pretraining.
  config.pretrained_on = 'imagenet'
  # As in configs/pretrain.py. Here label_smoothing and dropout are the values
  # where a configuration has them on; the configuration says whether each of
  # the four factors is on.
  config.pretrain = pretrain.fields('inception_v4', 'C2')

  # 'same' fine-tunes with the regularizers of pretraining, as in figure 5, and
  # 'pretraining_only' with none of them, as in the appendix; both may be named.
  config.fine_tuning = ()
  # Which of the networks are fine-tuned.
  config.fine_tuned_networks = ('inception_v4', 'inception_resnet_v2')

  # As in configs/base.py. Its networks, settings and image size are those
  # above; its data are also those of pretraining.
  config.transfer = base.get_config()
  config.transfer.datasets = _DATASETS

  # Figure 4: t-SNE of a network's features of the first classes of a dataset,
  # of the first test images of each; a dataset of '' draws none.
  config.tsne = ml_collections.ConfigDict()
  config.tsne.network = 'inception_v4'
  config.tsne.configurations = ('C1', 'C5')
  config.tsne.dataset = 'flowers'
  config.tsne.classes = 10
  config.tsne.images_per_class = 100
  config.tsne.seed = 0

  # A note that is printed, and written above the figures.
  config.note = ''
  return config.lock()


def _small_config(source: str, target: str) -> ml_collections.ConfigDict:
  """Returns the config of the small comparison."""
  config = _paper_config()
  config.networks = ('inception_small',)
  config.fine_tuned_networks = ('inception_small',)
  config.pretrained_on = source
  config.pretrain.update(
    {
      'epochs': 0.5 if source == 'fashion_mnist' else 15.0,
      'choose_steps_on_val': False,
      'batch_size': 128,
      'learning_rate': 6.4,
      'warmup_epochs': 0.1 if source == 'fashion_mnist' else 3.0,
      'color_distortion': False,
      'checkpoint_every': 100,
    }
  )
  config.transfer.datasets = (target,)
  config.transfer.logistic_regression.num_penalties = 12
  config.transfer.fine_tuned.update(
    {
      'num_learning_rates': 2,
      'learning_rate_min': 1e-2,
      'num_weight_decays': 1,
      'weight_decay_max': 1e-6,
      'include_zero_weight_decay': False,
      'steps': 100,
      'batch_size': 64,
    }
  )
  config.tsne.network = 'inception_small'
  config.tsne.dataset = target
  config.note = _NOTE
  return config


def get_config(argument: str = '') -> ml_collections.ConfigDict:
  """Returns the config of the comparison.

  Args:
    argument: '', 'small', or 'small,SOURCE,TARGET'.

  Raises:
    InputError: the first part is another word, or a part is missing or too
      much.
  """
  if not argument:
    return _paper_config()
  size, source, target = config_files.parse_argument(
    argument, 'small[,SOURCE,TARGET]'
  )
  if size != 'small':
    raise errors.unknown_name('size of the comparison', size, ('small',))
  return _small_config(source or 'fashion_mnist', target or 'digits')
