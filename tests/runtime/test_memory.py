"""Large pages: the request to glibc."""

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
