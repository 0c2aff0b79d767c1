"""Draws the paper's figures from its numbers, and checks its claims.

It also answers the paper's question from these numbers, for each setting.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import ml_collections

from tf_transfer import config_fields
from tf_transfer.runtime import files
from tf_transfer.study.figures import averages, per_dataset, regularizers, steps
from tf_transfer.study.figures import settings as settings_figures
from tf_transfer.study.paper import claims, numbers
from tf_transfer.study.report import answer, correlation_tables, text_table

_NOT_PUBLISHED = """\
Not among the published numbers, so not drawn: which networks are statistically
tied with the best (the green points of figure 2; that takes what was predicted
for each test image), 78,125 steps and some low points of figure 8, figure 4.\
"""
_LEGEND = """\
Accuracies were read off the paper's figures: see "within reading error" for how
far what was found may be off by that. The last column says whether the paper's
number comes out: "yes" at the printed precision (averages: within 0.005), else
"within reading error" if the readings do not exclude it, else "NO".\
"""

_INTERVALS = """\
Intervals of 95 %: a bootstrap over networks, as if they were independent, and a
jackknife over families of networks, which are not. Small datasets have fewer
than 10,000 training images.\
"""


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Draws the paper's figures, prints which claims hold, and answers.

  Args:
    config: of the job, as `configs/published.py` documents.
    workdir: where the figures are written.

  Raises:
    InputError: a file could not be written.
  """
  config_fields.check_job(config, 'published')
  workdir = files.make_directory(workdir)
  draw_figures(workdir)
  print(_NOT_PUBLISHED)
  print(f'\n{render(claims.check_all())}\n\n{_LEGEND}')
  print(f'\n{correlation_tables.as_text(numbers.records())}\n\n{_INTERVALS}')
  for setting in numbers.SETTINGS:
    reply = answer.from_records(numbers.records(), setting, beside_paper=False)
    print(f'\n{reply.text}')


def draw_figures(workdir: pathlib.Path) -> None:
  """Draws all figures of the paper whose numbers are published.

  Raises:
    InputError: a file could not be written.
  """
  records = numbers.records()
  series = {'the paper': records}
  fixed, tuned = 'logistic_regression', 'fine_tuned'
  fixed_configurations = {'the paper': numbers.training_settings(fixed)}
  tuned_configurations = {'the paper': numbers.training_settings(tuned)}
  for number, draw, arguments in (
    (1, averages.averages_vs_imagenet, (series, (fixed, tuned))),
    (2, per_dataset.datasets_vs_imagenet, (series, numbers.SETTINGS)),
    (3, regularizers.training_settings, (fixed_configurations, fixed)),
    (5, regularizers.training_settings, (tuned_configurations, tuned)),
    (
      6,
      settings_figures.settings_by_dataset,
      (records, numbers.previous_best()),
    ),
    (7, settings_figures.fine_tuned_vs_random, (series,)),
    (8, steps.accuracy_vs_steps, (numbers.accuracy_vs_steps(),)),
  ):
    path = workdir / f'figure_{number}'
    draw(*arguments, path)
    print(f'figure {number}  {path}.pdf, {path}.png')


def render(checked: Sequence[claims.Claim]) -> str:
  """Returns a table with one claim per row."""
  headers = ('claim', 'paper', 'found', 'within reading error', 'comes out')
  rows = [dataclasses.astuple(claim) for claim in checked]
  return text_table.aligned(rows, headers, 'l')
