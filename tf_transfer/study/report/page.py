"""Writes the report: one HTML file that needs no network.

It shows, for the records of a ledger: the answer, figure 2 to choose from,
every cell beside the paper's number, calibration, curves of validation, what
went wrong, and where the numbers come from. Figures are Vega-Lite's, tables are
DataTables'; without JavaScript the tables are still there.
"""

import functools
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import itables.utils
import jinja2
import vl_convert

import tf_transfer
from tf_transfer.datasets import test_reads as test_reads_lib
from tf_transfer.errors import InputError
from tf_transfer.runtime import files, units
from tf_transfer.study import failures, html, top1_protocol
from tf_transfer.study import ledger as ledger_lib
from tf_transfer.study.analysis import (
  accuracy_table,
  estimator_ranks,
  recipes,
  ties,
  variants,
)
from tf_transfer.study.paper import numbers
from tf_transfer.study.report import (
  answer,
  calibration,
  chart_data,
  charts,
  correlation_tables,
  curves,
  estimator_table,
  imagenet_top1,
  learning_charts,
  tables,
  test_reads,
  ties_table,
)
from tf_transfer.study.report import cells as cells_lib


def write(
  records: Sequence[accuracy_table.Record],
  workdir: pathlib.Path,
  path: pathlib.Path | None = None,
  *,
  correct_with_holm: bool = False,
  on_curves: Sequence[accuracy_table.Record] | None = None,
  top1_remarks: Sequence[str] = (),
  log: test_reads_lib.Log | None = None,
) -> pathlib.Path:
  """Writes the report of some records of a ledger.

  Args:
    records: as the ledger has them, one or more.
    workdir: of the ledger.
    path: of the page; None: report.html beside the ledger.
    correct_with_holm: as for `ties.find_ties`.
    on_curves: records of the same ledger that figures 8 and 9 are made of;
      None: `records`.
    top1_remarks: of `measured_top1.replace`, which gave the records.
    log: of evaluations on test; None: the page says nothing of them.

  Returns:
    The path of the page.

  Raises:
    InputError: it could not be written, or there is no record.
  """
  path = path or workdir / 'report.html'
  failed = failures.Failures(workdir).read()
  text = render(
    records,
    failed,
    workdir,
    correct_with_holm=correct_with_holm,
    on_curves=on_curves,
    top1_remarks=top1_remarks,
    log=log,
  )
  with files.atomic_write(path) as file:
    file.write(text.encode())
  return path


def render(
  records: Sequence[accuracy_table.Record],
  failed: Sequence[failures.Failure],
  workdir: pathlib.Path,
  *,
  correct_with_holm: bool = False,
  on_curves: Sequence[accuracy_table.Record] | None = None,
  top1_remarks: Sequence[str] = (),
  log: test_reads_lib.Log | None = None,
) -> str:
  """Returns the report as HTML.

  Args:
    records: of the ledger in `workdir`, in its order.
    failed: cells that have no result.
    workdir: of the ledger, which holds the files of predictions.
    correct_with_holm: as for `ties.find_ties`.
    on_curves: as for `write`.
    top1_remarks: of `measured_top1.replace`, which gave the records.
    log: of evaluations on test; None: the page says nothing of them.

  Raises:
    InputError: there is no record.
  """
  if not records:
    raise InputError(f'{workdir}: there is no record to report on')
  cells = cells_lib.name_cells(records)
  current_cells = [cell for cell in cells if cell.current]
  current = [cell.record for cell in current_cells]
  names = _names(cells)
  compared = ties.compare_all(
    current, workdir, correct_with_holm=correct_with_holm
  )
  return (
    _environment()
    .get_template('report.html.jinja')
    .render(
      **_correlations(current, names),
      unlike=_recipe_warning(cells),
      figure=_figure(current, names, ties.by_cell(compared)),
      ties=ties_table.build(compared, names),
      holm=correct_with_holm,
      estimators=estimator_table.build(estimator_ranks.rank(current), names),
      imagenet_top1=imagenet_top1.build(current_cells, top1_remarks),
      test_reads=None if log is None else test_reads.build(current, log),
      curves=curves.validation_curves(
        [cell.record for cell in cells], cells_lib.unique_names(cells)
      ),
      learning=learning_charts.build(
        records if on_curves is None else on_curves
      ),
      variants=variants.remarks(accuracy_table.select(records)),
      **_tables(cells, failed),
      calibration=calibration.section(cells, workdir),
      summary=_summary(records, ledger_lib.Ledger(workdir).path),
      libraries=_libraries(),
    )
  )


def _tables(
  cells: Sequence[cells_lib.NamedCell], failed: Sequence[failures.Failure]
) -> dict[str, tables.Table]:
  """Returns the tables of cells, by their names in the template."""
  return {
    'cells': tables.all_cells(cells),
    'hyperparameters': tables.hyperparameters(cells),
    'failed': tables.failed_cells(failed),
    'doubtful': tables.doubtful_cells(cells),
    'provenance': tables.provenance(cells),
  }


def _correlations(
  current: Sequence[accuracy_table.Record], names: chart_data.Names
) -> dict[str, Any]:
  """Returns what the page says of the correlation with ImageNet top-1."""
  settings = dict.fromkeys(record['setting'] for record in current)
  return {
    'answers': [answer.from_records(current, name) for name in settings],
    'correlations': correlation_tables.by_dataset(current, names.dataset),
    'changes': correlation_tables.between_settings(current),
  }


def _names(cells: Sequence[cells_lib.NamedCell]) -> chart_data.Names:
  """Returns the names of networks and datasets, of the cells that count."""
  current = [cell for cell in cells if cell.current]
  records = accuracy_table.distinct([cell.record for cell in current])
  labels = [record['network'] for record in records]
  return chart_data.Names(
    network={
      label: cell.network for label, cell in zip(labels, current, strict=True)
    },
    dataset={cell.record['dataset']: cell.dataset for cell in current},
    table_name={
      label: cell.record['network']
      for label, cell in zip(labels, current, strict=True)
    },
    measure={
      record['network']: top1_protocol.measure(record)
      for record in records
      if top1_protocol.measure(record)
    },
  )


def _figure(
  current: Sequence[accuracy_table.Record],
  names: chart_data.Names,
  tied: ties.Ties,
) -> dict[str, Any] | None:
  """Returns the specification of figure 2, or None as the chart does.

  Args:
    current: the records that count.
    names: of networks and datasets.
    tied: networks that are tied with the best.
  """
  records = accuracy_table.distinct(current)
  shared = {record['dataset'] for record in current}
  papers = [r for r in numbers.records() if r['dataset'] in shared]
  return charts.accuracy_vs_imagenet(records, papers, names, tied)


def _recipe_warning(cells: Sequence[cells_lib.NamedCell]) -> list[str]:
  """Returns the lines that warn of different recipes; none if all are alike."""
  records = [
    {**cell.record, 'network': cell.network} for cell in cells if cell.current
  ]
  return [line.strip() for line in recipes.warning(records).splitlines()]


def _summary(
  records: Sequence[accuracy_table.Record], path: pathlib.Path
) -> dict[str, str]:
  """Returns what all records share, or the few values that there are.

  Args:
    records: all of the page.
    path: of the ledger.
  """
  seconds = sum(record['seconds'] for record in records)
  times = sorted(record['finished'] for record in records)

  def distinct(values: Iterable[Any]) -> str:
    return ', '.join(dict.fromkeys(map(str, values)))

  return {
    'Ledger': f'{path}, SHA-256 {files.sha256(path)}'
    if path.exists()
    else f'in parts beside {path}',
    'Cells': str(len(records)),
    'Devices': distinct(record['device'] for record in records),
    'Wall time': f'{units.duration(seconds, precise=True)} over all cells',
    'Finished': distinct((times[0], times[-1])) + ' (UTC)',
    **{
      name: distinct(
        record['versions'][name]
        for record in records
        if name in record['versions']
      )
      for name in dict.fromkeys(n for r in records for n in r['versions'])
    },
    'Page by tf_transfer': tf_transfer.__version__,
  }


def _environment() -> jinja2.Environment:
  """Returns Jinja's environment for the templates of this package."""
  environment = html.environment('tf_transfer.study.report')
  environment.filters['topics'] = _topics
  return environment


def _topics(reasons: Iterable[str]) -> str:
  """Returns the topics of texts 'topic: text', each once."""
  return ', '.join(dict.fromkeys(r.partition(':')[0] for r in reasons))


@functools.cache
def _libraries() -> dict[str, str]:
  """Returns the scripts and styles of the page, as their packages ship them."""
  read = itables.utils.read_package_file
  vega = vl_convert.javascript_bundle()
  if '</script' in vega:
    raise AssertionError('a script that would end where it should not')
  return {
    'vega': vega,
    'datatables': tables.data_url(
      'text/javascript', read('html', 'dt_bundle.js')
    ),
    'style': read('html', 'dt_bundle.css'),
  }
