"""Checks fine-tuning and training from random values, from grid to test."""

import contextlib
import json
import re

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from tests.datasets import miniatures
from tests.transfer.training import searches, small
from tf_transfer import datasets, errors
from tf_transfer.configs import base
from tf_transfer.configs.presets import fine_tuned
from tf_transfer.datasets import table
from tf_transfer.jobs import study
from tf_transfer.networks import weights
from tf_transfer.study import predictions
from tf_transfer.transfer import metrics
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.training import evaluation as evaluation_lib
from tf_transfer.transfer.training import train_step, trials


@pytest.fixture(scope='module')
def exhaustive(tiny_net, tmp_path_factory):
  """An undisturbed search."""
  directory = tmp_path_factory.mktemp('exhaustive')
  return searches.run_search(searches.build_search(tiny_net, directory))


def test_the_best_on_val_is_chosen_and_refit(exhaustive):
  """In the view that is best; the refit is on train + val."""
  result = exhaustive.result
  best = max(
    (view['value'], -number, name)
    for number, trial in enumerate(result.trials)
    for name, view in trial['validation'].items()
  )
  assert result.validation.value == best[0]
  chosen = result.trials[-best[1]]
  for name in ('learning_rate', 'weight_decay'):
    assert result.chosen[name] == chosen[name]
  assert exhaustive.trainings == [
    ('train', 1046, 3, 'trials 1 to 3 of 4'),
    ('train', 1046, 1, 'trial 4 of 4'),
    ('trainval', 1046 + 384, 1, 'refit'),
  ]
  assert '4 trials and the refit, of 30 steps of 32 images' in exhaustive.output


def test_scores_on_test_and_val_are_kept(exhaustive):
  """Those on val are of the trial that was chosen, in its view."""
  result = exhaustive.result
  arrays = result.predictions
  assert arrays['scores'].dtype == arrays['val_scores'].dtype == np.float16
  assert arrays['scores'].shape == (367, 10)
  (logits,) = (x for key, x in exhaustive.logits.items() if key[0] == 'test')
  np.testing.assert_array_equal(arrays['scores'], result_lib.compress(logits))
  kept = [
    key
    for key, logits in exhaustive.logits.items()
    if key[:2] == ('val', result.chosen['view'])
    and np.array_equal(result_lib.compress(logits), arrays['val_scores'])
  ]
  assert len(kept) == 1
  predicted = arrays['val_scores'].argmax(axis=1)
  value = metrics.top1(arrays['val_label'], predicted)
  assert value == result.validation.value


def test_test_is_read_last_and_once(exhaustive):
  assert exhaustive.predicted == [
    ('val', 'whole_image', 3),
    ('val', 'central', 3),
    ('val', 'whole_image', 1),
    ('val', 'central', 1),
    ('test', exhaustive.result.chosen['view'], 1),
  ]


@pytest.fixture(scope='module')
def three_seeds(tiny_net, tmp_path_factory):
  """The same search with three final trainings."""
  directory = tmp_path_factory.mktemp('three_seeds')
  search = searches.build_search(tiny_net, directory, num_seeds=3)
  return searches.run_search(search)


def test_the_final_training_is_repeated_with_other_seeds(
  exhaustive, three_seeds
):
  """The first is the one that there would be alone, to the bit."""
  one, three = exhaustive.result, three_seeds.result
  assert three_seeds.trainings[2:] == [
    ('trainval', 1046 + 384, 1, f'refit {number} of 3') for number in (1, 2, 3)
  ]
  assert '4 trials and 3 refits, of 30 steps of 32' in three_seeds.output
  assert 'refit 2 of 3, with seed 1' in three_seeds.output
  assert three_seeds.predicted[-1] == ('test', one.chosen['view'], 3)
  assert [name for name, *_ in three_seeds.predicted].count('test') == 1
  assert one.runs == ()
  assert [run.seed for run in three.runs] == [0, 1, 2]
  assert three.runs[0].test == one.test
  assert three.losses == one.losses
  assert three.chosen == one.chosen
  runs = three.predictions['run_predictions']
  for name, values in one.predictions.items():
    np.testing.assert_array_equal(three.predictions[name], values)
  np.testing.assert_array_equal(runs[0], one.predictions['prediction'])
  assert set(three.predictions) == {*one.predictions, 'run_predictions'}
  labels = one.predictions['label']
  values = [metrics.top1(labels, predicted) for predicted in runs]
  assert [run.test.value for run in three.runs] == values
  assert len(set(values)) == 3
  assert three.test == metrics.average([run.test for run in three.runs])
  assert three.test.value == np.mean(values)
  jax.tree.map(
    np.testing.assert_array_equal,
    three_seeds.network.variables,
    exhaustive.network.variables,
  )


def test_each_of_the_seeds_is_a_training_of_its_own(
  tmp_path, tiny_net, three_seeds
):
  """Trained here without a search, from the values and batches of its seed."""
  result = three_seeds.result
  search = searches.build_search(tiny_net, tmp_path, seed=2)
  job = search.build_job(search.dataset.trainval)
  trial = train_step.Trial(
    result.chosen['learning_rate'], result.chosen['weight_decay']
  )
  with search.open_checkpoints('alone') as checkpoints:
    trained = trials.train(job, job.compile(), [trial], checkpoints, 'alone')
  evaluator = evaluation_lib.Evaluator(search)
  (logits,), _ = evaluator.predict(
    trained.variables, search.dataset.splits['test'], result.chosen['view']
  )
  np.testing.assert_array_equal(
    result.predictions['run_predictions'][2], logits.argmax(axis=1)
  )


def test_finished_runs_are_not_trained_again(tmp_path, tiny_net, three_seeds):
  """Told to end within the second and the third."""
  search = searches.build_search(tiny_net, tmp_path, num_seeds=3)
  searched = 30 + 30
  for after in (searched + 30 + 10, 20 + 20):
    with told_to_end(after), pytest.raises(errors.Preempted):
      searches.run_search(search)
  with told_to_end(10**5) as asked:
    resumed = searches.run_search(search)
    assert next(asked) == 30 - 20  # The third alone was left.
  assert [training[3] for training in resumed.trainings] == [
    f'refit {number} of 3' for number in (1, 2, 3)
  ]
  assert resumed.comparable() == three_seeds.comparable()


def test_runs_without_a_refit(tmp_path, tiny_net):
  """The first is the trial; the others are trained for as many steps."""
  fields = {'evaluate_every': 10, 'early_stopping': True, 'num_seeds': 2}
  search = searches.build_search(
    tiny_net, tmp_path, refit_on_trainval=False, **fields
  )
  run = searches.run_search(search)
  steps = run.result.chosen['steps']
  assert run.trainings[2:] == [('train', 1046, 1, 'final run 2 of 2')]
  assert '4 trials and 1 final run' in run.output
  assert [r.seed for r in run.result.runs] == [0, 1]
  assert len({r.test.value for r in run.result.runs}) == 2
  assert len(run.result.losses) == steps // 5
  with search.open_checkpoints('final of seed 1') as checkpoints:
    assert checkpoints.steps()[-1] == steps


@contextlib.contextmanager
def told_to_end(after):
  """Has training end after it was asked so many times whether it should."""
  asked = iter(range(10**6))
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(trials, '_any_process', lambda _: next(asked) == after - 1)
    yield asked


def test_told_to_end_and_resumed(tmp_path, tiny_net, exhaustive):
  """Within the second group of trials, and within the refit."""
  search = searches.build_search(tiny_net, tmp_path)
  for after, step in ((30 + 20, 20), (10 + 10, 10)):
    with (
      told_to_end(after),
      pytest.raises(errors.Preempted, match=f'{step} of 30 steps'),
    ):
      searches.run_search(search)
  resumed = searches.run_search(search)
  assert [training[3] for training in resumed.trainings] == ['refit']
  assert resumed.comparable() == exhaustive.comparable()


def test_groups_change_no_result(tmp_path, tiny_net, exhaustive):
  """Where memory is not known, all four trials train at once."""
  search = searches.build_search(tiny_net, tmp_path, concurrent_trials=0)
  run = searches.run_search(search)
  assert [training[2] for training in run.trainings] == [4, 1]
  assert run.comparable() == exhaustive.comparable()


def test_a_diverged_trial_is_recorded(tmp_path, tiny_net, monkeypatch):
  compile_step = train_step.compile_step

  def compile_diverging(*arguments):
    step = compile_step(*arguments)

    def diverging(state, trial, batch):
      state, metrics = step(state, trial, batch)
      loss = metrics['loss']
      if trial['learning_rate'] > 0.1:
        loss = jax.numpy.nan
      return state, {**metrics, 'loss': loss}

    return diverging

  monkeypatch.setattr(train_step, 'compile_step', compile_diverging)
  search = searches.build_search(tiny_net, tmp_path / 'some')
  result = searches.run_search(search).result
  assert [t['diverged'] for t in result.trials] == [None, None, 5, 5]
  assert [t['validation'] == {} for t in result.trials] == [
    *(False, False, True, True)
  ]
  assert np.isnan(result.curve).tolist() == [False, False, True, True]
  search = searches.build_search(
    tiny_net, tmp_path / 'all', learning_rate_min=0.4
  )
  with pytest.raises(errors.InputError, match='all 4 trials diverged'):
    searches.run_search(search)


HALVING = {'halving_first': 0.3, 'learning_rate_max': 1e3}


@pytest.fixture(scope='module')
def halved(tiny_net, tmp_path_factory):
  """An undisturbed search by halving."""
  directory = tmp_path_factory.mktemp('halved')
  return searches.run_search(
    searches.build_search(tiny_net, directory, search='halving', **HALVING)
  )


def evaluated_at(trial):
  return [e['step'] for e in trial['evaluations']]


def values(evaluation):
  return [view['value'] for view in evaluation['views'].values()]


def test_halving_is_what_the_exhaustive_search_reports(
  tmp_path, tiny_net, halved
):
  both = searches.run_search(
    searches.build_search(tiny_net, tmp_path, search='both', **HALVING)
  )
  assert 'after 9 steps 2 of 4 trials go on' in halved.output
  complete = [t for t in halved.result.trials if t['validation']]
  assert [evaluated_at(t) for t in complete] == [[9, 18, 30]]
  assert sorted(t['steps'] for t in halved.result.trials) == [9, 9, 18, 30]
  for trial, same in zip(both.result.trials, halved.result.trials, strict=True):
    # To the bit what they would have been without stops on the way.
    count = len(same['evaluations'])
    assert trial['evaluations'][:count] == same['evaluations']
  lost = 100 * (both.result.validation.value - halved.result.validation.value)
  chosen = halved.result.chosen
  assert f'chosen learning_rate {chosen["learning_rate"]:.3g}, ' in both.output
  assert f'a loss of {lost:.2f} points' in both.output
  # 36 + 18 + 12 of 120
  assert 'would have taken 55% of the steps' in both.output


def test_halving_told_to_end_and_resumed(tmp_path, tiny_net, halved):
  search = searches.build_search(
    tiny_net, tmp_path, search='halving', **HALVING
  )
  for after in (2, 6, 10, 13, 17):
    with told_to_end(after), pytest.raises(errors.Preempted):
      searches.run_search(search)
  assert searches.run_search(search).comparable() == halved.comparable()


@pytest.fixture(scope='module')
def early_stopped(tiny_net, tmp_path_factory):
  """A search that chooses the number of steps, and its event files."""
  directory = tmp_path_factory.mktemp('early_stopped')
  search = searches.build_search(
    tiny_net,
    directory / 'search',
    log_dir=directory / 'tensorboard',
    evaluate_every=10,
    early_stopping=True,
    log_every=10,
    profile_steps=3,
  )
  return searches.run_search(search), directory / 'tensorboard'


def test_steps_are_chosen_on_val(early_stopped):
  result = early_stopped[0].result
  assert [evaluated_at(t) for t in result.trials] == [[10, 20, 30]] * 4
  best = max(
    v for t in result.trials for e in t['evaluations'] for v in values(e)
  )
  assert result.validation.value == best
  (chosen,) = (
    t
    for t in result.trials
    if t['learning_rate'] == result.chosen['learning_rate']
    and t['weight_decay'] == result.chosen['weight_decay']
  )
  steps = result.chosen['steps']
  assert best in values(chosen['evaluations'][steps // 10 - 1])
  assert len(result.losses) == steps // 5


def test_curves_hyperparameters_and_a_profile(early_stopped):
  from tensorboard.backend.event_processing import event_accumulator

  run, root = early_stopped
  names = [f'trial_{n:02d}' for n in range(1, 5)]
  assert sorted(p.name for p in root.iterdir() if p.is_dir()) == [
    *('plugins', 'refit_on_trainval', *names)
  ]
  assert len(list(root.glob('plugins/profile/*/*.xplane.pb'))) == 1
  events = event_accumulator.EventAccumulator(str(root / 'trial_03')).Reload()
  tags = set(events.Tags()['tensors'])
  assert '_hparams_/session_start_info' in events.summary_metadata
  assert {'training/loss', 'validation/whole_image'} < tags

  def curve(tag):
    return {
      e.step: float(e.tensor_proto.float_val[0])
      if e.tensor_proto.float_val
      else float(np.frombuffer(e.tensor_proto.tensor_content, np.float32)[0])
      for e in events.Tensors(tag)
    }

  trial = run.result.trials[2]
  losses = trial['losses']  # means of five steps
  loss = curve('training/loss')
  assert list(loss) == [10, 20, 30]
  assert loss[20] == pytest.approx((losses[2] + losses[3]) / 2, rel=1e-5)
  central = curve('validation/central')
  for evaluation in trial['evaluations']:
    assert central[evaluation['step']] == pytest.approx(
      evaluation['views']['central']['value']
    )
  for tag in ('accuracy', 'learning_rate', 'gradient_norm'):
    assert list(curve(f'training/{tag}')) == [10, 20, 30]
  assert min(curve('speed/images_per_second').values()) > 0
  waiting = curve('speed/share_of_time_waiting_for_data').values()
  assert 0 <= min(waiting) <= max(waiting) <= 1
  assert min(curve('memory/host_peak_gib').values()) > 0.1


@pytest.mark.parametrize('early_stopping', [False, True])
def test_without_a_refit_the_best_trial_is_tested(
  tmp_path, tiny_net, early_stopping
):
  """The parameters of when it was best, though others train with it."""
  search = searches.build_search(
    tiny_net,
    tmp_path,
    evaluate_every=5,
    early_stopping=early_stopping,
    refit_on_trainval=False,
  )
  run = searches.run_search(search)
  result = run.result
  ((view, digest),) = (k[1:] for k in run.logits if k[0] == 'test')
  labels = search.dataset.splits['val'].labels
  predicted = run.logits['val', view, digest].argmax(axis=1)
  assert view == result.chosen['view']
  assert metrics.top1(labels, predicted) == result.validation.value
  assert early_stopping or result.chosen['steps'] == 30
  assert 'refit' not in run.output


def test_a_few_examples_of_each_class(tmp_path, tiny_net):
  """Trained on twice; val is not part of the refit."""
  dataset = datasets.few_examples(datasets.open('digits'), 2, 0)
  search = searches.build_search(
    tiny_net, tmp_path, dataset=dataset, evaluate_every=30
  )
  result = searches.run_search(search).result
  assert len(dataset.splits['train']) == 20
  assert result.validation.examples == 384
  # The refit is the trial again, to the bit.
  (chosen,) = (
    t
    for t in result.trials
    if t['learning_rate'] == result.chosen['learning_rate']
    and t['weight_decay'] == result.chosen['weight_decay']
  )
  assert list(result.losses) == chosen['losses']


def test_several_classes_of_an_image(tmp_path, tiny_net, monkeypatch):
  """VOC in miniature, from its official layout: some labels are ignored."""
  monkeypatch.setattr(table, 'TABLE', miniatures.rows())
  miniatures.make('voc2007', tmp_path / 'data')
  dataset = datasets.open('voc2007', data_dir=str(tmp_path / 'data'))
  search = searches.build_search(tiny_net, tmp_path / 'search', dataset=dataset)
  result = searches.run_search(search).result
  assert dataset.metric == 'map11'
  assert result.validation.examples == 20
  assert result.test.examples == 40
  assert 0 < result.test.value < 1
  # Twenty binary cross-entropies, each log 2 before the first step.
  assert 5 < result.losses[0] < 20 * np.log(2) + 1
  assert result.losses[-1] < result.losses[0]
  assert result.predictions['prediction'].shape == (40, 20)
  assert set(np.unique(result.predictions['label'])) == {-1, 0, 1}
  assert 'scores' not in result.predictions
  value = metrics.map11(
    result.predictions['val_label'], result.predictions['val_scores']
  )
  assert value == result.validation.value


@pytest.fixture
def config(tmp_path, tiny_net):
  """The config of a study of the same cell."""
  path = tmp_path / 'tiny.safetensors'
  weights.save(path, tiny_net.header, tiny_net.variables)
  config = fine_tuned.get_config(f'{path},digits')
  config.fine_tuned.update(searches.FIELDS)
  config.tensorboard = False
  config.report = False
  return config


def records(workdir):
  lines = (workdir / 'results.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]


def test_both_settings_in_a_study(tmp_path, config, capsys):
  config.settings = ('fine_tuned', 'random_init')
  config.random_init = base.random_init_fields()
  config.random_init.update({**searches.FIELDS, 'weight_decay_min': 1e-6})
  study.run(config, tmp_path)
  out = capsys.readouterr().out
  assert re.search(r'the step compiled in \d+ s and takes [\d.]+ s;', out)
  assert 'will take about' in out
  assert '1 trial left' in out
  tuned, fresh = records(tmp_path)
  assert (tuned['setting'], fresh['setting']) == config.settings
  for record, num_trials in ((tuned, 4), (fresh, 2)):
    assert len(record['trials']) == num_trials
    assert len(record['validation_curve']) == num_trials
    best = max(v for v in record['validation_curve'])
    assert record['validation']['value'] == best
    assert record['test']['examples'] == 367
    assert record['losses'][-1] < record['losses'][0]
    assert record['preprocessing'] == 'random_crop_and_flip'
    assert 'concurrent_trials' not in record['search']
    with np.load(tmp_path / record['predictions']) as arrays:
      assert arrays['correct'].mean() == record['test']['value']
  assert tuned['losses'] != fresh['losses']
  assert list((tmp_path / 'searches').iterdir()) == []
  study.run(config, tmp_path)
  assert '0 to run' in capsys.readouterr().out


def test_several_runs_in_a_study(tmp_path, config, capsys):
  """The ledger has each run, and its predictions belong to the record."""
  config.fine_tuned.update({'num_learning_rates': 1, 'num_seeds': 2})
  study.run(config, tmp_path)
  assert 'mean of 2 runs, spread (SD) ' in capsys.readouterr().out
  (record,) = records(tmp_path)
  assert record['search']['num_seeds'] == 2
  assert [run['seed'] for run in record['runs']] == [0, 1]
  values = [run['test']['value'] for run in record['runs']]
  assert record['test']['value'] == np.mean(values)
  arrays = predictions.read(record, tmp_path)
  assert arrays['run_predictions'].shape == (2, 367)
  assert arrays['val_scores'].shape == (384, 10)
  config.fine_tuned.num_seeds = 1
  study.run(config, tmp_path)
  assert '1 to run' in capsys.readouterr().out
  assert 'runs' not in records(tmp_path)[1]
  assert 'num_seeds' not in records(tmp_path)[1]['search']


def test_random_values_need_no_weights_file(tmp_path, config):
  config.networks = ('tiny',)
  config.settings = ('random_init',)
  config.random_init = base.random_init_fields()
  config.random_init.update(
    {
      **searches.FIELDS,
      'num_learning_rates': 1,
      'weight_decay_min': 1e-6,
      'steps': 5,
    }
  )
  config.image_size = small.SIZE
  study.run(config, tmp_path)
  (record,) = records(tmp_path)
  assert record['weights_sha256'] == ''
  assert record['image_size'] == small.SIZE
  config.settings = ('fine_tuned',)
  with pytest.raises(errors.InputError, match='tiny'):
    study.run(config, tmp_path)


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
  config.fine_tuned.steps = 6  # Of no other test, so not compiled yet.
  config.fine_tuned.num_learning_rates = 1
  config.fine_tuned.include_zero_weight_decay = False
  study.run(config, tmp_path)
  assert list((tmp_path / 'compiled').glob('jit__step-*'))


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'fine_tuned.search': 'half'}, "'halving' or 'both', found 'half'"),
    ({'export': 'a', 'settings': ('fine_tuned', 'random_init')}, 'one setting'),
  ],
)
def test_refused_before_anything_is_written(tmp_path, config, change, message):
  config.update_from_flattened_dict(change)
  with pytest.raises(errors.InputError, match=message):
    study.run(config, tmp_path / 'work')
  assert not (tmp_path / 'work').exists()
