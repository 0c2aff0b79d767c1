"""Fine-tuning and random initialisation, from config to record."""

import json

import jax
import numpy as np
import pytest

from configs import fine_tuned, random_init
from tests.transfer import killable, small
from tf_transfer import errors, networks
from tf_transfer.networks import weights
from tf_transfer.study import runs
from tf_transfer.transfer import metrics, search, training, trials


def test_grids_are_the_papers():
  tuned = search.grid(fine_tuned.fields())
  assert len(tuned) == 56
  rates = sorted({t.learning_rate for t in tuned})
  np.testing.assert_allclose(np.log10(rates), np.linspace(-4, -1, 7))
  decays = sorted({t.weight_decay for t in tuned})
  assert decays[0] == 0
  np.testing.assert_allclose(np.log10(decays[1:]), np.linspace(-6, -3, 7))
  fresh = search.grid(random_init.fields())
  assert len(fresh) == 56
  rates = sorted({t.learning_rate for t in fresh})
  np.testing.assert_allclose(np.log10(rates), np.linspace(-3, 0, 7), atol=1e-12)
  decays = sorted({t.weight_decay for t in fresh})
  np.testing.assert_allclose(np.log10(decays), np.linspace(-5, -1.5, 8))


def test_steps_and_epochs():
  config = fine_tuned.fields()
  assert search.recipe(config, 1000).steps == 20_000
  config.update({'steps': 1000, 'min_epochs': 100, 'batch_size': 64})
  assert search.recipe(config, 102).steps == 1000
  assert search.recipe(config, 1020).steps == 1594  # 102,000 / 64, rounded up


@pytest.fixture
def config(tmp_path, monkeypatch):
  """Four trials of the tiny network on digits."""
  row = networks.Row(small.TinyBackbone, small.SIZE, 6, 174)
  monkeypatch.setitem(networks.TABLE, 'tiny', row)
  model = networks.build('tiny', num_classes=3)
  path = tmp_path / 'tiny.safetensors'
  header = weights.Header('tiny', {}, killable.CONTRACT, num_classes=3)
  weights.save(
    path, header, training.initial_variables(model, small.SIZE, seed=5)
  )
  made = fine_tuned.get_config(f'{path},digits')
  fields = {
    'learning_rates': 2,
    'learning_rate_min': 0.05,
    'learning_rate_max': 0.5,
    'weight_decays': 1,
    'weight_decay_max': 1e-6,
    'steps': 30,
    'batch_size': 32,
    'together': 3,
    'checkpoint_every': 10,
  }
  made.fine_tuned.update(fields)
  made.random_init = random_init.fields()
  made.random_init.update(
    {**fields, 'weight_decay_min': 1e-6, 'no_weight_decay': True}
  )
  made.tensorboard = False
  return made.lock()


def records(workdir):
  lines = (workdir / 'results.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]


def comparable(workdir):
  return [
    {k: v for k, v in record.items() if k not in ('seconds', 'finished')}
    for record in records(workdir)
  ]


def test_both_settings(tmp_path, config, capsys):
  config.settings = ('fine_tuned', 'random_init')
  runs.run(config, tmp_path)
  out = capsys.readouterr().out
  assert 'will take about' in out
  assert '1 trials left' in out
  tuned, fresh = records(tmp_path)
  assert (tuned['setting'], fresh['setting']) == config.settings
  for record in (tuned, fresh):
    assert len(record['trials']) == 4
    best = max(
      (view['value'], -number, name)
      for number, trial in enumerate(record['trials'])
      for name, view in trial['validation'].items()
    )
    assert record['validation']['value'] == best[0]
    chosen = record['trials'][-best[1]]
    for name in ('learning_rate', 'weight_decay'):
      assert record['chosen'][name] == chosen[name]
    assert len(record['validation_curve']) == 4
    assert record['test']['examples'] == 367
    assert record['losses'][-1] < record['losses'][0]
    assert record['preprocessing'] == 'random_crop_and_flip'
    assert 'together' not in record['search']
    with np.load(tmp_path / record['predictions']) as predictions:
      assert predictions['correct'].mean() == record['test']['value']
  assert tuned['losses'] != fresh['losses']
  assert list((tmp_path / 'searches').iterdir()) == []
  runs.run(config, tmp_path)
  assert '0 to run' in capsys.readouterr().out


def test_told_to_end_and_started_again(tmp_path, config, monkeypatch):
  """Within the second group of trials, and within the final run."""
  runs.run(config, tmp_path / 'undisturbed')
  train, calls, ending = trials.train, [], {2: 20, 4: 10}

  def train_and_end(job, step, given, kept, description):
    calls.append(description)
    steps = ending.get(len(calls))
    if steps is None:
      return train(job, step, given, kept, description)
    monkeypatch.setattr(trials, '_any', counted(steps))
    try:
      return train(job, step, given, kept, description)
    finally:
      monkeypatch.setattr(trials, '_any', bool)

  def counted(steps):
    left = iter(range(steps))
    return lambda _: next(left) == steps - 1

  monkeypatch.setattr(trials, 'train', train_and_end)
  for done in (20, 10):
    with pytest.raises(errors.Preempted, match=f'{done} of 30 steps'):
      runs.run(config, tmp_path / 'disturbed')
  runs.run(config, tmp_path / 'disturbed')
  assert [c.rpartition(': ')[2] for c in calls] == [
    'trials 1 to 3 of 4',
    'trials 4 to 4 of 4',
    'trials 4 to 4 of 4',
    'final run',
    'final run',
  ]
  assert comparable(tmp_path / 'disturbed') == comparable(
    tmp_path / 'undisturbed'
  )


def test_test_is_read_last_and_once(tmp_path, config, monkeypatch):
  seen = []
  predictions = trials.predictions

  def noting(predict, contract, variables, split, view, *rest, **options):
    seen.append((split.name, view, len(variables)))
    return predictions(
      predict, contract, variables, split, view, *rest, **options
    )

  monkeypatch.setattr(trials, 'predictions', noting)
  runs.run(config, tmp_path)
  (record,) = records(tmp_path)
  assert seen == [
    ('val', 'whole_image', 3),
    ('val', 'central', 3),
    ('val', 'whole_image', 1),
    ('val', 'central', 1),
    ('test', record['chosen']['view'], 1),
  ]


def test_final_run_is_on_train_and_val(tmp_path, config, monkeypatch):
  trained_on = []
  train = trials.train

  def noting(job, *rest):
    trained_on.append((job.split.name, len(job.split)))
    return train(job, *rest)

  monkeypatch.setattr(trials, 'train', noting)
  runs.run(config, tmp_path)
  assert trained_on == [
    *[('train', 1046)] * 2,
    ('trainval', 1046 + 384),
  ]


def test_exported_network_predicts_the_same(tmp_path, config):
  config.export = str(tmp_path / 'tuned.safetensors')
  runs.run(config, tmp_path / 'work')
  (record,) = records(tmp_path / 'work')
  net = networks.load(config.export)
  assert net.header.num_classes == 10
  assert net.header.recipe.notes == 'fine_tuned on train + val of digits'
  assert net.header.recipe.trained_on == 'digits'
  test = runs.datasets.open('digits').splits['test']
  # At 8 px both views are the image as it is.
  pixels = np.stack([test.read(i) for i in range(len(test))])
  predicted = np.asarray(net.logits(net.contract.scale(pixels))).argmax(axis=1)
  assert metrics.top1(test.labels, predicted) == record['test']['value']


def test_random_values_need_no_weights_file(tmp_path, config):
  config.networks = ('tiny',)
  config.settings = ('random_init',)
  config.image_size = small.SIZE
  runs.run(config, tmp_path)
  (record,) = records(tmp_path)
  assert record['weights_sha256'] == ''
  assert record['image_size'] == small.SIZE
  config.settings = ('fine_tuned',)
  with pytest.raises(errors.InputError, match='tiny'):
    runs.run(config, tmp_path)


def test_a_diverged_trial_is_recorded(tmp_path, config, monkeypatch, capsys):
  compile_step = training.compile_step

  def compiled(*arguments):
    step = compile_step(*arguments)

    def diverging(state, trial, batch):
      state, found = step(state, trial, batch)
      high = trial['learning_rate'] > 0.1
      return state, {**found, 'loss': jax.numpy.nan if high else found['loss']}

    return diverging

  monkeypatch.setattr(training, 'compile_step', compiled)
  runs.run(config, tmp_path)
  (record,) = records(tmp_path)
  assert [t['diverged'] for t in record['trials']] == [None, None, 5, 5]
  assert [t['validation'] == {} for t in record['trials']] == [
    *(False, False, True, True)
  ]
  assert record['validation_curve'][2:] == [None, None]
  assert '2 of 4 trials diverged' in capsys.readouterr().out
  config.fine_tuned.learning_rate_min = 0.4
  with pytest.raises(errors.InputError, match='all 4 trials diverged'):
    runs.run(config, tmp_path)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'fine_tuned.learning_rate_min': 0.0}, 'fine_tuned: expected 0 < learn'),
    ({'fine_tuned.weight_decays': 0}, 'fine_tuned.weight_decays: expected 1'),
    ({'fine_tuned.together': 0}, 'fine_tuned.together: expected 1'),
    ({'fine_tuned.steps': 0}, 'fine_tuned: steps: expected 1'),
    ({'fine_tuned.precision': 'half'}, 'unknown precision'),
    ({'settings': ('fine_tuned', 'random_init'), 'export': 'a'}, 'one setting'),
  ],
)
def test_refused_before_anything_is_written(tmp_path, config, change, message):
  config.update_from_flattened_dict(change)
  with pytest.raises(errors.InputError, match=message):
    runs.run(config, tmp_path / 'work')
  assert not (tmp_path / 'work').exists()


def test_setting_without_its_fields(tmp_path, small_config):
  small_config.settings = ('fine_tuned',)
  with pytest.raises(errors.InputError, match=r'configs/fine_tuned\.py'):
    runs.run(small_config, tmp_path / 'work')


def test_batch_larger_than_the_split(tmp_path, config):
  config.fine_tuned.batch_size = 2048
  with pytest.raises(errors.InputError, match='larger than train, which has'):
    runs.run(config, tmp_path)


def test_damaged_results_are_searched_again(tmp_path, caplog):
  path = tmp_path / 'trials.json'
  assert search._read(path, 'a') == {}
  path.write_text(json.dumps({'identity': 'a', 'trials': {'0': {}}}))
  assert search._read(path, 'a') == {'0': {}}
  assert search._read(path, 'b') == {}
  path.write_text('{"identity"')
  assert search._read(path, 'a') == {}
  assert 'searched again' in caplog.text


def test_auxiliary_head_is_not_exported():
  values = {'backbone': 1, 'head': 2, 'auxiliary': 3}
  found = search.for_inference({'params': values, 'batch_stats': values})
  assert found['params'] == {'backbone': 1, 'head': 2}
