"""Every field of a study, with its meaning and the paper's value.

The other configs take these fields and change some of them. Used as a config
of its own, this is logistic regression on the features of one network:

  python -m tf_transfer.main --workdir=runs/mine \\
      --config=base:NETWORK,DATASET

Set a field on the command line as --config.FIELD=VALUE, for example
--config.data.dir=DIR or --config.fine_tuned.steps=1000.
"""

import ml_collections

from tf_transfer import config_files

# The cell that a config of one cell takes where no argument is given.
DEFAULT_CELL = 'efficientnet_lite0,digits'


def data_fields() -> ml_collections.ConfigDict:
  """Returns the fields that say how a dataset is opened, the same in all jobs.

  The fractions, seeds and `examples_per_class` change which image is in which
  split, and with it every number of a study.
  """
  config = ml_collections.ConfigDict()
  # The directory with the datasets. For a dataset of the paper it has the
  # official layout in DIR/NAME, or in the folder of DIR that the archive
  # unpacks to, or what TFDS prepared. For fashion_mnist it has the four IDX
  # files. '' means TFDS's default directory.
  config.dir = ''
  # Whether TFDS may download and prepare a dataset that is missing.
  config.prepare = False
  # Where the digests of images are cached, so that each image is hashed only
  # once; '' means WORKDIR/digests. Several workdirs may share a cache.
  config.cache_dir = ''
  # Whether the bottom 20 px of aircraft's images, which show the
  # photographer's name, are cut off. The paper does not say that it did so.
  config.cut_banner = False
  # What happens to images that cannot be decoded: 'error' stops before training
  # starts and names them; 'skip' leaves them out, and the record lists them.
  config.corrupt = 'error'
  # Where a dataset has no official split, the hash of an image's content or
  # name and this seed decide whether the image is held out; 0 is the published
  # draw. The fractions are for digits and folders.
  config.split_seed = 0
  config.val_fraction = 0.2
  config.test_fraction = 0.2
  # Training images of each class, drawn by content and a seed, as in figure 9;
  # 0: all. Val is not reduced, and the last fit does not train on it.
  config.examples_per_class = 0
  config.subset_seed = 0
  return config.lock()


def feature_cache_fields() -> ml_collections.ConfigDict:
  """Returns the fields that say how features are computed and cached."""
  config = ml_collections.ConfigDict()
  # Images in a batch, over all devices; it does not change the features.
  config.batch_size = 64
  # Where feature matrices are cached; '' means WORKDIR/features. Several
  # workdirs may share a cache.
  config.cache_dir = ''
  # The largest size of the cache in GiB; the least recently used features make
  # room. 50 holds the paper's study: 16 networks × 12 datasets take 41.
  config.cache_gib = 50.0
  return config.lock()


def features_fields() -> ml_collections.ConfigDict:
  """Returns the fields of fixed features."""
  config = feature_cache_fields().unlock()
  # How an image is fitted to the network's input: 'whole_image' (the paper:
  # resized without regard to its aspect), 'resize_then_crop' (the shorter
  # side, then the center), 'crop_then_resize' (the central part, without
  # keeping its aspect).
  config.resize = 'whole_image'
  # The layer whose output is taken: 'mixed_6e' of Inception v3,
  # 'stage3_block2' of ResNet, or a part such as 'stage3_block2/conv1'. The
  # error for an unknown name lists all of them. '' is the input of the logits
  # layer, as in the paper.
  config.layer = ''
  # The spatial pyramid over which the output is averaged: cells per side, for
  # each level. (1,) is the whole image; (1, 2, 4) gives 21 times as many
  # features.
  config.pyramid = (1,)
  return config.lock()


def logistic_regression_fields() -> ml_collections.ConfigDict:
  """Returns the fields of the paper's classifier on fixed features."""
  config = ml_collections.ConfigDict()
  # The penalty is ½λ‖W‖², added to the sum of the losses (scikit-learn's
  # C = 1/λ): 45 values, a quarter of a decade apart.
  config.num_penalties = 45
  config.penalty_min = 1e-6
  config.penalty_max = 1e5
  # A fit has converged when its objective is proven to be within this fraction
  # of the optimum. `tolerance` is for the fits among which the penalty is
  # chosen; a smaller one has changed one prediction in thousands.
  # `refit_tolerance` is for the fit that is tested.
  config.tolerance = 1e-5
  config.refit_tolerance = 1e-9
  # The largest number of passes over the features for one penalty.
  config.max_evaluations = 5000
  return config.lock()


def linear_svm_fields() -> ml_collections.ConfigDict:
  """Returns the fields of the linear SVM of the paper's appendix."""
  config = ml_collections.ConfigDict()
  # LIBLINEAR on L2-normalized features, one class against the rest: ½λ‖w‖² on
  # the sum of the squared hinge losses (C = 1/λ), half a decade apart.
  config.num_penalties = 13
  config.penalty_min = 1e-4
  config.penalty_max = 1e2
  # LIBLINEAR's own criterion, and the largest number of passes of one fit.
  config.tolerance = 1e-4
  config.max_evaluations = 1000
  return config.lock()


def nearest_neighbors_fields() -> ml_collections.ConfigDict:
  """Returns the fields of the k nearest neighbors of the paper's appendix."""
  config = ml_collections.ConfigDict()
  # The values of k that are compared on val. Neighbors are nearest by cosine
  # and have one vote each.
  config.neighbors = (1, 2, 3, 5, 10, 20, 50)
  return config.lock()


def ridge_fields() -> ml_collections.ConfigDict:
  """Returns the fields of ridge regression, as in few-shot evaluations."""
  config = ml_collections.ConfigDict()
  # λ‖W‖² on the sum of squared distances from targets of −1 and 1; features
  # are standardized; 2⁻¹⁰ to 2¹⁹, as in big_vision.
  config.num_penalties = 30
  config.penalty_min = 2.0**-10
  config.penalty_max = 2.0**19
  return config.lock()


def _set_grid_fields(config: ml_collections.ConfigDict) -> None:
  """Sets the grid of learning rates and weight decays."""
  # Both are spaced evenly in the logarithm. Each weight decay is divided by
  # the learning rate: the product acts at the first step.
  config.num_learning_rates = 7
  config.learning_rate_min = 1e-4
  config.learning_rate_max = 1e-1
  config.num_weight_decays = 7
  config.weight_decay_min = 1e-6
  config.weight_decay_max = 1e-3
  # Whether the grid also has trials without weight decay.
  config.include_zero_weight_decay = True


def _set_search_fields(config: ml_collections.ConfigDict) -> None:
  """Sets how the grid is searched, and what is tested at the end."""
  # 'exhaustive': every trial takes all steps, as in the paper. 'halving': all
  # trials take halving_first of the steps; the best halving_keep of them on
  # val go on to 1 / halving_keep times as many, and so on. With 1/8 and 1/2
  # this takes 31 % of the steps. 'both': exhaustive, and reports at the end
  # what halving would have saved and lost.
  config.search = 'exhaustive'
  config.halving_first = 0.125
  config.halving_keep = 0.5
  # Steps between evaluations on val; 0: only at the end and at the rungs of
  # halving.
  config.evaluate_every = 0
  # Whether the number of steps is chosen on val too, among those after which a
  # trial is evaluated; the paper does not do so.
  config.early_stopping = False
  # Whether the chosen hyperparameters are trained again on train + val and
  # that network is tested, as in the paper. If not, the best trial is tested,
  # at the step where it was best.
  config.refit_on_trainval = True


def _set_operational_fields(config: ml_collections.ConfigDict) -> None:
  """Sets the fields that change no result."""
  # Trials that train at the same time, on the same batches. Each takes the
  # memory of its parameters and as much again for the momentum. 0: as many as
  # fit in a device's memory beside a step, where the device reports its size.
  config.concurrent_trials = 8
  # Steps between checkpoints.
  config.checkpoint_every = 1000
  # Memory for decoded images of the split that is trained on, in GiB.
  config.image_cache_gib = 4.0
  # Steps between points of the curves in TensorBoard, a run for each trial.
  config.log_every = 100
  # Steps that are profiled, once, for TensorBoard's profile plugin; 0: none.
  config.profile_steps = 0


def training_fields() -> ml_collections.ConfigDict:
  """Returns the fields of a setting that trains, with fine-tuning's values."""
  config = ml_collections.ConfigDict()
  _set_grid_fields(config)
  # Updates of the parameters. Where they are fewer than min_epochs epochs of
  # the split that is trained on, min_epochs counts (100 at few examples).
  config.steps = 20_000
  config.min_epochs = 0
  # Images of an update, over all devices.
  config.batch_size = 256
  # Seed of initial values, dropout, and the order and crops of the images.
  config.seed = 0

  _set_search_fields(config)

  # Regularizers, all off in the paper's main results. Where the paper uses
  # them, they are 0.1, 0.2 and True.
  config.label_smoothing = 0.0
  config.dropout = 0.0
  config.auxiliary_head = False
  # Decay of an exponential moving average of the weights, which is tested in
  # place of the weights; 0: none.
  config.ema_decay = 0.0
  # 'float32', or 'bfloat16' for matrix products and convolutions; parameters
  # and statistics are float32 in both.
  config.precision = 'float32'
  # Into how many parts a batch is cut that does not fit on a device. Batch
  # norm then sees one part at a time.
  config.gradient_accumulation_steps = 1

  _set_operational_fields(config)
  return config.lock()


def fine_tuned_fields() -> ml_collections.ConfigDict:
  """Returns the fields of training from ImageNet weights."""
  return training_fields()


def random_init_fields() -> ml_collections.ConfigDict:
  """Returns the fields of training from random values: another grid."""
  config = training_fields()
  config.learning_rate_min = 1e-3
  config.learning_rate_max = 1.0
  config.num_weight_decays = 8
  config.weight_decay_min = 1e-5
  config.weight_decay_max = 10**-1.5
  config.include_zero_weight_decay = False
  return config


def _set_cell_fields(
  config: ml_collections.ConfigDict, network: str, dataset: str
) -> None:
  """Sets the cells: every network × every dataset × every setting."""
  # Names of the table, or paths of weights files. 'all': every network whose
  # weights are there, as a file in weights_dir or with a Python package.
  config.networks = (network,)
  # digits, fashion_mnist, folder:PATH, or food101 cifar10 cifar100 birdsnap
  # sun397 cars aircraft voc2007 dtd pets caltech101 flowers imagenet. 'all':
  # those of them whose files are there, except imagenet.
  config.datasets = (dataset,)
  # Classifiers on fixed features: the paper's logistic_regression; linear_svm
  # and nearest_neighbors of its appendix; ridge, as in few-shot evaluations;
  # nearest_class_mean, by cosine, which has no fields.
  # Training: the paper's fine_tuned and random_init. The fields of each are
  # below, under its name.
  config.settings = ('logistic_regression',)
  # Cells that are left out, as (network, dataset, setting), each named as
  # above; * matches anything: (('nasnet_large', '*', 'fine_tuned'),).
  config.leave_out = ()
  # '3/16' runs the third of sixteen parts. Each part writes its own ledger to
  # the workdir, which all share. To join them, run the command without this
  # field, or the job merge.
  config.part = ''
  # Whether to print the plan and run nothing.
  config.only_plan = False
  # Height and width in pixels in place of the networks' own; 0: their own.
  config.image_size = 0
  # Where to write the weights file of the network that is trained, in a study
  # of one cell; any other job can use that file. '' writes none. A workdir in
  # which the cell is finished no longer has its network.
  config.export = ''


def get_config(argument: str = DEFAULT_CELL) -> ml_collections.ConfigDict:
  """Returns the config of one cell with all fields.

  Args:
    argument: 'NETWORK,DATASET'.

  Raises:
    InputError: a part of the argument is missing or too much.
  """
  network, dataset = config_files.parse_argument(argument, 'NETWORK,DATASET')
  config = ml_collections.ConfigDict()
  # The job that main runs.
  config.job = 'study'

  _set_cell_fields(config, network, dataset)

  # Where NAME.safetensors is looked for; a missing one is converted into this
  # directory from an installed package. '' means WORKDIR/weights.
  config.weights_dir = ''
  config.data = data_fields()
  config.features = features_fields()

  # The settings; the fields of a setting count only where config.settings
  # names it.
  config.logistic_regression = logistic_regression_fields()
  config.linear_svm = linear_svm_fields()
  config.nearest_neighbors = nearest_neighbors_fields()
  config.ridge = ridge_fields()
  config.fine_tuned = fine_tuned_fields()
  config.random_init = random_init_fields()

  # Whether to write event files for TensorBoard; this imports TensorFlow,
  # which takes seconds.
  config.tensorboard = True
  # Whether to write report.html, a page about the study; it takes seconds.
  config.report = True
  # Whether the marks of networks that are tied with the best allow for the
  # number of networks that are compared (Holm's correction); the paper's do
  # not.
  config.correct_with_holm = False
  return config.lock()
