"""What fails after the records are done is listed, and ends nothing."""

import pytest

from tf_transfer import errors
from tf_transfer.study import attempts as attempts_lib


def fail(error):
  raise error


def test_failures_are_printed_and_raised_at_the_end(capsys):
  attempts = attempts_lib.Attempts()
  attempts.raise_failures()
  assert attempts.make('figure_1', lambda a, b: a + b, 1, 2) == 3
  for what, error in (
    ('figure_2', ValueError('a$b\nin two lines\x1b[2J')),
    ('report.html', errors.InputError('no space left')),
    ('figure_7', MemoryError()),
  ):
    assert attempts.make(what, fail, error) is None
  assert capsys.readouterr().out.splitlines() == [
    'figure_2 could not be made: ValueError: a$b in two lines\\x1b[2J',
    'report.html could not be made: no space left',
    'figure_7 could not be made: MemoryError:',
  ]
  with pytest.raises(
    errors.InputError,
    match=r'^3 figures and pages could not be made \(fig',
  ):
    attempts.raise_failures()


def test_a_job_that_is_told_to_end_ends():
  with pytest.raises(errors.Preempted):
    attempts_lib.Attempts().make('figure_1', fail, errors.Preempted())
