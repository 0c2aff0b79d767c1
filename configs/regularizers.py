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

from tf_transfer import config_fields, config_files, errors
from tf_transfer.config_fields import (
  Group,
  boolean,
  choice,
  integer,
  name,
  path,
  pixels,
  several,
  text,
)
from tf_transfer.configs import base, pretrain

_DATASETS = (
  *('food101', 'cifar10', 'cifar100', 'birdsnap', 'sun397', 'cars'),
  *('aircraft', 'voc2007', 'dtd', 'pets', 'caltech101', 'flowers'),
)
_NOTE = (
  'A small run: it shows that the machinery works, and nothing about the '
  'finding.'
)


_CONFIGURATIONS = ('C1', 'C2', 'C3', 'C4', 'C5')


class TSNE(Group):
  """What figure 4 shows: features of a dataset's images in the plane."""

  # The network whose features are shown.
  network: name('a network') = 'inception_v4'
  # Its configurations, a panel each.
  configurations: several(choice(*_CONFIGURATIONS)) = ('C1', 'C5')
  # One of the datasets of the study; '' draws no figure.
  dataset: path('a dataset') = 'flowers'
  # How many classes are shown, the first of the dataset.
  classes: integer(1, 10_000) = 10
  # How many test images of each class are shown, the first ones.
  images_per_class: integer(1, 1_000_000) = 100
  # Seed of t-SNE.
  seed: integer(0, 2**32 - 1) = 0


class Regularizers(Group):
  """The fields of the job, with those of the paper's comparison."""

  # The job that main runs.
  job: choice('regularizers') = 'regularizers'

  # Names of the table.
  networks: several(name('a network'), least=1) = (
    *('inception_v1', 'bn_inception', 'inception_v3', 'inception_v4'),
    'inception_resnet_v2',
  )
  # The configurations of the four factors in which they are pretrained.
  configurations: several(choice(*_CONFIGURATIONS), least=1) = _CONFIGURATIONS
  # Height and width in pixels in place of the networks' own; 0: their own.
  image_size: pixels() = 0
  # The dataset of pretraining.
  pretrained_on: name('a dataset') = 'imagenet'
  # As in configs/pretrain.py. Here label_smoothing and dropout are the values
  # where a configuration has them on; the configuration says whether each of
  # the four factors is on.
  pretrain: pretrain.Pretraining

  # 'same' fine-tunes with the regularizers of pretraining, as in figure 5, and
  # 'pretraining_only' with none of them, as in the appendix; both may be named.
  fine_tuning: several(choice('same', 'pretraining_only')) = ()
  # Which of the networks are fine-tuned.
  fine_tuned_networks: several(name('a network')) = (
    'inception_v4',
    'inception_resnet_v2',
  )

  # As in configs/base.py. Its networks, settings and image size are those
  # above; its data are also those of pretraining.
  transfer: base.Study

  # Figure 4: t-SNE of a network's features of the first classes of a dataset,
  # of the first test images of each.
  tsne: TSNE

  # As in configs/base.py: whether the job may take more than a day. That of
  # `transfer` has no effect.
  allow_long: boolean = False

  # A note that is printed, and written above the figures.
  note: text('a note') = ''


def _paper_config() -> ml_collections.ConfigDict:
  """Returns the config of the paper's comparison."""
  config = config_fields.defaults(Regularizers)
  config.pretrain = pretrain.fields('inception_v4', 'C2')
  config.transfer.datasets = _DATASETS
  return config


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
      'color_distortion': 'none',
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
