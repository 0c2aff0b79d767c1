"""Writes the report of a ledger, and prints its answers."""

import pathlib

import ml_collections

from tf_transfer import config_fields
from tf_transfer.datasets import test_reads
from tf_transfer.errors import InputError
from tf_transfer.runtime import files
from tf_transfer.study import attempts as attempts_lib
from tf_transfer.study import conclude, ledger, measured_top1
from tf_transfer.study.analysis import recipes
from tf_transfer.study.report import answer, page


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Writes the report of a ledger, and prints its answers.

  Args:
    config: of the job, as `configs/report.py` documents.
    workdir: where the page is written.

  Raises:
    InputError: there is no ledger, or the page could not be written.
  """
  config_fields.check_job(config, 'report')
  source = (
    files.local_path(config.ledger, 'config.ledger')
    if config.ledger
    else workdir
  )
  records = list(ledger.read_all(source).values())
  if not records:
    raise InputError(
      f'no records in {ledger.Ledger(source).path}: name the workdir of a '
      'study with --config.ledger'
    )
  top1 = measured_top1.replace(
    records, measured_top1.find_directory(config.imagenet_results, source)
  )
  records = top1.records
  log = test_reads.Log.named(config.test_reads_dir)
  path = files.make_directory(workdir) / 'report.html'
  attempts = attempts_lib.Attempts()
  attempts.make(
    str(path),
    lambda: page.write(
      records,
      source,
      path,
      correct_with_holm=config.correct_with_holm,
      top1_remarks=top1.remarks,
      log=log,
    ),
  )
  conclude.show_curves(records, path.parent, attempts)
  # Before the answers, which rest on it.
  for line in recipes.warning(records).splitlines():
    print(line)
  for name in dict.fromkeys(record['setting'] for record in records):
    print(answer.from_records(records, name).text)
  attempts.raise_failures()
  print(f'report  {path}')
