"""Turns the config.json of a repository of timm into a source of weights.

The file names the network's architecture in timm, and how its images are
prepared. What makes the network exact is in the table of public checkpoints:
`choose` leads from timm's name to a row there. What is true of the row's own
checkpoint alone (images, top-1, recipe, license) is replaced.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
import safetensors

from tf_transfer import contract as contract_lib
from tf_transfer import errors
from tf_transfer.convert_weights import (
  hub,
  publishers,
  table,
  timm_recipes,
)
from tf_transfer.networks import published_timm, timm_pretraining
from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.runtime import schemas

_MAX_BYTES = 2**20


@dataclasses.dataclass(frozen=True)
class Candidate:
  """What a repository of an architecture can be.

  Attributes:
    network: in the table of networks.
    row: the source with the same variables and options.
  """

  network: str
  row: publishers.Source


# Architectures of timm that differ from one with a row in options alone:
# its name, and these options of the backbone.
_VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
  # Position embeddings of other image sizes.
  **{
    f'{base}_{size}': (f'{base}_224', {'pretrained_size': size})
    for base, size in (
      ('vit_tiny_patch16', 384),
      ('vit_small_patch16', 384),
      ('deit_base_patch16', 384),
      ('deit3_small_patch16', 384),
      ('vit_base_patch16_clip', 384),
      ('vit_base_patch16_siglip', 256),
      ('vit_base_patch16_siglip', 384),
      ('vit_base_patch16_siglip', 512),
    )
  },
  'vit_base_patch16_clip_quickgelu_224': (
    'vit_base_patch16_clip_224',
    {'activation': 'quick_gelu'},
  ),
}
# Checkpoints whose options are not those of their architecture in timm: other
# checkpoints of the architecture are not like them.
_EXCEPTIONS = ('timm/vit_base_patch16_clip_224.openai',)


@functools.cache
def architectures() -> Mapping[str, tuple[Candidate, ...]]:
  """Returns timm's names of architectures, with the networks that they are.

  They are those of the table's own checkpoints, and variants of these.
  """
  known: dict[str, tuple[Candidate, ...]] = {}
  for network, rows in table.SOURCES.items():
    for row in rows:
      if row.file.startswith(published_timm.HUB_PREFIX):
        name, _ = published_timm.split_name(row.file)
        known[name] = (*known.get(name, ()), Candidate(network, row))
  for name, (base, options) in _VARIANTS.items():
    for one in known.get(base, ()):
      row = dataclasses.replace(one.row, options={**one.row.options, **options})
      known[name] = (*known.get(name, ()), Candidate(one.network, row))
  return known


def choose(
  name: str, repository: str, has_head: bool = True
) -> Candidate | None:
  """Returns what a repository is; None for an unknown architecture.

  It is its own row of the table if it has one. Else it is like the first row of
  its architecture that has a head if it has one itself.

  Args:
    name: of the architecture in timm.
    repository: as timm/resnet50.a1_in1k.
    has_head: whether it has a head of classes.
  """
  candidates = architectures().get(name, ())
  for one in candidates:
    if one.row.file == repository:
      return one
  usable = [one for one in candidates if one.row.file not in _EXCEPTIONS]
  alike = [one for one in usable if bool(one.row.num_classes) == has_head]
  return next(iter((*alike, *usable)), None)


def network_of(repository: str) -> str:
  """Returns the network of the table that a repository is of; '' if unknown."""
  name, _ = published_timm.split_name(repository)
  chosen = choose(name, repository)
  return chosen.network if chosen else ''


def list_with_recipes(network: str) -> tuple[str, ...]:
  """Lists the repositories of a network whose recipe is known.

  They are those with a top-1 that timm publishes, the best first.
  """
  names = [
    f'{published_timm.HUB_PREFIX}{name}'
    for name in published_timm.checkpoints()
  ]
  return tuple(
    name
    for name in names
    if timm_recipes.find(name) is not None and network_of(name) == network
  )


_Triple = Annotated[list[float], msgspec.Meta(min_length=3, max_length=3)]
_Side = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
_Sides = Annotated[list[_Side], msgspec.Meta(min_length=3, max_length=3)]


# The group of a pretraining -> what it learns from, of recipes.
_SUPERVISION = {
  timm_pretraining.IMAGENET_1K: 'supervised',
  timm_pretraining.MORE_LABELS: 'supervised',
  timm_pretraining.HASHTAGS: 'supervised',
  timm_pretraining.SELF_SUPERVISED: 'self_supervised',
  timm_pretraining.LANGUAGE: 'language',
}
# The words of a tag for ImageNet's 1000 classes, and for more of them.
_IMAGENET = 'in1k'
_CLASSES = (_IMAGENET, 'in12k', 'in21k', 'in22k')


class _Pretrained(msgspec.Struct):
  """The fields of `pretrained_cfg` that matter here."""

  input_size: _Sides
  mean: _Triple
  std: _Triple
  interpolation: Literal['bilinear', 'bicubic']
  crop_pct: Annotated[float, msgspec.Meta(gt=0, le=1)]
  crop_mode: Literal['center', 'squash', 'border'] = 'center'
  num_classes: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1000
  # Classes of the file's head ahead of those of the network.
  label_offset: Literal[0, 1] = 0
  classifier: str | list[str] | None = None
  license: str | None = None


class _Config(msgspec.Struct):
  """The fields of a config.json that matter here."""

  architecture: str
  pretrained_cfg: _Pretrained
  num_classes: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None
  model_args: dict[str, Any] = {}


def read(
  files: hub.Repository,
) -> tuple[str, publishers.Source, list[str]]:
  """Reads what a repository says of its weights.

  Args:
    files: of the repository.

  Returns:
    The network's name in the table, the source that the repository is, and
    notes on what is not known or not done.

  Raises:
    InputError: the file is damaged, or of no architecture of the table.
  """
  repository = files.name
  config = _parse(files.config, repository)
  num_classes = _count_classes(config, repository)
  if config.pretrained_cfg.label_offset and num_classes:
    num_classes += _has_background(config, num_classes, files)
  chosen = _choose(config, repository, num_classes > 0)
  row = chosen.row
  contract = _make_contract(config.pretrained_cfg, repository)
  source = dataclasses.replace(
    row,
    contract=contract,
    file=repository,
    formats=('safetensors',),
    num_classes=num_classes if row.num_classes else 0,
    recipe=_find_recipe(chosen.network, repository),
    license=_find_license(config.pretrained_cfg, row, repository),
    **_find_top1(row, repository, contract),
  )
  return chosen.network, source, _make_notes(config, source)


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
  # As timm once wrote it, all in one.
  return schemas.convert({'pretrained_cfg': fields, **fields}, _Config, place)


def _count_classes(config: _Config, repository: str) -> int:
  """Returns the number of classes of the head; 0 where it has none.

  What weights that were trained with captions call so are the dimensions of
  their projection, unless they were tuned on ImageNet's classes.
  """
  _, tag = published_timm.split_name(repository)
  group = timm_pretraining.pretraining(repository).group
  is_tuned = any(word in _CLASSES for word in tag.split('_'))
  if group == timm_pretraining.LANGUAGE and not is_tuned:
    return 0
  if config.num_classes is not None:
    return config.num_classes
  return config.pretrained_cfg.num_classes


def _has_background(
  config: _Config, num_classes: int, files: hub.Repository
) -> bool:
  """Says whether the head in a file has background as its first class.

  timm drops it where a config says so; files of its later versions, whose
  configs may say the same, are without.
  """
  name = f'{config.pretrained_cfg.classifier}.weight'
  try:
    with safetensors.safe_open(files.weights, framework='numpy') as file:
      # A file is no dict.
      if name not in file.keys():  # noqa: SIM118
        return False
      return file.get_slice(name).get_shape()[0] == num_classes + 1
  # The reader of the variables says what is wrong.
  except (safetensors.SafetensorError, OSError):
    return False


def _choose(config: _Config, repository: str, has_head: bool) -> Candidate:
  """Returns what a repository is.

  Raises:
    InputError: its architecture is not known, or was changed.
  """
  name = config.architecture
  chosen = choose(name, repository, has_head)
  if chosen is None:
    known = architectures()
    near = errors.nearest(name, known)
    hint = f'the nearest are {", ".join(near)}; ' if near else ''
    raise errors.InputError(
      f'{repository}: the architecture {errors.printable(name)} of timm has no '
      f'counterpart here: {hint}known are {", ".join(known)}. A function of '
      "one's own that returns features can enter a study in its place"
    )
  channels, *size = config.pretrained_cfg.input_size
  allowed = {'img_size': (size, size[-1]), 'in_chans': (channels,)}
  changed = {
    key: value
    for key, value in config.model_args.items()
    if value not in allowed.get(key, ())
  }
  if changed:
    listed = ', '.join(f'{key}={value!r}' for key, value in changed.items())
    raise errors.InputError(
      f'{repository}: its network is {name} with {errors.printable(listed)}, '
      'which is not known here'
    )
  return chosen


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
  row: publishers.Source, repository: str, contract: contract_lib.Contract
) -> dict[str, Any]:
  """Returns the fields of the published top-1; its source says size and crop.

  That of the contract's own size is preferred; else it is the best one. Where
  timm publishes none, what the table says of this checkpoint stays.
  """
  top1 = published_timm.top1(repository, contract.image_size)
  top1 = top1 or published_timm.top1(repository)
  if top1 is None and row.file == repository:
    return {}
  return {
    'imagenet_top1': top1.value if top1 else None,
    'imagenet_top1_source': top1.source if top1 else '',
    'imagenet_measure': '',
  }


def _find_recipe(network: str, repository: str) -> recipe_lib.Recipe:
  """Returns the recipe of a checkpoint.

  Where no recipe of its tag is known, it is the pretraining that the tag tells.
  """
  for row in table.SOURCES[network]:
    if row.file == repository:
      return row.recipe
  named = timm_recipes.find(repository)
  if named is not None:
    return named
  _, tag = published_timm.split_name(repository)
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
