"""Converts a public checkpoint to a weights file.

python -m tools.convert_weights --network=resnet50 --input=FILE \\
    --output=FILE.safetensors
"""

import sys

from absl import app, flags

_NETWORK = flags.DEFINE_string(
  'network', None, 'Name of the network, as efficientnet_lite0.', required=True
)
_INPUT = flags.DEFINE_string(
  'input',
  None,
  'The checkpoint: a .pth, .safetensors or Keras .h5 file, or a TensorFlow '
  'checkpoint.',
)
_SOURCE = flags.DEFINE_string(
  'source',
  None,
  'Who made it: slim, keras, torchvision, timm or pretrainedmodels; told by '
  'its variables when left out.',
)
_PACKAGE = flags.DEFINE_string(
  'package', None, 'Instead of --input: an installed package that carries it.'
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'The .safetensors file to write.', required=True
)


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments: {" ".join(argv[1:])}')
  if (_INPUT.value is None) == (_PACKAGE.value is None):
    raise app.UsageError('give one of --input=FILE and --package=NAME')
  # Imported late: --help should not wait for JAX.
  from tf_transfer import errors
  from tools import convert_weights

  try:
    source_file = _INPUT.value or convert_weights.package_file(_PACKAGE.value)
    header = convert_weights.convert(
      _NETWORK.value, source_file, _OUTPUT.value, _SOURCE.value
    )
  except errors.InputError as error:
    sys.exit(f'error: {error}')
  top1 = 'unknown'
  if header.imagenet_top1 is not None:
    top1 = f'{header.imagenet_top1:.1%} ({header.imagenet_top1_source})'
  print(
    f'{_OUTPUT.value}: {header.network}, {header.num_classes} classes, '
    f'{header.contract.image_size} px, ImageNet top-1 {top1}'
  )


if __name__ == '__main__':
  app.run(main)
