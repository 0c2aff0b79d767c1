"""Configs that are short enough to be run whole, by their own commands."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def run(name, workdir):
  """Runs a config; its records by setting, and what was printed."""
  command = [
    *(sys.executable, '-m', 'tf_transfer.main', f'--workdir={workdir}'),
    f'--config=configs/{name}.py',
  ]
  result = subprocess.run(
    command, capture_output=True, text=True, cwd=ROOT, check=False
  )
  assert result.returncode == 0, result.stderr
  lines = (workdir / 'results.jsonl').read_text().splitlines()
  found = {record['setting']: record for record in map(json.loads, lines)}
  assert len(found) == len(lines)
  return found, result.stdout


SETTINGS = ['logistic_regression', 'fine_tuned', 'random_init']


@pytest.mark.slow
def test_smoke(tmp_path):
  found, said = run('smoke', tmp_path)
  assert set(found) == set(SETTINGS)
  for record in found.values():
    assert record['test']['examples'] == 367
  assert f'report   {tmp_path / "report.html"}' in said


@pytest.mark.slow
def test_ordering_of_the_three_settings(tmp_path):
  """Real weights, real images: the paper's order, chosen on val alone."""
  found, said = run('three_settings', tmp_path)
  assert set(found) == set(SETTINGS)
  # Each saw the same images at the same size.
  assert {r['image_size'] for r in found.values()} == {64}
  assert len({json.dumps(r['splits_sha256']) for r in found.values()}) == 1
  fixed, tuned, fresh = (found[name]['test']['value'] for name in SETTINGS)
  assert tuned > fixed > fresh
  for value in (tuned, fixed, fresh):
    assert f'{value:.2%}' in said
