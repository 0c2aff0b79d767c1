"""The answer, word by word where its numbers are known."""

import re

import numpy as np
import pytest

from tests.study.analysis import shift_tables
from tf_transfer.study.analysis import shift_results
from tf_transfer.study.report import shift_answer


@pytest.fixture(scope='module')
def published():
  return shift_results.published()


def test_answer_of_the_published_accuracies(published):
  text = shift_answer.text(published)
  assert '1,266 checkpoints of 78 families' in text
  # The r are SciPy's, in tests/study/analysis/test_shift_correlations.py.
  assert (
    'Better on ImageNet is better on shifted images: r is 0.863 (ImageNet-R) '
    'to 0.996 (ImageNetV2), and every interval over families is above 0.83.'
  ) in text
  assert re.search(r'^ImageNet-A +0\.955 \[', text, re.M)
  assert 'not transfer to new classes' in text
  assert 'ImageNet-A was chosen because a ResNet-50' in text


def test_counts_of_standouts_are_those_of_the_groups(published):
  text = '\n'.join(shift_answer.sentences(published))
  found = dict(re.findall(r'([\w -]+?) (\d+) of \d+[,.]', text))
  groups = published.table.groups[published.standouts]
  assert int(found[' images with text']) == (groups == 'language').sum()
  assert int(found[' images with hashtags']) == (groups == 'hashtags').sum()
  assert f'{len(groups)} checkpoints do better than top-1 says' in text
  assert f'Holm, 0.05 of {published.num_compared:,} comparisons' in text


def test_nothing_is_claimed_where_there_is_nothing():
  """Noise without a relation, and nobody above the curve."""
  x = np.linspace(-1, 2, 200)
  y = np.sin(99 * np.arange(200))
  results = shift_results.compute(shift_tables.make(x, y))
  text = '\n'.join(shift_answer.sentences(results))
  assert 'is open' in text
  assert 'Better on ImageNet is better' not in text
  assert 'No checkpoint does better than its top-1 says' in text


@pytest.mark.parametrize(
  ('value', 'text'),
  [(0.123, '+0.12'), (-0.126, '−0.13'), (-0.001, '+0.00'), (0.0, '+0.00')],
)
def test_sign_of_a_residual(value, text):
  assert shift_answer.signed(value) == text
