"""Pretraining as a job: from a config to a weights file.

The file is found by what determines its content: run again, nothing is done
twice. Beside it stands a record of what is known only afterwards.
"""

import dataclasses
import datetime
import importlib.metadata
import json
import pathlib
import shutil
from typing import Any

import ml_collections

import tf_transfer
from tf_transfer import datasets, errors
from tf_transfer.networks import weights
from tf_transfer.runtime import devices, files, writers
from tf_transfer.study import ledger, plan
from tf_transfer.transfer.training import pretrain_config, pretraining

_PACKAGES = ('jax', 'flax', 'numpy', 'pillow')


def check(config: ml_collections.ConfigDict) -> None:
  """Finds what is wrong with a config before anything slow begins.

  Raises:
    InputError: a field is out of range, or there is no such network or data.
  """
  pretrain_config.check(config.network, config.pretrain)
  datasets.check(config.dataset, config.data.dir or None, config.data.prepare)
  if config.data.corrupt not in ('error', 'skip'):
    raise errors.InputError(
      "config.data.corrupt: expected 'error' or 'skip', "
      f'found {config.data.corrupt!r}'
    )
  if config.image_size < 0:
    raise errors.InputError(
      "config.image_size: expected pixels, or 0 for the network's own, not "
      f'{config.image_size}'
    )
  if config.output and not config.output.endswith('.safetensors'):
    raise errors.InputError(
      'config.output: expected a name that ends in .safetensors, found '
      f'{config.output!r}'
    )


def _given(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> pretraining.Pretraining:
  """What is to be trained, on what."""
  dataset = plan.opened(config.dataset, config.data, workdir)
  net = pretrain_config.untrained_network(
    config.network, config.image_size, config.pretrain
  )
  identity = ledger.identity(
    {
      'network': net.name,
      'header': net.header.to_json(),
      'dataset': dataset.name,
      'splits_sha256': {
        name: split.hash for name, split in dataset.splits.items()
      },
      'corrupt': config.data.corrupt,
      'pretrain': {
        name: value
        for name, value in config.pretrain.to_dict().items()
        if name not in pretrain_config.OPERATIONAL
      },
    }
  )
  directory = files.make_directory(workdir / 'pretraining' / identity)
  return pretraining.Pretraining(
    net,
    dataset,
    config.pretrain,
    config.data.corrupt,
    directory,
    identity,
    devices.data_mesh(),
  )


def _path(
  config: ml_collections.ConfigDict,
  given: pretraining.Pretraining,
  workdir: pathlib.Path,
) -> pathlib.Path:
  if config.output:
    return pathlib.Path(config.output).expanduser()
  name = pretrain_config.configuration(config.network, config.pretrain)
  name = name or given.identity[:8]
  directory = workdir / 'pretrained'
  dataset = pathlib.PurePath(config.dataset).name
  return directory / f'{config.network}_{dataset}_{name}.safetensors'


def _already(path: pathlib.Path, identity: str) -> bool:
  """Whether a file is what would be made; another one is not overwritten."""
  if not path.exists():
    return False
  details = weights.read_header(path).recipe.details
  if 'identity' in details and details['identity'] == identity:
    return True
  raise errors.InputError(
    f'{path} holds other weights than this config makes: remove it, or name '
    'another file with --config.output'
  )


def run(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> pathlib.Path:
  """Pretrains a network, if that has not been done.

  Args:
    config: as configs/pretrain.py documents.
    workdir: where everything is written.

  Returns:
    The weights file.

  Raises:
    InputError: something given cannot be used, or training diverged.
    Preempted: SIGTERM came; the same command goes on.
  """
  devices.connect()
  check(config)
  workdir = files.make_directory(workdir)
  devices.keep_compiled(workdir / 'compiled')
  given = _given(config, workdir)
  path = _path(config, given, workdir)
  files.make_directory(path.parent)
  if _already(path, given.identity):
    print(f'weights  {path}, found')
  else:
    _trained(config, given, path, workdir)
  _say(path)
  return path


def _trained(
  config: ml_collections.ConfigDict,
  given: pretraining.Pretraining,
  path: pathlib.Path,
  workdir: pathlib.Path,
) -> None:
  started = datetime.datetime.now(datetime.UTC)
  print(f'{given.description}, on {devices.describe()}', flush=True)
  alone = pretrain_config.describe_missing_auxiliary_head(
    config.network, config.pretrain
  )
  if alone:
    print(f'  {alone}', flush=True)
  result = pretraining.run(given)
  if not devices.leading():
    return
  header = header_of(given, result)
  weights.save(path, header, result.network.variables)
  finished = datetime.datetime.now(datetime.UTC)
  record: dict[str, Any] = {
    'weights': path.name,
    'weights_sha256': files.sha256(path),
    'recipe': header.recipe.to_json(),
    'losses': list(result.losses),
    'versions': {
      'tf_transfer': tf_transfer.__version__,
      **{name: importlib.metadata.version(name) for name in _PACKAGES},
    },
    'device': devices.describe(),
    # Of this process: what it went on from is not in it.
    'seconds': round((finished - started).total_seconds(), 2),
    'finished': finished.isoformat(timespec='seconds'),
  }
  with files.atomic_write(path.with_suffix('.json')) as file:
    file.write(json.dumps(record, indent=2).encode() + b'\n')
  if config.tensorboard:
    _write_events(given, result, workdir)
  shutil.rmtree(given.directory, ignore_errors=True)


def header_of(
  given: pretraining.Pretraining, result: pretraining.PretrainingResult
) -> weights.Header:
  """What the weights file says of itself."""
  on_imagenet = given.dataset.name == 'imagenet'
  return dataclasses.replace(
    given.net.header,
    num_classes=len(given.dataset.classes),
    imagenet_top1=result.test.value if on_imagenet else None,
    imagenet_top1_source=(
      f'measured here on {result.test.examples:,} images, the central 87.5 %'
      if on_imagenet
      else ''
    ),
    recipe=pretraining.build_recipe(given, result),
    source='pretrained here',
  )


def _write_events(
  given, result: pretraining.PretrainingResult, workdir
) -> None:
  with writers.rewrite(workdir / 'tensorboard' / given.identity) as writer:
    writer.curve('loss/train_and_val', result.losses)
    if result.choice:
      values = [value for _, value in result.choice.curve]
      writer.curve(f'validation/{given.dataset.metric}', values)
    writer.curve(f'test/{given.dataset.metric}', [result.test.value])


def _say(path: pathlib.Path) -> None:
  """What a weights file that was made here is."""
  header = weights.read_header(path)
  found = header.recipe
  test = found.details['test']
  print(
    f'{header.network} on {found.trained_on}: {test["value"]:.2%} '
    f'[{test["low"]:.2%}, {test["high"]:.2%}] on {test["examples"]:,} test '
    f'images after {found.details["steps"]:,} steps\n  {found}'
  )
  if found.details['skipped']:
    print(f'  {len(found.details["skipped"])} corrupt images left out')
  print(
    f'weights  {path}\nuse it   python -m tf_transfer.main --workdir=DIR '
    f'--config=configs/logistic_regression.py:{path},DATASET'
  )
