"""Measures images per second of a training step, beside Keras and PyTorch.

  python -m benchmarks.training --networks=resnet50,mobilenet_v1
  python -m benchmarks.training --networks=all --precision=bfloat16
  python -m benchmarks.training --data
  python -m benchmarks.training --shared
  python -m benchmarks.training --options
  python -m benchmarks.training --pretraining --networks=inception_v3

All have the same network, batch, image size and precision, SGD with Nesterov
momentum and weight decay, random weights and ready batches. Keras compiles its
step. timm (torchvision for GoogLeNet), where PyTorch is installed, is
channels-last, and on a GPU under torch.compile. The candidates take turns, each
in a process of its own, and the median of its turns counts. The time that the
first call took beyond a later one, mostly compiling, is shown apart.
--one_at_a_time gives each all of its turns before the next starts, and so the
machine's memory to itself.

--data compares the step with one that the training pipeline feeds from JPEGs,
and shows the share of the time that it waited for them.
--shared compares a search of eight trials that share their batches with eight
trials one after the other. Decoding its JPEGs takes longer than a step of a
small network.
--options and --pretraining compare our step with and without the options of
fine-tuning or of pretraining.
"""

import os
from collections.abc import Mapping
from typing import Any

from absl import app, flags

from benchmarks import fed, steps, turns
from tf_transfer.runtime import memory

_NETWORKS = flags.DEFINE_list(
  'networks',
  [],
  'Names of the table, or "all"; empty: mobilenet_v1, or inception_small '
  'with --shared.',
)
_BATCH_SIZE = flags.DEFINE_integer('batch_size', 32, 'Images of a step.')
_IMAGE_SIZE = flags.DEFINE_integer('image_size', 0, "0: the network's own.")
_PRECISION = flags.DEFINE_enum(
  'precision',
  'float32',
  ['float32', 'bfloat16'],
  'Precision of the arithmetic.',
)
_TURNS = flags.DEFINE_integer('turns', 3, 'Times that each candidate runs.')
_SECONDS = flags.DEFINE_float('seconds', 2.0, 'Length of a turn.')
_DATA = flags.DEFINE_bool(
  'data', False, 'Whether to time the step fed from JPEGs.'
)
_SHARED = flags.DEFINE_bool(
  'shared', False, 'Whether to time trials that share batches.'
)
_OPTIONS = flags.DEFINE_bool(
  'options', False, 'Whether to time the options of fine-tuning.'
)
_PRETRAINING = flags.DEFINE_bool(
  'pretraining', False, 'Whether to time the options of pretraining.'
)
_PHOTO_WIDTH = flags.DEFINE_integer(
  'photo_width', 0, 'Width of the JPEGs; 0: 500, or 1000 with --shared.'
)
_LARGE_PAGES = flags.DEFINE_enum(
  'large_pages',
  'ours',
  ['ours', 'all', 'none'],
  'Whose memory is in large pages.',
)
_ONE_AT_A_TIME = flags.DEFINE_bool(
  'one_at_a_time', False, 'Whether each ends before the next starts.'
)
_STEPS = flags.DEFINE_integer('steps', 20, 'Steps of each trial of --shared.')

_PEERS = ('Keras', 'PyTorch')


def _image_size(name: str) -> int:
  """Returns the size of a network's images in pixels."""
  from tf_transfer import networks

  return _IMAGE_SIZE.value or networks.row(name).image_size


def _time(
  candidates: Mapping[str, tuple[turns.Prepare, tuple[Any, ...]]],
) -> dict[str, turns.Timing]:
  """Times candidates; ours get their memory as `tf_transfer.main` does."""
  in_large_pages = {
    'ours': candidates.keys() - set(_PEERS),
    'all': candidates.keys(),
    'none': set(),
  }[_LARGE_PAGES.value]
  environments = dict.fromkeys(in_large_pages, memory.large_pages())
  groups = [candidates]
  if _ONE_AT_A_TIME.value:
    groups = [{label: candidate} for label, candidate in candidates.items()]
  timings = {}
  for group in groups:
    timings |= turns.time_candidates(
      group, _TURNS.value, _SECONDS.value, environments
    )
  return timings


def beside_peers(names: list[str]) -> None:
  """Prints a line for each network: ours, Keras and PyTorch."""
  labels = ('ours', *_PEERS)
  print(
    'images per second; in brackets the seconds of compiling\n'
    f'{"network":<22}'
    + ''.join(f'{label:>16}' for label in labels)
    + '  ours ÷ Keras, ours ÷ PyTorch'
  )
  for name in names:
    sizes = (name, _BATCH_SIZE.value, _image_size(name))
    precision = _PRECISION.value
    timings = _time(
      {
        'ours': (steps.ours, (*sizes, {'precision': precision})),
        'Keras': (steps.keras, (*sizes, precision)),
        'PyTorch': (steps.pytorch, (*sizes, precision)),
      }
    )
    columns, ratios = '', []
    for label in labels:
      if label not in timings:
        columns += f'{"-":>16}'
        continue
      rate = _BATCH_SIZE.value / timings[label].median
      columns += f'{f"{rate:.1f} ({timings[label].compiling:.0f} s)":>16}'
    for label in _PEERS:
      known = label in timings and 'ours' in timings
      ratio = timings[label].median / timings['ours'].median if known else None
      ratios.append(f'{ratio:.2f}' if known else '-')
    print(f'{name:<22}{columns}  {", ".join(ratios)}', flush=True)


def options(names: list[str]) -> None:
  """Prints a line for each option."""
  for name in names:
    sizes = (name, _BATCH_SIZE.value, _image_size(name))
    timings = _time(
      {
        label: (steps.ours, (*sizes, changes))
        for label, changes in steps.candidates(name, _PRETRAINING.value).items()
      }
    )
    print(f'{name}, {sizes[2]} px: seconds a step, images per second')
    for label, timing in timings.items():
      rate = _BATCH_SIZE.value / timing.median
      print(f'  {label:<12}{timing.median:>9.3f}{rate:>9.1f}', flush=True)


def data(names: list[str]) -> None:
  """Prints two lines for each network: ready batches, and from JPEGs."""
  width = _PHOTO_WIDTH.value or 500
  print(f'JPEGs {width} px wide: images per second, share of time waiting')
  for name in names:
    sizes = (name, _BATCH_SIZE.value, _image_size(name))
    precision = _PRECISION.value
    timings = _time(
      {
        'ready': (steps.ours, (*sizes, {'precision': precision})),
        'fed': (fed.fed_step, (*sizes, precision, width)),
      }
    )
    for label, timing in timings.items():
      rate = _BATCH_SIZE.value / timing.median
      share = sum(timing.waited) / sum(timing.seconds)
      print(f'  {name:<22}{label:<6}{rate:>9.1f}{share:>7.0%}', flush=True)


def shared(names: list[str]) -> None:
  """Prints the time of concurrent trials as a share of single ones'."""
  width = _PHOTO_WIDTH.value or 1000
  print(
    f'{fed.NUM_TRIALS} trials of {_STEPS.value} steps, JPEGs {width} px wide: '
    'seconds one by one, concurrently, the ratio'
  )
  for name in names:
    arguments = (
      name,
      _BATCH_SIZE.value,
      _image_size(name),
      _PRECISION.value,
      width,
    )
    timings = _time(
      {
        str(count): (fed.search, (*arguments, _STEPS.value, count))
        for count in (1, fed.NUM_TRIALS)
      }
    )
    if len(timings) < 2:
      print(f'  {name:<22}could not run, as said above', flush=True)
      continue
    single, concurrent = (
      timings[str(count)].median for count in (1, fed.NUM_TRIALS)
    )
    print(
      f'  {name:<22}{single:>9.1f}{concurrent:>9.1f}'
      f'{concurrent / single:>7.0%}',
      flush=True,
    )


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {argv[1:]}')
  from tf_transfer import networks

  names = _NETWORKS.value or [
    'inception_small' if _SHARED.value else 'mobilenet_v1'
  ]
  if names == ['all']:
    names = list(networks.TABLE)
  load = f', load {os.getloadavg()[0]:.1f}' if hasattr(os, 'getloadavg') else ''
  print(
    f'{os.cpu_count()} cores{load}, {_PRECISION.value}, '
    f'batch {_BATCH_SIZE.value}'
  )
  benchmarks = {
    data: _DATA.value,
    shared: _SHARED.value,
    options: _OPTIONS.value or _PRETRAINING.value,
  }
  for measure, is_requested in benchmarks.items():
    if is_requested:
      measure(names)
  if not any(benchmarks.values()):
    beside_peers(names)


if __name__ == '__main__':
  app.run(main)
