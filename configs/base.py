"""Every field of a study, with its meaning and the paper's value.

The other configs take these fields and change some of them. Used as a config
of its own, this is logistic regression on the features of one network:

  python -m tf_transfer.main --workdir=runs/mine \\
      --config=base:NETWORK,DATASET

After each field's colon stand the values that it takes, then the paper's or the
usual one. Set a field on the command line as --config.FIELD=VALUE, for example
--config.data.dir=DIR or --config.fine_tuned.steps=1000.
"""

import re

import ml_collections

from tf_transfer import config_fields, config_files
from tf_transfer.config_fields import (
  Group,
  OptionalGroup,
  boolean,
  choice,
  integer,
  name,
  number,
  path,
  pixels,
  several,
  text,
  triple,
)

# The cell that a config of one cell takes where no argument is given.
DEFAULT_CELL = 'efficientnet_lite0,digits'

# How an image can be fitted to the network's input.
RESIZES = ('whole_image', 'resize_then_crop', 'crop_then_resize')
# Estimators of how well a network transfers, in the order of their table.
ESTIMATORS = (
  *('logme', 'h_score', 'h_score_shrunk', 'leep', 'nce', 'knn_loo'),
  'linear_probe',
)
# The most trials of a search; the paper's have 56 and 64.
_MAX_TRIALS = 10_000


class Data(Group):
  """How a dataset is opened, the same in all jobs.

  The fractions, seeds and `examples_per_class` change which image is in which
  split, and with it every number of a study.
  """

  # The directory with the datasets. For a dataset of the paper it has the
  # official layout in DIR/NAME, or in the folder of DIR that the archive
  # unpacks to, or what TFDS prepared. For fashion_mnist it has the four IDX
  # files. '' means TFDS's default directory.
  dir: path('a directory') = ''
  # Whether TFDS may download and prepare a dataset that is missing.
  prepare: boolean = False
  # Where the digests of images are cached, so that each image is hashed only
  # once; '' means WORKDIR/digests. Several workdirs may share a cache.
  cache_dir: path('a directory') = ''
  # Where each evaluation of a test split is logged, across workdirs, so that
  # tuning on test shows; '' means the folder test_reads in cache_dir, or in the
  # user's cache where cache_dir is ''.
  test_reads_dir: path('a directory') = ''
  # Whether the bottom 20 px of aircraft's images, which show the
  # photographer's name, are cut off. The paper does not say that it did so.
  cut_banner: boolean = False
  # What happens to images that cannot be decoded: 'error' stops before training
  # starts and names them; 'skip' leaves them out, and the record lists them.
  corrupt: choice('error', 'skip') = 'error'
  # Where a dataset has no official split, the hash of an image's content or
  # name and this seed decide whether the image is held out; 0 is the published
  # draw.
  split_seed: integer(-(2**63), 2**63 - 1) = 0
  # The share of val in digits and folders.
  val_fraction: number(above=0, below=1) = 0.2
  # The share of test in digits, and in folders without a test split.
  test_fraction: number(above=0, below=1) = 0.2
  # How a folder is split: 2 draws each class by itself and keeps images that
  # look alike on one side; 1 is the draw of older versions, by content alone.
  split_version: integer(1, 2) = 2
  # A regular expression on the path of a folder's image below its class: images
  # for which it finds the same text (that of its first parentheses, if it has
  # some) stay on one side, such as r'^patient\d+'; '' groups none. For 2 alone.
  group_by: text('a regular expression') = ''
  # Folds of a cross-validation, in which each image is tested once, for digits
  # and for folders without a test split; 0: none.
  folds: integer(0, 100) = 0
  # Training images of each class, drawn by content and a seed, as in figure 9;
  # 0: all. Val is not reduced, and the last fit does not train on it.
  examples_per_class: integer(0, 1_000_000) = 0
  # Seed of the draw of these examples.
  subset_seed: integer(-(2**63), 2**63 - 1) = 0

  @staticmethod
  def contradiction(config: ml_collections.ConfigDict) -> str:
    """Says what is wrong with the draw of splits; '' if nothing is."""
    if config.folds == 1:
      return (
        'folds: 1 leaves nothing to train on: give 2 or more, or 0 for none'
      )
    if config.folds and config.split_version == 1:
      return 'folds: the draw of version 1 has none: set split_version=2'
    if config.group_by and config.split_version == 1:
      return 'group_by: the draw of version 1 has none: set split_version=2'
    try:
      re.compile(config.group_by)
    except re.error as error:
      return f'group_by: {config.group_by!r} is no regular expression: {error}'
    if config.val_fraction + config.test_fraction < 1:
      return ''
    return (
      f'val_fraction: {config.val_fraction} and test_fraction '
      f'{config.test_fraction} leave nothing to train on: expected a '
      'sum below 1'
    )


class FeatureCache(Group):
  """How features are computed and cached."""

  # Images in a batch, over all devices; it does not change the features.
  batch_size: integer(1, 65_536) = 64
  # Where feature matrices are cached; '' means WORKDIR/features. Several
  # workdirs may share a cache.
  cache_dir: path('a directory') = ''
  # The largest size of the cache in GiB; the least recently used features make
  # room. 50 holds the paper's study: 16 networks × 12 datasets take 41.
  cache_gib: number(least=0, most=1e6) = 50.0


class Features(FeatureCache):
  """Which features are taken."""

  # How an image is fitted to the network's input: 'whole_image' (the paper:
  # resized without regard to its aspect), 'resize_then_crop' (the shorter
  # side, then the center), 'crop_then_resize' (the central part, without
  # keeping its aspect).
  resize: choice(*RESIZES) = 'whole_image'
  # The layer whose output is taken: 'mixed_6e' of Inception v3,
  # 'stage3_block2' of ResNet, or a part such as 'stage3_block2/conv1'. The
  # error for an unknown name lists all of them. '' is the input of the logits
  # layer, as in the paper.
  layer: text('the name of a layer') = ''
  # The spatial pyramid over which the output is averaged: cells per side, for
  # each level. (1,) is the whole image; (1, 2, 4) gives 21 times as many
  # features.
  pyramid: several(integer(1, 32), least=1, most=8) = (1,)
  # Estimators that are computed beside each classifier, from the features of
  # train and val: docs/estimators.md has what they are. They change no other
  # number, and are in the records of the cells that run from now on.
  estimators: several(choice(*ESTIMATORS)) = ()

  @staticmethod
  def contradiction(config: ml_collections.ConfigDict) -> str:
    """Says where a pyramid has no layer to be over; '' if it has one."""
    if config.layer or tuple(config.pyramid) == (1,):
      return ''
    return (
      'pyramid: the features that feed the logits are pooled already; name a '
      'layer with --config.features.layer'
    )


class Penalties(OptionalGroup):
  """A grid of penalties, evenly spaced in the logarithm, ends included."""

  # Penalties of the grid; 1 is penalty_min alone.
  num_penalties: integer(1, 1000)
  # The smallest penalty.
  penalty_min: number(least=1e-30, most=1e30)
  # The largest penalty.
  penalty_max: number(least=1e-30, most=1e30)

  @staticmethod
  def contradiction(config: ml_collections.ConfigDict) -> str:
    """Says what is wrong with the ends of the grid; '' if nothing is."""
    return _wrong_ends(config, 'penalty', config.num_penalties, 'num_penalties')


def _wrong_ends(
  config: ml_collections.ConfigDict, field: str, count: int, count_field: str
) -> str:
  """Says what is wrong with the ends of a grid; '' if nothing is."""
  low, high = config[f'{field}_min'], config[f'{field}_max']
  if low > high:
    return f'{field}_min: expected at most {field}_max, {high:g}, found {low:g}'
  if low == high and count > 1:
    return (
      f'{count_field}: expected 1 where {field}_min and {field}_max are both '
      f'{low:g}, found {count}'
    )
  return ''


class LogisticRegression(Penalties):
  """The paper's classifier on fixed features."""

  # The penalty is ½λ‖W‖², added to the sum of the losses (scikit-learn's
  # C = 1/λ): 45 values, a quarter of a decade apart.
  num_penalties = 45
  penalty_min = 1e-6
  penalty_max = 1e5
  # A fit among which the penalty is chosen has converged when its objective is
  # proven to be within this fraction of the optimum; a smaller one has changed
  # one prediction in thousands.
  tolerance: number(above=0, below=1) = 1e-5
  # The same for the fit that is tested.
  refit_tolerance: number(above=0, below=1) = 1e-9
  # The largest number of passes over the features for one penalty.
  max_evaluations: integer(1, 10_000_000) = 5000


class LinearSVM(Penalties):
  """The linear SVM of the paper's appendix."""

  # LIBLINEAR on L2-normalized features, one class against the rest: ½λ‖w‖² on
  # the sum of the squared hinge losses (C = 1/λ), half a decade apart.
  num_penalties = 13
  penalty_min = 1e-4
  penalty_max = 1e2
  # LIBLINEAR's own criterion of convergence.
  tolerance: number(above=0, below=1) = 1e-4
  # The largest number of passes of one fit.
  max_evaluations: integer(1, 10_000_000) = 1000


class NearestNeighbors(OptionalGroup):
  """The k nearest neighbors of the paper's appendix."""

  # The values of k that are compared on val. Neighbors are nearest by cosine
  # and have one vote each.
  neighbors: several(integer(1, 1_000_000), least=1) = (1, 2, 3, 5, 10, 20, 50)


class Ridge(Penalties):
  """Ridge regression, as in few-shot evaluations."""

  # λ‖W‖² on the sum of squared distances from targets of −1 and 1; features
  # are standardized; 2⁻¹⁰ to 2¹⁹, as in big_vision.
  num_penalties = 30
  penalty_min = 2.0**-10
  penalty_max = 2.0**19


class FineTuned(OptionalGroup):
  """Training from ImageNet weights."""

  # Learning rates of the grid, evenly spaced in the logarithm; 1 is
  # learning_rate_min alone.
  num_learning_rates: integer(1, 1000) = 7
  # The smallest learning rate.
  learning_rate_min: number(above=0, most=1000) = 1e-4
  # The largest learning rate.
  learning_rate_max: number(above=0, most=1000) = 1e-1
  # Weight decays of the grid, spaced likewise. Each is divided by the learning
  # rate: the product acts at the first step.
  num_weight_decays: integer(1, 1000) = 7
  # The smallest weight decay.
  weight_decay_min: number(above=0, below=1) = 1e-6
  # The largest weight decay.
  weight_decay_max: number(above=0, below=1) = 1e-3
  # Whether the grid also has trials without weight decay.
  include_zero_weight_decay: boolean = True

  # Updates of the parameters. Where they are fewer than min_epochs epochs of
  # the split that is trained on, min_epochs counts.
  steps: integer(1, 100_000_000) = 20_000
  # Epochs that are trained at least (100 at few examples).
  min_epochs: integer(0, 1_000_000) = 0
  # Images of an update, over all devices.
  batch_size: integer(1, 65_536) = 256
  # Seed of initial values, dropout, and the order and crops of the images.
  seed: integer(0, 2**32 - 1) = 0
  # How many times the final training is run, with the seeds seed, seed + 1 ...
  # The result is the mean over the runs; their spread tells how much of a
  # difference is due to the seed. 1, as in the paper: it is not known.
  num_seeds: integer(1, 1000) = 1

  # How the grid is searched. 'exhaustive': every trial takes all steps, as in
  # the paper. 'halving': all trials take halving_first of the steps; the best
  # halving_keep of them on val go on to 1 / halving_keep times as many, and so
  # on. With 1/8 and 1/2 this takes 31 % of the steps. 'both': exhaustive, and
  # reports at the end what halving would have saved and lost.
  search: choice('exhaustive', 'halving', 'both') = 'exhaustive'
  # The share of the steps that all trials take.
  halving_first: number(above=0, below=1) = 0.125
  # The share of the trials that go on.
  halving_keep: number(least=0.01, most=0.99) = 0.5
  # Steps between evaluations on val; 0: only at the end and at the rungs of
  # halving.
  evaluate_every: integer(0, 100_000_000) = 0
  # Whether the number of steps is chosen on val too, among those after which a
  # trial is evaluated; the paper does not do so.
  early_stopping: boolean = False
  # Whether the chosen hyperparameters are trained again on train + val and
  # that network is tested, as in the paper. If not, the best trial is tested,
  # at the step where it was best.
  refit_on_trainval: boolean = True

  # Regularizers, all off in the paper's main results.

  # The fraction of the target that is spread over all classes; the paper's is
  # 0.1 where on.
  label_smoothing: number(least=0, below=1) = 0.0
  # The fraction of the features that is dropped before the head; 0.2 where on.
  dropout: number(least=0, below=1) = 0.0
  # Whether a second head in the middle of the network is trained too.
  auxiliary_head: boolean = False
  # Decay of an exponential moving average of the weights, which is tested in
  # place of the weights; 0: none.
  ema_decay: number(least=0, below=1) = 0.0
  # The type of numbers: 'float32', or 'bfloat16' for matrix products and
  # convolutions; parameters and statistics are float32 in both.
  precision: choice('float32', 'bfloat16') = 'float32'
  # Into how many parts a batch is cut that does not fit on a device. Batch
  # norm then sees one part at a time.
  gradient_accumulation_steps: integer(1, 65_536) = 1

  # What follows changes no result.

  # Trials that train at the same time, on the same batches. Each takes the
  # memory of its parameters and as much again for the momentum. 0: as many as
  # fit in a device's memory beside a step, where the device reports its size.
  concurrent_trials: integer(0, 10_000) = 8
  # Steps between checkpoints.
  checkpoint_every: integer(1, 100_000_000) = 1000
  # Memory for decoded images of the split that is trained on, in GiB.
  image_cache_gib: number(least=0, most=1e6) = 4.0
  # Steps between points of the curves in TensorBoard, a run for each trial.
  log_every: integer(1, 100_000_000) = 100
  # Steps that are profiled, once, for TensorBoard's profile plugin; 0: none.
  profile_steps: integer(0, 10_000) = 0

  @staticmethod
  def contradiction(config: ml_collections.ConfigDict) -> str:
    """Says which fields do not go together; '' if all do."""
    num_decays = config.num_weight_decays + config.include_zero_weight_decay
    num_trials = config.num_learning_rates * num_decays
    if num_trials > _MAX_TRIALS:
      return (
        f'num_learning_rates: expected at most {_MAX_TRIALS:,} trials, found '
        f'{config.num_learning_rates} learning rates × {num_decays} weight '
        f'decays = {num_trials:,}'
      )
    if config.early_stopping and not config.evaluate_every:
      return (
        'early_stopping chooses among the steps after which trials are '
        'evaluated: set evaluate_every'
      )
    too_late = config.evaluate_every > config.steps and not config.min_epochs
    if config.early_stopping and too_late:
      return (
        'evaluate_every: expected at most the number of steps, '
        f'{config.steps:,}, where early_stopping chooses among them, found '
        f'{config.evaluate_every:,}'
      )
    return (
      wrong_accumulation(config)
      or wrong_seeds(config.seed, config.num_seeds)
      or _wrong_ends(
        config, 'learning_rate', config.num_learning_rates, 'num_learning_rates'
      )
      or _wrong_ends(
        config, 'weight_decay', config.num_weight_decays, 'num_weight_decays'
      )
    )


def wrong_seeds(seed: int, num_seeds: int) -> str:
  """Says that the last of several seeds is too large; '' if it is not."""
  if seed + num_seeds <= 2**32:
    return ''
  return (
    f'num_seeds: expected at most {2**32 - seed:,} after seed {seed:,}, found '
    f'{num_seeds:,}'
  )


def wrong_accumulation(config: ml_collections.ConfigDict) -> str:
  """Says where a batch cannot be cut into equal parts; '' if it can."""
  parts = config.gradient_accumulation_steps
  if config.batch_size % parts == 0:
    return ''
  return (
    f'gradient_accumulation_steps: a batch of {config.batch_size} cannot be '
    f'cut into {parts} equal parts'
  )


class RandomInit(FineTuned):
  """Training from random values: another grid."""

  learning_rate_min = 1e-3
  learning_rate_max = 1.0
  num_weight_decays = 8
  weight_decay_min = 1e-5
  weight_decay_max = 10**-1.5
  include_zero_weight_decay = False


class Study(Group):
  """All fields of a study."""

  # The job that main runs.
  job: choice('study') = 'study'

  # The cells: every network × every dataset × every setting.

  # Names of the table, weights files, repositories of the hub (timm/NAME), or
  # one's own: module:function, features:DIR. 'all': all that have weights here.
  networks: several(name('a network'), least=1) = ('efficientnet_lite0',)
  # digits, fashion_mnist, folder:PATH, or food101 cifar10 cifar100 birdsnap
  # sun397 cars aircraft voc2007 dtd pets caltech101 flowers imagenet. 'all':
  # those of them whose files are there, except imagenet.
  datasets: several(name('a dataset'), least=1) = ('digits',)
  # Classifiers on fixed features: the paper's logistic_regression; linear_svm
  # and nearest_neighbors of its appendix; ridge, as in few-shot evaluations;
  # nearest_class_mean, by cosine, which has no fields.
  # Training: the paper's fine_tuned and random_init. The fields of each are
  # below, under its name.
  settings: several(name('a setting'), least=1) = ('logistic_regression',)
  # Cells that are left out, as (network, dataset, setting), each named as
  # above; * matches anything: (('nasnet_large', '*', 'fine_tuned'),).
  leave_out: several(triple('(network, dataset, setting)')) = ()
  # Which part of the study to run: '3/16' is the third of sixteen. Each part
  # writes its own ledger to the workdir, which all share. To join them, run the
  # command without this field, or the job merge.
  part: text("'3/16' for the third of sixteen", most=20) = ''
  # Whether to print the plan and run nothing.
  only_plan: boolean = False
  # Whether a job may start that is estimated to take more than a day on this
  # device. Without it such a job ends with a line that says what shortens it.
  allow_long: boolean = False
  # Height and width in pixels in place of the networks' own; 0: their own.
  image_size: pixels() = 0
  # Where to write the weights file of the network that is trained, in a study
  # of one cell; any other job can use that file. '' writes none. A workdir in
  # which the cell is finished no longer has its network.
  export: path('a file') = ''

  # Where NAME.safetensors is looked for; a missing one is made in this
  # directory from a package or the hub. '' means WORKDIR/weights.
  weights_dir: path('a directory') = ''
  data: Data
  features: Features

  # The settings; the fields of a setting count only where config.settings
  # names it.
  logistic_regression: LogisticRegression
  linear_svm: LinearSVM
  nearest_neighbors: NearestNeighbors
  ridge: Ridge
  fine_tuned: FineTuned
  random_init: RandomInit

  # Where the job imagenet has written its measurements. Where it has measured
  # all networks alike, they take the place of the published ImageNet top-1; ''
  # means WORKDIR/imagenet, if it is there.
  imagenet_results: path('a directory') = ''
  # Whether to write event files for TensorBoard; this imports TensorFlow,
  # which takes seconds.
  tensorboard: boolean = True
  # Whether to write report.html, a page about the study; it takes seconds.
  report: boolean = True
  # Whether the marks of networks that are tied with the best allow for the
  # number of networks that are compared (Holm's correction); the paper's do
  # not.
  correct_with_holm: boolean = False


def fine_tuned_fields() -> ml_collections.ConfigDict:
  """Returns the fields of training from ImageNet weights."""
  return config_fields.defaults(FineTuned)


def random_init_fields() -> ml_collections.ConfigDict:
  """Returns the fields of training from random values."""
  return config_fields.defaults(RandomInit)


def get_config(argument: str = DEFAULT_CELL) -> ml_collections.ConfigDict:
  """Returns the config of one cell with all fields.

  Args:
    argument: 'NETWORK,DATASET'.

  Raises:
    InputError: a part of the argument is missing or too much.
  """
  network, dataset = config_files.parse_argument(argument, 'NETWORK,DATASET')
  config = config_fields.defaults(Study)
  config.networks = (network,)
  config.datasets = (dataset,)
  return config
