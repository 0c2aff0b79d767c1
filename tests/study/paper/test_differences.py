import pytest

from tests.study.report import page_records
from tf_transfer.configs import base
from tf_transfer.networks import recipe
from tf_transfer.study.paper import differences, numbers

FIXED = 'logistic_regression'


def compare(fields):
  """The comparison of a record, and its reasons by topic."""
  comparison = differences.compare(fields)
  return comparison, {
    reason.topic: reason.text for reason in comparison.reasons
  }


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
  comparison, reasons = compare(fields)
  paper = next(
    r['test']['value']
    for r in numbers.records()
    if (r['network'], r['dataset'], r['setting'])
    == ('inception_v3', 'pets', FIXED)
  )
  assert comparison.paper == paper
  assert comparison.difference == pytest.approx(fields['test']['value'] - paper)
  assert 'ImageNet top-1 78.0% here, 78.6% there' in reasons['weights']
  assert (
    'Recipe here: with BN scale, label smoothing; without dropout; not known '
    'auxiliary head; ours. There: BN scale;'
  ) in reasons['weights']
  assert reasons['search'] == 'penalties 12 (paper: 45)'
  texts = [reason.text for reason in comparison.reasons]
  assert 'tested on 500 of 3,669 images' in texts
  assert '2 corrupt images left out' in texts
  assert 'three images were lost' in texts
  assert 'images of 128 px, in the paper 299 px' in texts
  assert any('resize then crop' in text for text in texts)
  assert 'the final fit did not converge' in texts
  assert 'our draw' in reasons['validation split']


@pytest.mark.parametrize('recipe_json', [recipe.UNKNOWN.to_json(), ''])
def test_a_recipe_that_nobody_knows(recipe_json):
  fields, _ = page_records.record(
    *('resnet50', 'dtd', FIXED, 0.7, 0.769), recipe=recipe_json
  )
  _, reasons = compare(fields)
  assert 'Recipe here: not recorded. There:' in reasons['weights']


def test_nothing_is_said_without_ground():
  """As the paper did it, on an official split: its weights and the reading."""
  _, reasons = compare(
    page_records.record('resnet50', 'dtd', FIXED, 0.7, 0.769)[0]
  )
  assert set(reasons) == {'weights', 'images', 'reading'}
  assert reasons['images'] == 'tested on 500 of 1,880 images'


def test_training_is_compared_with_the_papers_search():
  fields, _ = page_records.record('resnet50', 'dtd', 'fine_tuned', 0.7, 0.769)
  _, reasons = compare(fields)
  assert 'steps 60 (paper: 20,000)' in reasons['search']
  assert 'batch size 32 (paper: 256)' in reasons['search']
  assert 'learning rate max' not in reasons['search']
  assert reasons['convergence'] == '1 of 4 trials diverged'


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

  def reasons(search):
    return compare(
      page_records.record(
        *('resnet50', 'dtd', 'fine_tuned', 0.7, 0.769), search=search
      )[0]
    )[1]

  assert reasons({**papers, field: value})['search'] == words
  # The grid trained whole, with a word on what halving would have saved.
  assert 'search' not in reasons({**papers, 'search': 'both'})


def test_a_cell_that_the_paper_lacks_says_what_it_lacks():
  comparison, reasons = compare(
    page_records.record('mine', 'digits', FIXED, 0.7, 0.7)[0]
  )
  assert comparison.paper is None
  assert set(reasons) == {
    'network not in the paper',
    'dataset not in the paper',
  }


def several_runs(values):
  """A cell of inception_v3 on pets, trained several times."""
  mean = sum(values) / len(values)
  test = {'value': mean, 'low': mean - 0.03, 'high': mean + 0.03}
  fields, _ = page_records.record('inception_v3', 'pets', FIXED, mean, 0.78)
  test['examples'] = fields['test']['examples']
  runs = [
    {'seed': i, 'test': {**test, 'value': v}} for i, v in enumerate(values)
  ]
  return {**fields, 'test': test, 'runs': runs}


def test_training_variance_is_judged_by_runs_alone():
  """The interval of images holds the paper's number; the runs do not."""
  paper = differences.compare(several_runs([0.9, 0.9])).paper
  values = [paper + 0.02, paper + 0.021, paper + 0.019]
  one = differences.compare(several_runs(values))
  assert one.within_sampling
  assert one.within_runs is False
  # Runs that differ by as much as the paper's does.
  wide = [paper + 0.02, paper + 0.035, paper + 0.005]
  assert differences.compare(several_runs(wide)).within_runs is True
  # The error of reading alone.
  reading = differences.compare(several_runs(values)).reading
  near = [paper + 0.9 * reading] * 2
  assert differences.compare(several_runs(near)).within_runs is True


def test_one_run_says_nothing_of_training_variance():
  fields, _ = page_records.record('inception_v3', 'pets', FIXED, 0.9, 0.78)
  one = differences.compare(fields)
  assert one.within_runs is None
  assert one.within_sampling is not None
