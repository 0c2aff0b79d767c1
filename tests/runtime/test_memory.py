"""Large pages: the request to glibc, and the restart of the process."""

import os
import sys

import pytest

from tf_transfer.runtime import memory

VARIABLE = 'GLIBC_TUNABLES'
REQUEST = 'glibc.malloc.hugetlb=1'


@pytest.fixture
def kernel(tmp_path, monkeypatch):
  """A function that sets what the kernel allows."""
  monkeypatch.delenv(VARIABLE, raising=False)
  path = tmp_path / 'enabled'
  monkeypatch.setattr(memory, '_KERNEL_SETTING', path)
  return path.write_text


def test_large_pages_if_programs_may_choose(kernel, monkeypatch):
  assert memory.large_pages() == {}  # No such file.
  kernel('always [madvise] never')
  assert memory.large_pages() == {VARIABLE: REQUEST}
  monkeypatch.setenv(VARIABLE, 'glibc.malloc.check=1')
  assert memory.large_pages() == {VARIABLE: f'glibc.malloc.check=1:{REQUEST}'}
  for setting in ('[always] madvise never', 'always madvise [never]'):
    kernel(setting)
    assert memory.large_pages() == {}


def test_a_choice_of_the_user_is_kept(kernel, monkeypatch):
  kernel('always [madvise] never')
  monkeypatch.setenv(VARIABLE, 'glibc.malloc.hugetlb=0')
  assert memory.large_pages() == {}


def test_the_process_restarts_once(kernel, monkeypatch):
  kernel('always [madvise] never')
  restarts = []
  monkeypatch.setattr(os, 'execve', lambda *a: restarts.append(a))
  command = ['python', '-X', 'dev', '-m', 'some.module', '--flag=a b', '']
  monkeypatch.setattr(sys, 'orig_argv', command)
  memory.use_large_pages('some.module', 'some-command')
  (path, arguments, environment) = restarts.pop()
  assert path == sys.executable
  assert arguments == [sys.executable, *command[1:]]
  assert environment == {**os.environ, VARIABLE: REQUEST}
  # The restarted process does not restart again.
  monkeypatch.setenv(VARIABLE, REQUEST)
  memory.use_large_pages('some.module', 'some-command')
  assert not restarts


def test_a_console_command_is_restarted(kernel, monkeypatch):
  kernel('always [madvise] never')
  restarts = []
  monkeypatch.setattr(os, 'execve', lambda *a: restarts.append(a))
  command = ['python', '/bin/some-command', '--flag=a b']
  monkeypatch.setattr(sys, 'orig_argv', command)
  monkeypatch.setattr(sys, 'argv', command[1:])
  memory.use_large_pages('some.module', 'some-command')
  assert restarts == [
    (
      sys.executable,
      [sys.executable, *command[1:]],
      {**os.environ, VARIABLE: REQUEST},
    )
  ]


def test_another_program_is_not_restarted(kernel, monkeypatch):
  kernel('always [madvise] never')
  monkeypatch.setattr(os, 'execve', lambda *a: pytest.fail('restarted'))
  monkeypatch.setattr(
    sys, 'orig_argv', ['python', '-m', 'pytest', 'some.module']
  )
  memory.use_large_pages('some.module', 'some-command')
