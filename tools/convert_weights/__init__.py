"""Public checkpoints -> weights files.

    python -m tools.convert_weights --network=resnet50 --input=FILE \\
        --output=FILE.safetensors
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping

import numpy as np

from tf_transfer import errors, networks
from tf_transfer.convert_weights import (
  downloads,
  provenance,
  publishers,
  readers,
  rules,
  sources,
)
from tf_transfer.networks import weights
from tf_transfer.runtime import files

package_file = downloads.package_file
source_of = sources.named


def _header(
  network: str, source: publishers.Source, source_file: pathlib.Path, sha: str
) -> weights.Header:
  """What the table says of the weights, as if they were those it means."""
  published = provenance.is_published(source, source_file, sha)
  return weights.Header(
    network=network,
    options=source.options,
    contract=source.contract,
    num_classes=source.num_classes,
    background=source.background,
    imagenet_top1=source.imagenet_top1,
    imagenet_top1_source=provenance.top1_source(source, published),
    recipe=source.recipe,
    source=source_file.name,
    source_sha256=sha,
    license=source.license,
  )


def _without_claims(
  header: weights.Header, variables: Mapping[str, np.ndarray]
) -> weights.Header:
  """Leaves of a header what is true of other weights of the network too."""
  return dataclasses.replace(
    header,
    imagenet_top1=None,
    imagenet_top1_source='',
    recipe=provenance.shown_recipe(variables),
    license='',
  )


def _converted(
  tensors: Mapping[str, np.ndarray],
  header: weights.Header,
  source: publishers.Source,
  source_file: pathlib.Path,
) -> dict[str, np.ndarray]:
  """The network's variables by path; an InputError lists what is wrong."""
  converted, problems = rules.apply_rules(tensors, source.rules)
  model = networks.build(
    header.network, num_classes=header.num_classes, **header.options
  )
  problems += weights.mismatches(
    converted,
    networks.expected_variables(model, header.contract.image_size),
  )
  if problems:
    raise errors.InputError(
      f'{source_file} does not hold the weights of {header.network} as '
      f'{source.name} names them:{weights.shorten(problems)}'
    )
  return converted


def convert(
  network: str,
  source_file: os.PathLike | str,
  output: os.PathLike | str,
  source: str | None = None,
  *,
  imagenet_top1: float | None = None,
  say: Callable[[str], None] = print,
) -> weights.Header:
  """Converts a public checkpoint to a weights file.

  Args:
    network: name in the table of networks.
    source_file: the checkpoint: a .pth, .safetensors, .h5, .keras or .pb file,
      or a TensorFlow checkpoint (its prefix, or any of its parts).
    output: the .safetensors file to write.
    source: who made the checkpoint, as slim; None to tell by its variables,
      where they tell.
    imagenet_top1: its accuracy on ImageNet in 0 to 1, where that is known and
      the file is not the one of which the table knows it.
    say: is told, in a line, what the weights file does not claim and why.

  Returns:
    The header of the file that was written.

  Raises:
    InputError: the checkpoint is damaged, refused, or of another network (all
      that is wrong with it is listed), or the output cannot be written.
  """
  source_file, output = pathlib.Path(source_file), pathlib.Path(output)
  found = sources.named(network, source)
  if output.suffix != '.safetensors':
    raise errors.InputError(
      f'output {output}: expected a name that ends in .safetensors'
    )
  if imagenet_top1 is not None and not 0 < imagenet_top1 < 1:
    raise errors.InputError(
      f'imagenet_top1: expected a share between 0 and 1, not {imagenet_top1:g}'
    )
  sha = files.sha256(readers.file_of(source_file))
  tensors = readers.read(source_file, sources.application(network))
  tensors, prefix = readers.unwrapped(tensors)
  if prefix:
    say(f'{source_file}: {prefix} is left out, ahead of every name')
  if source is None:
    found = sources.recognized(network, tensors, source_file, sha)
  header = _header(network, found, source_file, sha)
  converted = _converted(tensors, header, found, source_file)
  if provenance.is_published(found, source_file, sha) is False:
    header = _without_claims(header, converted)
    stated = imagenet_top1 is not None
    say(provenance.doubt(found, source_file, sha, stated))
  if imagenet_top1 is not None:
    header = dataclasses.replace(
      header,
      imagenet_top1=imagenet_top1,
      imagenet_top1_source='stated when it was converted',
    )
  files.make_directory(output.parent)
  weights.save(output, header, weights.unflatten(converted))
  return header
