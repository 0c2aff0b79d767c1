"""Checks the paper's claims against its own numbers.

The numbers have errors of reading. What is computed from them is computed
again from many sets of numbers drawn within those errors, and 95 % of the
results are its interval. The claims are those of the protocol's section 8, and
section 6's on speed.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import scipy.stats

from tf_transfer.study import names
from tf_transfer.study.analysis import (
  accuracy_table,
  correlations,
  learning_curves,
  paired_tests,
  statistics,
)
from tf_transfer.study.figures import regularizers
from tf_transfer.study.paper import numbers

_FEW_IMAGES = 10_000  # The paper calls datasets with fewer for training small.
_NUM_DRAWS = 2000
_ALPHA = 0.05

# Errors of reading, as shares; log-odds for the averages of figures 3 and 5.
_TOP1_ERROR = 0.0005
_AVERAGE_ERROR = 0.005
_STEPS_ERROR = 0.01

_YES, _PERHAPS, _NO = 'yes', 'within reading error', 'NO'


@dataclasses.dataclass(frozen=True)
class Claim:
  """A statement of the paper.

  Attributes:
    text: what is claimed.
    paper: as the paper prints it.
    computed: from the published numbers.
    interval: 95 % of what is computed within the errors of reading, or ''.
    verdict: 'yes', 'within reading error' (not at the printed precision, but
      the readings do not exclude it) or 'NO'.
  """

  text: str
  paper: str
  computed: str
  interval: str
  verdict: str


def check_all() -> list[Claim]:
  """Checks all claims."""
  return [
    *_correlations(),
    *_wins(),
    *_averages(),
    *_best_networks(),
    *_effects_of_regularizers(),
    *_hardly_helped(),
    *_convergence(),
  ]


def check_number(
  text: str,
  paper: float,
  computed: float,
  draws: np.ndarray,
  *,
  decimals: int = 2,
  tolerance: float | None = None,
) -> Claim:
  """Checks a printed number.

  Args:
    text: what it is.
    paper: as printed.
    computed: from the readings.
    draws: [R] the same from numbers drawn within the errors of reading.
    decimals: as printed.
    tolerance: how far it may be off; None: half a unit of the last decimal.
  """
  tolerance = 0.5 * 10.0**-decimals if tolerance is None else tolerance
  low, high = np.quantile(draws, [0.025, 0.975])
  if abs(computed - paper) <= tolerance:
    verdict = _YES
  elif low - tolerance <= paper <= high + tolerance:
    verdict = _PERHAPS
  else:
    verdict = _NO
  digits = f',.{decimals + 1 if decimals else 0}f'
  return Claim(
    text,
    f'{paper:,.{decimals}f}',
    f'{computed:{digits}}',
    f'{low:{digits}} to {high:{digits}}',
    verdict,
  )


def _verdict(holds: bool) -> str:
  """Returns the verdict on a claim that is no number."""
  return _YES if holds else _NO


@dataclasses.dataclass(frozen=True)
class _Readings:
  """The numbers from which claims are computed.

  Attributes:
    tables: of each setting, all of the same networks and datasets.
    x: [M] log-odds of ImageNet top-1.
    values: setting -> [M, D] log-odds.
    x_draws: [R, M] within the errors of reading.
    value_draws: setting -> [R, M, D].
  """

  tables: Mapping[str, accuracy_table.AccuracyTable]
  x: np.ndarray
  values: Mapping[str, np.ndarray]
  x_draws: np.ndarray
  value_draws: Mapping[str, np.ndarray]

  def average(self, setting: str, network: str) -> tuple[float, np.ndarray]:
    """Returns a network's mean log-odds, and the same [R] of the draws."""
    row = self.tables[setting].networks.index(network)
    return (
      self.values[setting][row].mean(),
      self.value_draws[setting][:, row].mean(axis=1),
    )


def _draw(
  values: np.ndarray,
  error: np.ndarray | float,
  generator: np.random.Generator,
) -> np.ndarray:
  """Draws [R, ...] values, each uniform within its error, independently."""
  noise = generator.uniform(-1, 1, (_NUM_DRAWS, *np.shape(values)))
  return values + noise * error


@functools.cache
def _readings() -> _Readings:
  """Returns the numbers of figure 2, and draws within their errors."""
  tables = {
    name: accuracy_table.build(numbers.records(), name)
    for name in numbers.SETTINGS
  }
  top1 = tables[numbers.SETTINGS[0]].imagenet_top1
  generator = np.random.default_rng(0)
  return _Readings(
    tables,
    statistics.log_odds(top1),
    {s: statistics.log_odds(t.accuracy) for s, t in tables.items()},
    statistics.log_odds(_draw(top1, _TOP1_ERROR, generator)),
    {
      s: statistics.log_odds(
        _draw(t.accuracy, numbers.reading_error(t.accuracy), generator)
      )
      for s, t in tables.items()
    },
  )


def _correlations() -> list[Claim]:
  """Checks the correlations with ImageNet accuracy."""
  readings = _readings()
  datasets = readings.tables['random_init'].datasets
  small = np.array(
    [numbers.num_training_images(name) < _FEW_IMAGES for name in datasets]
  )
  every = np.ones(len(datasets), bool)
  return [
    check_number(
      f'r with ImageNet, {text}',
      paper,
      correlations.correlation(
        readings.x, readings.values[setting][:, columns].mean(axis=1)
      ).r,
      correlations.pearson(
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
  """Checks in how many cells fine-tuning is best."""
  readings = _readings()
  tuned = readings.values['fine_tuned']
  tuned_draws = readings.value_draws['fine_tuned']
  return [
    check_number(
      f'cells in which fine-tuning beats {text}, of {tuned.size}',
      paper,
      int((tuned > readings.values[other]).sum()),
      (tuned_draws > readings.value_draws[other]).sum(axis=(1, 2)),
      decimals=0,
    )
    for text, other, paper in (
      ('logistic regression', 'logistic_regression', 179),
      ('random initialization', 'random_init', 189),
    )
  ]


def _averages() -> list[Claim]:
  """Checks that figures 3 and 5 agree with figure 2.

  Their last configurations are the networks of figure 2.
  """
  claims = []
  for name in ('logistic_regression', 'fine_tuned'):
    points = numbers.training_settings(name)
    for last in {point.network: point for point in points}.values():
      computed, draws = _readings().average(name, last.network)
      claims.append(
        check_number(
          f'mean log-odds of {names.display_name(last.network)}, '
          f'{names.setting_text(name).lower()}',
          last.mean_log_odds,
          computed,
          draws,
          decimals=3,
          tolerance=_AVERAGE_ERROR,
        )
      )
  return claims


def _rank(setting: str) -> tuple[list[str], float]:
  """Ranks networks by mean log-odds; p of the t-test of the first two."""
  readings = _readings()
  values = readings.values[setting]
  order = np.argsort(-values.mean(axis=1))
  networks = [readings.tables[setting].networks[i] for i in order]
  return networks, paired_tests.paired_t_test(
    values[order[0]], values[order[1]]
  )


def _best_networks() -> list[Claim]:
  """Checks which networks are best on average."""
  fixed, fixed_p = _rank('logistic_regression')
  tuned, tuned_p = _rank('fine_tuned')
  first, second = map(names.display_name, tuned[:2])
  return [
    Claim(
      'best fixed features',
      'Inception-ResNet v2 and NASNet-A Large tie',
      f'{" and ".join(map(names.display_name, fixed[:2]))}, p = {fixed_p:.2f}',
      '',
      _verdict(
        set(fixed[:2]) == {'inception_resnet_v2', 'nasnet_large'}
        and fixed_p > _ALPHA
      ),
    ),
    Claim(
      'best fine-tuned',
      'Inception v4',
      f'{first} (from {second}: p = {tuned_p:.2f})',
      '',
      _verdict(tuned[0] == 'inception_v4'),
    ),
  ]


def _effects(
  setting: str,
  networks: Sequence[str],
  effect: Callable[[Sequence[regularizers.Configuration]], float],
) -> np.ndarray:
  """Computes an effect for each network from its configurations, C1 first."""
  points = numbers.training_settings(setting)
  return np.array(
    [effect([p for p in points if p.network == name]) for name in networks]
  )


def _gain(points: Sequence[regularizers.Configuration]) -> float:
  """Returns the mean log-odds gained from the first to the last point."""
  return points[-1].mean_log_odds - points[0].mean_log_odds


def _top1_change(points: Sequence[regularizers.Configuration]) -> float:
  """Returns by how much ImageNet top-1 differs, first to last point."""
  return abs(points[-1].top1 - points[0].top1)


def _effects_of_regularizers() -> list[Claim]:
  """Checks what the settings of pretraining do to transfer."""
  inceptions = ('inception_v3', 'inception_v4', 'inception_resnet_v2')
  fixed = _effects('logistic_regression', inceptions, _gain)
  tuned = _effects('fine_tuned', inceptions[1:], _gain)
  moved = 100 * _effects('logistic_regression', inceptions, _top1_change)
  claims = [
    Claim(
      text,
      f'{low} to {high}',
      f'{gains.min():.2f} to {gains.max():.2f}',
      '',
      _verdict(f'{gains.min():.2f} {gains.max():.2f}' == f'{low} {high}'),
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
      _verdict(moved.max() < 1),
    )
  )
  return claims


def _hardly_helped() -> list[Claim]:
  """Checks Inception v4 on two datasets that pretraining hardly helps."""
  claims = []
  generator = np.random.default_rng(0)
  for dataset, title, printed in (
    ('cars', 'Cars', {'fine_tuned': 93.3, 'random_init': 92.7}),
    ('aircraft', 'Aircraft', {'fine_tuned': 88.9, 'random_init': 88.8}),
  ):
    for setting, paper in printed.items():
      table = _readings().tables[setting]
      value = table.accuracy[
        table.networks.index('inception_v4'), table.datasets.index(dataset)
      ]
      claims.append(
        check_number(
          f'Inception v4 on {title}, {names.setting_text(setting).lower()}, %',
          paper,
          100 * value,
          100 * _draw(value, numbers.reading_error(value), generator),
          decimals=1,
        )
      )
  return claims


def _convergence() -> list[Claim]:
  """Checks section 6: steps and epochs to 90 % of the greatest odds."""
  claims = []
  generator = np.random.default_rng(0)
  computed, draws = {}, {}
  for name, paper_steps, paper_epochs in (
    ('fine_tuned', 1151, 26),
    ('random_init', 19_531, 444),
  ):
    curves = [c for c in numbers.accuracy_vs_steps() if name == c.setting]
    steps_per_epoch = scipy.stats.gmean([c.steps_per_epoch for c in curves])
    computed[name] = scipy.stats.gmean(
      [statistics.steps_to_share(c.steps, c.accuracy) for c in curves]
    )
    draws[name] = _drawn_steps(curves, generator)
    text = f'to 90 % of the odds, {names.setting_text(name).lower()}'
    claims += [
      check_number(
        f'{unit} {text}',
        paper,
        computed[name] / scale,
        draws[name] / scale,
        decimals=0,
      )
      for unit, paper, scale in (
        ('steps', paper_steps, 1),
        ('epochs', paper_epochs, steps_per_epoch),
      )
    ]
  claims.append(
    check_number(
      'times as many steps from random initialization',
      17,
      computed['random_init'] / computed['fine_tuned'],
      draws['random_init'] / draws['fine_tuned'],
      decimals=0,
    )
  )
  return claims


def _drawn_steps(
  curves: Sequence[learning_curves.StepsCurve], generator: np.random.Generator
) -> np.ndarray:
  """Returns geometric means [R] over datasets, of curves within reading error.

  Each is of the steps to 90 % of the greatest odds.
  """
  drawn = []
  for curve in curves:
    accuracies = np.clip(
      _draw(curve.accuracy, _STEPS_ERROR, generator), 0.001, 0.999
    )
    drawn.append(
      [
        statistics.steps_to_share(curve.steps, accuracy)
        for accuracy in accuracies
      ]
    )
  return scipy.stats.gmean(drawn, axis=0)
