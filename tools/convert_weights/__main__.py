"""Converts a public checkpoint to a weights file.

tf-transfer-convert --network=resnet50 --input=FILE --output=FILE.safetensors

--list prints what public weights there are, and the files to look for.
--source=keras or --source=timm in place of --input fetches the weights, as
does --source=timm/resnet50.a2_in1k, a repository on the Hugging Face hub.
--verify prints a fingerprint of the weights file that was written; with
--output alone, of one that is already there.
"""

import sys

from absl import app, flags

from tf_transfer import convert_weights, errors
from tf_transfer.convert_weights import downloads, fingerprint, listing
from tf_transfer.networks import header as header_lib
from tf_transfer.runtime import devices, program, units

_NETWORK = flags.DEFINE_string(
  'network', None, 'Name of the network, as efficientnet_lite0.'
)
_INPUT = flags.DEFINE_string(
  'input',
  None,
  'The checkpoint, told by its content: a file of PyTorch (.pth, .pt, .bin, '
  '.ckpt, .pth.tar ...), a .safetensors, a frozen graph (.pb), a .h5, '
  '.weights.h5 or .keras file of Keras, or a TensorFlow checkpoint. Without '
  'it, the weights of --source are fetched as their own library does.',
)
_SOURCE = flags.DEFINE_string(
  'source',
  None,
  'Who made it, as --list names them: slim, keras, torchvision, timm ...; '
  'told by its variables when left out. Without --input also a repository of '
  'timm on the Hugging Face hub, as timm/resnet50.a2_in1k.',
)
_PACKAGE = flags.DEFINE_string(
  'package', None, 'Instead of --input: an installed package that carries it.'
)
_OUTPUT = flags.DEFINE_string('output', None, 'The .safetensors file to write.')
_TOP1 = flags.DEFINE_float(
  'imagenet_top1',
  None,
  'Accuracy on ImageNet in 0 to 1, where you know it and the file is not the '
  'one that --list names, of which it is known.',
)
_MEASURE = flags.DEFINE_enum(
  'imagenet_measure',
  '',
  tuple(header_lib.MEASURES),
  'What --imagenet_top1 is the accuracy of, where it is not the head that the '
  'network was trained with.',
)
_PUBLISHED = flags.DEFINE_bool(
  'published',
  False,
  'States that --input is the file that --list names: its top-1, recipe and '
  'license are recorded. Needed where no hash or name tells (TF-Slim, and '
  "Keras's MobileNets).",
)
_KEY = flags.DEFINE_string(
  'key',
  None,
  'Where in the file the network is, keys joined by dots, as '
  '--key=teacher.backbone; told where only one place has weights.',
)
_IGNORE = flags.DEFINE_multi_string(
  'ignore',
  [],
  'Leaves out the variables whose names match a pattern, as '
  "--ignore='final_training_ops/*'; may be repeated. Without its head, a "
  'network has features and no logits.',
)
_NO_HEAD = flags.DEFINE_bool(
  'no_head',
  False,
  'Converts the backbone alone, whatever is beside it in the file: a head of '
  'any kind, the parts of a detector. The network has features and no logits.',
)
_FEATURE = flags.DEFINE_string(
  'feature',
  None,
  'Of a vision transformer with a class token: class_token, patch_mean or '
  'both. What its head reads when left out; otherwise it has no head.',
)
_LIST = flags.DEFINE_bool(
  'list', False, 'Print networks, sources and the files to look for.'
)
_VERIFY = flags.DEFINE_bool(
  'verify',
  False,
  'Read --output again and print a fingerprint: features of a fixed image.',
)
_FLAGS = (
  _NETWORK,
  _INPUT,
  _SOURCE,
  _PACKAGE,
  _OUTPUT,
  _TOP1,
  _MEASURE,
  _PUBLISHED,
  _KEY,
  _IGNORE,
  _NO_HEAD,
  _FEATURE,
  _LIST,
  _VERIFY,
)


def _check_flags() -> None:
  """Raises a UsageError where flags are missing or contradict each other."""
  if _OUTPUT.value is None:
    raise app.UsageError('give --output=FILE.safetensors, or --list')
  if _NETWORK.value is None:
    needs_network = (_INPUT.value, _PACKAGE.value, _SOURCE.value)
    if not _VERIFY.value or any(needs_network):
      raise app.UsageError('give --network=NAME; --list prints the names')
  if _INPUT.value is not None and _PACKAGE.value is not None:
    raise app.UsageError('give --input=FILE or --package=NAME, not both')


def _convert() -> None:
  """Converts the checkpoint that the flags name, and says what was written."""
  published, source = _PUBLISHED.value, _SOURCE.value
  if _INPUT.value is not None:
    source_file = _INPUT.value
  elif _PACKAGE.value is not None:
    source_file = downloads.package_file(_PACKAGE.value)
  else:
    download = downloads.fetch(_NETWORK.value, source)
    source_file, published = download.path, True
    source = download.source or source
  header = convert_weights.convert(
    _NETWORK.value,
    source_file,
    _OUTPUT.value,
    source,
    imagenet_top1=_TOP1.value,
    imagenet_measure=_MEASURE.value,
    published=published,
    key=_KEY.value,
    ignore=_IGNORE.value,
    no_head=_NO_HEAD.value,
    feature=_FEATURE.value,
    say=lambda line: print(errors.printable(line)),
  )
  top1 = 'unknown'
  if header.imagenet_top1 is not None:
    kind = header_lib.MEASURES[header.imagenet_measure]
    measure = f'{kind}, ' if header.imagenet_measure else ''
    top1 = (
      f'{header.imagenet_top1:.1%} ({measure}{header.imagenet_top1_source})'
    )
  head = units.counted(header.num_classes, 'class', 'classes')
  if not header.num_classes:
    head = 'features only'
  print(
    f'{_OUTPUT.value}: {header.network}, {head}, '
    f'{header.contract.image_size} px, ImageNet top-1 {top1}'
  )


def main(argv: list[str]) -> None:
  """Does what the flags say; `argv` is what absl left of the command line."""
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {" ".join(argv[1:])}')
  if _LIST.value:
    print(listing.render())
    print(f'\n{listing.RECIPES_TITLE}\n{listing.render_recipes()}')
    return
  _check_flags()
  with program.one_line_errors():
    program.check_limits()
    devices.check_platforms()
    if _NETWORK.value is not None:
      _convert()
    if _VERIFY.value:
      print(f'fingerprint: {fingerprint.compute_fingerprint(_OUTPUT.value)}')


def run() -> None:
  """Parses sys.argv and runs the command, whichever way it was started."""
  # --help shows the docstring and the flags of the module that was started: of
  # the console command that is a script of the installer's, which has neither.
  sys.modules['__main__'].__doc__ = __doc__
  for flag in _FLAGS:
    flags.FLAGS.register_key_flag_for_module(
      sys.argv[0], flags.FLAGS[flag.name]
    )
  program.run(main)


if __name__ == '__main__':
  run()
