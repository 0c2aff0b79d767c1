"""Compares public weights of one architecture by the recipes of their training.

  python -m tf_transfer.main --workdir=runs/recipes \\
      --config=public_recipes:resnet50 --config.data.dir=DIR
  python -m tf_transfer.main --workdir=runs/recipes \\
      --config=public_recipes:resnet50,hub --config.data.dir=DIR

It is the paper's second finding without any pretraining: do the regularizers
that help on ImageNet hurt features? The first takes the weights of the
architecture that are in weights_dir (WORKDIR/weights), the second fetches every
weights of it from the hub whose recipe is known (100 MB each for ResNet-50).
Several architectures are compared within each:
--config.architectures="('resnet18','resnet50')".

Changes of configs/base.py: `networks` and `datasets` are 'all'.

Expect: a study with logistic regression on fixed features; a table of the
weights, and one of the ingredients of recipes with what goes with each; as
public_recipes.csv, recipe_effects.csv, and figures of both names. The recipes
differ in many things at once: what goes with an ingredient need not be its
effect. The job may be killed at any moment: the same command goes on.
"""

import ml_collections

from tf_transfer import config_fields, config_files, errors
from tf_transfer.config_fields import choice, name, several
from tf_transfer.configs import base

_SETTING = 'logistic_regression'
_FROM_HUB = 'hub'


class PublicRecipes(base.Study):
  """The fields of a study, and whose weights it compares."""

  # The job that main runs.
  job: choice('public_recipes') = 'public_recipes'
  # Names of the table. Of config.networks, 'all' means those available weights
  # that are of these architectures.
  architectures: several(name('a network'), least=1) = ('resnet50',)

  @staticmethod
  def contradiction(config: ml_collections.ConfigDict) -> str:
    """Says which fields do not go together; '' if all do."""
    if tuple(config.settings) != (_SETTING,):
      return f"settings: expected ('{_SETTING}',), on fixed features"
    if config.export:
      return (
        "export: expected '', found a file: no network is trained in this job"
      )
    return ''


def get_config(argument: str = 'resnet50') -> ml_collections.ConfigDict:
  """Returns the config of a comparison.

  Args:
    argument: 'NETWORK' for the weights that are there, or 'NETWORK,hub' for all
      on the hub whose recipe is known.

  Raises:
    InputError: the argument is of another form, or the hub has no such weights.
  """
  architecture, source = config_files.parse_argument(
    argument, 'NETWORK[,SOURCE]'
  )
  if source not in ('', _FROM_HUB):
    raise errors.unknown_name('SOURCE', source, (_FROM_HUB,))
  config = config_fields.defaults(PublicRecipes)
  config.architectures = (architecture,)
  config.networks = ('all',)
  if source:
    config.networks = _list_hub(architecture)
  config.datasets = ('all',)
  config.settings = (_SETTING,)
  return config


def _list_hub(architecture: str) -> tuple[str, ...]:
  """Lists the repositories of an architecture whose recipe is known."""
  from tf_transfer.convert_weights import hub_config

  names = hub_config.list_with_recipes(architecture)
  if not names:
    raise errors.InputError(
      f'config argument: the hub has no weights of {architecture} whose recipe '
      'is known'
    )
  return names
