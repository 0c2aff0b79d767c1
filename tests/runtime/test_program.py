"""The ways in which a program ends: a line and an exit code each."""

import errno
import os

import pytest

from tf_transfer import errors
from tf_transfer.runtime import program, progress


def end(error):
  """Returns the exit code of a program that raises an error."""
  with pytest.raises(SystemExit) as ended, program.one_line_errors():
    raise error
  return ended.value.code


@pytest.mark.parametrize(
  ('error', 'words'),
  [
    (errors.InputError('a\x1bb is wrong'), r'error: a\x1bb is wrong'),
    (MemoryError('Unable to allocate 9 GiB'), 'Unable to allocate 9 GiB'),
    (OSError(errno.ENOSPC, 'No space left', '/a/b'), '/a/b: No space left'),
    (OSError(errno.EMFILE, 'Too many open files'), 'error: Too many open'),
    (PermissionError(errno.EACCES, 'denied', 'x'), 'x: denied'),
  ],
)
def test_errors_of_users_and_of_the_system(error, words):
  code = end(error)  # Python prints it, and exits with 1.
  assert code.startswith('error: ')
  assert words in code
  assert '\n' not in code


@pytest.mark.parametrize(
  'error', [KeyError('bug'), FileNotFoundError(errno.ENOENT, 'gone', 'x')]
)
def test_bugs_keep_their_traceback(error):
  with pytest.raises(type(error)), program.one_line_errors():
    raise error


def test_training_that_sigterm_has_ended(capsys):
  assert end(errors.Preempted('5 of 40 steps')) == os.EX_TEMPFAIL
  assert capsys.readouterr().err == (
    'stopped by SIGTERM; 5 of 40 steps. The same command resumes the job\n'
  )


def test_a_bar_ends_its_line_before_the_error(capsys, monkeypatch):
  """The frames of the error hold the bar, which is closed with them."""

  def fit():
    for _ in progress.bar(range(3)):
      progress.print_line('a warning')  # Shows the bar below itself.
      raise errors.Preempted('1 of 3')

  with pytest.raises(SystemExit), program.one_line_errors():
    fit()
  *_, bar, last = capsys.readouterr().err.split('\n')[:-1]
  assert '0/3' in bar
  assert last.startswith('stopped by SIGTERM')
