"""The config of a choice."""

from tf_transfer import config_fields
from tf_transfer.configs import choose
from tf_transfer.transfer import estimators
from tf_transfer.transfer.fixed_features import classifiers


def test_the_argument_is_a_path_or_a_name():
  assert choose.get_config('my photos, all').dataset == 'my photos, all'
  assert choose.get_config('folder:/x').dataset == 'folder:/x'


def test_classifiers_and_estimators_are_those_that_there_are():
  fields = config_fields.fields(choose.Choose)
  for name in classifiers.CLASSIFIERS:
    config_fields.check_value(name, fields['setting'], 'setting')
  for name in ('accuracy', *estimators.ESTIMATORS):
    config_fields.check_value(name, fields['by'], 'by')
