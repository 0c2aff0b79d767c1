"""Converts public checkpoints to weights files.

tf-transfer-convert --network=resnet50 --input=FILE --output=FILE.safetensors
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
get_source = sources.get_source


def _make_header(
  network: str, source: publishers.Source, source_file: pathlib.Path, sha: str
) -> weights.Header:
  """Makes the header of the source's published weights."""
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


def _drop_claims(
  header: weights.Header, variables: Mapping[str, np.ndarray]
) -> weights.Header:
  """Drops from a header what is true of the published weights alone."""
  return dataclasses.replace(
    header,
    imagenet_top1=None,
    imagenet_top1_source='',
    recipe=provenance.infer_recipe(variables),
    license='',
  )


def _convert_tensors(
  tensors: Mapping[str, np.ndarray],
  header: weights.Header,
  source: publishers.Source,
  source_file: pathlib.Path,
) -> dict[str, np.ndarray]:
  """Converts a checkpoint's arrays to the network's variables by path.

  Raises:
    InputError: arrays are unknown, missing or of the wrong shape; it lists
      them.
  """
  variables, problems = rules.apply_rules(tensors, source.rules)
  model = networks.build(
    header.network, num_classes=header.num_classes, **header.options
  )
  problems += weights.mismatches(
    variables,
    networks.expected_variables(model, header.contract.image_size),
  )
  if problems:
    raise errors.InputError(
      f'{source_file} does not hold the weights of {header.network} as '
      f'{source.name} names them:{weights.shorten(problems)}'
    )
  return variables


def _check_arguments(output: pathlib.Path, imagenet_top1: float | None) -> None:
  """Raises an InputError where an argument of `convert` cannot be used."""
  if output.suffix != '.safetensors':
    raise errors.InputError(
      f'output {output}: expected a name that ends in .safetensors'
    )
  if imagenet_top1 is not None and not 0 < imagenet_top1 < 1:
    raise errors.InputError(
      f'imagenet_top1: expected a share between 0 and 1, not {imagenet_top1:g}'
    )


def convert(
  network: str,
  source_file: os.PathLike | str,
  output: os.PathLike | str,
  source_name: str | None = None,
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
    source_name: who made the checkpoint, as slim; None to tell by its
      variables, where they tell.
    imagenet_top1: its accuracy on ImageNet in 0 to 1, where that is known and
      the file is not the one of which the table knows it.
    say: is called with a line that says what the weights file does not claim,
      and why.

  Returns:
    The header of the file that was written.

  Raises:
    InputError: the checkpoint is damaged, refused, or of another network (all
      that is wrong with it is listed), or the output cannot be written.
  """
  source_file, output = pathlib.Path(source_file), pathlib.Path(output)
  source = sources.get_source(network, source_name)
  _check_arguments(output, imagenet_top1)
  sha = files.sha256(readers.file_of(source_file))
  tensors = readers.read(source_file, sources.keras_application(network))
  tensors, prefix = readers.strip_wrapper(tensors)
  if prefix:
    say(f'{source_file}: the prefix {prefix} of every name is left out')
  if source_name is None:
    source = sources.recognize(network, tensors, source_file, sha)
  header = _make_header(network, source, source_file, sha)
  variables = _convert_tensors(tensors, header, source, source_file)
  if provenance.is_published(source, source_file, sha) is False:
    header = _drop_claims(header, variables)
    stated = imagenet_top1 is not None
    say(provenance.explain_doubt(source, source_file, sha, stated))
  if imagenet_top1 is not None:
    header = dataclasses.replace(
      header,
      imagenet_top1=imagenet_top1,
      imagenet_top1_source='stated when it was converted',
    )
  files.make_directory(output.parent)
  weights.save(output, header, weights.unflatten(variables))
  return header
