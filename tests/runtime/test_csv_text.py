"""CSV that a spreadsheet does not run."""

import csv
import io

import pytest

from tf_transfer.runtime import csv_text


@pytest.mark.parametrize(
  'text', ['=1+1', '+1', '-2', '@x', '\tx', '\r=x', '=cmd|"/C calc"!A0']
)
def test_formulas_are_texts(text):
  (row,) = csv.reader(io.StringIO(csv_text.render([[text]]), newline=''))
  assert row == [f"'{text}".replace('\r', '\n')]


def test_everything_else_stays():
  values = ['a=b', 'a,b', 'say "x"', 'two\nlines', '', '猫と花', '–', '−3']
  (row,) = csv.reader(io.StringIO(csv_text.render([values]), newline=''))
  assert row == values
  assert csv_text.render([[-1.5, 2, None, 'x'], ['y']]) == '-1.5,2,,x\ny\n'
