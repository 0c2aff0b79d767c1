"""What the settings of pretraining do to transfer: figures 3, 4 and 5.

  python -m tf_transfer.main --workdir=runs/settings \\
      --config=configs/regularizers.py --config.transfer.data.dir=DIR
  python -m tf_transfer.main --workdir=runs/small \\
      --config=configs/regularizers.py:small

The first is the paper's: five Inceptions in C1 to C5 (those without an
auxiliary head in C1 to C4) pretrained on ImageNet, then fixed features on the
twelve datasets; with --config.fine_tuning="('same',)" Inception v4 and
Inception-ResNet v2 fine-tuned with the settings that they were pretrained
with, with 'pretraining_only' without them. Expect thousands of GPU-days: each
pretraining says how long it will take before its first step.

The second is its proof of machinery: a small Inception in C1 to C5 pretrained
for a few hundred steps on Fashion-MNIST, features of digits. Expect a table of
five rows, figures 3 and 4, in five to ten minutes on two cores, and nothing
about the finding. small,digits,fashion_mnist goes the other way; any two
datasets of the table or folder:PATH can stand there.
"""

import ml_collections

from tf_transfer import errors
from tf_transfer.configs import fine_tuned, logistic_regression, pretrain

_DATASETS = (
  *('food101', 'cifar10', 'cifar100', 'birdsnap', 'sun397', 'cars'),
  *('aircraft', 'voc2007', 'dtd', 'pets', 'caltech101', 'flowers'),
)
_NOTE = (
  'A small run: it shows that the machinery works, and nothing about the '
  'finding.'
)


def _papers() -> ml_collections.ConfigDict:
  config = ml_collections.ConfigDict()

  # What main runs.
  config.job = 'regularizers'

  # Names of the table.
  config.networks = (
    *('inception_v1', 'bn_inception', 'inception_v3', 'inception_v4'),
    'inception_resnet_v2',
  )
  # Of the four factors.
  config.configurations = ('C1', 'C2', 'C3', 'C4', 'C5')
  # Pixels of height and width in place of the networks' own; 0 for those.
  config.image_size = 0
  # What all are pretrained on.
  config.pretrained_on = 'imagenet'
  # As in configs/pretrain.py. Of the four factors, label_smoothing and dropout
  # say how much of them there is where they are on; whether each is on, a
  # configuration says.
  config.pretrain = pretrain.fields('inception_v4', 'C2')

  # 'same' fine-tunes with the settings of pretraining, as in figure 5, and
  # 'pretraining_only' with none of them, as in the appendix; both may stand.
  config.fine_tuning = ()
  # Those of the networks that are fine-tuned.
  config.fine_tuned_networks = ('inception_v4', 'inception_resnet_v2')

  # As in configs/logistic_regression.py, and `fine_tuned` as in
  # configs/fine_tuned.py; its networks, settings and image size are those
  # above, its data also those of pretraining.
  config.transfer = logistic_regression.get_config()
  config.transfer.datasets = _DATASETS
  config.transfer.fine_tuned = fine_tuned.fields()

  # Figure 4: t-SNE of a network's features of the first classes of a dataset,
  # of the first test images of each; '' draws none.
  config.tsne = ml_collections.ConfigDict()
  config.tsne.network = 'inception_v4'
  config.tsne.configurations = ('C1', 'C5')
  config.tsne.dataset = 'flowers'
  config.tsne.classes = 10
  config.tsne.images_per_class = 100
  config.tsne.seed = 0

  # What is printed and written above the figures, where something is to be
  # said of them.
  config.note = ''
  return config


def _small(source: str, target: str) -> ml_collections.ConfigDict:
  config = _papers()
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
  """The config; `argument` is '' or 'small' or 'small,SOURCE,TARGET'."""
  kind, source, target = (*argument.split(','), '', '')[:3]
  if not kind:
    return _papers()
  if kind != 'small':
    raise errors.unknown_name('kind of settings study', kind, ('small',))
  return _small(source or 'fashion_mnist', target or 'digits')
