"""Turns the config.json of a repository of timm into a source of weights.

The file names the network's architecture in timm, and how its images are
prepared. What makes the network exact is in the table of public checkpoints:
`find` leads from timm's name to a row there. What is true of the row's own
checkpoint alone (images, top-1, recipe, license) is replaced.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from tf_transfer import contract as contract_lib
from tf_transfer import errors, networks
from tf_transfer.convert_weights import hub, publishers, recipes, sources, table
from tf_transfer.networks import published_timm, timm_pretraining
from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.runtime import schemas

_MAX_BYTES = 2**20


@dataclasses.dataclass(frozen=True)
class Architecture:
  """An architecture of timm that a network of the table can be.

  Attributes:
    network: in the table of networks.
    source: the name of the source with the same variables and options.
    options: of the backbone, beside those of the source.
  """

  network: str
  source: str = 'timm'
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


# Architectures of timm that no row of the table of checkpoints is named for.
_OTHERS: Mapping[str, Architecture] = {}


@functools.cache
def architectures() -> Mapping[str, Architecture]:
  """Returns timm's names of architectures, with the networks that they are.

  Those of the table's own checkpoints come from there. Where two of one
  architecture differ in their images alone, the first stands for both.
  """
  known: dict[str, Architecture] = {}
  for network, candidates in table.SOURCES.items():
    for source in candidates:
      if source.file.startswith(hub.PREFIX):
        name, _ = split_name(source.file)
        known.setdefault(name, Architecture(network, source.name))
  return {**known, **_OTHERS}


def split_name(repository: str) -> tuple[str, str]:
  """Returns architecture and tag of timm/ARCHITECTURE.TAG; '' without a tag."""
  name, _, tag = repository.removeprefix(hub.PREFIX).partition('.')
  return name, tag


_Triple = Annotated[list[float], msgspec.Meta(min_length=3, max_length=3)]
_Side = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
_Sides = Annotated[list[_Side], msgspec.Meta(min_length=3, max_length=3)]


# The group of a pretraining -> what it learns from, of recipes.
_SUPERVISION = {
  timm_pretraining.IMAGENET_1K: 'supervised',
  timm_pretraining.MORE_LABELS: 'supervised',
  timm_pretraining.SELF_SUPERVISED: 'self_supervised',
  timm_pretraining.LANGUAGE: 'language',
}
# The word of a tag for ImageNet's 1000 classes.
_IMAGENET = 'in1k'


class _Pretrained(msgspec.Struct):
  """The fields of `pretrained_cfg` that matter here."""

  input_size: _Sides
  mean: _Triple
  std: _Triple
  interpolation: Literal['bilinear', 'bicubic']
  crop_pct: Annotated[float, msgspec.Meta(gt=0, le=1)]
  crop_mode: Literal['center', 'squash', 'border'] = 'center'
  num_classes: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1000
  license: str | None = None


class _Config(msgspec.Struct):
  """The fields of a config.json that matter here."""

  architecture: str
  pretrained_cfg: _Pretrained
  num_classes: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None
  model_args: dict[str, Any] = {}


def read(
  path: pathlib.Path, repository: str
) -> tuple[str, publishers.Source, list[str]]:
  """Reads a config.json.

  Args:
    path: of the file.
    repository: that it is of, as timm/resnet50.a1_in1k.

  Returns:
    The network's name in the table, the source that the repository is, and
    notes on what is not known or not done.

  Raises:
    InputError: the file is damaged, or of no architecture of the table.
  """
  config = _parse(path, repository)
  architecture = _find(config, repository)
  row = sources.get_source(architecture.network, architecture.source)
  contract = _make_contract(config.pretrained_cfg, repository)
  top1, top1_source = _find_top1(repository, contract)
  num_classes = row.num_classes
  if num_classes:
    num_classes = config.num_classes
    if num_classes is None:
      num_classes = config.pretrained_cfg.num_classes
  source = dataclasses.replace(
    row,
    contract=contract,
    file=repository,
    formats=('safetensors',),
    options={**row.options, **architecture.options},
    num_classes=num_classes,
    imagenet_top1=top1,
    imagenet_top1_source=top1_source,
    recipe=_find_recipe(architecture.network, repository),
    license=_find_license(config.pretrained_cfg, row, repository),
  )
  return architecture.network, source, _make_notes(config, source)


def _parse(path: pathlib.Path, repository: str) -> _Config:
  """Parses a config.json.

  Raises:
    InputError: it is no JSON, or a field is missing or of another type.
  """
  place = f'{repository}: {path.name}'
  try:
    if path.stat().st_size > _MAX_BYTES:
      raise errors.InputError(f'{place}: larger than {_MAX_BYTES:,} bytes')
    fields = json.loads(path.read_bytes())
  except (OSError, ValueError, RecursionError) as error:
    raise errors.InputError(f'{place} ({path}): no JSON: {error}') from error
  if not isinstance(fields, dict) or 'architecture' not in fields:
    raise errors.InputError(
      f'{place} names no architecture: the repository does not hold a network '
      "in timm's own form. Convert its checkpoint with tf-transfer-convert"
    )
  return schemas.convert(fields, _Config, place)


def _find(config: _Config, repository: str) -> Architecture:
  """Returns the architecture of a config.

  Raises:
    InputError: it is not known, or the network was changed.
  """
  name, known = config.architecture, architectures()
  if name not in known:
    near = errors.nearest(name, known)
    hint = f'the nearest are {", ".join(near)}; ' if near else ''
    raise errors.InputError(
      f'{repository}: the architecture {errors.printable(name)} of timm has no '
      f'counterpart here: {hint}known are {", ".join(known)}. A function of '
      "one's own that returns features can enter a study in its place"
    )
  allowed = {'img_size': config.pretrained_cfg.input_size[-1]}
  changed = {
    key: value
    for key, value in config.model_args.items()
    if allowed.get(key) != value
  }
  if changed:
    listed = ', '.join(f'{key}={value!r}' for key, value in changed.items())
    raise errors.InputError(
      f'{repository}: its network is {name} with {errors.printable(listed)}, '
      'which is not known here'
    )
  return known[name]


def _make_contract(
  fields: _Pretrained, repository: str
) -> contract_lib.Contract:
  """Makes the contract of a network of timm: sizes in pixels, 0 to 255."""
  channels, height, width = fields.input_size
  if channels != 3 or height != width:
    raise errors.InputError(
      f'{repository}: expected square images of three channels, its input is '
      f'{fields.input_size}'
    )
  try:
    return publishers.contract(
      width,
      (
        tuple(255 * value for value in fields.mean),
        tuple(255 * value for value in fields.std),
        'rgb',
      ),
      crop_fraction=fields.crop_pct,
      interpolation=fields.interpolation,
    )
  except ValueError as error:
    raise errors.InputError(f'{repository}: {error}') from error


def _find_top1(
  repository: str, contract: contract_lib.Contract
) -> tuple[float | None, str]:
  """Returns the published top-1 and its source, which says size and crop.

  That of the contract's own size is preferred; else it is the best one.
  """
  top1 = published_timm.top1(repository, contract.image_size)
  top1 = top1 or published_timm.top1(repository)
  return (None, '') if top1 is None else (top1.value, top1.source)


def _find_recipe(network: str, repository: str) -> recipe_lib.Recipe:
  """Returns the recipe of a checkpoint.

  Where no recipe of its tag is known, it is the pretraining that the tag tells.
  """
  for row in table.SOURCES[network]:
    if row.file == repository:
      return row.recipe
  _, tag = split_name(repository)
  named = recipes.find_timm(tag, networks.family(network))
  if named is not None:
    return named
  pretraining = timm_pretraining.pretraining(repository)
  if pretraining.group == timm_pretraining.UNKNOWN:
    return recipe_lib.UNKNOWN
  data = ' and '.join(pretraining.data)
  if _IMAGENET in tag.split('_') or not data:
    data = f'{data}, then imagenet' if data else 'imagenet'
  supervision = _SUPERVISION[pretraining.group]
  return recipe_lib.Recipe(supervision=supervision, trained_on=data)


def _find_license(
  fields: _Pretrained, row: publishers.Source, repository: str
) -> str:
  """Returns the license that is stated; '' if none is."""
  if fields.license:
    return fields.license
  return row.license if row.file == repository else ''


def _make_notes(config: _Config, source: publishers.Source) -> list[str]:
  """Says what is not known of a repository, or not done."""
  notes = []
  mode = config.pretrained_cfg.crop_mode
  if mode != 'center':
    notes.append(
      f'timm evaluates it with crop_mode {mode}; here a central crop is '
      'taken, or with resize=whole_image the whole image'
    )
  if source.imagenet_top1 is None and source.num_classes:
    notes.append(f'timm publishes no ImageNet top-1 of {source.file}')
  return notes
