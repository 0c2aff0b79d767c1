"""Concludes a study: prints the table, draws figures, writes the report."""

import pathlib
from collections.abc import Sequence

import ml_collections

from tf_transfer.study import ledger, shards
from tf_transfer.study.analysis import accuracy_table, ties
from tf_transfer.study.figures import averages, per_dataset, style
from tf_transfer.study.figures import settings as settings_figures
from tf_transfer.study.paper import numbers
from tf_transfer.study.report import answer, page, text_table
from tf_transfer.study.schema import Record
from tf_transfer.transfer import settings


def conclude(
  records: Sequence[Record],
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
) -> None:
  """Shows the records of a study.

  Args:
    records: of the cells that the config plans.
    config: of the study.
    workdir: where figures and report are written.
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
    _show_figures(distinct, config, workdir)
    if config.report:
      path = page.write(
        records, workdir, correct_with_holm=config.correct_with_holm
      )
      print(f'report   {path}')
    _print_answers(distinct)
  if config.tensorboard:
    print(f'curves   tensorboard --logdir={workdir / "tensorboard"}')


def _show_figures(
  records: Sequence[Record],
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
) -> None:
  for path in draw_figures(
    records, workdir, correct_with_holm=config.correct_with_holm
  ):
    print(f'figure   {path}.png, {path}.pdf')


def _print_answers(records: Sequence[Record]) -> None:
  for name in _settings_in(records):
    reply = answer.from_records(records, name)
    print(f'\n{reply.verdict}. {reply.sentence}')
    for remark in reply.remarks:
      print(f'  {remark}')


def _settings_in(records: Sequence[Record]) -> list[str]:
  """Returns the settings of the records, in the protocol's order."""
  present = {record['setting'] for record in records}
  return [name for name in settings.SETTINGS if name in present]


def draw_figures(
  records: Sequence[Record],
  workdir: pathlib.Path,
  *,
  correct_with_holm: bool,
) -> list[pathlib.Path]:
  """Draws the figures that the records suffice for.

  Args:
    records: one for each network, dataset and setting.
    workdir: where the figures are written.
    correct_with_holm: whether marks of ties allow for multiple comparisons.

  Returns:
    The paths of the figures, without suffix.
  """
  present, paths = _settings_in(records), []
  for name in present:
    suffix = f'_{name}' if len(present) > 1 else ''
    path = workdir / f'accuracy_vs_imagenet{suffix}'
    selected = [record for record in records if record['setting'] == name]
    if per_dataset.accuracy_vs_imagenet(selected, path):
      paths.append(path)
  known = [r for r in records if r['imagenet_top1'] is not None]
  if len({record['network'] for record in known}) > 1:
    series = {'ours': known}
    tied = ties.find_ties(records, workdir, correct_with_holm=correct_with_holm)
    averages.averages_vs_imagenet(series, present, workdir / 'figure_1')
    per_dataset.datasets_vs_imagenet(
      series, present, workdir / 'figure_2', tied
    )
    paths += [workdir / 'figure_1', workdir / 'figure_2']
  return paths + _draw_comparisons(records, workdir)


def _draw_comparisons(
  records: Sequence[Record], workdir: pathlib.Path
) -> list[pathlib.Path]:
  """Draws the figures that compare settings: figures 6 and 7."""
  pairs: dict[str, set[tuple[str, str]]] = {}
  for record in records:
    pair = record['network'], record['dataset']
    pairs.setdefault(record['setting'], set()).add(pair)
  paths = []
  if len(pairs.keys() & style.STYLES.keys()) > 1:
    paths.append(workdir / 'figure_6')
    settings_figures.settings_by_dataset(
      records, numbers.previous_best(), paths[-1]
    )
  if pairs.get('fine_tuned', set()) & pairs.get('random_init', set()):
    paths.append(workdir / 'figure_7')
    settings_figures.fine_tuned_vs_random({'ours': records}, paths[-1])
  return paths
