"""Images per second of a training step, beside Keras and PyTorch.

  python -m benchmarks.training --networks=resnet50,mobilenet_v1
  python -m benchmarks.training --networks=all --precision=bfloat16
  python -m benchmarks.training --data
  python -m benchmarks.training --shared
  python -m benchmarks.training --options
  python -m benchmarks.training --pretraining --networks=inception_v3

Same network, batch, image size and precision; SGD with Nesterov momentum and
weight decay in all; random weights and ready batches. Keras compiles its step;
timm (torchvision's for GoogLeNet), where PyTorch is installed, is
channels-last, on a GPU under torch.compile. The candidates take turns, each
in a process of its own, and the median of its turns counts. What the first
call took beyond a later one, compiling above all, stands apart.
--one_at_a_time: each has all of its turns before the next begins, and the
machine's memory to itself.

--data: the step beside itself fed from JPEGs by the training pipeline, and the
share of the time that it waited for them.
--shared: a search of eight trials that share their batches beside eight single
ones, from JPEGs that take longer to decode than a step does, of a small network
at least, and the one's time as a share of the other's.
--options, --pretraining: ours with what a recipe, or pretraining, may have on
or off.
"""

import os

from absl import app, flags

from benchmarks import fed, steps, turns
from tf_transfer.runtime import memory

_NETWORKS = flags.DEFINE_list(
  'networks',
  [],
  'Names of the table, or "all"; empty: mobilenet_v1, with --shared '
  'inception_small.',
)
_BATCH_SIZE = flags.DEFINE_integer('batch_size', 32, 'Images of a step.')
_IMAGE_SIZE = flags.DEFINE_integer('image_size', 0, "0: the network's own.")
_PRECISION = flags.DEFINE_enum(
  'precision', 'float32', ['float32', 'bfloat16'], 'Of the arithmetic.'
)
_TURNS = flags.DEFINE_integer('turns', 3, 'Times that each candidate runs.')
_SECONDS = flags.DEFINE_float('seconds', 2.0, 'How long a turn lasts.')
_DATA = flags.DEFINE_bool('data', False, 'The step fed from JPEGs.')
_SHARED = flags.DEFINE_bool('shared', False, 'Trials that share batches.')
_OPTIONS = flags.DEFINE_bool('options', False, 'What a recipe has on or off.')
_PRETRAINING = flags.DEFINE_bool(
  'pretraining', False, 'What pretraining has on or off.'
)
_PHOTO_WIDTH = flags.DEFINE_integer(
  'photo_width', 0, 'Of the JPEGs; 0: 500, with --shared 1000.'
)
_LARGE_PAGES = flags.DEFINE_enum(
  'large_pages', 'ours', ['ours', 'all', 'none'], 'Whose memory is in them.'
)
_ONE_AT_A_TIME = flags.DEFINE_bool(
  'one_at_a_time', False, 'Candidates end ahead of the next; no turns.'
)
_STEPS = flags.DEFINE_integer('steps', 20, 'Of each trial of --shared.')

_PEERS = ('Keras', 'PyTorch')

# What of the recipe each candidate changes.
OPTIONS = {
  'float32': {},
  'bfloat16': {'precision': 'bfloat16'},
  'two parts': {'gradient_accumulation_steps': 2},
  'regularized': {
    'label_smoothing': 0.1,
    'dropout': 0.2,
    'ema_decay': 0.999,
  },
}
PRETRAINING = {
  'none': {},
  'auxiliary': {'auxiliary_head': True},
  'two parts': {'gradient_accumulation_steps': 2},
  'average': {'ema_decay': 0.9999},
  'all three': {
    'auxiliary_head': True,
    'gradient_accumulation_steps': 2,
    'ema_decay': 0.9999,
  },
}


def candidates(name: str, pretraining: bool) -> dict[str, dict[str, object]]:
  """What of the recipe each candidate changes, for a network that can."""
  from tf_transfer import networks

  return {
    label: change
    for label, change in (PRETRAINING if pretraining else OPTIONS).items()
    if networks.has_auxiliary(name) or 'auxiliary_head' not in change
  }


def _size(name: str) -> int:
  from tf_transfer import networks

  return _IMAGE_SIZE.value or networks.row(name).image_size


def _measured(prepared) -> dict[str, turns.Measured]:
  """Times candidates; ours has its memory as `tf_transfer.main` gives it."""
  given = {
    'ours': set(prepared) - set(_PEERS),
    'all': set(prepared),
    'none': set(),
  }[_LARGE_PAGES.value]
  environments = dict.fromkeys(given, memory.large_pages())
  groups = [prepared]
  if _ONE_AT_A_TIME.value:
    groups = [{label: candidate} for label, candidate in prepared.items()]
  found = {}
  for group in groups:
    found |= turns.measured(group, _TURNS.value, _SECONDS.value, environments)
  return found


def beside_peers(names: list[str]) -> None:
  """A line for each network: ours, Keras and PyTorch."""
  labels = ('ours', *_PEERS)
  print(
    'images per second; in brackets the seconds of compiling\n'
    f'{"network":<22}'
    + ''.join(f'{label:>16}' for label in labels)
    + '  ours ÷ Keras, ours ÷ PyTorch'
  )
  for name in names:
    sizes = (name, _BATCH_SIZE.value, _size(name))
    precision = _PRECISION.value
    found = _measured(
      {
        'ours': (steps.ours, (*sizes, {'precision': precision})),
        'Keras': (steps.keras, (*sizes, precision)),
        'PyTorch': (steps.pytorch, (*sizes, precision)),
      }
    )
    cells, ratios = '', []
    for label in labels:
      if label not in found:
        cells += f'{"-":>16}'
        continue
      rate = _BATCH_SIZE.value / found[label].median
      cells += f'{f"{rate:.1f} ({found[label].compiling:.0f} s)":>16}'
    for label in _PEERS:
      known = label in found and 'ours' in found
      ratio = found[label].median / found['ours'].median if known else None
      ratios.append(f'{ratio:.2f}' if known else '-')
    print(f'{name:<22}{cells}  {", ".join(ratios)}', flush=True)


def options(names: list[str]) -> None:
  """A line for each option."""
  for name in names:
    sizes = (name, _BATCH_SIZE.value, _size(name))
    found = _measured(
      {
        label: (steps.ours, (*sizes, change))
        for label, change in candidates(name, _PRETRAINING.value).items()
      }
    )
    print(f'{name}, {sizes[2]} px: seconds a step, images per second')
    for label, measured in found.items():
      rate = _BATCH_SIZE.value / measured.median
      print(f'  {label:<12}{measured.median:>9.3f}{rate:>9.1f}', flush=True)


def data(names: list[str]) -> None:
  """Two lines for each network: ready batches, and batches from JPEGs."""
  width = _PHOTO_WIDTH.value or 500
  print(f'JPEGs {width} px wide: images per second, share of time waiting')
  for name in names:
    sizes = (name, _BATCH_SIZE.value, _size(name))
    precision = _PRECISION.value
    found = _measured(
      {
        'ready': (steps.ours, (*sizes, {'precision': precision})),
        'fed': (fed.fed, (*sizes, precision, width)),
      }
    )
    for label, measured in found.items():
      rate = _BATCH_SIZE.value / measured.median
      share = sum(measured.waited) / sum(measured.seconds)
      print(f'  {name:<22}{label:<6}{rate:>9.1f}{share:>7.0%}', flush=True)


def shared(names: list[str]) -> None:
  """A line for each network: a search's time as a share of single runs'."""
  width = _PHOTO_WIDTH.value or 1000
  print(
    f'{fed.TRIALS} trials of {_STEPS.value} steps, JPEGs {width} px wide: '
    'seconds alone, together, together ÷ alone'
  )
  for name in names:
    arguments = (name, _BATCH_SIZE.value, _size(name), _PRECISION.value, width)
    found = _measured(
      {
        str(together): (fed.search, (*arguments, _STEPS.value, together))
        for together in (1, fed.TRIALS)
      }
    )
    if len(found) < 2:
      print(f'  {name:<22}could not run, as said above', flush=True)
      continue
    alone, together = (found[str(n)].median for n in (1, fed.TRIALS))
    print(
      f'  {name:<22}{alone:>9.1f}{together:>9.1f}{together / alone:>7.0%}',
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
  parts = {
    data: _DATA.value,
    shared: _SHARED.value,
    options: _OPTIONS.value or _PRETRAINING.value,
  }
  for part, wanted in parts.items():
    if wanted:
      part(names)
  if not any(parts.values()):
    beside_peers(names)


if __name__ == '__main__':
  app.run(main)
