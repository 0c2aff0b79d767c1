"""Chooses a network for a dataset, and says how good it is and what it costs.

  python -m tf_transfer.main --config=choose:PATH --workdir=runs/mine

PATH is a folder with a folder of images for each class, as docs/datasets.md
describes; the name of a dataset, such as digits, may stand in its place. Every
network that there are weights of is tried, the cheapest first: a classifier is
fitted on its features. The choice is made on train and val, each image
predicted by a classifier that was not fitted on it. Test is read once, for the
network that is recommended. docs/choose.md says what each column and sentence
means.

The job may be killed at any moment: the same command goes on. The same command
with more networks tries only those that are new.

Expect: a table of the networks, sorted by accuracy; which one to take, and why;
choice.html, a page with figures. 600 photos and three networks take under three
minutes on two cores.
"""

import ml_collections

from tf_transfer import config_fields, config_files
from tf_transfer.config_fields import (
  Group,
  boolean,
  choice,
  duration,
  integer,
  name,
  path,
  pixels,
  several,
)
from tf_transfer.configs import base


class ChoiceFeatures(base.FeatureCache):
  """How features are computed and cached."""

  # Also the batch in which the speed of networks is measured, beside 1: so
  # each network is compiled only once for both.
  batch_size = 32


class Choose(Group):
  """The fields of the job."""

  # The job that main runs.
  job: choice('choose') = 'choose'

  # What a network is chosen for: a dataset's name, folder:PATH, or the path
  # alone.
  dataset: name('a dataset') = 'digits'
  # As in configs/base.py; 'all': every network that there are weights of.
  networks: several(name('a network'), least=1) = ('all',)
  # The classifier on fixed features; its fields are below, under its name.
  setting: choice(
    'logistic_regression',
    'linear_svm',
    'nearest_neighbors',
    'ridge',
    'nearest_class_mean',
  ) = 'logistic_regression'
  # 'accuracy': classifiers are fitted, and the networks are told apart by a
  # test. The name of an estimator: networks are ranked by that estimate, no
  # classifier is fitted but that of the first, and no test tells them apart.
  by: choice(
    'accuracy',
    'logme',
    'h_score',
    'h_score_shrunk',
    'leep',
    'nce',
    'knn_loo',
    'linear_probe',
  ) = 'accuracy'
  # Folds of the cross-validation on train + val. Where val is large, networks
  # are compared on val alone.
  num_folds: integer(2, 100) = 5
  # The first network is tried however long it takes, each further one if it is
  # estimated to end in this time; '' is no bound. The page and the test of the
  # recommended network come after.
  budget: duration() = ''
  # As in configs/base.py: whether the job may take more than a day.
  allow_long: boolean = False

  # Height and width in pixels in place of the networks' own; 0: their own.
  image_size: pixels() = 0
  # Where NAME.safetensors is looked for; a missing one is made in this
  # directory from a package or the hub. '' means WORKDIR/weights.
  weights_dir: path('a directory') = ''
  data: base.Data
  features: ChoiceFeatures
  logistic_regression: base.LogisticRegression
  linear_svm: base.LinearSVM
  nearest_neighbors: base.NearestNeighbors
  ridge: base.Ridge


def get_config(argument: str = 'digits') -> ml_collections.ConfigDict:
  """Returns the config of a choice.

  Args:
    argument: the path of a folder, 'folder:PATH', or a dataset's name.

  Raises:
    InputError: the argument is empty.
  """
  (dataset,) = config_files.parse_argument(argument, 'PATH')
  config = config_fields.defaults(Choose)
  config.dataset = dataset
  return config.lock()
