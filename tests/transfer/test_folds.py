"""Tests cells that run over folds, against what each fold gives."""

import dataclasses
import types

import numpy as np
import pytest

from tf_transfer import datasets
from tf_transfer.datasets import dataset as dataset_lib
from tf_transfer.transfer import cross_validation, folds, metrics
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.setting import Cell, RunContext

NUM_FOLDS, NUM_CLASSES, NUM_EXAMPLES = 3, 4, 60


def make_dataset(*, metric='top1'):
  """Sixty images without pixels, in three folds; two images are identical."""
  labels = np.sort(np.arange(NUM_EXAMPLES) % NUM_CLASSES)
  digests = np.random.default_rng(0).integers(256, size=(NUM_EXAMPLES, 32))
  digests[1] = digests[0]
  everything = datasets.Split(
    'test', labels, digests, None, lambda i: f'{max(i, 1)}.png'
  )
  fold = np.arange(NUM_EXAMPLES) % NUM_FOLDS
  fold[1] = fold[0]
  parts = []
  for number in range(NUM_FOLDS):
    # Not in the order of the whole: the order is restored.
    test = np.flatnonzero(fold == number)[::-1]
    val = np.flatnonzero(fold == (number + 1) % NUM_FOLDS)
    train = np.flatnonzero(fold == (number + 2) % NUM_FOLDS)
    splits = {
      name: dataset_lib.select(everything, positions, name)
      for name, positions in (('train', train), ('val', val), ('test', test))
    }
    parts.append(datasets.Dataset('many', tuple('abcd'), metric, splits))
  splits = {**parts[0].splits, 'test': everything}
  return datasets.Dataset(
    'many', tuple('abcd'), metric, splits, folds=tuple(parts)
  )


def scores_of(split, shift):
  """Scores from the content alone, of which some are wrong."""
  noise = split.digests[:, :NUM_CLASSES].astype(float) / 256
  return noise * shift + np.eye(NUM_CLASSES)[split.labels]


class FakeSetting:
  """Gives results of each fold, and keeps the cells and their results."""

  name = 'fake'
  trains = False

  def __init__(self, num_runs=1, skip=0):
    self.cells, self.results = [], []
    self.num_runs, self.skip = num_runs, skip

  def run(self, cell, context):
    number = len(self.cells)
    self.cells.append(cell)
    context.before_test()
    test, val = cell.dataset.splits['test'], cell.dataset.splits['val']
    positions = np.arange(self.skip, len(test))
    scores = scores_of(test, 1.5)[positions]
    predicted, val_scores = scores.argmax(axis=1), scores_of(val, 1.2)
    labels, arrays = test.labels[positions], {}
    measured = metrics.measure(cell.dataset.metric, labels, predicted)
    runs = ()
    if self.num_runs > 1:
      other = scores_of(test, 2.5)[positions].argmax(axis=1)
      arrays['run_predictions'] = np.stack([predicted, other])
      values = [
        metrics.measure(cell.dataset.metric, labels, one)
        for one in arrays['run_predictions']
      ]
      runs = tuple(result_lib.Run(i, one) for i, one in enumerate(values))
      measured = metrics.average(values)
    self.results.append(
      result_lib.CellResult(
        validation=metrics.measure(
          'top1', val.labels, val_scores.argmax(axis=1)
        ),
        test=measured,
        curve=np.array([0.5, 0.1 * number, np.nan if number else 0.6]),
        chosen={'penalty': [0.1, 10.0, 10.0][number]},
        solver={
          'converged': number != 1,
          'unconverged_penalties': [0.1, float(number)],
          'evaluations': 10 + number,
          'gap': 0.1 * number,
        },
        predictions={
          **result_lib.per_example(test, positions, labels, predicted, scores),
          **result_lib.on_val(val.labels, val_scores),
          **arrays,
        },
        skipped=tuple(test.describe(i) for i in range(self.skip)),
        runs=runs,
      )
    )
    return self.results[-1]


def run(setting, dataset, before_test=lambda: None):
  cell = Cell(None, dataset, setting, 'f' * 32, 'net', 'e' * 32)
  context = RunContext(None, None, None, before_test)
  return folds.run(cell, context)


def test_cell_without_folds_runs_as_it_is():
  setting = FakeSetting()
  dataset = make_dataset().folds[0]
  result = run(setting, dataset)
  assert result is setting.results[0]
  assert setting.cells[0].identity == 'f' * 32


@pytest.mark.parametrize('metric', ['top1', 'mean_per_class'])
def test_predictions_are_of_all_images_in_order(metric):
  setting, reads = FakeSetting(), []
  dataset = make_dataset(metric=metric)
  result = run(setting, dataset, lambda: reads.append(1))
  test, arrays = dataset.splits['test'], result.predictions
  np.testing.assert_array_equal(arrays['digest'], test.digests)
  np.testing.assert_array_equal(arrays['label'], test.labels)
  expected = scores_of(test, 1.5)
  np.testing.assert_array_equal(arrays['prediction'], expected.argmax(axis=1))
  np.testing.assert_array_equal(arrays['scores'], result_lib.compress(expected))
  assert arrays['name'].tolist() == [f'{max(i, 1)}.png' for i in range(60)]
  fold = np.arange(NUM_EXAMPLES) % NUM_FOLDS
  fold[1] = fold[0]
  np.testing.assert_array_equal(arrays['fold'], fold)
  assert result.test == cross_validation.measure(
    metric, test.labels, expected.argmax(axis=1), fold
  )
  assert len(reads) == 1


def test_validation_and_search_are_of_all_folds():
  setting = FakeSetting()
  result = run(setting, make_dataset())
  parts = setting.results
  pooled = sum(one.validation.value * one.validation.examples for one in parts)
  assert result.validation.examples == NUM_EXAMPLES
  assert result.validation.value == pytest.approx(pooled / NUM_EXAMPLES)
  assert len(result.predictions['val_label']) == NUM_EXAMPLES
  np.testing.assert_allclose(result.curve, [0.5, 0.1, 0.6])
  assert result.chosen == {'penalty': 10.0}
  assert result.solver == {
    'converged': False,
    'unconverged_penalties': [0.0, 0.1, 1.0, 2.0],
    'evaluations': 33,
    'gap': 0.2,
  }
  assert [dataclasses.asdict(one) for one in result.folds] == [
    {
      'fold': number,
      'examples': one.test.examples,
      'value': one.test.value,
      'chosen': one.chosen,
    }
    for number, one in enumerate(parts)
  ]


def test_images_in_val_of_several_folds_count_once_in_its_interval():
  dataset = make_dataset()
  val = dataset.folds[0].splits['val']
  same = tuple(
    dataclasses.replace(fold, splits={**fold.splits, 'val': val})
    for fold in dataset.folds
  )
  result = run(FakeSetting(), dataclasses.replace(dataset, folds=same))
  right = scores_of(val, 1.2).argmax(axis=1) == val.labels
  once = metrics.measure(
    'top1', np.ones(len(val), int), right.astype(int), variance_factor=2.5
  )
  assert result.validation.examples == 3 * len(val)
  assert (result.validation.low, result.validation.high) == pytest.approx(
    (once.low, once.high)
  )


def test_runs_are_joined_by_seed():
  dataset = make_dataset()
  result = run(FakeSetting(num_runs=2), dataset)
  test = dataset.splits['test']
  by_run = result.predictions['run_predictions']
  for number, shift in enumerate((1.5, 2.5)):
    expected = scores_of(test, shift).argmax(axis=1)
    np.testing.assert_array_equal(by_run[number], expected)
    assert result.runs[number].test.value == np.mean(expected == test.labels)
  values = [one.test.value for one in result.runs]
  assert result.test.value == pytest.approx(np.mean(values))


def test_skipped_images_are_left_out_once():
  dataset = make_dataset()
  result = run(FakeSetting(skip=2), dataset)
  assert len(result.predictions['label']) == NUM_EXAMPLES - 6
  assert len(result.skipped) == len(set(result.skipped)) == 6
  kept = ~np.isin(
    result_lib.names(dataset.splits['test'], range(60)), result.skipped
  )
  np.testing.assert_array_equal(
    result.predictions['digest'], dataset.splits['test'].digests[kept]
  )


def test_image_of_two_folds_is_refused():
  dataset = make_dataset()
  twice = (dataset.folds[0], dataset.folds[0], dataset.folds[2])
  with pytest.raises(ValueError, match='tested in two folds'):
    run(FakeSetting(), dataclasses.replace(dataset, folds=twice))


def test_each_fold_has_an_identity_of_its_own():
  setting = FakeSetting()
  dataset = make_dataset()
  run(setting, dataset)
  identities = [cell.identity for cell in setting.cells]
  assert len({*identities, 'f' * 32}) == NUM_FOLDS + 1
  assert all(len(one) == 32 for one in identities)
  assert [cell.dataset for cell in setting.cells] == list(dataset.folds)
  # An interrupted search finds its directory again.
  again = folds.cells(Cell(None, dataset, setting, 'f' * 32, 'net'))
  assert [cell.identity for cell in again] == identities


def test_trials_are_averaged():
  def trial(value, diverged, losses):
    return {
      'learning_rate': 0.1,
      'weight_decay': 0.0,
      'diverged': diverged,
      'validation': {
        'center': {'value': value, 'low': 0.1, 'high': 0.9, 'examples': 20}
      }
      if value
      else {},
      'steps': 30,
      'losses': losses,
      'evaluations': [{'step': 10, 'views': {}}],
    }

  dataset, setting = make_dataset(), FakeSetting()
  run(setting, dataset)
  trials = [(0.5, None, [4.0, 2.0]), (0.7, None, [2.0]), (0.0, 12, [None])]
  parts = [
    dataclasses.replace(one, trials=(trial(*of_fold),), losses=(1.0,))
    for one, of_fold in zip(setting.results, trials, strict=True)
  ]
  result = folds.combine(dataset, parts)
  (combined,) = result.trials
  assert combined['validation']['center'] == pytest.approx(
    {'value': 0.6, 'low': 0.1, 'high': 0.9, 'examples': 40}
  )
  assert combined['diverged'] == 12
  assert combined['losses'] == [None]
  assert combined['evaluations'] == []
  assert result.losses == (1.0,)


def test_estimates_count_the_fits_of_all_folds():
  setting = types.SimpleNamespace(
    cost=lambda net, dataset, config: float(len(dataset.splits['train'])),
    steps=lambda dataset, config: len(dataset.splits['val']),
  )
  dataset = make_dataset()
  assert folds.cost(setting, None, dataset, None) == NUM_EXAMPLES
  assert folds.steps(setting, dataset, None) == NUM_EXAMPLES
  one = dataset.folds[0]
  assert folds.cost(setting, None, one, None) == len(one.splits['train'])
