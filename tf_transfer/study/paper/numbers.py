"""The paper's numbers, and what follows from them.

Most were read off its figures, so each has an error of reading: what is
computed from them is computed again from many sets of numbers drawn within
those errors, and 95 % of what comes out is its interval.

Package data -> records like a ledger's -> the paper's figures, and its claims
(section 8 of the protocol) beside what the numbers give.
"""

import csv
import dataclasses
import functools
import importlib.resources
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
import scipy.stats

from tf_transfer import datasets
from tf_transfer.runtime import files
from tf_transfer.study.analysis import accuracy_table, statistics
from tf_transfer.study.figures import panels, regularizers

SETTINGS = ('logistic_regression', 'fine_tuned', 'random_init')
_BATCH = 256  # Images a step in fine-tuning and from random initialization.
_FEW_IMAGES = 10_000  # The paper calls datasets with fewer for training small.

# Of the readings, as shares; log-odds for the averages of figures 3 and 5.
_TOP1_ERROR = 0.0005
_AVERAGE_ERROR = 0.005
_STEPS_ERROR = 0.01
_DRAWS = 2000


def _rows(name: str) -> list[dict[str, str]]:
  """The rows of a CSV file of the package."""
  data = importlib.resources.files('tf_transfer.study.paper') / 'data' / name
  with data.open(newline='') as file:
    return list(csv.DictReader(file))


def reading_error(accuracy: np.ndarray) -> np.ndarray:
  """How far a number of figure 2 may be off: 0.1 points at 85 % and above.

  Where points lie closer on the logit axis it is more, 0.3 at 50 % and below.

  Args:
    accuracy: in 0 to 1, of any shape.
  """
  return np.interp(accuracy, [0.5, 0.85], [0.003, 0.001])


@functools.cache
def imagenet_top1() -> Mapping[str, float]:
  """ImageNet top-1 of the paper's own networks, ±0.0005, by name."""
  return {
    row['network']: float(row['imagenet_top1_paper_percent']) / 100
    for row in _rows('networks.csv')
  }


@functools.cache
def image_size() -> Mapping[str, int]:
  """Pixels of height and width that the paper's networks were shown."""
  return {
    row['network']: int(row['image_size']) for row in _rows('networks.csv')
  }


@functools.cache
def records() -> tuple[dict[str, Any], ...]:
  """The 576 accuracies of figure 2, with the keys that a ledger's have.

  `low` and `high` are the ends of the error of reading, not of sampling.
  """
  found = []
  for row in _rows('accuracies.csv'):
    dataset = datasets.row(row['dataset'])
    value = float(row['accuracy_percent']) / 100
    error = float(reading_error(value))
    found.append(
      {
        'setting': row['setting'],
        'network': row['network'],
        'dataset': row['dataset'],
        'metric': dataset.metric,
        'imagenet_top1': imagenet_top1()[row['network']],
        'test': {
          'value': value,
          'low': value - error,
          'high': value + error,
          'examples': dataset.counts['test'],
        },
      }
    )
  return tuple(found)


@functools.cache
def previous_best() -> Mapping[str, float]:
  """The best result before the paper on each dataset, in 0 to 1."""
  return {
    row['dataset']: float(row['previous_best_percent']) / 100
    for row in _rows('previous_best.csv')
  }


@functools.cache
def training_settings(
  setting: str,
) -> tuple[regularizers.Configuration, ...]:
  """Figure 3 (`logistic_regression`) or 5 (`fine_tuned`)."""
  return tuple(
    regularizers.Configuration(
      row['network'],
      row['configuration'],
      float(row['mean_log_odds']),
      float(row['imagenet_top1_percent']) / 100,
    )
    for row in _rows('training_settings.csv')
    if row['setting'] == setting
  )


@functools.cache
def accuracy_vs_steps() -> tuple[panels.Curve, ...]:
  """Figure 8, of the public Inception v4."""
  found = {}
  for row in _rows('accuracy_vs_steps.csv'):
    points = found.setdefault((row['setting'], row['dataset']), [])
    points.append((int(row['steps']), float(row['accuracy_percent']) / 100))
  return tuple(
    panels.Curve(
      setting,
      dataset,
      np.array([s for s, _ in points]),
      np.array([a for _, a in points]),
      _training_images(dataset) / _BATCH,
    )
    for (setting, dataset), points in found.items()
  )


def _training_images(dataset: str) -> int:
  counts = datasets.row(dataset).counts
  return counts['train'] + counts['val']


@dataclasses.dataclass(frozen=True)
class Claim:
  """A statement of the paper.

  Attributes:
    text: what is claimed.
    paper: as the paper prints it.
    found: from the published numbers.
    interval: 95 % of what is found within the errors of reading, or ''.
    verdict: 'yes', 'within reading error' (not at the printed precision, but
      the readings do not exclude it) or 'NO'.
  """

  text: str
  paper: str
  found: str
  interval: str
  verdict: str


def _yes(holds: bool) -> str:
  return 'yes' if holds else 'NO'


def _number(
  text: str,
  paper: float,
  found: float,
  draws: np.ndarray,
  *,
  decimals: int = 2,
  tolerance: float | None = None,
) -> Claim:
  """A printed number.

  Args:
    text: what it is.
    paper: as printed.
    found: from the readings.
    draws: the same from numbers drawn within the errors of reading.
    decimals: as printed.
    tolerance: how far it may be off; None: half a unit of the last decimal.
  """
  tolerance = 0.5 * 10.0**-decimals if tolerance is None else tolerance
  low, high = np.quantile(draws, [0.025, 0.975])
  if abs(found - paper) <= tolerance:
    verdict = 'yes'
  elif low - tolerance <= paper <= high + tolerance:
    verdict = 'within reading error'
  else:
    verdict = 'NO'
  more = f',.{decimals + 1 if decimals else 0}f'
  return Claim(
    text,
    f'{paper:,.{decimals}f}',
    f'{found:{more}}',
    f'{low:{more}} to {high:{more}}',
    verdict,
  )


@dataclasses.dataclass(frozen=True)
class _Readings:
  """What claims are computed from.

  Attributes:
    grid: of each setting, all of the same networks and datasets.
    x: [M] log-odds of ImageNet top-1.
    values: setting -> [M, D] log-odds.
    x_draws: [R, M] within the errors of reading.
    value_draws: setting -> [R, M, D].
  """

  grid: Mapping[str, accuracy_table.Grid]
  x: np.ndarray
  values: Mapping[str, np.ndarray]
  x_draws: np.ndarray
  value_draws: Mapping[str, np.ndarray]

  def average(self, setting: str, network: str) -> tuple[float, np.ndarray]:
    """A network's mean log-odds, and the same [R] of the draws."""
    row = self.grid[setting].networks.index(network)
    return (
      self.values[setting][row].mean(),
      self.value_draws[setting][:, row].mean(axis=1),
    )


def _draw(
  values: np.ndarray,
  error: np.ndarray | float,
  generator: np.random.Generator,
) -> np.ndarray:
  """[R, ...] values, each uniform within its error and apart from others."""
  noise = generator.uniform(-1, 1, (_DRAWS, *np.shape(values)))
  return values + noise * error


@functools.cache
def _readings() -> _Readings:
  grids = {
    setting: accuracy_table.of(records(), setting) for setting in SETTINGS
  }
  top1 = grids[SETTINGS[0]].imagenet_top1
  generator = np.random.default_rng(0)
  return _Readings(
    grids,
    statistics.log_odds(top1),
    {s: statistics.log_odds(g.accuracy) for s, g in grids.items()},
    statistics.log_odds(_draw(top1, _TOP1_ERROR, generator)),
    {
      s: statistics.log_odds(
        _draw(g.accuracy, reading_error(g.accuracy), generator)
      )
      for s, g in grids.items()
    },
  )


def _correlations() -> list[Claim]:
  readings = _readings()
  names = readings.grid['random_init'].datasets
  small = np.array([_training_images(name) < _FEW_IMAGES for name in names])
  every = np.ones(len(names), bool)
  return [
    _number(
      f'r with ImageNet, {text}',
      paper,
      statistics.correlation(
        readings.x, readings.values[setting][:, columns].mean(axis=1)
      ).r,
      statistics.pearson(
        readings.x_draws,
        readings.value_draws[setting][:, :, columns].mean(axis=2),
      ),
    )
    for text, setting, columns, paper in (
      ('logistic regression', 'logistic_regression', every, 0.99),
      ('fine-tuned', 'fine_tuned', every, 0.96),
      ('random initialization', 'random_init', every, 0.55),
      (f'the same, {small.sum()} small datasets', 'random_init', small, 0.29),
      (f'the same, {(~small).sum()} large', 'random_init', ~small, 0.86),
    )
  ]


def _wins() -> list[Claim]:
  readings = _readings()
  ours, ours_drawn = (
    m['fine_tuned'] for m in (readings.values, readings.value_draws)
  )
  return [
    _number(
      f'cells in which fine-tuning beats {text}, of {ours.size}',
      paper,
      int((ours > readings.values[other]).sum()),
      (ours_drawn > readings.value_draws[other]).sum(axis=(1, 2)),
      decimals=0,
    )
    for text, other, paper in (
      ('logistic regression', 'logistic_regression', 179),
      ('random initialization', 'random_init', 189),
    )
  ]


def _averages() -> list[Claim]:
  """The last configurations of figures 3 and 5 are the networks of figure 2."""
  claims = []
  for setting in ('logistic_regression', 'fine_tuned'):
    points = training_settings(setting)
    for last in {point.network: point for point in points}.values():
      found, draws = _readings().average(setting, last.network)
      claims.append(
        _number(
          f'mean log-odds of {panels.display_name(last.network)}, '
          f'{panels.STYLES[setting].text.lower()}',
          last.mean_log_odds,
          found,
          draws,
          decimals=3,
          tolerance=_AVERAGE_ERROR,
        )
      )
  return claims


def _ranking(setting: str) -> tuple[list[str], float]:
  """Networks by mean log-odds, and p of the t-test of the first two."""
  readings = _readings()
  values = readings.values[setting]
  order = np.argsort(-values.mean(axis=1))
  names = [readings.grid[setting].networks[i] for i in order]
  return names, statistics.paired_t_test(values[order[0]], values[order[1]])


def _best() -> list[Claim]:
  claims = []
  names, p = _ranking('logistic_regression')
  claims.append(
    Claim(
      'best fixed features',
      'Inception-ResNet v2 and NASNet-A Large tie',
      f'{" and ".join(map(panels.display_name, names[:2]))}, p = {p:.2f}',
      '',
      _yes(
        set(names[:2]) == {'inception_resnet_v2', 'nasnet_large'} and p > 0.05
      ),
    )
  )
  names, p = _ranking('fine_tuned')
  first, second = map(panels.display_name, names[:2])
  claims.append(
    Claim(
      'best fine-tuned',
      'Inception v4',
      f'{first} (from {second}: p = {p:.2f})',
      '',
      _yes(names[0] == 'inception_v4'),
    )
  )
  return claims


def _effects(
  setting: str, networks: Sequence[str], decide: Callable[..., float]
) -> np.ndarray:
  """For each network `decide` of its configurations, C1 first."""
  points = training_settings(setting)
  return np.array(
    [decide([p for p in points if p.network == name]) for name in networks]
  )


def _gain(points: Sequence[regularizers.Configuration]) -> float:
  return points[-1].mean_log_odds - points[0].mean_log_odds


def _regularizers() -> list[Claim]:
  fixed = _effects(
    'logistic_regression',
    ('inception_v3', 'inception_v4', 'inception_resnet_v2'),
    _gain,
  )
  tuned = _effects('fine_tuned', ('inception_v4', 'inception_resnet_v2'), _gain)
  moved = 100 * _effects(
    'logistic_regression',
    ('inception_v3', 'inception_v4', 'inception_resnet_v2'),
    lambda points: abs(points[-1].top1 - points[0].top1),
  )
  claims = [
    Claim(
      text,
      f'{low} to {high}',
      f'{gains.min():.2f} to {gains.max():.2f}',
      '',
      _yes(f'{gains.min():.2f} {gains.max():.2f}' == f'{low} {high}'),
    )
    for text, gains, low, high in (
      ('C1 to C5, log-odds gained by fixed features', fixed, '0.41', '0.54'),
      ('C1 to C5, log-odds gained fine-tuned', tuned, '0.04', '0.11'),
    )
  ]
  claims.append(
    Claim(
      'C1 to C5, points of ImageNet top-1 lost by the same',
      'less than 1',
      f'{moved.min():.2f} to {moved.max():.2f}',
      '',
      _yes(moved.max() < 1),
    )
  )
  return claims


def _hardly_helped() -> list[Claim]:
  """Inception v4 on two datasets, fine-tuned and from random initialization."""
  claims = []
  generator = np.random.default_rng(0)
  for dataset, title, printed in (
    ('cars', 'Cars', (93.3, 92.7)),
    ('aircraft', 'Aircraft', (88.9, 88.8)),
  ):
    for setting, paper in zip(
      ('fine_tuned', 'random_init'), printed, strict=True
    ):
      one = _readings().grid[setting]
      value = one.accuracy[
        one.networks.index('inception_v4'), one.datasets.index(dataset)
      ]
      claims.append(
        _number(
          f'Inception v4 on {title}, {panels.STYLES[setting].text.lower()}, %',
          paper,
          100 * value,
          100 * _draw(value, reading_error(value), generator),
          decimals=1,
        )
      )
  return claims


def _convergence() -> list[Claim]:
  """Section 6: steps and epochs to 90 % of the greatest odds."""
  claims = []
  generator = np.random.default_rng(0)
  steps, step_draws = {}, {}
  for setting, paper_steps, paper_epochs in (
    ('fine_tuned', 1151, 26),
    ('random_init', 19_531, 444),
  ):
    curves = [c for c in accuracy_vs_steps() if c.setting == setting]
    epoch = scipy.stats.gmean([c.steps_per_epoch for c in curves])
    steps[setting] = scipy.stats.gmean(
      [statistics.steps_to_share(c.steps, c.accuracy) for c in curves]
    )
    step_draws[setting] = _drawn_steps(curves, generator)
    text = f'to 90 % of the odds, {panels.STYLES[setting].text.lower()}'
    claims += [
      _number(
        f'{unit} {text}',
        paper,
        steps[setting] / scale,
        step_draws[setting] / scale,
        decimals=0,
      )
      for unit, paper, scale in (
        ('steps', paper_steps, 1),
        ('epochs', paper_epochs, epoch),
      )
    ]
  claims.append(
    _number(
      'times as many steps from random initialization',
      17,
      steps['random_init'] / steps['fine_tuned'],
      step_draws['random_init'] / step_draws['fine_tuned'],
      decimals=0,
    )
  )
  return claims


def _drawn_steps(
  curves: Sequence[panels.Curve], generator: np.random.Generator
) -> np.ndarray:
  """[R] geometric means over datasets, of curves within reading error."""
  drawn = []
  for curve in curves:
    accuracy = np.clip(
      _draw(curve.accuracy, _STEPS_ERROR, generator), 0.001, 0.999
    )
    drawn.append(
      [statistics.steps_to_share(curve.steps, one) for one in accuracy]
    )
  return scipy.stats.gmean(drawn, axis=0)


def claims() -> list[Claim]:
  """The claims of the protocol's section 8, and section 6's on speed."""
  return [
    *_correlations(),
    *_wins(),
    *_averages(),
    *_best(),
    *_regularizers(),
    *_hardly_helped(),
    *_convergence(),
  ]


def render(found: Sequence[Claim]) -> str:
  """A line per claim."""
  rows = [
    ('claim', 'paper', 'found', 'within reading error', 'comes out'),
    *(dataclasses.astuple(claim) for claim in found),
  ]
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = [
    '  '.join(t.ljust(w) for t, w in zip(row, widths, strict=True)).rstrip()
    for row in rows
  ]
  lines.insert(1, '  '.join('-' * width for width in widths))
  return '\n'.join(lines)


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
  """Draws the paper's figures again and says which claims come out.

  Args:
    config: of the job, as `configs/published.py` documents.
    workdir: where the figures are written.

  Raises:
    InputError: a file could not be written.
  """
  del config  # Nothing to choose.
  workdir = files.make_directory(workdir)
  series = {'the paper': records()}
  fixed, tuned = ('logistic_regression', 'fine_tuned')

  def settings(setting):
    return {'the paper': training_settings(setting)}

  for number, draw, what in (
    (1, panels.averages_vs_imagenet, (series, (fixed, tuned))),
    (2, panels.datasets_vs_imagenet, (series, SETTINGS)),
    (3, regularizers.training_settings, (settings(fixed), fixed)),
    (5, regularizers.training_settings, (settings(tuned), tuned)),
    (6, panels.settings_by_dataset, (records(), previous_best())),
    (7, panels.fine_tuned_vs_random, (series,)),
    (8, panels.accuracy_vs_steps, (accuracy_vs_steps(),)),
  ):
    path = workdir / f'figure_{number}'
    draw(*what, path)
    print(f'figure {number}  {path}.pdf, {path}.png')
  print(_NOT_PUBLISHED)
  print(f'\n{render(claims())}\n\n{_VERDICTS}')


_NOT_PUBLISHED = """\
Not among the published numbers, so not drawn: which networks are statistically
tied with the best (the green points of figure 2; that takes what was predicted
for each test image), 78,125 steps and some low points of figure 8, figure 4.\
"""
_VERDICTS = """\
Accuracies were read off the paper's figures: see "within reading error" for how
far what was found may be off by that. The last column says whether the paper's
number comes out: "yes" at the printed precision (averages: within 0.005), else
"within reading error" if the readings do not exclude it, else "NO".\
"""
