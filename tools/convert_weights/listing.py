"""What public weights there are, as a table of text."""

from tf_transfer.convert_weights import publishers, sources

_HEADINGS = ('source', 'classes', 'top-1', 'file')


def _row(source: publishers.Source) -> tuple[str, ...]:
  top1, file = source.imagenet_top1, source.file
  if source.published_as:
    file = f'{file}, published as {source.published_as}'
  return (
    source.name,
    f'{source.num_classes}',
    'unknown' if top1 is None else f'{top1:.1%}',
    file,
  )


def render() -> str:
  """Under each network a line per source of its weights."""
  rows = {
    network: [_row(source) for source in found]
    for network, found in sources.SOURCES.items()
  }
  cells = [_HEADINGS, *(row for found in rows.values() for row in found)]
  widths = [max(map(len, column)) for column in zip(*cells, strict=True)]

  def line(row: tuple[str, ...]) -> str:
    name, classes, top1, file = row
    return (
      f'  {name:{widths[0]}}  {classes:>{widths[1]}}  {top1:>{widths[2]}}'
      f'  {file}'
    )

  lines = [line(_HEADINGS)]
  for network, found in rows.items():
    lines += [network, *map(line, found)]
  return '\n'.join(lines)
