import numpy as np
import pytest
from PIL import Image

from tf_transfer.networks import recipe
from tf_transfer.study.analysis import recipes
from tf_transfer.study.figures import per_dataset
from tf_transfer.study.report import text_table

PLAIN = recipe.Recipe(True, False, False, False, 'imagenet')


def record(network, imagenet, value, dataset='digits', metric='top1', **more):
  return {
    'network': network,
    'weights_sha256': f'sha of {network}',
    'recipe': PLAIN.to_json(),
    'dataset': dataset,
    'setting': 'logistic_regression',
    'metric': metric,
    'imagenet_top1': imagenet,
    'validation': {'value': value, 'low': 0, 'high': 1, 'examples': 100},
    'test': {
      'value': value,
      'low': max(0, value - 0.02),
      'high': min(1, value + 0.02),
      'examples': 1000,
    },
    'chosen': {'penalty': 0.1},
    'solver': {'converged': True, 'unconverged_penalties': []},
    **more,
  }


def test_table():
  text = text_table.render(
    [
      record('a', 0.751, 0.9482),
      record(
        'longer',
        None,
        0.96,
        solver={'converged': True, 'unconverged_penalties': [1e-6]},
      ),
    ]
  )
  lines = text.splitlines()
  assert lines[0].split() == [
    *('network', 'dataset', 'setting', 'ImageNet', 'val', 'test'),
    *('95', '%', 'interval', 'images', 'chosen', 'converged'),
  ]
  assert '75.1%' in lines[2]
  assert '92.82% to 96.82%' in lines[2]
  assert lines[2].endswith('yes')
  assert 'unknown' in lines[3]
  assert lines[3].endswith('NO')
  assert lines[-1] == 'val and test: top-1 accuracy'


def test_table_warns_of_networks_that_were_not_trained_alike():
  smooth = recipe.Recipe(True, True, False, None, 'imagenet')
  made = [
    record('a', 0.7, 0.9),
    record('b', 0.8, 0.9, recipe=smooth.to_json()),
    record('a', 0.7, 0.9, dataset='pets'),
  ]
  said = recipes.warning(made)
  assert text_table.render(made).endswith(said)
  assert 'were not trained alike' in said.splitlines()[0]
  assert said.splitlines()[1:] == [
    '  label smoothing: without: a; with: b',
    '  auxiliary head: without: a; not known: b',
  ]
  assert recipes.warning(made[::2]) == ''
  fresh = [{**r, 'setting': 'random_init'} for r in made]
  assert recipes.warning(fresh) == ''
  # The same network with two weights, one from before recipes had fields.
  old = record('a', 0.7, 0.9, weights_sha256='1234567890', recipe='a sentence')
  said = recipes.warning([made[0], old])
  assert 'BN scale: with: a (C5); not known: a (12345678)' in said
  unknown = [{**r, 'recipe': 'a sentence'} for r in made]
  said = recipes.warning(unknown)
  assert 'it is not known whether' in said.splitlines()[0]
  assert '  dropout: not known of any' in said.splitlines()
  again = {**made[0], 'weights_sha256': '987654321'}
  assert recipes.warning([made[0], again]) == ''
  assert 'with: a (sha of a), a (98765432); not known: a (12345678)' in (
    recipes.warning([made[0], again, old])
  )


@pytest.mark.parametrize(
  'records',
  [
    [record('one', 0.75, 0.9)],
    [record('all', 0.75, 1.0), record('none', 0.80, 0.0)],
    [record('a', 0.70, 0.999), record('b', 0.8, 0.9985)],
    [
      record(f'network_{i}', 0.70 + i / 100, 0.5 + i / 40, dataset=d, metric=m)
      for i in range(8)
      for d, m in (('digits', 'top1'), ('pets', 'mean_per_class'))
    ],
  ],
)
def test_figure_of_anything(tmp_path, records):
  assert per_dataset.accuracy_vs_imagenet(records, tmp_path / 'a')
  pixels = np.asarray(Image.open(tmp_path / 'a.png').convert('L'))
  assert (pixels < 128).sum() > 1000


def test_networks_of_unknown_accuracy_are_left_out_and_said(tmp_path, caplog):
  assert not per_dataset.accuracy_vs_imagenet(
    [record('mine', None, 0.9)], tmp_path / 'a'
  )
  assert 'mine: ImageNet top-1 unknown' in caplog.text
  assert not list(tmp_path.iterdir())
