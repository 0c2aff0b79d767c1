"""The plan of a study."""

import re

import pytest

from tf_transfer import errors
from tf_transfer.jobs import study
from tf_transfer.study import cost_model


def test_only_plan_runs_nothing(tmp_path, tiny_config, capsys):
  tiny_config.only_plan = True
  tiny_config.leave_out = (*tiny_config.leave_out, ('tiny', 'digits', 'ridge'))
  study.run(tiny_config, tmp_path)
  out = capsys.readouterr().out
  assert '5 cells: 0 found in the ledger, 5 to run' in out
  # Under logistic regression, and not under ridge.
  (row,) = [x for x in out.splitlines() if x.startswith('tiny ')]
  assert re.fullmatch(r'tiny +\d+ s', row.strip())
  assert not (tmp_path / 'results.jsonl').exists()


def test_a_study_of_more_than_a_day_is_asked_for(
  tmp_path, tiny_config, monkeypatch, capsys
):
  """Its plan is shown either way; nothing is run before it is allowed."""
  monkeypatch.setattr(cost_model, 'operations_per_second', lambda: 1.0)
  with pytest.raises(errors.InputError, match='--config.allow_long=True'):
    study.run(tiny_config, tmp_path)
  assert not (tmp_path / 'results.jsonl').exists()
  tiny_config.only_plan = True
  assert study.run(tiny_config, tmp_path) == []
  assert ' days, give or take' in capsys.readouterr().out
