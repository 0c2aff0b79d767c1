"""Checks that the scores on val are those of what is chosen."""

import numpy as np
import pytest

from tests.transfer.training import searches
from tf_transfer.runtime import devices
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.training import search_results, val_scores

LABELS = np.array([0, 1, 2])


def candidate(number, value, step=30, view='whole_image'):
  return search_results.Choice(number, step, view, {'value': value})


def logits(seed):
  return np.random.default_rng(seed).normal(size=(3, 10)).astype(np.float32)


@pytest.fixture
def search(tmp_path, tiny_net):
  return searches.build_search(tiny_net, tmp_path)


def test_the_best_is_kept_by_the_order_of_the_choice(search, capsys):
  """Of equals the fewer steps, the first trial and the first view."""
  candidates = [
    candidate(3, 0.5),
    candidate(4, 0.4),
    candidate(2, 0.5),
    candidate(2, 0.5, view='central'),
    candidate(5, 0.5, step=20),
  ]
  best = [0, 0, 2, 2, 4]
  kept = val_scores.ValScores(search)
  for number, offered in enumerate(candidates):
    kept.offer(offered, LABELS, logits(number))
    # What is on disk is the same.
    for reader in (kept, val_scores.ValScores(search)):
      arrays = reader.of_choice(candidates[best[number]])
      expected = result_lib.on_val(LABELS, logits(best[number]))
      assert arrays.keys() == expected.keys()
      for name, values in expected.items():
        np.testing.assert_array_equal(arrays[name], values)
  assert capsys.readouterr().out == ''


@pytest.mark.parametrize(
  'other',
  [
    candidate(1, 0.5),
    candidate(0, 0.4),
    candidate(0, 0.5, step=10),
    candidate(0, 0.5, view='central'),
  ],
)
def test_scores_of_another_candidate_are_left_out(search, capsys, other):
  kept = val_scores.ValScores(search)
  kept.offer(candidate(0, 0.5), LABELS, logits(0))
  assert kept.of_choice(other) == {}
  assert 'the scores on val of trial' in capsys.readouterr().out


def test_scores_that_are_not_finite_are_not_kept(search):
  kept = val_scores.ValScores(search)
  kept.offer(candidate(0, 0.5), LABELS, np.full((3, 10), np.nan))
  assert not list(search.directory.glob('val_scores*'))
  assert kept.of_choice(candidate(0, 0.5)) == {}


@pytest.mark.parametrize('content', [b'', b'PK', b'x' * 100, None])
def test_a_damaged_file_is_not_used(search, caplog, content):
  kept = val_scores.ValScores(search)
  kept.offer(candidate(0, 0.5), LABELS, logits(0))
  path = search.directory / 'val_scores.npz'
  if content is None:
    np.savez(path, identity=search.identity, number=0)
  else:
    path.write_bytes(content)
  kept = val_scores.ValScores(search)
  assert kept.of_choice(candidate(0, 0.5)) == {}
  assert f'{path}: ' in caplog.text
  kept.offer(candidate(2, 0.1), LABELS, logits(2))
  assert val_scores.ValScores(search).of_choice(candidate(2, 0.1))


def test_a_file_of_another_cell_is_not_used(search):
  val_scores.ValScores(search).offer(candidate(0, 0.5), LABELS, logits(0))
  path = search.directory / 'val_scores.npz'
  with np.load(path) as arrays:
    np.savez(path, **{**arrays, 'identity': 'another'})
  assert val_scores.ValScores(search).of_choice(candidate(0, 0.5)) == {}


def test_the_leader_alone_writes(search, monkeypatch):
  monkeypatch.setattr(devices, 'is_leader', lambda: False)
  kept = val_scores.ValScores(search)
  kept.offer(candidate(0, 0.5), LABELS, logits(0))
  assert not list(search.directory.iterdir())
  assert kept.of_choice(candidate(0, 0.5)) == {}
