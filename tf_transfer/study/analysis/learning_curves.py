"""Makes curves of records: accuracy against steps, and against examples.

Figure 8 shows the first, figure 9 the second. Points of a curve differ in
nothing else (`variants.alike`).

Letters in shapes: S points.
"""

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import scipy.stats

from tf_transfer import datasets
from tf_transfer.study.analysis import accuracy_table, statistics, variants
from tf_transfer.study.schema import Record
from tf_transfer.transfer import settings

TUNED, RANDOM, FIXED = 'fine_tuned', 'random_init', 'logistic_regression'


@dataclasses.dataclass(frozen=True)
class StepsCurve:
  """Accuracy against the number of training steps.

  Attributes:
    setting: its name, of one that trains.
    dataset: its name.
    steps: [S] ascending.
    accuracy: [S] in 0 to 1; of several seeds their mean.
    steps_per_epoch: training images over the batch size; NaN where unknown.
    network: its label; '' for the paper's, which are of one network.
    low: [S] the lower end of the 95 % interval of sampling; None: unknown.
    high: [S] the upper end.
    num_test: the number of test examples; 0: unknown.
  """

  setting: str
  dataset: str
  steps: np.ndarray
  accuracy: np.ndarray
  steps_per_epoch: float
  network: str = ''
  low: np.ndarray | None = None
  high: np.ndarray | None = None
  num_test: int = 0

  @property
  def steps_to_share(self) -> int:
    """The fewest steps to 90 % of the greatest odds."""
    accuracy = self.accuracy
    if self.num_test:
      accuracy = statistics.clip_to_half_example(accuracy, self.num_test)
    return statistics.steps_to_share(self.steps, accuracy)

  @property
  def best_at_end(self) -> bool:
    """Whether the largest number of steps is best: more may be better."""
    return bool(np.argmax(self.accuracy) == len(self.accuracy) - 1)


@dataclasses.dataclass(frozen=True)
class ExamplesCurve:
  """Accuracy against the number of training examples of each class.

  Attributes:
    setting: its name.
    dataset: its name.
    network: its label.
    examples: [S] ascending.
    accuracy: [S] in 0 to 1, means over draws.
    error: [S] standard errors of these means, by the SD with n − 1; NaN of one
      draw.
    draws: int [S].
    num_test: the number of test examples.
  """

  setting: str
  dataset: str
  network: str
  examples: np.ndarray
  accuracy: np.ndarray
  error: np.ndarray
  draws: np.ndarray
  num_test: int

  def log_odds_at(self, examples: np.ndarray) -> np.ndarray:
    """Interpolates the log-odds linearly in the logarithm of the examples."""
    values = statistics.log_odds(self.accuracy, self.num_test)
    return np.interp(np.log(examples), np.log(self.examples), values)


def _standing(
  records: Sequence[Record],
) -> dict[variants.Cell, list[Record]]:
  """Returns the records of each cell that are points of curves."""
  cells = accuracy_table.cell_names(records)
  selection = variants.select(records, cells)
  groups: dict[variants.Cell, list[Record]] = collections.defaultdict(list)
  for i in sorted((*selection.main, *selection.others)):
    groups[cells[i]].append(records[i])
  return groups


def steps_curves(records: Sequence[Record]) -> list[StepsCurve]:
  """Makes the curves of figure 8.

  Where a cell was run for several numbers of steps on several draws of
  examples, the draw with the most points makes the curve, and of several the
  one on the most examples (all of them first).

  Args:
    records: of a ledger, in its order.

  Returns:
    A curve for each network, dataset and setting that has two points or more.
  """
  curves = []
  for (network, dataset, setting), group in _standing(records).items():
    if not settings.row(setting).trains:
      continue
    by_draw: dict[tuple[int, int], dict[int, list[Record]]] = {}
    for record in group:
      of_draw = by_draw.setdefault(variants.variant(record).draw, {})
      of_draw.setdefault(variants.steps(record), []).append(record)
    draw = max(by_draw, key=lambda d: (len(by_draw[d]), d[0] == 0, d[0]))
    points = dict(sorted(by_draw[draw].items()))
    if len(points) < 2:
      continue
    value, low, high = (
      np.array([np.mean([r['test'][key] for r in p]) for p in points.values()])
      for key in ('value', 'low', 'high')
    )
    curves.append(
      StepsCurve(
        setting,
        dataset,
        np.array(list(points)),
        value,
        _steps_per_epoch(next(iter(points.values()))[0]),
        network,
        low,
        high,
        group[0]['test']['examples'],
      )
    )
  return curves


def _steps_per_epoch(record: Record) -> float:
  """Returns how many steps see each training image once; NaN if unknown."""
  sizes: Mapping[str, int] = record.get('split_sizes', {})
  if not sizes and not variants.variant(record).examples_per_class:
    # Of records that older versions wrote.
    counts = {row.name: row.counts for row in datasets.TABLE}
    sizes = counts.get(record['dataset']) or {}
  search = record['search']
  with_val = search.get('refit_on_trainval', True) and 'last_fit_on' not in (
    record
  )
  names = ('train', 'val') if with_val else ('train',)
  if not all(sizes.get(split) for split in names):
    return np.nan
  return sum(sizes[split] for split in names) / search['batch_size']


def examples_curves(records: Sequence[Record]) -> list[ExamplesCurve]:
  """Makes the curves of figure 9.

  Where a cell was run for several numbers of steps, as the config has them, the
  one with the most sizes makes the curve, and of several the largest.

  Args:
    records: of a ledger, in its order.

  Returns:
    A curve for each network, dataset and setting that has two sizes or more.
  """
  curves = []
  for (network, dataset, setting), group in _standing(records).items():
    by_steps: dict[tuple[int, int], dict[int, list[Record]]] = {}
    for record in group:
      one = variants.variant(record)
      if one.examples_per_class:
        of_steps = by_steps.setdefault((one.steps, one.min_epochs), {})
        of_steps.setdefault(one.examples_per_class, []).append(record)
    if not by_steps:
      continue
    key = max(by_steps, key=lambda k: (len(by_steps[k]), k))
    points = dict(sorted(by_steps[key].items()))
    if len(points) < 2:
      continue
    draws = [_mean_of_draws(of_size) for of_size in points.values()]
    curves.append(
      ExamplesCurve(
        setting,
        dataset,
        network,
        np.array(list(points)),
        np.array([np.mean(values) for values in draws]),
        np.array([_standard_error(values) for values in draws]),
        np.array([len(values) for values in draws]),
        group[0]['test']['examples'],
      )
    )
  return curves


def _mean_of_draws(records: Iterable[Record]) -> list[float]:
  """Returns the accuracy of each draw; of several seeds their mean."""
  by_seed: dict[int, list[float]] = {}
  for record in records:
    seed = variants.variant(record).subset_seed
    by_seed.setdefault(seed, []).append(record['test']['value'])
  return [float(np.mean(values)) for values in by_seed.values()]


def _standard_error(values: Sequence[float]) -> float:
  """Returns the standard error of a mean; NaN of one value."""
  if len(values) < 2:
    return np.nan
  return float(np.std(values, ddof=1) / np.sqrt(len(values)))


@dataclasses.dataclass(frozen=True)
class Parity:
  """Where a setting is as good as another one.

  Attributes:
    curve: of the setting.
    reference: of the other one.
    examples: of each class from which on it is, at least for a while; NaN if
      it is nowhere.
    first: the smallest number of examples at which both were run.
    last: the largest.
    stays: whether it is from there on up to `last`.
  """

  curve: ExamplesCurve
  reference: ExamplesCurve
  examples: float
  first: int
  last: int
  stays: bool


def parity(curve: ExamplesCurve, reference: ExamplesCurve) -> Parity | None:
  """Finds the fewest examples at which a curve reaches another one.

  Between sizes, log-odds are interpolated linearly in the logarithm of the
  examples. Means over draws are compared: the point has a spread, too.

  Returns:
    The point; None where the curves have no size in common range.
  """
  first = max(curve.examples[0], reference.examples[0])
  last = min(curve.examples[-1], reference.examples[-1])
  if first > last:
    return None
  sizes = np.union1d(curve.examples, reference.examples)
  sizes = sizes[(sizes >= first) & (sizes <= last)]
  ahead = curve.log_odds_at(sizes) - reference.log_odds_at(sizes)
  reached = np.flatnonzero(ahead >= 0)
  if not len(reached):
    return Parity(curve, reference, np.nan, int(first), int(last), stays=False)
  i = reached[0]
  examples = float(sizes[i])
  if i > 0:
    share = -ahead[i - 1] / (ahead[i] - ahead[i - 1])
    logs = np.log(sizes[i - 1 : i + 1])
    examples = float(np.exp(logs[0] + share * (logs[1] - logs[0])))
  stays = bool(np.all(ahead[i:] >= 0))
  return Parity(curve, reference, examples, int(first), int(last), stays)


def parities(curves: Sequence[ExamplesCurve]) -> list[Parity]:
  """Finds where each setting reaches logistic regression, if that is there."""
  references = {(c.network, c.dataset): c for c in curves if c.setting == FIXED}
  return [
    crossing
    for curve in curves
    if curve.setting != FIXED
    and (curve.network, curve.dataset) in references
    and (crossing := parity(curve, references[curve.network, curve.dataset]))
  ]


@dataclasses.dataclass(frozen=True)
class Speed:
  """How many steps two settings take to 90 % of their greatest odds.

  Attributes:
    tuned: of fine-tuning, the geometric mean over the curves.
    random: of random initialization, likewise.
    datasets: of the curves.
    num_curves: of each setting.
    tuned_rises: how many curves of fine-tuning are best at their end, so that
      `tuned` is a lower bound.
    random_rises: the same for random initialization.
    tuned_starts: how many curves of fine-tuning reach that at the fewest steps
      tried, so that `tuned` is an upper bound.
    random_starts: the same for random initialization.
  """

  tuned: float
  random: float
  datasets: tuple[str, ...]
  num_curves: int
  tuned_rises: int
  random_rises: int
  tuned_starts: int = 0
  random_starts: int = 0

  @property
  def ratio(self) -> float:
    """How many times as many steps random initialization takes."""
    return self.random / self.tuned

  @property
  def is_at_least(self) -> bool:
    """Whether the ratio may be larger."""
    return bool(self.random_rises or self.tuned_starts)

  @property
  def is_at_most(self) -> bool:
    """Whether the ratio may be smaller."""
    return bool(self.tuned_rises or self.random_starts)


def speed(curves: Sequence[StepsCurve]) -> Speed | None:
  """Compares the steps that both settings take to 90 % of the odds.

  Curves count where a network has both on a dataset.

  Returns:
    The comparison; None where no network has both.
  """
  by_key = {(c.network, c.dataset, c.setting): c for c in curves}
  pairs = [
    (curve, by_key[network, dataset, RANDOM])
    for (network, dataset, setting), curve in by_key.items()
    if setting == TUNED and (network, dataset, RANDOM) in by_key
  ]
  if not pairs:
    return None
  tuned, random = (
    float(scipy.stats.gmean([curve.steps_to_share for curve in of_setting]))
    for of_setting in zip(*pairs, strict=True)
  )
  return Speed(
    tuned,
    random,
    tuple(dict.fromkeys(curve.dataset for curve, _ in pairs)),
    len(pairs),
    sum(curve.best_at_end for curve, _ in pairs),
    sum(curve.best_at_end for _, curve in pairs),
    sum(curve.steps_to_share == curve.steps[0] for curve, _ in pairs),
    sum(curve.steps_to_share == curve.steps[0] for _, curve in pairs),
  )
