"""Pretraining as a job: one command, killed or not, to a weights file."""

import ast
import json
import shlex
import shutil

import numpy as np
import pytest

from tests.datasets import miniatures
from tests.study import studies
from tests.transfer.training import small
from tf_transfer import config_fields, datasets, errors, networks
from tf_transfer.configs import base
from tf_transfer.configs import pretrain as config_file
from tf_transfer.datasets import table, test_reads
from tf_transfer.jobs import pretrain, study
from tf_transfer.networks import recipe, weights
from tf_transfer.study import cost_model
from tf_transfer.transfer import metrics
from tf_transfer.transfer.training import predictions, train_step, trials


@pytest.fixture
def tiny(monkeypatch):
  row = networks.Row(small.AuxiliaryBackbone, small.SIZE, 6, 174)
  monkeypatch.setitem(networks.TABLE, 'tiny', row)


@pytest.fixture
def config(tiny):
  """Three epochs of 33 steps of digits, in C1."""
  made = config_file.get_config('tiny,C1,digits')
  made.pretrain.update(
    {
      'epochs': 3.0,
      'batch_size': 32,
      'learning_rate': 6.4,
      'warmup_epochs': 0.5,
      'evaluate_every_epochs': 0.5,
      'ema_decay': 0.9,
      'checkpoint_every': 20,
    }
  )
  made.tensorboard = False
  return made.lock()


def test_the_whole_job(tmp_path, config, capsys, monkeypatch):
  jobs, seen = [], []
  train, predict_logits = trials.train, predictions.predict_logits

  def training_noted(job, *rest):
    jobs.append(
      (job.split.name, len(job.split), job.train_config.steps, job.color)
    )
    return train(job, *rest)

  def measuring_noted(predict, contract, variables, split, view, *a, **k):
    seen.append((split.name, view))
    return predict_logits(predict, contract, variables, split, view, *a, **k)

  monkeypatch.setattr(trials, 'train', training_noted)
  monkeypatch.setattr(predictions, 'predict_logits', measuring_noted)
  path = pretrain.run(config, tmp_path)
  said = capsys.readouterr().out
  assert path == tmp_path / 'pretrained' / 'tiny_digits_C1.safetensors'
  test = datasets.open('digits').splits['test']
  (read,) = test_reads.Log.named('').read(test.hash).reads
  assert (read.job, read.network) == ('pretrain', 'tiny')
  assert 'warmup_epochs = 0.5' in read.changed
  header, tensors = weights.read(path)
  assert header.options == {'use_scale': False}
  assert header.num_classes == 10
  assert header.imagenet_top1 is None
  assert not [name for name in tensors if 'auxiliary' in name]
  assert not [name for name in tensors if name.endswith('/scale')]
  # The recipe, and what was measured.
  found = header.recipe
  assert found.configuration == 'C1'
  assert found.trained_on == 'digits'
  details = found.details
  assert details['configuration'] == 'C1'
  assert details['pretrain']['label_smoothing'] == 0.1
  assert details['pretrain']['dropout'] == 0.2
  assert details['pretrain']['epochs'] == 3
  assert 'checkpoint_every' not in details['pretrain']
  assert details['learning_rate'] == pytest.approx(6.4 * 32 / 4096)
  splits = datasets.open('digits').splits
  assert details['splits_sha256'] == {n: s.hash for n, s in splits.items()}
  curve = details['choice']['curve']
  assert [step for step, _ in curve] == [16, 32, 48, 64, 80, 96, 99]
  values = [value for _, value in curve]
  best = curve[int(np.argmax(values))]
  assert [details['choice'][k] for k in ('steps', 'value')] == best
  assert details['steps'] == best[0]
  assert f'best on val after {best[0]} steps' in said
  assert 'will take about' in said
  assert 'epoch 0.49 of 3, step 16: val' in said
  # Train for the choice, then all for as long; test is read once, at the end.
  assert jobs == [
    ('train', 1046, 99, True),
    ('trainval', 1430, best[0], True),
  ]
  assert seen == [('val', 'central')] * 7 + [('test', 'central')]
  record = json.loads(path.with_suffix('.json').read_text())
  assert record['recipe'] == json.loads(json.dumps(found.to_json()))
  # What the file predicts is what was measured.
  net = networks.load(path)
  test = splits['test']
  pixels = np.stack([test.read(i) for i in range(len(test))])
  predicted = np.asarray(net.logits(net.contract.scale(pixels))).argmax(axis=1)
  assert metrics.top1(test.labels, predicted) == details['test']['value']
  assert record['losses'][-1] < record['losses'][0]
  # Nothing is done twice, and nothing overwritten.
  assert not list((tmp_path / 'pretraining').iterdir())
  before = path.read_bytes()
  pretrain.run(config, tmp_path)
  assert 'found' in capsys.readouterr().out
  assert len(jobs) == 2
  config.pretrain.epochs = 2.0
  with pytest.raises(errors.InputError, match='holds other weights than'):
    pretrain.run(config, tmp_path)
  assert path.read_bytes() == before
  path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
  with pytest.raises(errors.InputError, match='is damaged'):
    pretrain.run(config, tmp_path)


def test_network_without_a_place_for_an_auxiliary_head(
  tmp_path, monkeypatch, capsys
):
  row = networks.Row(small.TinyBackbone, small.SIZE, 6, 174)
  monkeypatch.setitem(networks.TABLE, 'tiny', row)
  made = config_file.get_config('tiny,C1,digits')
  made.pretrain.update(
    {'epochs': 0.1, 'batch_size': 32, 'choose_steps_on_val': False}
  )
  made.pretrain.warmup_epochs = 0.0
  made.tensorboard = False
  path = pretrain.run(made.lock(), tmp_path)
  said = capsys.readouterr().out
  words = 'tiny has no place for an auxiliary head: C1 is trained without one'
  assert said.index(words) < said.index('will take about')
  found = weights.read_header(path).recipe
  # By the factors it is none of the five.
  assert found.configuration is None
  assert found.details['configuration'] == 'C1'


@pytest.mark.slow
def test_killed_in_either_run_it_ends_with_the_same_file(
  tmp_path, config, monkeypatch
):
  undisturbed = pretrain.run(config, tmp_path / 'undisturbed')
  for steps in (50, 30, 70):  # The first two within the run on train.
    left = iter(range(steps))
    last = steps - 1
    monkeypatch.setattr(
      trials, '_any_process', lambda _, left=left, last=last: next(left) == last
    )
    with pytest.raises(errors.Preempted):
      pretrain.run(config, tmp_path / 'disturbed')
  monkeypatch.setattr(trials, '_any_process', bool)
  disturbed = pretrain.run(config, tmp_path / 'disturbed')
  assert disturbed.read_bytes() == undisturbed.read_bytes()


def test_other_jobs_take_the_file_unchanged(tmp_path, config):
  config.pretrain.choose_steps_on_val = False
  config.pretrain.epochs = 1.0
  path = pretrain.run(config, tmp_path)
  config = base.get_config(f'{path},digits')
  config.settings = ('logistic_regression', 'fine_tuned')
  config.logistic_regression.num_penalties = 3
  config.fine_tuned = base.fine_tuned_fields()
  config.fine_tuned.update(
    {
      'num_learning_rates': 1,
      'num_weight_decays': 1,
      'include_zero_weight_decay': False,
      'steps': 10,
      'batch_size': 32,
      'auxiliary_head': True,
    }
  )
  config.tensorboard = False
  study.run(config.lock(), tmp_path)
  lines = (tmp_path / 'results.jsonl').read_text().splitlines()
  records = [json.loads(line) for line in lines]
  assert [r['setting'] for r in records] == list(config.settings)
  for record in records:
    found = recipe.Recipe.from_json(record['recipe'])
    assert found.configuration == 'C1'
    assert found.details['choice'] is None
    assert found.details['steps'] == 45  # 1,430 / 32, rounded up


@pytest.mark.parametrize('where', ['folder', 'imagenet'])
def test_other_data(tmp_path, config, photos, where, monkeypatch):
  """A folder of photos, and a miniature of ImageNet's directory."""
  config.pretrain.update({'epochs': 0.02, 'choose_steps_on_val': False})
  config.pretrain.warmup_epochs = 0.02
  config.pretrain.ema_decay = 0.0
  if where == 'folder':
    config.dataset = f'folder:{photos}'
    config.pretrain.update({'epochs': 2.0, 'batch_size': 8})
  else:
    monkeypatch.setattr(table, 'TABLE', miniatures.rows())
    miniatures.make('imagenet', tmp_path / 'data')
    config.dataset = 'imagenet'
    config.data.dir = str(tmp_path / 'data')
  header = weights.read_header(pretrain.run(config, tmp_path))
  assert header.num_classes == (2 if where == 'folder' else 1000)
  test = header.recipe.details['test']
  if where == 'imagenet':
    assert header.imagenet_top1 == test['value']
    assert '1,000 images' in header.imagenet_top1_source
  else:
    assert header.imagenet_top1 is None


def test_what_is_left_out_is_named_in_the_recipe(
  tmp_path, config, photos, capsys
):
  shutil.copytree(photos, tmp_path / 'photos')
  corrupt = sorted((tmp_path / 'photos').glob('*/*5.*'))
  for path in corrupt:
    path.write_bytes(path.read_bytes()[:-100])
  config.pretrain.update({'epochs': 1.0, 'batch_size': 8, 'ema_decay': 0.0})
  config.pretrain.choose_steps_on_val = False
  config.dataset = f'folder:{tmp_path / "photos"}'
  with pytest.raises(errors.InputError, match=f'{len(corrupt)} of 60 files'):
    pretrain.run(config, tmp_path)
  config.data.corrupt = 'skip'
  header = weights.read_header(pretrain.run(config, tmp_path))
  assert sorted(header.recipe.details['skipped']) == list(map(str, corrupt))
  assert f'{len(corrupt)} corrupt images left out' in capsys.readouterr().out


def test_regularizers_off_are_another_file(tmp_path, config):
  config.pretrain.update({'choose_steps_on_val': False, 'epochs': 0.5})
  first = pretrain.run(config, tmp_path)
  config.pretrain.update({'bn_scale': True, 'label_smoothing': 0.0})
  config.pretrain.update({'dropout': 0.0, 'auxiliary_head': False})
  second = pretrain.run(config, tmp_path)
  assert second.name == 'tiny_digits_C5.safetensors'
  _, tensors = weights.read(second)
  assert [name for name in tensors if name.endswith('/scale')]
  said = recipe.warning(
    {p.stem: weights.read_header(p).recipe for p in (first, second)}
  )
  assert len(said.splitlines()) == 5


def test_several_seeds(tmp_path, config, capsys):
  """A weights file each, and each as it would be alone."""
  config.pretrain.update({'choose_steps_on_val': False, 'epochs': 0.5})
  config.num_seeds = 2
  config.output = str(tmp_path / 'net.safetensors')
  first = pretrain.run(config, tmp_path)
  out = capsys.readouterr().out
  paths = sorted(tmp_path.glob('*.safetensors'))
  second = tmp_path / 'net_seed1.safetensors'
  assert paths == [first, second]
  assert 'seed 1, 2 of 2\n' in out
  values = [
    weights.read_header(p).recipe.details['test']['value'] for p in paths
  ]
  assert values[0] != values[1]
  spread = 100 * abs(values[0] - values[1]) / 2**0.5
  assert f'mean of 2 networks {sum(values) / 2:.2%}, spread (SD)' in out
  assert f'(SD) {spread:.1f} points' in out
  assert f'\'--config.networks=("{first}","{second}")\'' in out
  config.num_seeds = 1
  config.pretrain.seed = 1
  config.output = str(tmp_path / 'alone.safetensors')
  alone = pretrain.run(config, tmp_path)
  assert alone.read_bytes() == second.read_bytes()
  # Other weights in place of the last are found before the first is trained.
  config.update({'num_seeds': 2, 'output': str(tmp_path / 'new.safetensors')})
  shutil.copyfile(first, tmp_path / 'new_seed2.safetensors')
  with pytest.raises(errors.InputError, match='new_seed2.safetensors holds'):
    pretrain.run(config, tmp_path)
  assert not (tmp_path / 'new.safetensors').exists()


def test_commands_can_be_pasted_whatever_the_path(tmp_path, config, capsys):
  config.pretrain.update({'choose_steps_on_val': False, 'epochs': 0.5})
  config.num_seeds = 2
  config.output = str(tmp_path / "my cat's.safetensors")
  first = pretrain.run(config, tmp_path)
  second = tmp_path / "my cat's_seed1.safetensors"
  out = capsys.readouterr().out
  (one, _), (several,) = (
    [
      shlex.split(line.partition('python -m tf_transfer.main ')[2])
      for line in out.splitlines()
      if line.startswith(words)
    ]
    for words in ('use it', 'use them')
  )
  assert one == [
    '--workdir=DIR',
    f'--config=logistic_regression:{first},DATASET',
  ]
  assert several[:2] == one
  names = several[2].removeprefix('--config.networks=')
  assert ast.literal_eval(names) == (str(first), str(second))


def test_divergence_is_said(tmp_path, config, monkeypatch):
  compile_step = train_step.compile_step

  def compiled(*arguments):
    step = compile_step(*arguments)

    def diverging(state, trial, batch):
      state, found = step(state, trial, batch)
      return state, {**found, 'loss': np.float32(np.nan)}

    return diverging

  monkeypatch.setattr(train_step, 'compile_step', compiled)
  with pytest.raises(errors.InputError, match='diverged after 5 steps: lower'):
    pretrain.run(config, tmp_path)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'network': 'resnet50'}, 'resnet50 has no place for an auxiliary head'),
    ({'output': 'a.npz'}, 'ends in .safetensors'),
    ({'image_size': -1}, 'config.image_size'),
    ({'network': 'inception_v3', 'image_size': 106}, 'at least 107 px, not'),
    ({'data.corrupt': 'no'}, "'error' or 'skip'"),
    (
      {'num_seeds': 2, 'pretrain.seed': 2**32 - 1},
      'config.num_seeds: expected at most 1 after seed 4,294,967,295, found 2',
    ),
    ({'dataset': 'digit'}, 'did you mean digits'),
  ],
)
def test_refused_before_anything_is_written(tmp_path, config, change, message):
  config.update_from_flattened_dict(change)
  with pytest.raises(errors.InputError, match=message):
    pretrain.run(config, tmp_path / 'work')
  assert not (tmp_path / 'work').exists()


def test_a_batch_larger_than_the_split(tmp_path, config):
  config.pretrain.batch_size = 2048
  with pytest.raises(errors.InputError, match='larger than train, which has'):
    pretrain.run(config, tmp_path)


@pytest.mark.parametrize(
  ('argument', 'identity'),
  [
    ('inception_small,C1,digits', '1fe73512ac4654ae4fa5c829d97c1608'),
    ('inception_v3,C5,digits', '1bae9da7e51546f17beb1daeafd99829'),
  ],
)
def test_identity_is_that_of_version_0_1_0(tmp_path, argument, identity):
  """So that a weights file of before is found, and nothing trained again."""
  config = config_file.get_config(argument)
  (planned,) = pretrain._plan(config, tmp_path)
  assert planned.job.identity == identity


def test_identity_of_modes_of_color_distortion(tmp_path, config):
  """True and False of before are the slow mode and none."""

  def identity(mode):
    config.pretrain.color_distortion = mode
    (planned,) = pretrain._plan(config, tmp_path)
    return planned.job.identity

  slow, fast, none = map(identity, ('slow', 'fast', 'none'))
  assert len({slow, fast, none}) == 3
  (planned,) = pretrain._plan(config, tmp_path)
  job = planned.job
  with config.unlocked():
    for mode, former in ((slow, True), (none, False)):
      del config.pretrain.color_distortion
      config.pretrain.color_distortion = former
      assert mode == pretrain._identity(
        config, job.net, job.dataset, job.dataset.identity_name
      )


@pytest.mark.parametrize(
  ('value', 'message'), [('True', "'slow'"), ('False', "'none'")]
)
def test_color_distortion_of_before_is_explained(config, value, message):
  config.pretrain.color_distortion = value
  with pytest.raises(errors.InputError, match=f'is now named {message}'):
    config_fields.check_job(config, 'pretrain')


def test_a_folder_by_several_names_is_pretrained_on_once(tmp_path, config):
  """Under the identity that an earlier version began with, if it did."""
  photos = studies.make_folder(tmp_path / 'photos')

  def identity(name):
    config.dataset = f'folder:{name}'
    (planned,) = pretrain._plan(config, tmp_path / 'work')
    return planned.job.identity

  first = identity(photos)
  assert identity(f'{photos}/') == first
  config.dataset = f'folder:{photos}//'
  (planned,) = pretrain._plan(config, tmp_path / 'work')
  job = planned.job
  former = pretrain._identity(config, job.net, job.dataset, config.dataset)
  assert former != first
  (tmp_path / 'work' / 'pretraining' / former).mkdir()
  assert identity(f'{photos}//') == former
  assert identity(photos) == first


def test_more_than_a_day_is_asked_for(tmp_path, config, monkeypatch):
  """Said with what shortens it, before anything is trained."""
  monkeypatch.setattr(cost_model, 'operations_per_second', lambda: 10.0)
  with pytest.raises(errors.InputError, match='--config.allow_long=True') as e:
    pretrain.run(config, tmp_path)
  assert '--config.pretrain.epochs=0.5 (' in str(e.value)
  assert '--noconfig.pretrain.choose_steps_on_val (' in str(e.value)
  assert not list((tmp_path / 'pretrained').glob('*'))
