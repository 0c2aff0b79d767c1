"""Answers from published accuracies whether top-1 holds on shifted images."""

import pathlib

import ml_collections

from tf_transfer import config_fields
from tf_transfer.runtime import files
from tf_transfer.study.analysis import shift_results
from tf_transfer.study.figures import shifts
from tf_transfer.study.report import shift_answer, shift_csv, shift_page

_FIGURE, _TABLE = 'accuracy_under_shift', 'timm_results.csv'


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Prints the answer; writes the figure, the page and the table.

  Args:
    config: of the job, as `configs/timm_results.py` documents.
    workdir: where the files are written.

  Raises:
    InputError: a file could not be written.
  """
  config_fields.check_job(config, 'timm_results')
  workdir = files.make_directory(workdir)
  results = shift_results.published()
  print(f'{shift_answer.text(results)}\n')
  figure, table = workdir / _FIGURE, workdir / _TABLE
  shifts.accuracy_under_shift(results, figure)
  with files.atomic_write(table) as file:
    file.write(shift_csv.render(results).encode())
  page = shift_page.write(results, workdir, table.name)
  print(f'figure      {figure}.pdf, {figure}.png')
  print(f'page        {page}')
  print(f'table       {table}')
