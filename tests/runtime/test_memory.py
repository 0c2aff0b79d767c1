"""Large pages: what is asked of glibc, and the process begun anew."""

import os
import sys

import pytest

from tf_transfer.runtime import memory

VARIABLE = 'GLIBC_TUNABLES'
ASKED = 'glibc.malloc.hugetlb=1'


@pytest.fixture
def kernel(tmp_path, monkeypatch):
  """A function that says what the kernel's setting is."""
  monkeypatch.delenv(VARIABLE, raising=False)
  path = tmp_path / 'enabled'
  monkeypatch.setattr(memory, '_KERNEL', path)
  return path.write_text


def test_asked_for_where_the_kernel_leaves_the_choice(kernel, monkeypatch):
  assert memory.large_pages() == {}  # No such file.
  kernel('always [madvise] never')
  assert memory.large_pages() == {VARIABLE: ASKED}
  monkeypatch.setenv(VARIABLE, 'glibc.malloc.check=1')
  assert memory.large_pages() == {VARIABLE: f'glibc.malloc.check=1:{ASKED}'}
  for setting in ('[always] madvise never', 'always madvise [never]'):
    kernel(setting)
    assert memory.large_pages() == {}


def test_a_choice_of_the_user_stays(kernel, monkeypatch):
  kernel('always [madvise] never')
  monkeypatch.setenv(VARIABLE, 'glibc.malloc.hugetlb=0')
  assert memory.large_pages() == {}


def test_the_same_command_once_more(kernel, monkeypatch):
  kernel('always [madvise] never')
  begun = []
  monkeypatch.setattr(os, 'execve', lambda *a: begun.append(a))
  command = ['python', '-X', 'dev', '-m', 'some.module', '--flag=a b', '']
  monkeypatch.setattr(sys, 'orig_argv', command)
  memory.use_large_pages('some.module', 'some-command')
  (path, arguments, environment) = begun.pop()
  assert path == sys.executable
  assert arguments == [sys.executable, *command[1:]]
  assert environment == {**os.environ, VARIABLE: ASKED}
  # The new one does not begin another.
  monkeypatch.setenv(VARIABLE, ASKED)
  memory.use_large_pages('some.module', 'some-command')
  assert not begun


def test_a_console_command_once_more(kernel, monkeypatch):
  kernel('always [madvise] never')
  begun = []
  monkeypatch.setattr(os, 'execve', lambda *a: begun.append(a))
  command = ['python', '/bin/some-command', '--flag=a b']
  monkeypatch.setattr(sys, 'orig_argv', command)
  monkeypatch.setattr(sys, 'argv', command[1:])
  memory.use_large_pages('some.module', 'some-command')
  assert begun == [
    (
      sys.executable,
      [sys.executable, *command[1:]],
      {**os.environ, VARIABLE: ASKED},
    )
  ]


def test_another_program_is_left_alone(kernel, monkeypatch):
  kernel('always [madvise] never')
  monkeypatch.setattr(os, 'execve', lambda *a: pytest.fail('begun anew'))
  monkeypatch.setattr(
    sys, 'orig_argv', ['python', '-m', 'pytest', 'some.module']
  )
  memory.use_large_pages('some.module', 'some-command')
