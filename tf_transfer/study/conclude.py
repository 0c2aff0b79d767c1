"""Concludes a study: prints the table, draws figures, writes the report."""

import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import ml_collections

from tf_transfer.study import attempts as attempts_lib
from tf_transfer.study import ledger, shards
from tf_transfer.study.analysis import accuracy_table, ties
from tf_transfer.study.figures import averages, per_dataset, style
from tf_transfer.study.figures import settings as settings_figures
from tf_transfer.study.paper import numbers
from tf_transfer.study.report import answer, page, text_table
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
  distinct = accuracy_table.distinct(records)
  if not distinct:
    return
  print(f'\n{text_table.render(distinct)}\n')
  shard = shards.Shard.from_config(config.part)
  print(f'records  {ledger.Ledger(workdir, shard).path}')
  if shard is not None:
    print('figures  once all parts are done: the same command without part')
  else:
    _show_figures(distinct, config, workdir, attempts)
    if config.report:
      path = attempts.make(
        'report.html',
        lambda: page.write(
          records, workdir, correct_with_holm=config.correct_with_holm
        ),
      )
      if path:
        print(f'report   {path}')
    _print_answers(distinct)
  if config.tensorboard:
    print(f'curves   tensorboard --logdir={workdir / "tensorboard"}')


def _show_figures(
  records: Sequence[Record],
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
