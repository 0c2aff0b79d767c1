"""Logistic regression on the fixed features of one network on one dataset.

  python -m tf_transfer.main --workdir=runs/mine \\
      --config=configs/logistic_regression.py:NETWORK,DATASET

NETWORK is a name of the table (efficientnet_lite0) or the path of a weights
file; DATASET is digits, fashion_mnist, one of the paper's (configs/datasets.py
lists them, and says which are here), or folder:PATH with a directory of images
that has a folder per class, or train/, val/ and test/ folders of such.

Expect: efficientnet_lite0,digits takes a minute on two cores and reaches
about 98 % of digits' test split.
"""

import ml_collections


def get_config(
  argument: str = 'efficientnet_lite0,digits',
) -> ml_collections.ConfigDict:
  """The config of one cell; `argument` is 'NETWORK,DATASET'."""
  network, _, dataset = argument.partition(',')
  config = ml_collections.ConfigDict()

  # What main runs.
  config.job = 'study'

  # The cells: every network × every dataset × every setting.
  # Names of the table, or paths of weights files; 'all' are those that there
  # are weights of, as files in weights_dir or with a Python package.
  config.networks = (network,)
  # digits, fashion_mnist, folder:PATH, or food101 cifar10 cifar100 birdsnap
  # sun397 cars aircraft voc2007 dtd pets caltech101 flowers imagenet; 'all'
  # are those of them whose files are there, but imagenet.
  config.datasets = (dataset or 'digits',)
  # Classifiers on fixed features: the paper's logistic_regression; its
  # appendix's linear_svm and nearest_neighbors; ridge, as in few-shot
  # evaluations. Each has its part below. The paper's fine_tuned and
  # random_init take fields of their own, which configs/fine_tuned.py and
  # configs/random_init.py have.
  config.settings = ('logistic_regression',)
  # Cells that are not wanted, as (network, dataset, setting), each as named
  # above; * stands for anything: (('nasnet_large', '*', 'fine_tuned'),).
  config.leave_out = ()
  # '3/16' runs the third of sixteen parts; each writes its own ledger to the
  # workdir, which all share. Then once without, or configs/merge.py.
  config.part = ''
  # Whether to say what would be run, and to run nothing.
  config.only_plan = False
  # Pixels of height and width in place of the networks' own; 0 for those.
  config.image_size = 0
  # Where the weights file of the network of the one cell that is trained here
  # is written, for use as any other; '' is nowhere. A workdir in which the cell
  # is finished has not kept its network.
  config.export = ''

  # Where NAME.safetensors is looked for, and converted to from an installed
  # package when it is not there; '' is WORKDIR/weights.
  config.weights_dir = ''

  config.data = ml_collections.ConfigDict()
  # Where datasets are looked for. Of the paper's: the official layout in
  # DIR/NAME or in DIR/ what the archive unpacks to, else what TFDS prepared in
  # DIR; for fashion_mnist the directory of the four IDX files. '' is TFDS's
  # own place.
  config.data.dir = ''
  # Whether TFDS may download and prepare a dataset that is not there.
  config.data.prepare = False
  # Where it is remembered which digests images have, so that they are read
  # once only; '' is WORKDIR/digests. Several workdirs may share one.
  config.data.cache_dir = ''
  # Whether the 20 px at the bottom of aircraft's images, which carry the
  # photographer's name, are cut off. The paper does not say that it did.
  config.data.cut_banner = False
  # An image that cannot be decoded: 'error' stops and names it, 'skip' leaves
  # it out, counted and listed in the record.
  config.data.corrupt = 'error'
  # Where a dataset has no official split, whether an image is held out is
  # drawn from the hash of its content or name and this seed; 0 is the
  # published draw. The fractions are for digits and folders.
  config.data.split_seed = 0
  config.data.val_fraction = 0.2
  config.data.test_fraction = 0.2
  # Training images of each class, drawn by content and a seed, as in figure 9;
  # 0: all. Val stays whole to choose on, and is not trained on at the end.
  config.data.examples_per_class = 0
  config.data.subset_seed = 0

  config.features = ml_collections.ConfigDict()
  # Images at once on all devices together; it does not change the features.
  config.features.batch_size = 64
  # How images become a network's input: 'whole_image', as in the paper,
  # 'resize_then_crop' (the shorter side, then the center), 'crop_then_resize'
  # (the central part, not keeping its aspect).
  config.features.resize = 'whole_image'
  # Where feature matrices are kept; '' is WORKDIR/features. Several workdirs
  # may share one.
  config.features.cache_dir = ''
  # Gigabytes that they may take there; what was not used for longest makes
  # room. 50 holds the paper's study: 16 networks × 12 datasets take 41.
  config.features.cache_gib = 50.0
  # A layer's output in place of what feeds the logits layer: 'mixed_6e' of
  # Inception v3, 'stage3_block2' of ResNet, or a part of one as
  # 'stage3_block2/conv1'; an unknown name lists them. '' is the paper's.
  config.features.layer = ''
  # What it is averaged over: for each level the cells per side. (1,) is the
  # whole image, (1, 2, 4) gives 21 times as many features.
  config.features.pyramid = (1,)

  config.logistic_regression = ml_collections.ConfigDict()
  # The penalty is ½λ‖W‖², added to the sum of the losses (scikit-learn's
  # C = 1/λ): 45 values, a quarter decade apart.
  config.logistic_regression.num_penalties = 45
  config.logistic_regression.penalty_min = 1e-6
  config.logistic_regression.penalty_max = 1e5
  # A fit has converged when its objective is proven to be within this part of
  # the optimum: on the way to the choice of the penalty, where a finer one has
  # turned one prediction in thousands, and in the fit that is tested.
  config.logistic_regression.tolerance = 1e-5
  config.logistic_regression.refit_tolerance = 1e-9
  # Passes over the features that one penalty may take.
  config.logistic_regression.max_evaluations = 5000

  config.linear_svm = ml_collections.ConfigDict()
  # LIBLINEAR on L2-normalized features, a class against the rest: ½λ‖w‖² on
  # the sum of the squared hinge losses (C = 1/λ), half a decade apart.
  config.linear_svm.num_penalties = 13
  config.linear_svm.penalty_min = 1e-4
  config.linear_svm.penalty_max = 1e2
  # LIBLINEAR's own measure, and the passes that one fit may take.
  config.linear_svm.tolerance = 1e-4
  config.linear_svm.max_evaluations = 1000

  config.nearest_neighbors = ml_collections.ConfigDict()
  # How many vote, a vote each; they are nearest by cosine.
  config.nearest_neighbors.neighbors = (1, 2, 3, 5, 10, 20, 50)

  config.ridge = ml_collections.ConfigDict()
  # λ‖W‖² on the sum of squared distances from targets of −1 and 1; features
  # standardized, 2⁻¹⁰ to 2¹⁹, as big_vision does.
  config.ridge.num_penalties = 30
  config.ridge.penalty_min = 2.0**-10
  config.ridge.penalty_max = 2.0**19

  # Whether to write event files for TensorBoard; it imports TensorFlow, which
  # takes seconds.
  config.tensorboard = True
  # Whether to write report.html, the page about the study; it takes seconds.
  config.report = True
  # Whether the marks of what is tied with the best allow for the number of
  # networks that are compared (Holm's correction); the paper's do not.
  config.correct_with_holm = False
  return config
