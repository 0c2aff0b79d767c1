import pytest

from tests.study.report import page_records
from tf_transfer.configs import base
from tf_transfer.networks import recipe
from tf_transfer.study.paper import differences, numbers

FIXED = 'logistic_regression'


def topics(fields):
  found = differences.compare(fields)
  return found, {reason.topic: reason.text for reason in found.reasons}


def test_a_difference_is_explained_by_what_the_record_says():
  fields, _ = page_records.record(
    *('inception_v3', 'pets', FIXED, 0.9, 0.78),
    recipe=recipe.Recipe(True, True, False, None, 'imagenet', 'ours').to_json(),
    image_size=128,
    preprocessing='resize_then_crop',
    notes=['three images were lost'],
    skipped=['a.jpg', 'b.jpg'],
    solver={'converged': False, 'unconverged_penalties': [1e-6]},
    search={**page_records.LOGISTIC, 'num_penalties': 12},
  )
  found, why = topics(fields)
  paper = next(
    r['test']['value']
    for r in numbers.records()
    if (r['network'], r['dataset'], r['setting'])
    == ('inception_v3', 'pets', FIXED)
  )
  assert found.paper == paper
  assert found.difference == pytest.approx(fields['test']['value'] - paper)
  assert 'ImageNet top-1 78.0% here, 78.6% there' in why['weights']
  assert (
    'Recipe here: with BN scale, label smoothing; without dropout; not known '
    'auxiliary head; ours. There: BN scale;'
  ) in why['weights']
  assert why['search'] == 'penalties 12 (paper: 45)'
  texts = [reason.text for reason in found.reasons]
  assert 'tested on 500 of 3,669 images' in texts
  assert '2 corrupt images left out' in texts
  assert 'three images were lost' in texts
  assert 'images of 128 px, in the paper 299 px' in texts
  assert any('resize then crop' in text for text in texts)
  assert 'the final fit did not converge' in texts
  assert 'our draw' in why['validation split']


@pytest.mark.parametrize('given', [recipe.UNKNOWN.to_json(), ''])
def test_a_recipe_that_nobody_knows(given):
  fields, _ = page_records.record(
    *('resnet50', 'dtd', FIXED, 0.7, 0.769), recipe=given
  )
  _, why = topics(fields)
  assert 'Recipe here: not recorded. There:' in why['weights']


def test_nothing_is_said_without_ground():
  """As the paper did it, on an official split: its weights and the reading."""
  _, why = topics(page_records.record('resnet50', 'dtd', FIXED, 0.7, 0.769)[0])
  assert set(why) == {'weights', 'images', 'reading'}
  assert why['images'] == 'tested on 500 of 1,880 images'


def test_training_is_compared_with_the_papers_search():
  fields, _ = page_records.record('resnet50', 'dtd', 'fine_tuned', 0.7, 0.769)
  _, why = topics(fields)
  assert 'steps 60 (paper: 20,000)' in why['search']
  assert 'batch size 32 (paper: 256)' in why['search']
  assert 'learning rate max' not in why['search']
  assert why['convergence'] == '1 of 4 trials diverged'


@pytest.mark.parametrize(
  ('field', 'value', 'words'),
  [
    ('search', 'halving', 'search halving (paper: exhaustive)'),
    ('refit_on_trainval', False, 'refit on trainval no (paper: yes)'),
    ('precision', 'bfloat16', 'precision bfloat16 (paper: float32)'),
    ('early_stopping', True, 'early stopping yes (paper: no)'),
    (
      'gradient_accumulation_steps',
      4,
      'gradient accumulation steps 4 (paper: 1)',
    ),
    ('min_epochs', 100, 'min epochs 100 (paper: 0)'),
  ],
)
def test_each_departure_from_the_papers_training_is_said(field, value, words):
  papers = base.fine_tuned_fields().to_dict()

  def why(search):
    return topics(
      page_records.record(
        *('resnet50', 'dtd', 'fine_tuned', 0.7, 0.769), search=search
      )[0]
    )[1]

  assert why({**papers, field: value})['search'] == words
  # The grid trained whole, with a word on what halving would have saved.
  assert 'search' not in why({**papers, 'search': 'both'})


def test_a_cell_that_the_paper_lacks_says_what_it_lacks():
  found, why = topics(page_records.record('mine', 'digits', FIXED, 0.7, 0.7)[0])
  assert found.paper is None
  assert set(why) == {'network not in the paper', 'dataset not in the paper'}
