"""The settings study end to end, and its figures."""

import csv
import json

import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from tests.transfer.training import small
from tf_transfer import errors, networks
from tf_transfer.configs import regularizers as regularizers_config
from tf_transfer.jobs import regularizers
from tf_transfer.networks import recipe
from tf_transfer.study.figures import canvas
from tf_transfer.study.figures import regularizers as regularizer_figures
from tf_transfer.study.paper import numbers

FIXED = 'logistic_regression'


@pytest.fixture
def config(monkeypatch, photos):
  """The tiny network on digits, transferred to photos."""
  row = networks.Row(small.AuxiliaryBackbone, small.SIZE, 6, 174)
  monkeypatch.setitem(networks.TABLE, 'tiny', row)
  made = regularizers_config.get_config(f'small,digits,folder:{photos}')
  made.networks = made.fine_tuned_networks = ('tiny',)
  made.pretrain.update({'epochs': 0.5, 'warmup_epochs': 0.1, 'batch_size': 64})
  made.transfer.logistic_regression.num_penalties = 3
  made.transfer.fine_tuned.update(
    {'num_learning_rates': 1, 'steps': 10, 'batch_size': 8}
  )
  made.transfer.tensorboard = False
  made.tsne.network = 'tiny'
  return made.lock()


def rows(workdir):
  with open(workdir / 'settings.csv', newline='') as file:
    return list(csv.DictReader(file))


@pytest.mark.slow
def test_five_runs_in_one_command(tmp_path, config, capsys):
  """Real images, offline: pretrained, transferred, drawn; and found again."""
  regularizers.run(config, tmp_path)
  said = capsys.readouterr().out
  assert said.startswith(config.note)
  found = rows(tmp_path)
  names = list(recipe.CONFIGURATIONS)
  assert [row['configuration'] for row in found] == names
  lines = (tmp_path / 'results.jsonl').read_text().splitlines()
  records = {}
  for record in map(json.loads, lines):
    given = recipe.Recipe.from_json(record['recipe'])
    records[given.configuration] = record
    assert record['setting'] == FIXED
  assert list(records) == names
  for row in found:
    test = records[row['configuration']]['test']
    # Of one dataset the mean is its own; with half an image at the ends.
    share = np.clip(
      test['value'], 0.5 / test['examples'], 1 - 0.5 / test['examples']
    )
    expected = np.log(share / (1 - share))
    assert float(row['mean log-odds']) == pytest.approx(expected, abs=6e-4)
    assert row['the paper'] == '-'
  for name in ('figure_3', 'figure_4'):
    pixels = np.asarray(Image.open(tmp_path / f'{name}.png').convert('L'))
    assert (pixels < 128).sum() > 1000
  assert not (tmp_path / 'figure_5.png').exists()
  regularizers.run(config, tmp_path)
  again = capsys.readouterr().out
  assert again.count(', found\n') == 5
  assert '0 to run' in again
  assert rows(tmp_path) == found


@pytest.mark.slow
def test_fine_tuned_with_the_same_settings_and_without(tmp_path, config):
  config.configurations = ('C1', 'C5')
  config.fine_tuning = regularizers.FINE_TUNING
  regularizers.run(config, tmp_path)
  assert [
    (row['transfer'], row['configuration']) for row in rows(tmp_path)
  ] == [
    (FIXED, 'C1'),
    (FIXED, 'C5'),
    ('fine_tuned_same', 'C1'),
    ('fine_tuned_same', 'C5'),
    ('fine_tuned_pretraining_only', 'C1'),
    ('fine_tuned_pretraining_only', 'C5'),
  ]
  lines = (tmp_path / 'results.jsonl').read_text().splitlines()
  tuned = [r for r in map(json.loads, lines) if r['setting'] == 'fine_tuned']
  # In C5 the two are one cell.
  assert [
    [r['search'][n] for n in ('label_smoothing', 'dropout', 'auxiliary_head')]
    for r in tuned
  ] == [[0.1, 0.2, True], [0.0, 0.0, False], [0.0, 0.0, False]]
  for name in ('figure_5', 'figure_5_pretraining_only'):
    assert (tmp_path / f'{name}.pdf').exists()


def test_records_of_an_earlier_search_do_not_count(tmp_path, config):
  """Of two records of a cell the mean is that of the one that is asked for."""
  config.configurations = ('C5',)
  regularizers.run(config, tmp_path)
  config.transfer.logistic_regression.penalty_min = 1e4
  regularizers.run(config, tmp_path)
  (found,) = rows(tmp_path)
  lines = (tmp_path / 'results.jsonl').read_text().splitlines()
  _, last = map(json.loads, lines)
  expected = regularizers.mean_log_odds(_pretrained(tmp_path, 'C5'), [last])
  assert found['mean log-odds'] == f'{expected.mean_log_odds:.3f}'
  # Of two it would be smaller by their square root.
  assert found['95 % +-'] == f'{expected.error:.3f}'


def test_means_over_different_datasets_are_refused(tmp_path):
  made = [_pretrained(tmp_path, name) for name in ('C1', 'C2')]
  records = [
    {'weights_sha256': name, 'dataset': dataset}
    for name, dataset in (('C1', 'pets'), ('C1', 'dtd'), ('C2', 'pets'))
  ]
  with pytest.raises(errors.InputError, match='C2, has no record on dtd'):
    regularizers._group_by_network(made, records)
  assert regularizers._group_by_network(made[:1], records) == [records[:2]]
  with pytest.raises(errors.InputError, match='no record on any dataset'):
    regularizers._group_by_network(made, [])


def _pretrained(tmp_path, configuration):
  test = {'value': 0.8, 'low': 0.7, 'high': 0.9}
  return regularizers.Pretrained(
    *('tiny', configuration, {}, tmp_path, configuration),
    recipe.Recipe(details={'test': test}),
  )


def test_what_there_is_to_pretrain():
  """The paper's: those without an auxiliary head have no C5."""
  wanted = list(
    regularizers._list_pretrainings(regularizers_config.get_config())
  )
  theirs = {
    (p.network, p.configuration) for p in numbers.training_settings(FIXED)
  }
  assert set(wanted) == theirs
  assert len(wanted) == len(theirs) == 23
  alone = regularizers_config.get_config()
  alone.configurations = ('C1', 'C5')
  assert ('inception_v1', 'C5') in regularizers._list_pretrainings(alone)


def test_network_without_batch_norm_has_no_c1():
  """It has no scale to leave out: C1 is C2."""
  config = regularizers_config.get_config()
  config.networks = ('convnext_tiny',)
  pretrainings = list(regularizers._list_pretrainings(config))
  assert [name for _, name in pretrainings] == ['C2', 'C3', 'C4']
  alone = config.copy_and_resolve_references()
  alone.configurations = ('C1', 'C3')
  pretrainings = list(regularizers._list_pretrainings(alone))
  assert [name for _, name in pretrainings] == ['C1', 'C3']
  own = regularizers._pretrain_config(config, 'convnext_tiny', 'C1').pretrain
  assert own.bn_scale is True


def test_settings_of_each_configuration():
  config = regularizers_config.get_config()
  for name, factors in recipe.CONFIGURATIONS.items():
    own = regularizers._pretrain_config(config, 'inception_v4', name).pretrain
    assert own.bn_scale == factors['bn_scale']
    assert own.label_smoothing == 0.1 * factors['label_smoothing']
    assert own.dropout == 0.2 * factors['dropout']
    assert own.auxiliary_head == factors['auxiliary_head']
    assert own.batch_size == 4096


def test_mean_and_error_by_hand(tmp_path):
  """Log-odds log 3 and log 9, and half-widths of log 2 and log 4."""

  def record(value, low, high):
    test = {'value': value, 'low': low, 'high': high, 'examples': 10**9}
    return {'test': test}

  own = _pretrained(tmp_path, 'C2')
  # Odds of 3 between 3/2 and 6, of 9 between 9/4 and 36.
  found = regularizers.mean_log_odds(
    own, [record(3 / 4, 3 / 5, 6 / 7), record(9 / 10, 9 / 13, 36 / 37)]
  )
  assert found.mean_log_odds == pytest.approx(np.log(27) / 2)
  assert found.error == pytest.approx(np.hypot(np.log(2), np.log(4)) / 2)
  assert (found.top1, found.configuration) == (0.8, 'C2')
  assert found.top1_error == pytest.approx(0.1)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'networks': ('tiny', 'tiny')}, "names 'tiny' twice"),
    ({'configurations': ('C6',)}, "configurations: expected .*found \\('C6',"),
    ({'fine_tuning': ('both',)}, "config.fine_tuning: expected .*'both'"),
    ({'fine_tuned_networks': ('resnet50',)}, 'fine_tuned_networks'),
    ({'pretrain.epochs': -1.0}, 'config.pretrain.epochs'),
    ({'pretrained_on': 'digit'}, 'did you mean digits'),
  ],
)
def test_refused_before_anything_is_written(tmp_path, config, change, message):
  config.update_from_flattened_dict(change)
  with pytest.raises(errors.InputError, match=message):
    regularizers.run(config, tmp_path / 'work')
  assert not (tmp_path / 'work').exists()


def test_ours_above_the_papers(monkeypatch):
  drawn = []
  monkeypatch.setattr(canvas, 'save', lambda figure, path: drawn.append(figure))
  point = regularizer_figures.Configuration
  ours = [
    point('inception_small', 'C1', 0.5, 0.7, 0.2, 0.01),
    point('inception_small', 'C5', 0.9, 0.75, 0.2, 0.01),
  ]
  theirs = regularizers._paper_points(FIXED, ours)
  assert len(theirs) == 23  # It has no such network: all of the paper's.
  regularizer_figures.training_settings(
    {'ours': ours, 'the paper': theirs},
    FIXED,
    None,
    trained_on='digits',
    note='a note',
  )
  (figure,) = drawn
  titles = [axis.get_title() for axis in figure.axes]
  assert titles == [
    'ours: transfer, logistic regression',
    'ours: Digits, where it was pretrained',
    'the paper: transfer, logistic regression',
    'the paper: ImageNet, where it was pretrained',
  ]
  (line,) = [ln for ln in figure.axes[0].lines if len(ln.get_xdata()) == 2][:1]
  np.testing.assert_array_equal(line.get_xydata(), [[0, 0.5], [4, 0.9]])
  assert figure.get_suptitle() == 'a note'
  plt.close(figure)
  same = [point('inception_v4', 'C1', 0.9, 0.8)]
  assert {p.network for p in regularizers._paper_points(FIXED, same)} == {
    'inception_v4'
  }
