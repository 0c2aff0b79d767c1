"""Runs the job of configs/pretrain.py: from a config to a weights file.

The weights file holds the identity of everything that determines its content,
so that a job that is run again does nothing twice. A JSON file beside it holds
what is known only afterwards: losses, versions, device, time.
"""

import dataclasses
import datetime
import functools
import importlib.metadata
import json
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

import ml_collections
import msgspec
import numpy as np

import tf_transfer
from tf_transfer import config_fields, datasets, errors, networks
from tf_transfer.datasets import test_reads
from tf_transfer.networks import weights
from tf_transfer.runtime import (
  commands,
  devices,
  files,
  schemas,
  units,
  writers,
)
from tf_transfer.runtime.units import counted
from tf_transfer.study import (
  cost_model,
  duration_check,
  record_types,
  schema,
)
from tf_transfer.transfer.training import pretrain_config, pretraining

_PACKAGES = ('jax', 'flax', 'numpy', 'pillow')


def check(config: ml_collections.ConfigDict) -> None:
  """Finds what is wrong with a config before anything slow begins.

  Raises:
    InputError: a field is out of range, or there is no such network or data.
  """
  config_fields.check_job(config, 'pretrain')
  pretrain_config.check(config.network, config.pretrain)
  datasets.check(config.dataset, config.data.dir or None, config.data.prepare)
  if config.image_size:
    try:
      networks.check_image_size(
        config.network, config.image_size, config.pretrain.auxiliary_head
      )
    except errors.InputError as error:
      raise errors.InputError(f'config.{error}') from error
  if config.output and not config.output.endswith('.safetensors'):
    raise errors.InputError(
      'config.output: expected a name that ends in .safetensors, found '
      f'{config.output!r}'
    )


@dataclasses.dataclass(frozen=True)
class _Planned:
  """Holds a pretraining and the weights file that it writes."""

  job: pretraining.Pretraining
  path: pathlib.Path


def _plan(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> list[_Planned]:
  """Builds the pretrainings, one for each seed."""
  dataset = datasets.open_from_config(
    config.dataset, config.data, workdir / 'digests'
  )
  planned = []
  for number in range(config.num_seeds):
    of_seed = config.copy_and_resolve_references()
    of_seed.pretrain.seed += number
    suffix = f'_seed{of_seed.pretrain.seed}' if number else ''
    planned.append(_plan_seed(of_seed, dataset, workdir, suffix))
  return planned


def _plan_seed(
  config: ml_collections.ConfigDict,
  dataset: datasets.Dataset,
  workdir: pathlib.Path,
  suffix: str,
) -> _Planned:
  """Builds a pretraining: network, identity and directory.

  Args:
    config: of the job, with this pretraining's seed.
    dataset: to train on.
    workdir: of the job.
    suffix: of the weights file's name.
  """
  net = pretrain_config.untrained_network(
    config.network, config.image_size, config.pretrain
  )
  identity = _identity(config, net, dataset, dataset.identity_name)
  path = _weights_path(config, identity, workdir, suffix)
  former = _identity(config, net, dataset, config.dataset)
  former_path = _weights_path(config, former, workdir, suffix)
  if _was_begun_as(former, former_path, workdir):
    identity, path = former, former_path
  directory = files.make_directory(workdir / 'pretraining' / identity)
  job = pretraining.Pretraining(
    net,
    dataset,
    config.pretrain,
    config.data.corrupt,
    directory,
    identity,
    devices.data_mesh(),
    functools.partial(_log_test_read, config, net, dataset),
  )
  return _Planned(job, path)


def _log_test_read(
  config: ml_collections.ConfigDict,
  net: networks.Network,
  dataset: datasets.Dataset,
) -> None:
  """Logs that a pretrained network is evaluated on test, from now on."""
  if not devices.is_leader():
    return
  default = config_fields.defaults(config_fields.of_job('pretrain'))
  read = test_reads.of_network(
    'pretrain',
    dataset.identity_name,
    (net.name, ''),
    *(
      {'image_size': c.image_size, **pretrain_config.determinants(c.pretrain)}
      for c in (config, default)
    ),
  )
  test_reads.Log.from_config(config.data).add(dataset.splits['test'].hash, read)


def _identity(
  config: ml_collections.ConfigDict,
  net: networks.Network,
  dataset: datasets.Dataset,
  name: str,
) -> str:
  """Returns the hash of all that determines the weights.

  Args:
    config: of the job.
    net: to be trained.
    dataset: to train it on.
    name: what stands for the dataset.
  """
  return schema.identity(
    {
      'network': net.name,
      'header': net.header.to_json(),
      'dataset': name,
      'splits_sha256': {
        name: split.hash for name, split in dataset.splits.items()
      },
      'corrupt': config.data.corrupt,
      'pretrain': pretrain_config.determinants(config.pretrain),
    }
  )


def _was_begun_as(
  identity: str, path: pathlib.Path, workdir: pathlib.Path
) -> bool:
  """Tells whether a pretraining was begun, or is finished, as this identity.

  In earlier versions the path of a folder was part of it.
  """
  if (workdir / 'pretraining' / identity).exists():
    return True
  if not path.exists():
    return False
  return weights.read_header(path).recipe.details.get('identity') == identity


def _weights_path(
  config: ml_collections.ConfigDict,
  identity: str,
  workdir: pathlib.Path,
  suffix: str,
) -> pathlib.Path:
  """Returns the path of the weights file to write."""
  if config.output:
    path = files.local_path(config.output, 'config.output')
    return path.with_name(f'{path.stem}{suffix}{path.suffix}')
  name = pretrain_config.configuration(config.network, config.pretrain)
  name = name or identity[:8]
  directory = workdir / 'pretrained'
  dataset = pathlib.PurePath(config.dataset).name
  return directory / f'{config.network}_{dataset}_{name}{suffix}.safetensors'


def _is_finished(path: pathlib.Path, identity: str) -> bool:
  """Tells whether the weights file is there.

  Raises:
    InputError: other or damaged weights are there, which are not overwritten.
  """
  if not path.exists():
    return False
  details = weights.read(path)[0].recipe.details
  if 'identity' in details and details['identity'] == identity:
    # What is said of it, here and in figures.
    schemas.convert(details, _Details, f'{path}: recipe')
    return True
  raise errors.InputError(
    f'{path} holds other weights than those of this config: remove it, or name '
    'another file with --config.output'
  )


def run(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> pathlib.Path:
  """Pretrains a network, unless its weights file is there; so for each seed.

  Args:
    config: as configs/pretrain.py documents.
    workdir: where everything is written.

  Returns:
    The weights file; of several the first.

  Raises:
    InputError: an input cannot be used, or training diverged.
    Preempted: SIGTERM came; the same command goes on.
  """
  check(config)
  devices.connect()
  workdir = files.make_directory(workdir)
  devices.enable_compilation_cache(workdir / 'compiled')
  planned = _plan(config, workdir)
  finished = []
  # All are looked at before the first is trained, which may take days.
  for one in planned:
    files.make_directory(one.path.parent)
    finished.append(_is_finished(one.path, one.job.identity))
  _check_duration(
    config,
    [one for one, done in zip(planned, finished, strict=True) if not done],
  )
  for number, one in enumerate(planned):
    if len(planned) > 1:
      seed = one.job.config.seed
      print(f'seed {seed}, {number + 1} of {len(planned)}', flush=True)
    if finished[number]:
      print(f'weights  {one.path}, found')
    else:
      _pretrain(config, one.job, one.path, workdir)
    _print_weights(one.path)
  if len(planned) > 1:
    _print_spread([one.path for one in planned])
  return planned[0].path


def estimate(
  config: ml_collections.ConfigDict, workdir: pathlib.Path, speed: float
) -> float:
  """Estimates the seconds of the networks that are not pretrained yet.

  Args:
    config: as configs/pretrain.py documents.
    workdir: of the job.
    speed: operations per second.
  """
  return sum(
    cost_model.pretraining_seconds(
      one.job.net, one.job.dataset, config.pretrain, speed
    )
    for one in _plan(config, workdir)
    if not one.path.exists()
  )


def _check_duration(
  config: ml_collections.ConfigDict, missing: Sequence[_Planned]
) -> None:
  """Refuses what is estimated beyond a day, unless it is allowed.

  Raises:
    InputError: it is too long; one line that says how to shorten it.
  """
  if config.allow_long or not missing:
    return
  speed = cost_model.operations_per_second()
  fewer = config.pretrain.copy_and_resolve_references()
  fewer.epochs = max(config.pretrain.epochs / 10, config.pretrain.warmup_epochs)
  straight = config.pretrain.copy_and_resolve_references()
  straight.choose_steps_on_val = False
  seconds, with_fewer, without_choice = (
    sum(
      cost_model.pretraining_seconds(
        one.job.net, one.job.dataset, fields, speed
      )
      for one in missing
    )
    for fields in (config.pretrain, fewer, straight)
  )
  advice = [
    f'--config.pretrain.epochs={fewer.epochs:g} ({units.duration(with_fewer)})'
  ]
  if config.pretrain.choose_steps_on_val:
    advice.append(
      '--noconfig.pretrain.choose_steps_on_val '
      f'({units.duration(without_choice)})'
    )
  duration_check.check(seconds, config, advice)


class _Details(msgspec.Struct):
  """What a weights file of this job says of its recipe, among other things."""

  identity: str
  test: record_types.Measurement
  steps: record_types.Positive
  skipped: list[str]


def _pretrain(
  config: ml_collections.ConfigDict,
  job: pretraining.Pretraining,
  path: pathlib.Path,
  workdir: pathlib.Path,
) -> None:
  """Pretrains a network and writes its weights and everything beside them."""
  started = datetime.datetime.now(datetime.UTC)
  print(f'{job.description}, on {devices.describe()}', flush=True)
  note = pretrain_config.describe_missing_parts(config.network, config.pretrain)
  if note:
    print(f'  {note}', flush=True)
  result = pretraining.run(job)
  if not devices.is_leader():
    return
  header = build_header(job, result)
  weights.save(path, header, result.network.variables)
  finished = datetime.datetime.now(datetime.UTC)
  record: dict[str, Any] = {
    'weights': path.name,
    'weights_sha256': weights.sha256(path),
    'recipe': header.recipe.to_json(),
    'losses': list(result.losses),
    'versions': {
      'tf_transfer': tf_transfer.__version__,
      **{name: importlib.metadata.version(name) for name in _PACKAGES},
    },
    'device': devices.describe(),
    # Of this process: the time before a restart is not in it.
    'seconds': round((finished - started).total_seconds(), 2),
    'finished': finished.isoformat(timespec='seconds'),
  }
  with files.atomic_write(path.with_suffix('.json')) as file:
    file.write(json.dumps(record, indent=2).encode() + b'\n')
  if config.tensorboard:
    _write_events(job, result, workdir)
  shutil.rmtree(job.directory, ignore_errors=True)


def build_header(
  job: pretraining.Pretraining, result: pretraining.PretrainingResult
) -> weights.Header:
  """Builds the header of the weights file."""
  on_imagenet = job.dataset.name == 'imagenet'
  return dataclasses.replace(
    job.net.header,
    num_classes=len(job.dataset.classes),
    imagenet_top1=result.test.value if on_imagenet else None,
    imagenet_top1_source=(
      f'measured here on {result.test.examples:,} images, the central 87.5 %'
      if on_imagenet
      else ''
    ),
    recipe=pretraining.build_recipe(job, result),
    source='pretrained here',
  )


def _write_events(
  job: pretraining.Pretraining,
  result: pretraining.PretrainingResult,
  workdir: pathlib.Path,
) -> None:
  """Writes curves for TensorBoard."""
  with writers.open_curve_writer(
    workdir / 'tensorboard' / job.identity
  ) as writer:
    writer.curve('loss/train_and_val', result.losses)
    if result.choice:
      values = [value for _, value in result.choice.curve]
      writer.curve(f'validation/{job.dataset.metric}', values)
    writer.curve(f'test/{job.dataset.metric}', [result.test.value])


def _print_weights(path: pathlib.Path) -> None:
  """Prints what a weights file is, and how to use it."""
  header = weights.read_header(path)
  recipe = header.recipe
  test = recipe.details['test']
  print(
    f'{header.network} on {recipe.trained_on}: {test["value"]:.2%} '
    f'[{test["low"]:.2%}, {test["high"]:.2%}] on {test["examples"]:,} test '
    f'images after {recipe.details["steps"]:,} steps\n  {recipe}'
  )
  if recipe.details['skipped']:
    count = counted(len(recipe.details['skipped']), 'corrupt image')
    print(f'  {count} left out')
  command = commands.job(
    '--workdir=DIR', f'--config=logistic_regression:{path},DATASET'
  )
  print(f'weights  {errors.printable(str(path))}\nuse it   {command}')


def _print_spread(paths: Sequence[pathlib.Path]) -> None:
  """Prints how far networks of several seeds are apart, and how to use them."""
  headers = [weights.read_header(path) for path in paths]
  values = [header.recipe.details['test']['value'] for header in headers]
  # Double quotes: a shell takes the tuple in single ones.
  names = ','.join(json.dumps(str(path), ensure_ascii=False) for path in paths)
  command = commands.job(
    '--workdir=DIR',
    f'--config=logistic_regression:{paths[0]},DATASET',
    f'--config.networks=({names})',
  )
  print(
    f'{headers[0].network} on {headers[0].recipe.trained_on}: mean of '
    f'{len(paths)} networks {np.mean(values):.2%}, spread (SD) '
    f'{100 * np.std(values, ddof=1):.1f} points\nuse them {command}'
  )
