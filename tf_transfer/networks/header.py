"""Defines the header of a weights file: what the file says of itself."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from tf_transfer import contract as contract_lib
from tf_transfer import errors
from tf_transfer.images import resizing
from tf_transfer.networks import recipe as recipe_lib
from tf_transfer.runtime import schemas

# The format in which the recipe was a sentence.
_FORMAT_WITH_SENTENCE = 1
# The format without a digest. Its number is part of a pretraining's identity.
FORMAT_WITHOUT_DIGEST = 2
FORMAT_WITH_DIGEST = 3
# The format with the fields of a classifier, which always has a digest.
# Programs that do not know these fields refuse it.
_FORMAT_OF_CLASSIFIER = 4
# The format with `imagenet_measure` and the recipe's fields after `details`.
_FORMAT_OF_MEASURE = 5
# Format of a header -> format of the file, which has a digest.
WITH_DIGEST = {
  FORMAT_WITHOUT_DIGEST: FORMAT_WITH_DIGEST,
  _FORMAT_OF_CLASSIFIER: _FORMAT_OF_CLASSIFIER,
  _FORMAT_OF_MEASURE: _FORMAT_OF_MEASURE,
}
# Fields that the file's metadata spells otherwise.
_FILE_NAMES = {'license': 'licence'}
# The fields of a classifier, and their values where there is none. A header
# whose fields all have these values is written without them.
_CLASSIFIER_DEFAULTS = {'classes': (), 'temperature': 1.0, 'resize': ''}
# What `imagenet_top1` is the accuracy of, and its name for people.
MEASURES = {
  '': 'trained head',
  'linear_probe': 'linear probe',
  'zero_shot': 'zero-shot',
  'knn': 'k-NN',
}
MAX_SHOWN = 250  # characters of an error about a header
_MAX_DEPTH = 100  # of lists and dicts in a header

# A repository on the hub, as the source of weights.
_TIMM_NAME = re.compile(r'timm/[\w-]+\.(\w+)', re.ASCII)

_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Name = Annotated[str, msgspec.Meta(max_length=100)]
_ClassName = Annotated[str, msgspec.Meta(max_length=4096)]
_Text = Annotated[str, msgspec.Meta(max_length=100_000)]
_Sha256 = Annotated[str, msgspec.Meta(pattern='^[0-9a-f]{0,64}$')]
_Center = Annotated[float, msgspec.Meta(ge=-1e4, le=1e4)]
_Scale = Annotated[float, msgspec.Meta(gt=0, le=1e4)]


class _ContractFields(msgspec.Struct, forbid_unknown_fields=True):
  """The types of a contract in a header."""

  image_size: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
  mean: tuple[_Center, _Center, _Center]
  std: tuple[_Scale, _Scale, _Scale]
  channels: Literal['rgb', 'bgr']
  interpolation: Literal['bilinear', 'bicubic']
  antialias: bool
  pixel_centres: bool
  crop_fraction: Annotated[float, msgspec.Meta(gt=0, le=1)]


class _RecipeFields(msgspec.Struct, forbid_unknown_fields=True):
  """The types of a recipe in a header."""

  bn_scale: bool | None
  label_smoothing: bool | None
  dropout: bool | None
  auxiliary_head: bool | None
  trained_on: _Text
  notes: _Text
  details: dict[str, Any]
  supervision: Literal['', *recipe_lib.SUPERVISION] = ''
  mixup: bool | None = None
  cutmix: bool | None = None
  bce: bool | None = None
  ema: bool | None = None
  distillation: bool | None = None
  augmentation: _Text = ''
  epochs: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
  resolution: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
  sources: dict[_Name, _Text] = {}


class _HeaderFields(msgspec.Struct, forbid_unknown_fields=True):
  """The types of a header as `Header.to_json` returns it, but the format."""

  network: _Name
  options: dict[_Name, bool | int | float | str]
  contract: _ContractFields
  num_classes: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
  background: bool
  imagenet_top1: _Share | None
  imagenet_top1_source: _Text
  recipe: _RecipeFields
  source: _Text
  source_sha256: _Sha256
  licence: _Text
  classes: list[_ClassName] = []
  temperature: Annotated[float, msgspec.Meta(ge=1e-3, le=1e3)] = 1.0
  resize: Literal['', *resizing.RESIZES] = ''
  imagenet_measure: Literal[*MEASURES] = ''


@dataclasses.dataclass(frozen=True)
class Header:
  """What a weights file says of itself.

  Attributes:
    network: its name in the table of networks.
    options: fields of the backbone that differ from its defaults.
    contract: what the network expects of its input.
    num_classes: number of logits; 0 where the file has no head.
    background: whether class 0 is "background", ahead of ImageNet's 1000.
    imagenet_top1: accuracy on ImageNet's validation set in 0 to 1, or None.
    imagenet_top1_source: who measured it.
    recipe: how it was trained, as far as is known.
    source: the name of the file that was converted, or where the values are
      from.
    source_sha256: SHA-256 of that file.
    license: of the weights.
    classes: the name of each class; () where the file does not say.
    temperature: by which logits are divided before the softmax, fitted on val;
      1 where it was not.
    resize: how the images that the head was fitted to were resized; one of
      `resizing.RESIZES`, or '' where the file does not say.
    imagenet_measure: what `imagenet_top1` is the accuracy of, one of
      `MEASURES`: of the trained head, or of a classifier of features that have
      none.
  """

  network: str
  options: Mapping[str, Any]
  contract: contract_lib.Contract
  num_classes: int = 1000
  background: bool = False
  imagenet_top1: float | None = None
  imagenet_top1_source: str = ''
  recipe: recipe_lib.Recipe = recipe_lib.UNKNOWN
  source: str = ''
  source_sha256: str = ''
  license: str = ''
  classes: tuple[str, ...] = ()
  temperature: float = 1.0
  resize: str = ''
  imagenet_measure: str = ''

  @property
  def tag(self) -> str:
    """The tag by which timm knows the weights, as 'a1_in1k'; '' if unknown."""
    match = _TIMM_NAME.fullmatch(self.source)
    return match[1] if match else ''

  def to_json(self) -> dict[str, Any]:
    """Returns the fields as a dict that JSON can hold.

    The fields of a classifier are there only if one has a value of its own;
    likewise those of format 5.
    """
    fields = {
      _FILE_NAMES.get(field.name, field.name): getattr(self, field.name)
      for field in dataclasses.fields(self)
    }
    version = self._format
    fields['classes'] = list(self.classes)
    if version < _FORMAT_OF_MEASURE:
      del fields['imagenet_measure']
    if version < _FORMAT_OF_CLASSIFIER:
      fields = {k: fields[k] for k in fields if k not in _CLASSIFIER_DEFAULTS}
    return {
      'format': version,
      **fields,
      'options': dict(self.options),
      'contract': self.contract.to_json(),
      'recipe': self.recipe.to_json(),
    }

  @property
  def _format(self) -> int:
    """The oldest format that has a place for all that is said."""
    if self.imagenet_measure or self.recipe.is_modern:
      return _FORMAT_OF_MEASURE
    if any(getattr(self, k) != v for k, v in _CLASSIFIER_DEFAULTS.items()):
      return _FORMAT_OF_CLASSIFIER
    return FORMAT_WITHOUT_DIGEST

  @classmethod
  def from_json(cls, fields: Any, place: str = 'header') -> 'Header':
    """Makes a header of what `to_json` returned.

    Args:
      fields: as `to_json` returned them, in this format or an older one. What
        a terminal would obey is escaped.
      place: where the fields are from, for the message.

    Raises:
      InputError: a field is missing, unknown, of another type or out of range,
        or the format is unknown.
    """
    fields = _escape(fields, place)
    version = fields.pop('format', None) if isinstance(fields, dict) else None
    formats = (_FORMAT_WITH_SENTENCE, *WITH_DIGEST)
    # True == 1, which is no format.
    if isinstance(version, bool) or version not in formats:
      shown = repr(version)[:MAX_SHOWN]
      raise errors.InputError(
        f'{place}: format {shown}, this program reads 1 to {_FORMAT_OF_MEASURE}'
      )
    if version == _FORMAT_WITH_SENTENCE:
      sentence = recipe_lib.Recipe(notes=str(fields.get('recipe')))
      fields['recipe'] = sentence.to_json()
    _check_fields(fields, version, place)
    try:
      fields['contract'] = contract_lib.Contract.from_json(fields['contract'])
    # Fields that contradict each other.
    except ValueError as error:
      raise errors.InputError(f'{place}: contract: {error}') from error
    try:
      fields['recipe'] = recipe_lib.Recipe.from_json(fields['recipe'])
    except ValueError as error:
      raise errors.InputError(f'{place}: {error}') from error
    for name, file_name in _FILE_NAMES.items():
      fields[name] = fields.pop(file_name)
    if 'classes' in fields:
      fields['classes'] = tuple(fields['classes'])
    return cls(**fields)


def _check_fields(fields: Mapping[str, Any], version: int, place: str) -> None:
  """Checks the types of all fields, and that the format has them.

  Raises:
    InputError: a field is missing, unknown, of another type or out of range.
  """
  typed = schemas.convert(fields, _HeaderFields, place)
  newer = {
    _FORMAT_OF_CLASSIFIER: [k for k in _CLASSIFIER_DEFAULTS if k in fields],
    _FORMAT_OF_MEASURE: [k for k in ('imagenet_measure',) if k in fields],
  }
  for first_version, names in newer.items():
    if version < first_version and names:
      raise errors.InputError(
        f'{place}: format {version} has no field {names[0]}'
      )
  if typed.classes and len(typed.classes) != typed.num_classes:
    raise errors.InputError(
      f'{place}: classes: {len(typed.classes):,} names of '
      f'{typed.num_classes:,} classes'
    )


def in_one_line(text: str) -> str:
  """Escapes what a terminal would obey, and line breaks."""
  return errors.printable(text).replace('\n', '\\n')


def _escape(value: Any, place: str, depth: int = 0) -> Any:
  """Escapes controls of a terminal and line breaks in a header's strings.

  Raises:
    InputError: it is nested too deeply.
  """
  if depth > _MAX_DEPTH:
    raise errors.InputError(f'{place}: nested too deeply')
  if isinstance(value, str):
    return in_one_line(value)
  if isinstance(value, dict):
    return {
      in_one_line(key): _escape(item, place, depth + 1)
      for key, item in value.items()
    }
  if isinstance(value, list | tuple):
    return [_escape(item, place, depth + 1) for item in value]
  return value
