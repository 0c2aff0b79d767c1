"""Names the records of a ledger for the page and adds the paper's numbers."""

import dataclasses
from collections.abc import Iterable, Sequence

from tf_transfer import errors
from tf_transfer.study import names
from tf_transfer.study.analysis import accuracy_table, variants
from tf_transfer.study.paper import differences

_HASH_LETTERS = 8  # They tell two identities apart on a page.


@dataclasses.dataclass(frozen=True)
class NamedCell:
  """A record with the names that the page gives it.

  Attributes:
    record: as the ledger has it.
    network: as people write it, with a hash where several weights share it.
    dataset: as people write it; a folder's whole path where two end alike.
    comparison: with the paper's number.
    current: whether it counts: it does not where a later record of the same
      cell, of other splits or another search, takes its place, nor where it is
      another variant.
    variant: which one it is, where it is another than the one that counts: it
      stands beside that one, in figures 8 and 9; '' elsewhere.
  """

  record: accuracy_table.Record
  network: str
  dataset: str
  comparison: differences.Comparison
  current: bool
  variant: str = ''

  @property
  def setting(self) -> str:
    """The setting as people write it."""
    return names.setting_text(self.record['setting'])

  @property
  def name(self) -> tuple[str, str, str]:
    """Network, dataset and setting, as people write them."""
    return self.network, self.dataset, self.setting


def name_cells(records: Sequence[accuracy_table.Record]) -> list[NamedCell]:
  """Names all records of a ledger, in its order."""
  labels = accuracy_table.labels(
    [accuracy_table.weights_of(record) for record in records]
  )
  current = {record['identity'] for record in accuracy_table.distinct(records)}
  others = set(accuracy_table.select(records).others)
  datasets = _dataset_names(records)
  return [
    NamedCell(
      record,
      _network_name(record['network'], label),
      datasets[record['dataset']],
      differences.compare(record),
      record['identity'] in current,
      variants.describe(record) if i in others else '',
    )
    for i, (record, label) in enumerate(zip(records, labels, strict=True))
  ]


def _dataset_names(records: Iterable[accuracy_table.Record]) -> dict[str, str]:
  """Returns a short name for each dataset; the whole where two end alike."""
  titles = {r['dataset']: names.display_name(r['dataset']) for r in records}
  all_titles = list(titles.values())
  return {
    name: title if all_titles.count(title) == 1 else errors.printable(name)
    for name, title in titles.items()
  }


def _network_name(name: str, label: str) -> str:
  """Returns a network's title, and what its label adds in brackets, if any."""
  return names.display_name(name) + label.removeprefix(name)


def unique_names(cells: Sequence[NamedCell]) -> list[str]:
  """Returns a name for each cell, no two alike.

  A cell that does not count gets its variant and its identity, too.
  """
  return [', '.join(cell.name) + _distinction(cell) for cell in cells]


def _distinction(cell: NamedCell) -> str:
  """Returns what tells a cell apart from the one that counts."""
  if cell.current:
    return ''
  variant = f', {cell.variant}' if cell.variant else ''
  return f'{variant} ({cell.record["identity"][:_HASH_LETTERS]})'
