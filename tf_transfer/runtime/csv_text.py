"""Writes tables as CSV that a spreadsheet does not run."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

# What a spreadsheet takes for the beginning of a formula.
_FORMULA_STARTS = ('=', '+', '-', '@', '\t', '\n')


def render(rows: Iterable[Sequence[Any]]) -> str:
  """Formats rows as CSV.

  A text that a spreadsheet would take for a formula follows an apostrophe.
  Numbers stay as they are.

  Args:
    rows: of texts, numbers and None, which is an empty field.
  """
  file = io.StringIO()
  writer = csv.writer(file, lineterminator='\n')
  for row in rows:
    writer.writerow([_inert(value) for value in row])
  return file.getvalue()


def _inert(value: Any) -> Any:
  """Returns a value that is no formula and ends no row."""
  if not isinstance(value, str):
    return value
  # The csv module quotes no carriage return, which others take for a row's end.
  text = value.replace('\r\n', '\n').replace('\r', '\n')
  return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
