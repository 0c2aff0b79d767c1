"""The modules that a cell passes through, in the order of the documentation."""

import pathlib
import re
import sys
import types

import pytest

from tf_transfer import main

PAGE = pathlib.Path(__file__).parents[1] / 'docs' / 'architecture.md'
SETTINGS = ('logistic_regression', 'fine_tuned')


def documented_modules(column):
  """The modules in a column of the table, without `tf_transfer.`."""
  rows = re.findall(r'^\|.*\| `(\S+)` \| `(\S+)` \|$', PAGE.read_text(), re.M)
  return [row[column] for row in rows]


def test_the_way_is_short():
  for column in range(2):
    assert 10 <= len(documented_modules(column)) <= 12


@pytest.mark.usefixtures('no_figures')
@pytest.mark.parametrize('setting', SETTINGS)
def test_a_cell_enters_the_modules_in_order(
  tmp_path, monkeypatch, tiny_config, setting
):
  modules = documented_modules(SETTINGS.index(setting))
  ahead = [f'tf_transfer.{module}' for module in modules]

  def note(frame, event, _):
    # Not what a module runs when it is imported.
    called = event == 'call' and frame.f_code.co_name != '<module>'
    if called and ahead and frame.f_globals.get('__name__') == ahead[0]:
      ahead.pop(0)

  tiny_config.networks = ('tiny',)
  tiny_config.settings = (setting,)
  for flag, value in (
    ('_CONFIG', tiny_config),
    ('_WORKDIR', str(tmp_path / 'work')),
  ):
    monkeypatch.setattr(main, flag, types.SimpleNamespace(value=value))
  sys.setprofile(note)
  try:
    main.main(['main'])
  finally:
    sys.setprofile(None)
  assert ahead == []
