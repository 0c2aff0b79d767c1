import dataclasses

import numpy as np
import pytest
import scipy.special
import scipy.stats

from tests.study import made_records
from tests.study.analysis import table_records
from tf_transfer.study.analysis import paired_tests, statistics, ties
from tf_transfer.study.paper import numbers
from tf_transfer.transfer import metrics


def record(name, dataset='pets', right=50, seed=0):
  arrays = made_records.predictions(right / 100, seed=seed)
  splits = {'train': 64 * '0', 'val': 64 * '1'}
  splits['test'] = made_records.hash_of_test(arrays)
  fields = made_records.record(
    f'{name} {dataset}', right / 100, dataset=dataset, splits_sha256=splits
  )
  weights = made_records.sha256(name)
  return {**fields, 'network': name, 'weights_sha256': weights}


def predictions(tmp_path, name, right, seed=0):
  fields = record(name, right=right, seed=seed)
  (tmp_path / 'predictions').mkdir(exist_ok=True)
  np.savez(
    tmp_path / fields['predictions'],
    **made_records.predictions(right / 100, seed=seed),
  )
  return fields


def test_ties(tmp_path):
  # 94 and 100 right: 6 differ, p = 2/64. 95: p = 2/32.
  records = [
    predictions(tmp_path, name, right)
    for name, right in (('a', 94), ('b', 100), ('c', 95))
  ]
  key = ('ridge', 'pets')
  assert ties.find_ties(records, tmp_path) == {key: {'b', 'c'}}
  assert ties.find_ties(records, tmp_path, correct_with_holm=True) == {
    key: {'a', 'b', 'c'}
  }


def test_ties_of_other_images(tmp_path, caplog):
  records = [
    predictions(tmp_path, 'a', 90),
    predictions(tmp_path, 'b', 90, seed=1),
  ]
  assert ties.find_ties(records, tmp_path) == {}
  assert 'a and b were not tested on the same images' in caplog.text


def test_predictions_that_are_not_there(tmp_path, caplog):
  """Nothing is known of their dataset; others are not touched by it."""
  records = [
    predictions(tmp_path, 'b', 100),
    record('b', 'dtd'),
    record('c', 'dtd'),
  ]
  assert ties.find_ties(records, tmp_path) == {('ridge', 'pets'): {'b'}}
  assert 'the predictions of b on dtd, ridge are missing' in caplog.text


def test_predictions_that_are_cut_short(tmp_path, caplog):
  records = [predictions(tmp_path, 'a', 90)]
  path = tmp_path / records[0]['predictions']
  path.write_bytes(path.read_bytes()[:-60])
  assert ties.find_ties(records, tmp_path) == {}
  assert 'no predictions of a on pets, ridge' in caplog.text


def test_predictions_of_another_network(tmp_path, caplog):
  """Two files are exchanged: both networks would seem what they are not."""
  records = [predictions(tmp_path, 'a', 90), predictions(tmp_path, 'b', 60)]
  first, second = (tmp_path / one['predictions'] for one in records)
  first.rename(tmp_path / 'other')
  second.rename(first)
  (tmp_path / 'other').rename(second)
  assert ties.find_ties(records, tmp_path) == {}
  assert 'their top1 is 0.6, and the record states 0.9' in caplog.text


def test_a_comparison_says_its_test_and_what_it_resolves(tmp_path):
  records = [
    predictions(tmp_path, name, right) for name, right in (('a', 94), ('b', 99))
  ]
  (one,) = ties.compare_all(records, tmp_path)
  assert (one.best, one.count, one.alone) == ('b', 100, None)
  pair = one.pairs['a']
  assert pair.test == ties.MCNEMAR
  assert pair.tied
  assert pair.resolution.discordance == pytest.approx(0.05)
  assert 0.05 < pair.resolution.difference < 0.1


def test_a_single_network_has_an_assumed_resolution(tmp_path):
  (one,) = ties.compare_all([predictions(tmp_path, 'a', 90)], tmp_path)
  assert one.tied == {'a'}
  assert one.alone.assumed
  assert one.alone.discordance == pytest.approx(2 * 0.9 * 0.1)


def with_runs(tmp_path, name, rights):
  """A cell of several runs, each right on its first images."""
  fields = predictions(tmp_path, name, rights[0])
  runs = [made_records.predictions(right / 100) for right in rights]
  arrays = {
    **runs[0],
    'run_predictions': np.array([run['prediction'] for run in runs]),
  }
  np.savez(tmp_path / fields['predictions'], **arrays)
  measured = [
    dataclasses.asdict(metrics.measure('top1', r['label'], r['prediction']))
    for r in runs
  ]
  mean = {**measured[0], 'value': float(np.mean(rights)) / 100}
  fields['test'] = {**mean, 'low': 0.0, 'high': 1.0}
  fields['runs'] = [{'seed': i, 'test': m} for i, m in enumerate(measured)]
  return fields


def test_training_runs_count_in_ties(tmp_path):
  """84 and 96 right differ by McNemar, but not beyond what the runs vary."""
  records = [
    with_runs(tmp_path, 'a', (84, 96, 78)),
    predictions(tmp_path, 'b', 96),
  ]
  (one,) = ties.compare_all(records, tmp_path)
  assert one.best == 'b'
  assert one.pairs['a'].test == ties.RUNS
  assert one.tied == {'a', 'b'}
  # 12 images of 100, each way of which one alone is right.
  first = made_records.predictions(0.84)['correct']
  second = made_records.predictions(0.96)['correct']
  assert paired_tests.mcnemar(first, second) < 0.05
  steady = [
    with_runs(tmp_path, 'a', (84, 84, 83)),
    predictions(tmp_path, 'b', 96),
  ]
  (one,) = ties.compare_all(steady, tmp_path)
  assert one.tied == {'b'}


def test_holm_adjusts_pairs():
  records = [
    table_records.record(name, dataset, value + 0.01 * i)
    for name, value in (('a', 0.5), ('b', 0.6), ('c', 0.55))
    for i, dataset in enumerate(('pets', 'dtd', 'cars'))
  ]
  plain, adjusted = (
    ties.on_average(records, 'fine_tuned', correct_with_holm=holm)
    for holm in (False, True)
  )
  assert plain.best == 'b'
  p = [plain.pairs[name].p for name in ('a', 'c')]
  np.testing.assert_allclose(
    [adjusted.pairs[name].p for name in ('a', 'c')], paired_tests.holm(p)
  )


def test_averages_of_a_study_are_tied_as_the_papers_are():
  """The paper: Inception-ResNet v2 and NASNet-A Large tie."""
  one = ties.on_average(numbers.records(), 'logistic_regression')
  assert one.best == 'inception_resnet_v2'
  assert one.tied == {'inception_resnet_v2', 'nasnet_large'}
  assert one.count == 12
  pair = one.pairs['nasnet_large']
  values = {
    name: scipy.special.logit(
      [
        record['test']['value']
        for record in numbers.records()
        if (record['setting'], record['network'])
        == ('logistic_regression', name)
      ]
    )
    for name in one.tied
  }
  expected = scipy.stats.ttest_rel(*values.values()).pvalue
  assert pair.p == pytest.approx(expected)
  assert 0.1 < pair.p < 0.12
  assert pair.test == ties.T_TEST
  assert 0 < pair.resolution.difference < 0.2


@pytest.mark.parametrize('count', [1, 2])
def test_averages_take_two_networks_and_two_datasets(count):
  datasets = ('pets', 'dtd')[:count]
  records = [table_records.record('a', name) for name in datasets]
  assert ties.on_average(records, 'fine_tuned') is None
  records += [table_records.record('b', name, 0.6) for name in datasets]
  one = ties.on_average(records, 'fine_tuned')
  assert (one is None) == (count == 1)
  if one:
    expected = statistics.log_odds(0.6, 100) - statistics.log_odds(0.5, 100)
    assert expected > 0
    assert one.best == 'b'
    # Equal differences have no spread; no chance is needed to explain them.
    assert one.pairs['a'].p == 0


def with_folds(tmp_path, name, right, fold):
  """A record whose predictions are of a cross-validation."""
  arrays = {**made_records.predictions(right / 100), 'fold': fold}
  folds = [
    {
      'fold': int(number),
      'examples': int(np.sum(fold == number)),
      'value': float(np.mean(arrays['correct'][fold == number])),
      'chosen': {'penalty': 0.1},
    }
    for number in np.unique(fold)
  ]
  fields = {**record(name, right=right), 'folds': folds}
  (tmp_path / 'predictions').mkdir(exist_ok=True)
  np.savez(tmp_path / fields['predictions'], **arrays)
  return fields


def test_folds_have_the_corrected_test(tmp_path):
  """Of independent images McNemar's test tells 100 right from 92."""
  fold = np.arange(100) % 5
  records = [
    with_folds(tmp_path, name, right, fold)
    for name, right in (('a', 100), ('b', 92), ('c', 85))
  ]
  (comparison,) = ties.on_datasets(records, tmp_path)
  assert comparison.tied == {'a', 'b'}
  for name, differ in (('b', 8), ('c', 15)):
    pair = comparison.pairs[name]
    assert pair.test == ties.FOLDS
    # z = n / sqrt(2.25 n)
    expected = 2 * scipy.stats.norm.sf(np.sqrt(differ / 2.25))
    assert pair.p == pytest.approx(expected)
    error = np.sqrt(2.25 * differ) / 100
    assert pair.resolution.difference == pytest.approx(
      (scipy.stats.norm.isf(0.025) + scipy.stats.norm.isf(0.2)) * error
    )


def test_network_alone_of_folds_resolves_less(tmp_path):
  fold = np.arange(100) % 5
  folded = with_folds(tmp_path, 'a', 80, fold)
  (comparison,) = ties.on_datasets([folded], tmp_path)
  plain = predictions(tmp_path, 'd', 80)
  (other,) = ties.on_datasets([plain], tmp_path)
  assert comparison.alone.difference > 1.3 * other.alone.difference


@pytest.mark.parametrize('other', ['folds', 'none'])
def test_different_folds_are_not_compared(tmp_path, caplog, other):
  fold = np.arange(100) % 5
  records = [with_folds(tmp_path, 'a', 90, fold)]
  if other == 'folds':
    records.append(with_folds(tmp_path, 'b', 80, np.roll(fold, 1)))
  else:
    records.append(predictions(tmp_path, 'b', 80))
  assert ties.find_ties(records, tmp_path) == {}
  assert 'a and b were not tested in the same folds' in caplog.text
