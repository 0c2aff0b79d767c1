import numpy as np
import pytest
import scipy.special
import scipy.stats

from tests.study.report.page_records import FIXED, cell, record
from tf_transfer.networks import recipe
from tf_transfer.study.analysis import accuracy_table
from tf_transfer.study.paper import numbers
from tf_transfer.study.report import answer


def answered(cells):
  return answer.from_records([fields for fields, _ in cells], FIXED)


def test_the_answer_of_the_papers_numbers_is_the_papers():
  result = answer.from_records(numbers.records(), FIXED)
  assert result.verdict == answer.YES
  r = (
    'r = 0.99 of 16 networks on 12 datasets, 95 % interval 0.97 to 0.99 over '
    'networks, 0.82 to 1.00 over families'
  )
  assert result.sentence == (
    'Logistic regression: networks that are better on ImageNet transfer '
    f'better, {r}.'
  )
  assert result.remarks == (
    '95 % interval 0.92 to 1.00 over networks and datasets, 0.81 to 1.00 over '
    'families and datasets.',
    'Leaving out one family, r is from 0.98 (without MobileNet) to 0.99 '
    '(without Inception); Inception moves it most.',
    # Of the same numbers by SciPy.
    f"By ranks alone, Spearman's ρ = {_spearman():.2f}, 95 % interval 0.92 to "
    '1.00 over networks.',
    f'The paper, on the same datasets: {r}.',
  )


def test_random_initialization_depends_on_families():
  result = answer.from_records(numbers.records(), 'random_init')
  assert result.verdict == answer.DEPENDS
  assert result.sentence == (
    'Random initialization: architectures that are better on ImageNet also do '
    'better when trained from random values on the dataset (r = 0.54 of 16 '
    'networks on 12 datasets, 95 % interval 0.09 to 0.77 over networks), only '
    'if networks of one family count as independent: over their 5 families the '
    'interval is −0.46 to 0.94, and leaving out one of them moves r from 0.44 '
    'to 0.76.'
  )
  assert 'transfer' not in result.sentence


def _spearman():
  result = accuracy_table.build(numbers.records(), FIXED)
  mean = scipy.special.logit(result.accuracy).mean(axis=1)
  return scipy.stats.spearmanr(result.imagenet_top1, mean).statistic


@pytest.mark.parametrize(
  ('count', 'words'),
  [
    (1, 'no correlation of 1 network:'),
    (2, 'no correlation of 2 networks:'),
    (3, 'of 3 networks on 1 dataset, without an interval'),
  ],
)
def test_too_few_networks_cannot_say(count, words):
  values = np.linspace(0.6, 0.9, count)
  result = answered(
    [cell(f'n{i}', v, 0.7 + i / 50) for i, v in enumerate(values)]
  )
  assert result.verdict == answer.CANNOT_SAY
  assert words in result.sentence


def test_an_interval_that_holds_zero_cannot_say():
  values = (0.7, 0.9, 0.6, 0.9, 0.7, 0.8, 0.6)
  result = answered(
    [cell(f'n{i}', v, 0.7 + i / 50) for i, v in enumerate(values)]
  )
  assert result.correlation.low < 0 < result.correlation.high
  assert result.verdict == answer.CANNOT_SAY
  assert 'zero is not excluded' in result.sentence


def test_worse_on_imagenet_and_better_in_transfer_is_no():
  values = (0.9, 0.87, 0.88, 0.8, 0.75, 0.72, 0.6)
  result = answered(
    [cell(f'n{i}', v, 0.7 + i / 50) for i, v in enumerate(values)]
  )
  assert result.verdict == answer.NO


def test_what_is_left_out_is_said():
  cells = [cell(f'n{i}', 0.6 + i / 20, 0.7 + i / 50) for i in range(6)]
  cells.append(cell('unknown', 0.7, None))
  result = answered(cells)
  assert len(result.networks) == 6
  assert any('unknown: unknown.' in remark for remark in result.remarks)
  # One network on one more dataset: that dataset would leave no other.
  cells.append(cell('n0', 0.7, 0.7, 'dtd'))
  result = answered(cells)
  assert (len(result.networks), result.datasets) == (6, ('pets',))
  assert any(
    'too few networks being on these and the others: DTD' in r
    for r in result.remarks
  )


INCEPTION = (
  'inception_v1',
  'bn_inception',
  'inception_v3',
  'inception_v4',
  'inception_resnet_v2',
)
RESNET = ('resnet50', 'resnet101', 'resnet152')


def of_networks(names, **more):
  """Makes cells whose accuracies follow ImageNet's, but for a wiggle."""
  return [
    cell(name, 0.5 + i / 20 + 0.02 * (-1) ** i, 0.7 + i / 50, **more)
    for i, name in enumerate(names)
  ]


def test_networks_of_one_family_speak_of_it_alone():
  result = answered(of_networks(INCEPTION))
  assert result.verdict == answer.YES
  assert ' over networks, all of one family, Inception' in result.sentence


@pytest.mark.parametrize(
  ('count', 'end'),
  [
    (1, ' over networks, on this dataset alone: it takes 3 or more to check '),
    (2, ', on these 2 datasets alone: it takes 3 or more to check whether '),
    (3, None),
  ],
)
def test_few_datasets_speak_of_themselves_alone(count, end):
  cells = [
    cell(f'n{i}', 0.5 + i / 30 + 0.01 * (-1) ** i, 0.7 + i / 50, dataset)
    for dataset in ('pets', 'cars', 'dtd')[:count]
    for i in range(10)
  ]
  result = answered(cells)
  assert result.verdict == answer.YES
  if end:
    assert end in result.sentence
    assert result.sentence.endswith('check whether others would agree.')
  else:
    assert 'alone' not in result.sentence


def test_a_few_examples_are_said_with_the_answer():
  few = of_networks('abcdef', examples_per_class=16, subset_seed=1)
  result = answered(few)
  assert result.sentence.startswith(
    'Logistic regression on 16 training images of each class: networks that '
  )
  assert result.remarks[-1].startswith(
    'The paper, on all training images of the same dataset: r = '
  )


def test_of_two_families_independence_cannot_be_checked():
  result = answered(of_networks(INCEPTION + RESNET))
  assert result.verdict == answer.DEPENDS
  assert result.sentence.endswith(
    'only if networks of one family count as independent, which so few '
    'families (2 families) cannot show.'
  )
  assert any('of 2 families (Inception, ResNet)' in r for r in result.remarks)


def test_what_only_recipes_explain_depends_on_them():
  """Better by recipe alone: within one, ImageNet says nothing."""
  plain = recipe.Recipe(True, False, False, False, 'imagenet').to_json()
  values = (0.5, 0.52, 0.52, 0.5, 0.8, 0.82, 0.82, 0.8)
  cells = [
    cell(f'n{i}', value, 0.7 + i / 50, **({'recipe': plain} if i < 4 else {}))
    for i, value in enumerate(values)
  ]
  result = answered(cells)
  assert result.verdict == answer.DEPENDS
  assert 'only if recipes make no difference: within networks of one ' in (
    result.sentence
  )
  (remark,) = [r for r in result.remarks if r.startswith('Within networks')]
  assert remark.endswith(' over networks (8 networks of 2 recipes).')
  # From random values, which owe nothing to recipes, it would be an answer.
  fresh = [{**fields, 'setting': 'random_init'} for fields, _ in cells]
  assert answer.from_records(fresh, 'random_init').verdict == answer.YES


def test_recipes_that_are_not_known_are_said():
  unknown = recipe.UNKNOWN.to_json()
  result = answered(of_networks('abcdef', recipe=unknown))
  assert any(
    r.startswith('The recipe of 6 of 6 networks is not known in full')
    for r in result.remarks
  )
  alike = answered(of_networks('abcdef'))
  assert not any('recipe' in remark for remark in alike.remarks)


def test_what_one_dataset_alone_shows_depends_on_datasets():
  """One dataset follows ImageNet far, three do not at all."""
  generator = np.random.default_rng(2)
  cells = [
    cell(f'n{i}', value, 0.7 + i / 50, dataset)
    for dataset in ('pets', 'cars', 'dtd', 'flowers')
    for i, value in enumerate(
      np.linspace(0.1, 0.9, 12)
      if dataset == 'pets'
      else generator.uniform(0.4, 0.6, 12)
    )
  ]
  result = answered(cells)
  assert result.verdict == answer.DEPENDS
  assert (
    '), only on datasets like these: over networks and datasets it is −'
  ) in result.sentence


def test_architectures_that_do_worse_from_random_values():
  values = (0.9, 0.87, 0.88, 0.8, 0.75, 0.72, 0.6)
  cells = [
    record(f'n{i}', 'pets', 'random_init', v, 0.7 + i / 50)
    for i, v in enumerate(values)
  ]
  result = answer.from_records([fields for fields, _ in cells], 'random_init')
  assert result.verdict == answer.NO
  assert (
    'architectures that are better on ImageNet do worse when trained from '
    'random values on the dataset, r = '
  ) in result.sentence


def test_errors_of_measurement_are_said_and_widen_the_interval():
  plain = answered(of_networks('abcdef'))
  noisy = answered(of_networks('abcdef', imagenet_top1_error=0.01))
  assert not any('Errors of' in remark for remark in plain.remarks)
  (remark,) = [r for r in noisy.remarks if r.startswith('Errors of')]
  assert remark.startswith('Errors of ImageNet top-1 (known of 6 of 6 net')
  assert plain.correlation == noisy.correlation
  assert plain.sentence != noisy.sentence


def test_a_text_has_the_sentence_first_and_remarks_below():
  result = answered(of_networks('abcdef'))
  first, *rest = result.text.splitlines()
  assert first == f'{result.verdict}. {result.sentence}'
  assert rest == [f'  {remark}' for remark in result.remarks]
