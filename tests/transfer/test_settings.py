"""The table of settings: what each row says of configs and records."""

import ml_collections
import pytest

from tf_transfer import errors
from tf_transfer.configs.presets import smoke
from tf_transfer.transfer import settings
from tf_transfer.transfer.fixed_features import classifiers

ON_FEATURES = tuple(classifiers.CLASSIFIERS)
TRAIN = ('fine_tuned', 'random_init')


@pytest.fixture
def config():
  return smoke.get_config()


def test_rows_in_the_order_of_the_protocol():
  assert tuple(settings.SETTINGS) == (*ON_FEATURES, *TRAIN)
  for name, setting in settings.SETTINGS.items():
    assert setting.name == name
    assert setting.uses_features == (name in ON_FEATURES)
    assert setting.trains == (name in TRAIN)
    assert setting.needs_weights == (name != 'random_init')
    assert setting.scores_are_logits == (
      name in ('logistic_regression', *TRAIN)
    )


def test_unknown_setting_is_refused_with_the_nearest_name():
  with pytest.raises(errors.InputError, match='did you mean fine_tuned'):
    settings.row('finetuned')


@pytest.mark.parametrize(
  ('name', 'title'),
  [('linear_svm', 'Linear SVM'), ('of_ones_own', 'Of ones own')],
)
def test_titles(name, title):
  assert settings.title(name) == title


@pytest.mark.parametrize('name', ON_FEATURES)
def test_features_determine_what_uses_them(config, name):
  determinants = settings.SETTINGS[name].determinants(config)
  assert determinants['layer'] == ''
  assert determinants['pyramid'] == [1]
  fields = config.get(name, ml_collections.ConfigDict())
  assert determinants['search'] == fields.to_dict()


@pytest.mark.parametrize('name', TRAIN)
def test_features_do_not_determine_training(config, name):
  setting = settings.SETTINGS[name]
  before = setting.determinants(config)
  config.features.layer = 'stage3'
  config.features.resize = 'resize_then_crop'
  # Neither does what changes only the time and what is logged.
  config[name].concurrent_trials = 3
  config[name].log_every = 7
  assert setting.determinants(config) == before
  config[name].steps += 1
  assert setting.determinants(config) != before


def classifier_record(**changes):
  return {
    'network': 'resnet50',
    'dataset': 'pets',
    'solver': {'converged': True, 'unconverged_penalties': []},
    'search': {'penalty_min': 1e-6, 'penalty_max': 1e5},
    'chosen': {'penalty': 0.1},
    **changes,
  }


@pytest.mark.parametrize(
  ('changes', 'warnings'),
  [
    ({}, []),
    ({'chosen': {'penalty': 1e5}}, ['the chosen penalty is at the end']),
    (
      {'solver': {'converged': False, 'unconverged_penalties': [1e-6, 1e-5]}},
      [
        'resnet50 on pets: the final fit did NOT converge; raise '
        '--config.logistic_regression.max_evaluations',
        'resnet50 on pets: 2 of the fits on train did not converge, at '
        'penalties 1e-06, 1e-05',
      ],
    ),
  ],
)
def test_warnings_of_a_classifier(changes, warnings):
  record = classifier_record(**changes)
  summary = settings.SETTINGS['logistic_regression'].summarize(record)
  assert summary.lines == ()
  assert len(summary.warnings) == len(warnings)
  for text, expected in zip(summary.warnings, warnings, strict=True):
    assert text.startswith(expected)


@pytest.mark.parametrize(
  ('chosen', 'warnings'),
  [
    ({'learning_rate': 0.01, 'weight_decay': 0.0}, 0),
    ({'learning_rate': 0.1, 'weight_decay': 1e-4}, 1),
    ({'learning_rate': 0.1, 'weight_decay': 1e-3}, 2),
  ],
)
def test_a_choice_at_the_end_of_the_grid_is_warned_of(chosen, warnings):
  """No weight decay is not an end: there is nothing below."""
  trials = [
    {
      'learning_rate': rate,
      'weight_decay': decay,
      'diverged': 4 if rate > 0.05 and not decay else None,
    }
    for rate in (0.001, 0.01, 0.1)
    for decay in (0.0, 1e-5, 1e-4, 1e-3)
  ]
  summary = settings.SETTINGS['fine_tuned'].summarize(
    {'trials': trials, 'chosen': chosen}
  )
  assert summary.lines == ('1 of 12 trials diverged',)
  assert len(summary.warnings) == warnings
