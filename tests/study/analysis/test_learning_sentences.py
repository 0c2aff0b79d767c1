"""What is said of figures 8 and 9."""

import dataclasses

import numpy as np
import pytest

from tests.study import curve_records
from tf_transfer.study.analysis import learning_curves, learning_sentences
from tf_transfer.study.analysis.learning_curves import Parity, Speed
from tf_transfer.study.paper import numbers


def records_of(cells):
  return [fields for fields, _ in cells]


@pytest.mark.parametrize(
  ('tuned_rises', 'random_rises', 'end'),
  [
    (False, False, ', 16 times as many.'),
    (
      *(False, True),
      ', at least 16 times as many. Random initialization does best with the '
      'most steps and may still improve.',
    ),
    (
      *(True, False),
      ', at most 16 times as many. Fine-tuning does best with the most steps '
      'and may still improve.',
    ),
    (
      *(True, True),
      '. No ratio can be given. Random initialization and fine-tuning do '
      'best with the most steps and may still improve.',
    ),
  ],
)
def test_speed_is_a_bound_where_a_curve_still_rises(
  tuned_rises, random_rises, end
):
  speed = Speed(100.0, 1600.0, ('pets',), 1, tuned_rises, random_rises)
  assert learning_sentences.speed_text(speed) == (
    'To 90 % of the greatest odds, on Oxford-IIIT Pets: fine-tuned 100 steps, '
    f'random initialization 1,600{end}'
  )


@pytest.mark.parametrize(
  ('tuned_starts', 'random_starts', 'end'),
  [
    (
      *(True, False),
      ', at least 16 times as many. Fine-tuning is there with the fewest steps '
      'tried, so fewer may do.',
    ),
    (
      *(False, True),
      ', at most 16 times as many. Random initialization is there with the '
      'fewest steps tried, so fewer may do.',
    ),
    (
      *(True, True),
      '. No ratio can be given. Random initialization and fine-tuning are '
      'there with the fewest steps tried, so fewer may do.',
    ),
  ],
)
def test_speed_is_a_bound_where_the_fewest_steps_suffice(
  tuned_starts, random_starts, end
):
  speed = Speed(
    *(100.0, 1600.0, ('pets',), 1, 0, 0),
    tuned_starts=tuned_starts,
    random_starts=random_starts,
  )
  assert learning_sentences.speed_text(speed).endswith(f'1,600{end}')


def test_speed_of_a_curve_that_falls_is_a_bound():
  curves = learning_curves.steps_curves(
    records_of(
      curve_records.trained(setting, steps, value)
      for setting, values in (
        ('fine_tuned', (0.7, 0.6, 0.5)),
        ('random_init', (0.1, 0.4, 0.39)),
      )
      for steps, value in zip((10, 20, 40), values, strict=True)
    )
  )
  (text,) = learning_sentences.of_steps(curves)
  assert ', at least 2 times as many. Fine-tuning is there with' in text


def test_as_many_steps_are_not_one_times_as_many():
  speed = Speed(40.0, 40.0, ('pets',), 1, 0, 0)
  assert learning_sentences.speed_text(speed).endswith(
    'initialization 40, as many.'
  )


def test_speed_is_said_beside_the_papers_on_the_same_datasets():
  curves = learning_curves.steps_curves(records_of(curve_records.both()))
  papers = numbers.accuracy_vs_steps()
  own, theirs = learning_sentences.of_steps(curves, papers)
  # Odds of 4 are 94 % of those of 0.81; 0.7 is reached at the end alone.
  assert 'fine-tuned 40 steps, random initialization 640, at least 16' in own
  assert theirs.startswith('The paper, Inception v4: To 90 %')
  assert 'on Oxford-IIIT Pets' in theirs
  assert learning_sentences.of_steps(curves)[1:] == []
  assert learning_sentences.of_steps(curves[:1], papers) == []


def test_speed_over_all_of_the_papers_datasets():
  (text,) = learning_sentences.of_steps(numbers.accuracy_vs_steps())
  assert 'over 12 datasets' in text


def parity(examples, *, stays=True):
  curve, other, _ = learning_curves.examples_curves(
    records_of(curve_records.both())
  )
  return Parity(other, curve, examples, 1, 16, stays)


@pytest.mark.parametrize(
  ('found', 'text'),
  [
    (
      parity(np.nan, stays=False),
      'Fine-tuned does not reach logistic regression up to 16 images a class.',
    ),
    (
      parity(1.0),
      'Fine-tuned is no worse than logistic regression at 1 image a class, the '
      'fewest here.',
    ),
    (
      parity(5.66),
      'Fine-tuned reaches logistic regression at about 5.7 images a class.',
    ),
    (
      parity(5.66, stays=False),
      'Fine-tuned reaches logistic regression at about 5.7 images a class, and '
      'falls behind it again.',
    ),
    (
      parity(123.4),
      'Fine-tuned reaches logistic regression at about 123 images a class.',
    ),
  ],
)
def test_parity(found, text):
  assert learning_sentences.parity_text(found) == text


def test_draws():
  curves = learning_curves.examples_curves(records_of(curve_records.both()))
  assert learning_sentences.draws_text(curves) == (
    'Means over 2 draws of the examples, ± their standard error.'
  )
  fewer = dataclasses.replace(curves[0], draws=np.array([1, 3, 3]))
  assert 'over 1 to 3 draws' in learning_sentences.draws_text([fewer])
  one = dataclasses.replace(curves[0], draws=np.ones(3, int))
  assert 'no standard error' in learning_sentences.draws_text([one])


def test_each_sentence_says_where_it_holds_if_there_are_several_places():
  cells = [
    curve_records.few(setting, count, 0, 0.5, dataset)
    for dataset in ('pets', 'dtd')
    for setting in ('logistic_regression', 'fine_tuned')
    for count in (1, 4)
  ]
  curves = learning_curves.examples_curves(records_of(cells))
  _, first, second = learning_sentences.of_examples(curves)
  assert first.startswith('Oxford-IIIT Pets: Fine-tuned is no worse')
  assert second.startswith('DTD: Fine-tuned')


def test_bounds_say_of_how_many_curves_they_are():
  speed = Speed(100.0, 1600.0, ('pets', 'dtd', 'cars'), 3, 1, 3)
  assert learning_sentences.speed_text(speed).endswith(
    'No ratio can be given. Random initialization and fine-tuning in 1 of 3 '
    'curves do best with the most steps and may still improve.'
  )
