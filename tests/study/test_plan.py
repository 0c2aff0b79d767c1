"""The plan of a study."""

import re

from tf_transfer.jobs import study


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
