"""The recipe of a network: how it was trained, as far as it affects transfer.

Four regularizers that help on ImageNet a little make the features worse for
other tasks (section 3 of the paper). A weights file says which of them its
network was trained with, and `warning` says where recipes differ among networks
that are compared.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

# The four regularizers in the order in which the configurations C1 to C5 change
# them, and their names for people.
FACTORS: Mapping[str, str] = {
  'bn_scale': 'BN scale',
  'label_smoothing': 'label smoothing',
  'dropout': 'dropout',
  'auxiliary_head': 'auxiliary head',
}
CONFIGURATIONS: Mapping[str, Mapping[str, bool]] = {
  name: dict(zip(FACTORS, values, strict=True))
  for name, values in (
    ('C1', (False, True, True, True)),
    ('C2', (True, True, True, True)),
    ('C3', (True, False, True, True)),
    ('C4', (True, False, False, True)),
    ('C5', (True, False, False, False)),
  )
}
# What recipes since the paper add, and their names for people.
MODERN_FACTORS: Mapping[str, str] = {
  'mixup': 'mixup',
  'cutmix': 'CutMix',
  'bce': 'binary cross-entropy',
  'ema': 'averaged weights',
  'distillation': 'distillation',
}
# What pretraining learns from, and its name for people.
SUPERVISION: Mapping[str, str] = {
  'supervised': 'labels',
  'self_supervised': 'images alone',
  'language': 'captions',
}
_WORDS = {True: 'with', False: 'without', None: 'not known'}


@dataclasses.dataclass(frozen=True)
class Recipe:
  """What is known of how a network was trained.

  Attributes:
    bn_scale: whether batch norm had a scale; here and below None is unknown.
    label_smoothing: whether targets were smoothed.
    dropout: whether there was dropout ahead of the head.
    auxiliary_head: whether there was one.
    trained_on: name of the dataset, or ''.
    notes: anything else, as a sentence.
    details: of a network that this program trained, every hyperparameter and
      the hashes of the data; values that JSON can hold.
    supervision: one of `SUPERVISION`; '' is unknown.
    mixup: whether images were mixed with others.
    cutmix: whether parts of images were replaced by those of others.
    bce: whether the loss was binary cross-entropy, of each class alone.
    ema: whether the weights are a moving average of those trained.
    distillation: whether another network's outputs were targets.
    augmentation: its name, as 'RandAugment'; '' is unknown.
    epochs: of training on `trained_on`, the last dataset that it names.
    resolution: height and width of the training images, in pixels.
    sources: who states a field, by the field's name.
  """

  bn_scale: bool | None = None
  label_smoothing: bool | None = None
  dropout: bool | None = None
  auxiliary_head: bool | None = None
  trained_on: str = ''
  notes: str = ''
  details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  supervision: str = ''
  mixup: bool | None = None
  cutmix: bool | None = None
  bce: bool | None = None
  ema: bool | None = None
  distillation: bool | None = None
  augmentation: str = ''
  epochs: int | None = None
  resolution: int | None = None
  sources: Mapping[str, str] = dataclasses.field(default_factory=dict)

  def __post_init__(self) -> None:
    for name in (*FACTORS, *MODERN_FACTORS):
      if getattr(self, name) not in (True, False, None):
        raise ValueError(
          f'recipe: {name}: expected true, false or null, found '
          f'{getattr(self, name)!r}'
        )
    if self.supervision not in ('', *SUPERVISION):
      raise ValueError(
        f'recipe: supervision: expected one of {", ".join(SUPERVISION)}, found '
        f'{self.supervision!r}'
      )

  @property
  def factors(self) -> dict[str, bool | None]:
    """The four regularizers: whether each was used, None where unknown."""
    return {name: getattr(self, name) for name in FACTORS}

  @property
  def configuration(self) -> str | None:
    """'C1' to 'C5'; None where the recipe is none of these or not known."""
    for name, factors in CONFIGURATIONS.items():
      if factors == self.factors:
        return name
    return None

  @property
  def stated(self) -> tuple[str, ...]:
    """The names of the fields on training that are known."""
    return tuple(
      name for name in _STATED if getattr(self, name) not in ('', None)
    )

  @property
  def is_modern(self) -> bool:
    """Whether one of the fields that format 5 of weights files has is known."""
    return any(getattr(self, name) != value for name, value in _MODERN.items())

  def to_json(self) -> dict[str, Any]:
    """Returns the fields as a dict that JSON can hold.

    The fields after `details` are there only if one of them is known.
    """
    fields = {
      **dataclasses.asdict(self),
      'details': dict(self.details),
      'sources': dict(self.sources),
    }
    if self.is_modern:
      return fields
    return {k: fields[k] for k in fields if k not in _MODERN}

  @classmethod
  def from_json(cls, fields: Any) -> 'Recipe':
    """Makes a recipe of what `to_json` returned; else raises a ValueError."""
    known = {field.name for field in dataclasses.fields(cls)}
    older = known - _MODERN.keys()
    if not isinstance(fields, Mapping) or set(fields) not in (known, older):
      raise ValueError(f'recipe: expected {sorted(known)}, found {fields!r}')
    return cls(**fields)

  def __str__(self) -> str:
    """Describes it in a line: 'C5: with BN scale; without label smoothing'."""
    parts = []
    for value, word in _WORDS.items():
      names = [FACTORS[name] for name, v in self.factors.items() if v is value]
      if value is not None:
        names += [
          text
          for name, text in MODERN_FACTORS.items()
          if getattr(self, name) is value
        ]
      if names:
        parts.append(f'{word} {", ".join(names)}')
    text = '; '.join([*parts, *([self.notes] if self.notes else [])])
    return f'{self.configuration}: {text}' if self.configuration else text


UNKNOWN = Recipe()

# The fields that somebody states.
_STATED = (
  *('trained_on', 'supervision', *FACTORS, *MODERN_FACTORS),
  *('augmentation', 'epochs', 'resolution'),
)

# The fields after `details`, and their values where nothing is known.
_MODERN = {
  name: getattr(UNKNOWN, name)
  for name in (
    'supervision',
    *MODERN_FACTORS,
    'augmentation',
    'epochs',
    'resolution',
    'sources',
  )
}


def warning(recipes: Mapping[str, Recipe]) -> str:
  """Warns where the recipes of networks that are compared differ.

  Args:
    recipes: by the name of the network.

  Returns:
    Under a heading, a line for each factor that differs or is not known; ''
    where all recipes are the same.
  """
  if len(recipes) < 2:
    return ''
  lines, differing = [], False
  factors = dict(FACTORS)
  if any(recipe.is_modern for recipe in recipes.values()):
    factors.update(MODERN_FACTORS)
  for name, text in {**factors, 'trained_on': 'trained on'}.items():
    values = {who: getattr(r, name) for who, r in recipes.items()}
    groups: dict[Any, list[str]] = {}
    for who, value in values.items():
      groups.setdefault(value, []).append(who)
    unknown = None in groups and name in factors
    differing |= len(groups.keys() - {None, ''}) > 1
    if unknown and len(groups) == 1:
      lines.append(f'  {text}: not known of any')
    elif len(groups) > 1:
      parts = [
        f'{_WORDS[v] if name in factors else v or "not known"}: '
        f'{", ".join(who)}'
        for v, who in groups.items()
      ]
      lines.append(f'  {text}: {"; ".join(parts)}')
  if not lines:
    return ''
  heading = (
    'these networks were not trained alike'
    if differing
    else 'it is not known whether these networks were trained alike'
  )
  return '\n'.join(
    [
      f'WARNING: {heading}. What tells their results apart may be this and not '
      'the networks (in the paper up to 0.5 in log-odds, of fixed features):',
      *lines,
    ]
  )
