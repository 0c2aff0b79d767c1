"""Prints what public weights there are."""

import tabulate

from tf_transfer.convert_weights import publishers, table

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
