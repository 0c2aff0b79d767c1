"""The report: one HTML file that holds all it needs, and asks for no network.

A ledger's records -> the answer, figure 2 to choose from, every cell beside
the paper's number, curves of validation, what went wrong, where the numbers
come from. Figures are Vega-Lite's, tables are DataTables'; without JavaScript
the tables are still there.
"""

import base64
import csv
import dataclasses
import functools
import importlib.resources
import io
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import itables.utils
import jinja2
import ml_collections
import vl_convert

import tf_transfer
from tf_transfer.errors import InputError
from tf_transfer.runtime import files
from tf_transfer.study import failures
from tf_transfer.study import ledger as ledger_lib
from tf_transfer.study.analysis import accuracy_table, recipes, ties
from tf_transfer.study.figures import panels
from tf_transfer.study.paper import differences
from tf_transfer.study.paper import numbers as numbers_lib
from tf_transfer.study.report import answer, charts, text_table

_NONE = '–'
_HASH = 8  # Letters of a hash that tell two of them apart on a page.


@dataclasses.dataclass(frozen=True)
class Table:
  """A table of the page.

  Attributes:
    name: in the page's addresses, and of the file that is downloaded.
    caption: what it shows.
    columns: headings; a unit where one is needed.
    rows: of cells; a number, a text or a list of texts each.
    numbers: which columns hold numbers.
    folded: which hold lists of 'topic: text' that open to their texts.
  """

  name: str
  caption: str
  columns: tuple[str, ...]
  rows: Sequence[Sequence[Any]]
  numbers: frozenset[int] = frozenset()
  folded: frozenset[int] = frozenset()

  @property
  def download(self) -> str:
    """The table as a data URL of a CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(self.columns)
    for row in self.rows:
      writer.writerow(
        ['; '.join(v) if isinstance(v, (list, tuple)) else v for v in row]
      )
    return _data_url('text/csv', text.getvalue())


def _data_url(kind: str, text: str) -> str:
  encoded = base64.b64encode(text.encode()).decode()
  return f'data:{kind};charset=utf-8;base64,{encoded}'


@dataclasses.dataclass(frozen=True)
class Cell:
  """A record and what it is called.

  Attributes:
    record: as the ledger has it.
    network: as people write it, with a hash where several weights share it.
    dataset: as people write it; a folder's whole path where two end alike.
    compared: beside the paper's number.
    current: whether it counts: a later record of the same cell, of other
      splits or another search, takes its place.
  """

  record: accuracy_table.Record
  network: str
  dataset: str
  compared: differences.Comparison
  current: bool

  @property
  def setting(self) -> str:
    return panels.setting_text(self.record['setting'])

  @property
  def name(self) -> tuple[str, str, str]:
    return self.network, self.dataset, self.setting


def _dataset_names(records: Iterable[accuracy_table.Record]) -> dict[str, str]:
  """Short names, but where two would be the same."""
  names = {r['dataset']: panels.display_name(r['dataset']) for r in records}
  short = list(names.values())
  return {
    name: text if short.count(text) == 1 else name
    for name, text in names.items()
  }


def _network_name(name: str, label: str) -> str:
  """A network as people write it, with what `grid.labels` adds to its name."""
  return panels.display_name(name) + label.removeprefix(name)


def cells(records: Sequence[accuracy_table.Record]) -> list[Cell]:
  """All records with their names, in the ledger's order."""
  labels = accuracy_table.labels(
    [(r['network'], r['weights_sha256']) for r in records]
  )
  current = {record['identity'] for record in accuracy_table.distinct(records)}
  datasets = _dataset_names(records)
  return [
    Cell(
      record,
      _network_name(record['network'], label),
      datasets[record['dataset']],
      differences.of(record),
      record['identity'] in current,
    )
    for record, label in zip(records, labels, strict=True)
  ]


def _percent(share: float | None, digits: int = 2) -> float | str:
  return _NONE if share is None else round(100 * share, digits)


def _every_cell(found: Sequence[Cell]) -> Table:
  rows = []
  for cell in found:
    record, compared = cell.record, cell.compared
    test = record['test']
    rows.append(
      (
        *cell.name,
        _percent(test['value']),
        f'{100 * test["low"]:.2f} to {100 * test["high"]:.2f}',
        _percent(compared.paper),
        _percent(compared.difference),
        _NONE if compared.within is None else ('no', 'yes')[compared.within],
        tuple(f'{r.topic}: {r.text}' for r in compared.reasons),
        _percent(record['imagenet_top1']),
        test['examples'],
        _METRICS[record['metric']],
        'yes' if cell.current else 'no, a later record does',
      )
    )
  columns = (
    *('Network', 'Dataset', 'Setting', 'Ours, %', '95 % interval, %'),
    *('Paper, %', 'Difference, points', 'Paper in interval'),
    *('Why they may differ', 'ImageNet top-1, %', 'Test images', 'Metric'),
    'Counts',
  )
  # Said only where there is something to say.
  if all(cell.current for cell in found):
    columns, rows = columns[:-1], [row[:-1] for row in rows]
  return Table(
    'cells',
    'Every cell: ours beside the paper',
    columns,
    rows,
    frozenset((3, 5, 6, 9, 10)),
    frozenset((8,)),
  )


_METRICS = {
  'top1': 'top-1',
  'mean_per_class': 'mean per class',
  'map11': '11-point mAP',
}


def _hyperparameters(found: Sequence[Cell]) -> Table:
  return Table(
    'hyperparameters',
    'What did best on validation, and was then tested',
    (
      *('Network', 'Dataset', 'Setting', 'Chosen', 'Validation, %'),
      *('Values tried', 'At the end of the search'),
    ),
    [
      (
        *cell.name,
        text_table.chosen(cell.record),
        _percent(cell.record['validation']['value']),
        len(cell.record['validation_curve']),
        tuple(differences.at_the_end(cell.record)) or 'no',
      )
      for cell in found
    ],
    frozenset((4, 5)),
  )


def _failed(
  failed: Sequence[failures.Failure],
) -> Table:
  return Table(
    'failures',
    'Cells that failed: they have no result',
    ('Network', 'Dataset', 'Setting', 'Why', 'When (UTC)'),
    [
      (
        panels.display_name(one['network']),
        panels.display_name(one['dataset']),
        panels.setting_text(one['setting']),
        one['error'],
        one['time'],
      )
      for one in failed
    ],
  )


def _troubled(found: Sequence[Cell]) -> Table:
  """Cells whose number stands, with something to be said against it."""
  rows = []
  for cell in found:
    skipped = cell.record['skipped']
    problems = [*differences.unconverged(cell.record)]
    if skipped:
      listed = ', '.join(skipped[:5]) + ', …' * (len(skipped) > 5)
      problems.append(f'{len(skipped)} corrupt images left out: {listed}')
    problems += cell.record['notes']
    if problems:
      rows.append((*cell.name, tuple(problems)))
  return Table(
    'remarks',
    'Cells with something to be said against them',
    ('Network', 'Dataset', 'Setting', 'What'),
    rows,
  )


def _provenance(found: Sequence[Cell]) -> Table:
  rows = []
  for cell in found:
    record = cell.record
    rows.append(
      (
        *cell.name,
        record['weights_sha256'],
        record['imagenet_top1_source'] or _NONE,
        tuple(f'{n} {h}' for n, h in record['splits_sha256'].items()),
        _seeds(record),
        tuple(f'{n} {v}' for n, v in record['versions'].items()),
        record['device'],
        record['seconds'],
        record['finished'],
        record['identity'],
      )
    )
  return Table(
    'provenance',
    'Where each number comes from',
    (
      *('Network', 'Dataset', 'Setting', 'Weights, SHA-256'),
      *('ImageNet top-1 by', 'Splits, SHA-256', 'Seeds', 'Versions', 'Device'),
      *('Wall time, s', 'Finished (UTC)', 'Identity'),
    ),
    rows,
    frozenset((9,)),
  )


def _seeds(record: accuracy_table.Record) -> tuple[str, ...]:
  seeds = [f'splits {record["split_seed"]}']
  if 'seed' in record['search']:
    seeds.append(f'training {record["search"]["seed"]}')
  return tuple(seeds)


def _summary(found: Sequence[Cell], path: pathlib.Path) -> dict[str, str]:
  """What all cells share, or the few values that there are."""
  records = [cell.record for cell in found]
  seconds = sum(record['seconds'] for record in records)
  times = sorted(record['finished'] for record in records)

  def few(values: Iterable[Any]) -> str:
    return ', '.join(dict.fromkeys(map(str, values)))

  return {
    'Ledger': f'{path}, SHA-256 {files.sha256(path)}'
    if path.exists()
    else f'in parts beside {path}',
    'Cells': str(len(records)),
    'Devices': few(record['device'] for record in records),
    'Wall time': f'{seconds / 60:.1f} minutes over all cells',
    'Finished': few((times[0], times[-1])) + ' (UTC)',
    **{
      name: few(record['versions'][name] for record in records)
      for name in records[0]['versions']
    },
    'Page by tf_transfer': tf_transfer.__version__,
  }


@functools.cache
def _environment() -> jinja2.Environment:
  environment = jinja2.Environment(
    loader=jinja2.FunctionLoader(_packaged),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters['topics'] = _topics
  return environment


def _topics(reasons: Iterable[str]) -> str:
  """Of 'topic: text' the topics, each once."""
  return ', '.join(dict.fromkeys(r.partition(':')[0] for r in reasons))


def _packaged(name: str) -> str:
  data = importlib.resources.files('tf_transfer.study.report') / name
  return data.read_text(encoding='utf-8')


@functools.cache
def _libraries() -> dict[str, str]:
  """What the page runs in the browser, as their packages ship it."""
  read = itables.utils.read_package_file
  vega = vl_convert.javascript_bundle()
  if '</script' in vega:
    raise AssertionError('a script that would end where it should not')
  return {
    'vega': vega,
    'datatables': _data_url('text/javascript', read('html', 'dt_bundle.js')),
    'style': read('html', 'dt_bundle.css'),
  }


def _figure(
  found: Sequence[Cell], workdir: pathlib.Path, correct_with_holm: bool
) -> dict[str, Any] | None:
  current = [cell for cell in found if cell.current]
  records = accuracy_table.distinct([cell.record for cell in current])
  labels = [record['network'] for record in records]
  names = charts.Names(
    network={
      label: cell.network for label, cell in zip(labels, current, strict=True)
    },
    dataset={cell.record['dataset']: cell.dataset for cell in current},
    table_name={
      label: cell.record['network']
      for label, cell in zip(labels, current, strict=True)
    },
  )
  shared = {cell.record['dataset'] for cell in current}
  theirs = [r for r in numbers_lib.records() if r['dataset'] in shared]
  return charts.accuracy_vs_imagenet(
    records,
    theirs,
    names,
    ties.of(
      [cell.record for cell in current],
      workdir,
      correct_with_holm=correct_with_holm,
    ),
  )


def _unlike(found: Sequence[Cell]) -> list[str]:
  """That networks were not trained alike, and in what; or nothing."""
  records = [
    {**cell.record, 'network': cell.network} for cell in found if cell.current
  ]
  return [line.strip() for line in recipes.warning(records).splitlines()]


def page(
  records: Sequence[accuracy_table.Record],
  failed: Sequence[failures.Failure],
  workdir: pathlib.Path,
  *,
  correct_with_holm: bool = False,
) -> str:
  """The report as HTML.

  Args:
    records: of the ledger in `workdir`, in its order.
    failed: what could not be run.
    workdir: of the ledger, where the predictions lie.
    correct_with_holm: as for `ties.of`.

  Raises:
    InputError: there is no record.
  """
  if not records:
    raise InputError(f'{workdir}: there is no record to report on')
  found = cells(records)
  current = [cell.record for cell in found if cell.current]
  settings = list(dict.fromkeys(r['setting'] for r in current))
  curves = charts.curves(
    [cell.record for cell in found],
    _distinct_names(found),
  )
  return (
    _environment()
    .get_template('report.html.jinja')
    .render(
      answers=[answer.of(current, setting) for setting in settings],
      unlike=_unlike(found),
      figure=_figure(found, workdir, correct_with_holm),
      holm=correct_with_holm,
      curves=curves,
      cells=_every_cell(found),
      hyperparameters=_hyperparameters(found),
      failed=_failed(failed),
      troubled=_troubled(found),
      provenance=_provenance(found),
      summary=_summary(found, ledger_lib.Ledger(workdir).path),
      libraries=_libraries(),
    )
  )


def _distinct_names(found: Sequence[Cell]) -> list[str]:
  """A name for each cell, with its identity where a later record counts."""
  return [
    ', '.join(cell.name)
    + ('' if cell.current else f' ({cell.record["identity"][:_HASH]})')
    for cell in found
  ]


def write(
  records: Sequence[accuracy_table.Record],
  workdir: pathlib.Path,
  path: pathlib.Path | None = None,
  *,
  correct_with_holm: bool = False,
) -> pathlib.Path:
  """Writes the report of some records of a ledger.

  Args:
    records: as the ledger has them, one or more.
    workdir: of the ledger.
    path: of the page; None: report.html beside the ledger.
    correct_with_holm: as for `ties.of`.

  Returns:
    Its path.

  Raises:
    InputError: it could not be written, or there is no record.
  """
  path = path or workdir / 'report.html'
  failed = failures.Failures(workdir).read()
  text = page(records, failed, workdir, correct_with_holm=correct_with_holm)
  with files.atomic_write(path) as file:
    file.write(text.encode())
  return path


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Writes the report of a ledger.

  Args:
    config: of the job, as `configs/report.py` documents.
    workdir: where the page is written.

  Raises:
    InputError: there is no ledger, or the page could not be written.
  """
  source = (
    pathlib.Path(config.ledger).expanduser() if config.ledger else workdir
  )
  records = list(ledger_lib.read_all(source).values())
  if not records:
    raise InputError(
      f'no records in {ledger_lib.Ledger(source).path}: name the workdir of a '
      'study with --config.ledger'
    )
  path = write(
    records,
    source,
    files.make_directory(workdir) / 'report.html',
    correct_with_holm=config.correct_with_holm,
  )
  for setting in dict.fromkeys(record['setting'] for record in records):
    one = answer.of(records, setting)
    print(f'{one.verdict}. {one.sentence}')
  print(f'report  {path}')
