"""Configs that are short enough to be run whole, by their own commands."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def run(name, workdir):
  """Runs a config; its records by setting, and what was printed."""
  command = [
    *(sys.executable, '-m', 'tf_transfer.main', f'--workdir={workdir}'),
    f'--config={name}',
  ]
  result = subprocess.run(
    command, capture_output=True, text=True, cwd=ROOT, check=False
  )
  assert result.returncode == 0, result.stderr
  lines = (workdir / 'results.jsonl').read_text().splitlines()
  records = {record['setting']: record for record in map(json.loads, lines)}
  assert len(records) == len(lines)
  return records, result.stdout


SETTINGS = ['logistic_regression', 'fine_tuned', 'random_init']


@pytest.mark.slow
def test_smoke(tmp_path):
  records, output = run('smoke', tmp_path)
  assert set(records) == set(SETTINGS)
  for record in records.values():
    assert record['test']['examples'] == 367
  assert f'report   {tmp_path / "report.html"}' in output


@pytest.mark.slow
def test_ordering_of_the_three_settings(tmp_path):
  """Real weights, real images: the paper's order, chosen on val alone."""
  records, output = run('three_settings', tmp_path)
  assert set(records) == set(SETTINGS)
  # Each saw the same images at the same size.
  assert {r['image_size'] for r in records.values()} == {64}
  assert len({json.dumps(r['splits_sha256']) for r in records.values()}) == 1
  fixed, tuned, fresh = (records[name]['test']['value'] for name in SETTINGS)
  assert tuned > fixed > fresh
  for value in (tuned, fixed, fresh):
    assert f'{value:.2%}' in output
