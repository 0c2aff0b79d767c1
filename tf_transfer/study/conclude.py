"""Concludes a study: prints the table, draws figures, writes the report."""

import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import ml_collections

from tf_transfer.datasets import test_reads as test_reads_lib
from tf_transfer.study import attempts as attempts_lib
from tf_transfer.study import ledger, measured_top1, shards, top1_protocol
from tf_transfer.study.analysis import (
  accuracy_table,
  estimator_ranks,
  learning_curves,
  learning_sentences,
  ties,
  variants,
)
from tf_transfer.study.figures import (
  averages,
  examples,
  per_dataset,
  steps,
  style,
)
from tf_transfer.study.figures import settings as settings_figures
from tf_transfer.study.paper import numbers
from tf_transfer.study.report import (
  answer,
  estimator_table,
  page,
  test_reads,
  text_table,
)
from tf_transfer.study.schema import Record
from tf_transfer.transfer import settings

# Draws a figure to a path; whether there was anything to draw.
_Draw = Callable[[pathlib.Path], bool]


def conclude(
  records: Sequence[Record],
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  attempts: attempts_lib.Attempts,
) -> None:
  """Shows the records of a study.

  Args:
    records: of the cells that the config plans.
    config: of the study.
    workdir: where figures and report are written.
    attempts: has the figures and pages that could not be made.
  """
  top1 = measured_top1.replace(
    records,
    measured_top1.find_directory(config.imagenet_results, workdir),
  )
  records = top1.records
  distinct = accuracy_table.distinct(records)
  if not distinct:
    return
  print(f'\n{text_table.render(distinct)}\n')
  for text in (
    *variants.remarks(accuracy_table.select(records)),
    *top1.remarks,
    *top1_protocol.warnings(distinct),
  ):
    print(text)
  shard = shards.Shard.from_config(config.part)
  log = test_reads_lib.Log.from_config(config.data)
  print(f'records  {ledger.Ledger(workdir, shard).path}')
  if shard is not None:
    print('figures  once all parts are done: the same command without part')
  else:
    on_curves = curve_records(records, workdir)
    _show_figures(distinct, on_curves, config, workdir, attempts)
    if config.report:
      path = attempts.make(
        'report.html',
        lambda: page.write(
          records,
          workdir,
          correct_with_holm=config.correct_with_holm,
          on_curves=on_curves,
          top1_remarks=top1.remarks,
          log=log,
        ),
      )
      if path:
        print(f'report   {path}')
    _print_answers(distinct)
    estimators = estimator_table.text(estimator_ranks.rank(distinct))
    if estimators:
      print(f'\n{estimators}')
    for text in test_reads.warnings(distinct, log):
      print(f'\n{text}')
  if config.tensorboard:
    print(f'curves   tensorboard --logdir={workdir / "tensorboard"}')


def curve_records(
  records: Sequence[Record], workdir: pathlib.Path
) -> list[Record]:
  """Reads all records of a ledger that curves of some of them may have.

  A study plans one point of a curve; the others are in the ledger.

  Args:
    records: of a study.
    workdir: of the ledger.
  """
  pairs = {(record['network'], record['dataset']) for record in records}
  return [
    record
    for record in ledger.read_all(workdir).values()
    if (record['network'], record['dataset']) in pairs
  ]


def _show_figures(
  records: Sequence[Record],
  on_curves: Sequence[Record],
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  attempts: attempts_lib.Attempts,
) -> None:
  for path in draw_figures(
    records,
    workdir,
    attempts,
    correct_with_holm=config.correct_with_holm,
  ):
    print(f'figure   {path}.png, {path}.pdf')
  show_curves(on_curves, workdir, attempts)


def _print_answers(records: Sequence[Record]) -> None:
  for name in _settings_in(records):
    print(f'\n{answer.from_records(records, name).text}')


def _settings_in(records: Sequence[Record]) -> list[str]:
  """Returns the settings of the records, in the protocol's order."""
  present = {record['setting'] for record in records}
  return [name for name in settings.SETTINGS if name in present]


def draw_figures(
  records: Sequence[Record],
  workdir: pathlib.Path,
  attempts: attempts_lib.Attempts,
  *,
  correct_with_holm: bool,
) -> list[pathlib.Path]:
  """Draws the figures that the records suffice for.

  Args:
    records: one for each network, dataset and setting.
    workdir: where the figures are written.
    attempts: has the figures that could not be drawn.
    correct_with_holm: whether marks of ties allow for multiple comparisons.

  Returns:
    The paths of the figures that were drawn, without suffix.
  """
  figures = {
    **_accuracy_figures(records),
    **_paper_figures(records, workdir, correct_with_holm),
    **_comparisons(records),
  }
  paths = {name: workdir / name for name in figures}
  return [
    path
    for name, path in paths.items()
    if attempts.make(name, figures[name], path)
  ]


def show_curves(
  records: Sequence[Record],
  workdir: pathlib.Path,
  attempts: attempts_lib.Attempts,
) -> None:
  """Draws figures 8 and 9, and says what they show, where there are curves.

  Args:
    records: of a ledger, in its order.
    workdir: where the figures are written.
    attempts: has the figures that could not be drawn.
  """
  steps_curves = learning_curves.steps_curves(records)
  examples_curves = learning_curves.examples_curves(records)
  papers = numbers.accuracy_vs_steps()
  if steps_curves:
    sentences = learning_sentences.of_steps(steps_curves, papers)
    draw = functools.partial(
      steps.accuracy_vs_steps, behind=papers, remarks=sentences
    )
    _show_curve('figure_8', draw, steps_curves, sentences, workdir, attempts)
  if examples_curves:
    sentences = learning_sentences.of_examples(examples_curves)
    draw = functools.partial(examples.accuracy_vs_examples, remarks=sentences)
    _show_curve('figure_9', draw, examples_curves, sentences, workdir, attempts)


def _show_curve(
  name: str,
  draw: Callable[..., None],
  curves: Sequence[Any],
  sentences: Sequence[str],
  workdir: pathlib.Path,
  attempts: attempts_lib.Attempts,
) -> None:
  """Draws a figure of curves, and prints what it shows."""
  path = workdir / name
  if attempts.make(name, _drawing(draw, curves), path):
    print(f'figure   {path}.png, {path}.pdf')
  for sentence in sentences:
    print(f'  {sentence}')


def _drawing(function: Callable[..., None], *arguments: Any) -> _Draw:
  """Returns a function that draws a figure to a path, and says that it did."""

  def draw(path: pathlib.Path) -> bool:
    function(*arguments, path)
    return True

  return draw


def _accuracy_figures(records: Sequence[Record]) -> dict[str, _Draw]:
  """Returns how to draw the accuracies of each setting, by figure's name."""
  present = _settings_in(records)
  figures = {}
  for name in present:
    suffix = f'_{name}' if len(present) > 1 else ''
    selected = [record for record in records if record['setting'] == name]
    figures[f'accuracy_vs_imagenet{suffix}'] = functools.partial(
      per_dataset.accuracy_vs_imagenet, selected
    )
  return figures


def _paper_figures(
  records: Sequence[Record], workdir: pathlib.Path, correct_with_holm: bool
) -> dict[str, _Draw]:
  """Returns how to draw figures 1 and 2, if there are several networks."""
  known = [r for r in records if r['imagenet_top1'] is not None]
  if len({record['network'] for record in known}) < 2:
    return {}
  series, present = {'ours': known}, _settings_in(records)

  def draw_averages(path: pathlib.Path) -> None:
    tied = ties.on_averages(records, correct_with_holm=correct_with_holm)
    averages.averages_vs_imagenet(series, present, path, ties.by_cell(tied))

  def draw_datasets(path: pathlib.Path) -> None:
    tied = ties.find_ties(records, workdir, correct_with_holm=correct_with_holm)
    per_dataset.datasets_vs_imagenet(series, present, path, tied)

  return {
    'figure_1': _drawing(draw_averages),
    'figure_2': _drawing(draw_datasets),
  }


def _comparisons(records: Sequence[Record]) -> dict[str, _Draw]:
  """Returns how to draw figures 6 and 7, which compare settings."""
  pairs: dict[str, set[tuple[str, str]]] = {}
  for record in records:
    pair = record['network'], record['dataset']
    pairs.setdefault(record['setting'], set()).add(pair)
  figures = {}
  if len(pairs.keys() & style.STYLES.keys()) > 1:
    figures['figure_6'] = _drawing(
      settings_figures.settings_by_dataset, records, numbers.previous_best()
    )
  if pairs.get('fine_tuned', set()) & pairs.get('random_init', set()):
    figures['figure_7'] = _drawing(
      settings_figures.fine_tuned_vs_random, {'ours': records}
    )
  return figures
