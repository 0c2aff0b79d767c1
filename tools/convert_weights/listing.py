"""Prints what public weights there are."""

import tabulate

from tf_transfer.convert_weights import (
  hub_config,
  publishers,
  table,
  timm_recipes,
)
from tf_transfer.networks import published_timm
from tf_transfer.networks import recipe as recipe_lib

# Each column, and how it is aligned.
_COLUMNS = {
  'network': 'left',
  'source': 'left',
  'classes': 'right',
  'top-1': 'right',
  'file': 'left',
}


def _format_row(network: str, source: publishers.Source) -> tuple[str, ...]:
  """Formats the cells of a source's line."""
  top1, file = source.imagenet_top1, source.file
  if source.published_as:
    file = f'{file}, published as {source.published_as}'
  return (
    network,
    source.name,
    f'{source.num_classes}',
    'unknown' if top1 is None else f'{top1:.1%}',
    file,
  )


def render() -> str:
  """Returns a text table with a line for each source of each network."""
  rows = [
    _format_row(network, source)
    for network, sources in table.SOURCES.items()
    for source in sources
  ]
  return tabulate.tabulate(
    rows,
    tuple(_COLUMNS),
    tablefmt='plain',
    colalign=tuple(_COLUMNS.values()),
    disable_numparse=True,
  )


# Each column of the table of recipes, and the field of a recipe.
_FACTORS = {
  'smoothing': 'label_smoothing',
  'dropout': 'dropout',
  'mixup': 'mixup',
  'CutMix': 'cutmix',
  'BCE': 'bce',
  'EMA': 'ema',
  'distilled': 'distillation',
}
_RECIPE_COLUMNS = {
  'source': 'left',
  'top-1': 'right',
  'px': 'right',
  **dict.fromkeys(_FACTORS, 'left'),
  'epochs': 'right',
  'trained at': 'right',
  'augmentation': 'left',
  'trained on': 'left',
}
RECIPES_TITLE = (
  "How weights of timm were trained (--source=timm/NAME); '?' is what no "
  'source states. A weights file says who states what.'
)
_WORDS = {True: 'yes', False: 'no', None: '?'}


def _format_recipe(
  name: str, top1: published_timm.Top1, recipe: recipe_lib.Recipe
) -> tuple[str, ...]:
  """Formats the cells of a checkpoint's line in the table of recipes."""
  return (
    f'timm/{name}',
    f'{top1.value:.1%}',
    f'{top1.image_size}',
    *(_WORDS[getattr(recipe, field)] for field in _FACTORS.values()),
    '?' if recipe.epochs is None else f'{recipe.epochs}',
    '?' if recipe.resolution is None else f'{recipe.resolution} px',
    recipe.augmentation or '?',
    recipe.trained_on,
  )


def render_recipes() -> str:
  """Returns a text table of timm's weights whose recipe is known.

  Top-1 is the best that timm publishes, at the size beside it.
  """
  rows = []
  for name in published_timm.checkpoints():
    architecture, _ = published_timm.split_name(name)
    recipe, top1 = timm_recipes.find(name), published_timm.top1(name)
    if recipe and top1 and architecture in hub_config.architectures():
      rows.append((architecture, _format_recipe(name, top1, recipe)))
  # Of each architecture the best first, as they come.
  rows.sort(key=lambda row: row[0])
  return tabulate.tabulate(
    [cells for _, cells in rows],
    tuple(_RECIPE_COLUMNS),
    tablefmt='plain',
    colalign=tuple(_RECIPE_COLUMNS.values()),
    disable_numparse=True,
  )
