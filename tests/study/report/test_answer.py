import numpy as np
import pytest
import scipy.special
import scipy.stats

from tests.study.report.page_records import FIXED, cell
from tf_transfer.study.analysis import accuracy_table
from tf_transfer.study.paper import numbers
from tf_transfer.study.report import answer


def answered(cells):
  return answer.from_records([fields for fields, _ in cells], FIXED)


def test_the_answer_of_the_papers_numbers_is_the_papers():
  result = answer.from_records(numbers.records(), FIXED)
  assert result.verdict == answer.YES
  assert 'r = 0.99, 95 % interval' in result.sentence
  assert 'over 16 networks and 12 datasets' in result.sentence
  assert result.remarks == (
    # Of the same numbers by SciPy.
    f"By ranks alone, Spearman's ρ = {_spearman():.2f}, 95 % interval 0.92 to "
    '1.00.',
    f"The paper's 16 networks on the same 12 datasets: "
    f'{answer.coefficient(result.correlation)}.',
  )


def _spearman():
  result = accuracy_table.build(numbers.records(), FIXED)
  mean = scipy.special.logit(result.accuracy).mean(axis=1)
  return scipy.stats.spearmanr(result.imagenet_top1, mean).statistic


@pytest.mark.parametrize(
  ('count', 'words'),
  [
    (1, 'no correlation of 1 network:'),
    (2, 'no correlation of 2 networks:'),
    (3, 'over 3 networks and 1 dataset, without an interval'),
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
  assert any('too few networks being on them: DTD' in r for r in result.remarks)
