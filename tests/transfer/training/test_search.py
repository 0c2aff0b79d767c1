"""Fine-tuning and random initialization, from config to record."""

import json
import re

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from tests.datasets import miniatures
from tests.transfer.training import killable, small
from tf_transfer import errors, networks
from tf_transfer.configs import base
from tf_transfer.configs.presets import fine_tuned
from tf_transfer.datasets import table
from tf_transfer.jobs import study
from tf_transfer.networks import weights
from tf_transfer.runtime import devices
from tf_transfer.study import runner
from tf_transfer.transfer import metrics
from tf_transfer.transfer.training import (
  device_memory,
  search,
  train_step,
  trials,
)


def test_grids_are_the_papers():
  tuned = search.grid(base.fine_tuned_fields())
  assert len(tuned) == 56
  rates = sorted({t.learning_rate for t in tuned})
  np.testing.assert_allclose(np.log10(rates), np.linspace(-4, -1, 7))
  decays = sorted({t.weight_decay for t in tuned})
  assert decays[0] == 0
  np.testing.assert_allclose(np.log10(decays[1:]), np.linspace(-6, -3, 7))
  fresh = search.grid(base.random_init_fields())
  assert len(fresh) == 56
  rates = sorted({t.learning_rate for t in fresh})
  np.testing.assert_allclose(np.log10(rates), np.linspace(-3, 0, 7), atol=1e-12)
  decays = sorted({t.weight_decay for t in fresh})
  np.testing.assert_allclose(np.log10(decays), np.linspace(-5, -1.5, 8))


def test_steps_and_epochs():
  config = base.fine_tuned_fields()
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
    path, header, train_step.initial_variables(model, small.SIZE, seed=5)
  )
  made = fine_tuned.get_config(f'{path},digits')
  fields = {
    'num_learning_rates': 2,
    'learning_rate_min': 0.05,
    'learning_rate_max': 0.5,
    'num_weight_decays': 1,
    'weight_decay_max': 1e-6,
    'steps': 30,
    'batch_size': 32,
    'concurrent_trials': 3,
    'checkpoint_every': 10,
  }
  made.fine_tuned.update(fields)
  made.random_init = base.random_init_fields()
  made.random_init.update(
    {**fields, 'weight_decay_min': 1e-6, 'include_zero_weight_decay': True}
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
  study.run(config, tmp_path)
  out = capsys.readouterr().out
  assert re.search(r'the step compiled in \d+ s and takes [\d.]+ s;', out)
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
    assert 'concurrent_trials' not in record['search']
    with np.load(tmp_path / record['predictions']) as predictions:
      assert predictions['correct'].mean() == record['test']['value']
  assert tuned['losses'] != fresh['losses']
  assert list((tmp_path / 'searches').iterdir()) == []
  study.run(config, tmp_path)
  assert '0 to run' in capsys.readouterr().out


def test_told_to_end_and_started_again(tmp_path, config, monkeypatch):
  """Within the second group of trials, and within the final run."""
  study.run(config, tmp_path / 'undisturbed')
  train, calls, ending = trials.train, [], {2: 20, 4: 10}

  def train_and_end(job, step, given, kept, description, *rest):
    calls.append(description)
    steps = ending.get(len(calls))
    if steps is None:
      return train(job, step, given, kept, description, *rest)
    monkeypatch.setattr(trials, '_any', counted(steps))
    try:
      return train(job, step, given, kept, description, *rest)
    finally:
      monkeypatch.setattr(trials, '_any', bool)

  def counted(steps):
    left = iter(range(steps))
    return lambda _: next(left) == steps - 1

  monkeypatch.setattr(trials, 'train', train_and_end)
  for done in (20, 10):
    with pytest.raises(errors.Preempted, match=f'{done} of 30 steps'):
      study.run(config, tmp_path / 'disturbed')
  study.run(config, tmp_path / 'disturbed')
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
  study.run(config, tmp_path)
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
  study.run(config, tmp_path)
  assert trained_on == [
    *[('train', 1046)] * 2,
    ('trainval', 1046 + 384),
  ]


def test_random_values_need_no_weights_file(tmp_path, config):
  config.networks = ('tiny',)
  config.settings = ('random_init',)
  config.image_size = small.SIZE
  study.run(config, tmp_path)
  (record,) = records(tmp_path)
  assert record['weights_sha256'] == ''
  assert record['image_size'] == small.SIZE
  config.settings = ('fine_tuned',)
  with pytest.raises(errors.InputError, match='tiny'):
    study.run(config, tmp_path)


def test_a_diverged_trial_is_recorded(tmp_path, config, monkeypatch, capsys):
  compile_step = train_step.compile_step

  def compiled(*arguments):
    step = compile_step(*arguments)

    def diverging(state, trial, batch):
      state, found = step(state, trial, batch)
      high = trial['learning_rate'] > 0.1
      return state, {**found, 'loss': jax.numpy.nan if high else found['loss']}

    return diverging

  monkeypatch.setattr(train_step, 'compile_step', compiled)
  study.run(config, tmp_path)
  (record,) = records(tmp_path)
  assert [t['diverged'] for t in record['trials']] == [None, None, 5, 5]
  assert [t['validation'] == {} for t in record['trials']] == [
    *(False, False, True, True)
  ]
  assert record['validation_curve'][2:] == [None, None]
  assert '2 of 4 trials diverged' in capsys.readouterr().out
  config.fine_tuned.learning_rate_min = 0.4
  with pytest.raises(errors.InputError, match='all 4 trials diverged'):
    study.run(config, tmp_path)


def evaluated_at(trial):
  return [e['step'] for e in trial['evaluations']]


def values(evaluation):
  return [view['value'] for view in evaluation['views'].values()]


def test_halving_is_what_the_whole_grid_says_it_would_be(
  tmp_path, config, capsys
):
  config.fine_tuned.update(
    {'search': 'both', 'halving_first': 0.3, 'learning_rate_max': 1e3}
  )
  study.run(config, tmp_path / 'both')
  said = capsys.readouterr().out
  (whole,) = records(tmp_path / 'both')
  config.fine_tuned.search = 'halving'
  study.run(config, tmp_path / 'halving')
  assert 'after 9 steps 2 of 4 trials go on' in capsys.readouterr().out
  (halved,) = records(tmp_path / 'halving')
  complete = [t for t in halved['trials'] if t['validation']]
  assert [evaluated_at(t) for t in complete] == [[9, 18, 30]]
  assert sorted(t['steps'] for t in halved['trials']) == [9, 9, 18, 30]
  for trial, same in zip(whole['trials'], halved['trials'], strict=True):
    # To the bit what they would have been without stops on the way.
    count = len(same['evaluations'])
    assert trial['evaluations'][:count] == same['evaluations']
  lost = 100 * (whole['validation']['value'] - halved['validation']['value'])
  chosen = halved['chosen']
  assert f'chosen learning_rate {chosen["learning_rate"]:.3g}, ' in said
  assert f'a loss of {lost:.2f} points' in said
  assert 'would have taken 55% of the steps' in said  # 36 + 18 + 12 of 120


def test_halving_told_to_end_and_started_again(tmp_path, config, monkeypatch):
  config.fine_tuned.update({'search': 'halving', 'halving_first': 0.3})
  study.run(config, tmp_path / 'undisturbed')
  for limit in (1, 5, 9, 12, 16):
    asked = iter(range(10**6))
    monkeypatch.setattr(
      trials, '_any', lambda _, a=asked, n=limit: next(a) == n
    )
    with pytest.raises(errors.Preempted):
      study.run(config, tmp_path / 'disturbed')
  monkeypatch.setattr(trials, '_any', bool)
  study.run(config, tmp_path / 'disturbed')
  assert comparable(tmp_path / 'disturbed') == comparable(
    tmp_path / 'undisturbed'
  )


def test_steps_chosen_on_val(tmp_path, config):
  config.fine_tuned.update({'evaluate_every': 10, 'early_stopping': True})
  study.run(config, tmp_path)
  (record,) = records(tmp_path)
  assert [evaluated_at(t) for t in record['trials']] == [[10, 20, 30]] * 4
  best = max(
    v for t in record['trials'] for e in t['evaluations'] for v in values(e)
  )
  assert record['validation']['value'] == best
  (chosen,) = (
    t
    for t in record['trials']
    if t['learning_rate'] == record['chosen']['learning_rate']
    and t['weight_decay'] == record['chosen']['weight_decay']
  )
  steps = record['chosen']['steps']
  assert best in values(chosen['evaluations'][steps // 10 - 1])
  assert len(record['losses']) == steps // 5


@pytest.mark.parametrize('early_stopping', [False, True])
def test_without_a_final_run_the_best_trial_is_tested(
  tmp_path, config, early_stopping, monkeypatch
):
  """The parameters of when it was best, though others train with it."""
  config.fine_tuned.update(
    {
      'evaluate_every': 5,
      'early_stopping': early_stopping,
      'refit_on_trainval': False,
    }
  )
  seen = {}
  predictions = trials.predictions

  def noting(predict, contract, variables, split, view, *rest, **options):
    found = predictions(
      predict, contract, variables, split, view, *rest, **options
    )
    for values, logits in zip(variables, found[0], strict=True):
      seen[split.name, view, killable.digest(values)] = logits
    return found

  monkeypatch.setattr(trials, 'predictions', noting)
  study.run(config, tmp_path)
  (record,) = records(tmp_path)
  ((view, digest),) = (k[1:] for k in seen if k[0] == 'test')
  labels = runner.datasets.open('digits').splits['val'].labels
  predicted = seen['val', view, digest].argmax(axis=1)
  assert view == record['chosen']['view']
  assert metrics.top1(labels, predicted) == record['validation']['value']
  assert early_stopping or record['chosen']['steps'] == 30


def test_a_few_examples_of_each_class(tmp_path, config):
  """Trained on twice; val is not part of the final run."""
  config.data.examples_per_class = 2
  config.fine_tuned.evaluate_every = 30
  study.run(config, tmp_path)
  (record,) = records(tmp_path)
  assert record['examples_per_class'] == 2
  assert record['validation']['examples'] == 384
  # The final run is the trial again, to the bit.
  (chosen,) = (
    t
    for t in record['trials']
    if t['learning_rate'] == record['chosen']['learning_rate']
    and t['weight_decay'] == record['chosen']['weight_decay']
  )
  assert record['losses'] == chosen['losses']


def test_curves_hyperparameters_and_a_profile(tmp_path, config):
  from tensorboard.backend.event_processing import event_accumulator

  config.tensorboard = True
  config.fine_tuned.update(
    {'log_every': 10, 'evaluate_every': 15, 'profile_steps': 3}
  )
  study.run(config, tmp_path)
  (record,) = records(tmp_path)
  (root,) = (tmp_path / 'tensorboard').iterdir()
  names = [f'trial_{n:02d}' for n in range(1, 5)]
  assert sorted(p.name for p in root.iterdir() if p.is_dir()) == [
    *('refit_on_trainval', 'plugins', *names)
  ]
  assert list(root.glob('plugins/profile/*/*.xplane.pb'))
  found = event_accumulator.EventAccumulator(str(root / 'trial_03')).Reload()
  tags = set(found.Tags()['tensors'])
  assert '_hparams_/session_start_info' in found.summary_metadata
  assert {'training/loss', 'validation/whole_image'} < tags

  def curve(tag):
    return {
      e.step: float(e.tensor_proto.float_val[0])
      if e.tensor_proto.float_val
      else float(np.frombuffer(e.tensor_proto.tensor_content, np.float32)[0])
      for e in found.Tensors(tag)
    }

  losses = record['trials'][2]['losses']  # means of five steps
  loss = curve('training/loss')
  assert list(loss) == [10, 20, 30]
  assert loss[20] == pytest.approx((losses[2] + losses[3]) / 2, rel=1e-5)
  (at_15, at_30) = record['trials'][2]['evaluations']
  central = curve('validation/central')
  assert central[15] == pytest.approx(at_15['views']['central']['value'])
  assert central[30] == pytest.approx(at_30['views']['central']['value'])
  for tag in ('accuracy', 'learning_rate', 'gradient_norm'):
    assert list(curve(f'training/{tag}')) == [10, 20, 30]
  assert min(curve('speed/images_per_second').values()) > 0
  waiting = curve('speed/share_of_time_waiting_for_data').values()
  assert 0 <= min(waiting) <= max(waiting) <= 1
  assert min(curve('memory/host_peak_gib').values()) > 0.1


def test_several_classes_of_an_image(tmp_path, config, monkeypatch):
  """VOC in miniature, from its official layout: some labels count not."""
  monkeypatch.setattr(table, 'TABLE', miniatures.rows())
  miniatures.make('voc2007', tmp_path / 'data')
  config.datasets = ('voc2007',)
  config.data.dir = str(tmp_path / 'data')
  study.run(config, tmp_path / 'work')
  (record,) = records(tmp_path / 'work')
  assert record['metric'] == 'map11'
  assert record['validation']['examples'] == 20
  assert record['test']['examples'] == 40
  assert 0 < record['test']['value'] < 1
  # Twenty binary cross-entropies, each log 2 before the first step.
  assert 5 < record['losses'][0] < 20 * np.log(2) + 1
  assert record['losses'][-1] < record['losses'][0]
  with np.load(tmp_path / 'work' / record['predictions']) as predictions:
    assert predictions['prediction'].shape == (40, 20)
    assert set(np.unique(predictions['label'])) == {-1, 0, 1}


@pytest.fixture
def no_compilation_cache():
  """As where nothing says where compiled programs are kept."""
  names = (
    'jax_compilation_cache_dir',
    'jax_persistent_cache_min_compile_time_secs',
  )
  before = {name: getattr(jax.config, name) for name in names}
  jax.config.update(names[0], None)
  jax.config.update(names[1], 0)
  compilation_cache.reset_cache()
  yield
  for name, value in before.items():
    jax.config.update(name, value)
  compilation_cache.reset_cache()


def test_compiled_programs_are_kept(tmp_path, config, no_compilation_cache):
  """In the workdir, for the next job."""
  config.fine_tuned.steps = 31  # Of no other test, so not compiled yet.
  study.run(config, tmp_path)
  assert list((tmp_path / 'compiled').glob('jit__step-*'))


def test_out_of_memory(tmp_path, config, monkeypatch):
  """Said with the batch that would fit, from what compiled programs take."""

  def exhausted(job, step, trial):
    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: out of memory')

  monkeypatch.setattr(search, 'seconds_per_step', exhausted)
  limit = 200_000
  monkeypatch.setattr(search.device_memory, 'device_limit', lambda: limit)
  config.fine_tuned.batch_size = 1024
  with pytest.raises(errors.InputError, match='out of device memory') as found:
    study.run(config, tmp_path)
  fits = int(re.search(r'a batch of (\d+) would fit', str(found.value))[1])

  def needed(batch_size):
    job = killable.job(
      mesh=devices.data_mesh(),
      recipe=train_step.Recipe(steps=30, batch_size=batch_size),
    )
    return device_memory.of_compiled(search.compiled_step(job))

  # The program of that batch does, that of one half as large again does not.
  assert 0 < fits < 1024
  assert needed(fits) < limit < needed(fits + fits // 16 * 8)


def test_as_many_together_as_memory_holds(
  tmp_path, config, monkeypatch, capsys
):
  """Three, and then the fourth; where memory is unknown, all four."""
  job = killable.job(
    mesh=devices.data_mesh(),
    recipe=train_step.Recipe(steps=30, batch_size=32),
  )
  state = train_step.host_state(job.variables, job.recipe)
  size = sum(x.nbytes for x in jax.tree.leaves(state))
  need = device_memory.of_compiled(search.compiled_step(job)) + 2.5 * size
  grouped = []
  train = trials.train

  def noting(job, step, given, *rest):
    grouped.append(len(given))
    return train(job, step, given, *rest)

  monkeypatch.setattr(trials, 'train', noting)
  config.fine_tuned.concurrent_trials = 0
  for name, limit in (('known', need / 0.9), ('unknown', None)):
    monkeypatch.setattr(device_memory, 'device_limit', lambda n=limit: n)
    study.run(config, tmp_path / name)
  assert grouped == [3, 1, 1, 4, 1]  # With the final runs.
  assert comparable(tmp_path / 'known') == comparable(tmp_path / 'unknown')


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'fine_tuned.search': 'half'}, 'did you mean halving'),
    ({'fine_tuned.halving_keep': 1.0}, 'halving_keep: expected above 0 and'),
    ({'fine_tuned.early_stopping': True}, 'set evaluate_every'),
    ({'fine_tuned.learning_rate_min': 0.0}, 'fine_tuned: expected 0 < learn'),
    (
      {'fine_tuned.num_weight_decays': 0},
      'fine_tuned.num_weight_decays: expected 1',
    ),
    (
      {'fine_tuned.concurrent_trials': -1},
      'fine_tuned.concurrent_trials: expected 0',
    ),
    ({'fine_tuned.steps': 0}, 'fine_tuned: steps: expected 1'),
    ({'fine_tuned.precision': 'half'}, 'unknown precision'),
    ({'settings': ('fine_tuned', 'random_init'), 'export': 'a'}, 'one setting'),
  ],
)
def test_refused_before_anything_is_written(tmp_path, config, change, message):
  config.update_from_flattened_dict(change)
  with pytest.raises(errors.InputError, match=message):
    study.run(config, tmp_path / 'work')
  assert not (tmp_path / 'work').exists()


def test_setting_without_its_fields(tmp_path, small_config):
  small_config.settings = ('fine_tuned',)
  with pytest.raises(errors.InputError, match=r'configs/fine_tuned\.py'):
    study.run(small_config, tmp_path / 'work')


def test_batch_larger_than_the_split(tmp_path, config):
  config.fine_tuned.batch_size = 2048
  with pytest.raises(errors.InputError, match='larger than train, which has'):
    study.run(config, tmp_path)


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
