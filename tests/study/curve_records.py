"""Makes records of one cell at several numbers of examples, or of steps."""

from typing import Any

from tests.study.report import page_records
from tests.study.report.page_records import Cell
from tf_transfer.study.paper import numbers

FIXED, TUNED, RANDOM = 'logistic_regression', 'fine_tuned', 'random_init'


def few(
  setting: str,
  count: int,
  draw: int,
  value: float,
  dataset: str = 'pets',
  network: str = 'resnet50',
  **more: Any,
) -> Cell:
  """Makes a cell of a few examples of each class.

  Args:
    setting: its name.
    count: examples of each class.
    draw: seed of the draw.
    value: near the test accuracy.
    dataset: its name.
    network: its name.
    **more: fields that are replaced.
  """
  fields, _ = page_records.record(network, dataset, setting, value, 0)
  splits = {
    **fields['splits_sha256'],
    'train': f'{count:032x}{draw:032x}',
  }
  return page_records.record(
    *(network, dataset, setting, value, 0.7),
    **{
      'splits_sha256': splits,
      'examples_per_class': count,
      'subset_seed': draw,
      'last_fit_on': 'train',
      **more,
    },
  )


def trained(
  setting: str,
  steps: int,
  value: float,
  dataset: str = 'pets',
  network: str = 'resnet50',
  search: Any = (),
  **more: Any,
) -> Cell:
  """Makes a cell that was trained for so many steps on all examples."""
  fields = {**page_records.TRAINING, 'steps': steps, **dict(search)}
  trials = page_records.trials(fields, [0.71, 0.73, 0.7, None])
  return page_records.record(
    *(network, dataset, setting, value, 0.7),
    **{
      'search': fields,
      'trials': trials,
      'chosen': {
        'learning_rate': trials[1]['learning_rate'],
        'weight_decay': trials[1]['weight_decay'],
        'view': 'whole_image',
        'steps': steps,
      },
      **more,
    },
  )


def both() -> list[Cell]:
  """Makes a cell of both figures: three sizes, two draws, four step counts."""
  cells = [
    few(setting, count, draw, value + 0.02 * draw)
    for setting, values in (
      (FIXED, (0.4, 0.5, 0.6)),
      (TUNED, (0.3, 0.5, 0.7)),
      (RANDOM, (0.1, 0.2, 0.3)),
    )
    for count, value in zip((1, 4, 16), values, strict=True)
    for draw in (0, 1)
  ]
  cells += [
    trained(setting, steps, value)
    for setting, values in (
      (TUNED, (0.5, 0.8, 0.81, 0.8)),
      (RANDOM, (0.1, 0.2, 0.4, 0.7)),
    )
    for steps, value in zip((10, 40, 160, 640), values, strict=True)
  ]
  return cells


def papers_points(dataset: str) -> int:
  """Returns how many points the paper's curves have on a dataset."""
  curves = numbers.accuracy_vs_steps()
  return sum(len(c.steps) for c in curves if c.dataset == dataset)
