"""The ways in which a program ends: a line and an exit code each."""

import errno
import os
import sys

import pytest

from tf_transfer import errors
from tf_transfer.runtime import memory, program, progress


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


@pytest.fixture
def large_pages(monkeypatch):
  """The variable that asks for large pages, where the kernel lets choose."""
  variable = {'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=1'}
  monkeypatch.setattr(memory, 'large_pages', lambda: dict(variable))
  return variable


def test_the_process_restarts_once(large_pages, monkeypatch):
  restarts = []
  monkeypatch.setattr(os, 'execve', lambda *a: restarts.append(a))
  command = ['python', '-X', 'dev', '-m', 'some.module', '--flag=a b', '']
  monkeypatch.setattr(sys, 'orig_argv', command)
  program.restart('some.module', 'some-command')
  (path, arguments, environment) = restarts.pop()
  assert path == sys.executable
  assert arguments == [sys.executable, *command[1:]]
  assert environment == {**os.environ, **large_pages}
  # The restarted process does not restart again.
  large_pages.clear()
  program.restart('some.module', 'some-command')
  assert not restarts


def test_a_console_command_is_restarted(large_pages, monkeypatch):
  restarts = []
  monkeypatch.setattr(os, 'execve', lambda *a: restarts.append(a))
  command = ['python', '/bin/some-command', '--flag=a b']
  monkeypatch.setattr(sys, 'orig_argv', command)
  monkeypatch.setattr(sys, 'argv', command[1:])
  program.restart('some.module', 'some-command')
  assert restarts == [
    (
      sys.executable,
      [sys.executable, *command[1:]],
      {**os.environ, **large_pages},
    )
  ]


def test_another_program_is_not_restarted(large_pages, monkeypatch):
  monkeypatch.setattr(os, 'execve', lambda *a: pytest.fail('restarted'))
  monkeypatch.setattr(
    sys, 'orig_argv', ['python', '-m', 'pytest', 'some.module']
  )
  program.restart('some.module', 'some-command')


def test_restart_with_utf_8(large_pages, monkeypatch):
  """In the locale C, where Python was told not to use UTF-8 by itself."""
  large_pages.clear()
  restarts = []
  monkeypatch.setattr(os, 'execve', lambda *a: restarts.append(a))
  monkeypatch.setattr(sys, 'orig_argv', ['python', '-m', 'some.module'])
  program.restart('some.module', 'some-command')
  assert not restarts
  monkeypatch.setattr(sys, 'getfilesystemencoding', lambda: 'ascii')
  program.restart('some.module', 'some-command')
  assert restarts.pop()[2] == {**os.environ, 'PYTHONUTF8': '1'}
