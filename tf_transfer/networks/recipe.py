"""How a network was trained, as far as transfer depends on it.

Four regularizers that help ImageNet a little make the features worse for
other tasks (section 3 of the protocol). Which of them a network had is part
of its weights file, so that those of different recipes are not compared
unawares.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

# The factors of the settings study, in the order in which C1 to C5 change
# them, and what people call them.
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
_WORDS = {True: 'with', False: 'without', None: 'not known'}


@dataclasses.dataclass(frozen=True)
class Recipe:
  """What is known of how a network was trained.

  Attributes:
    bn_scale: whether batch norm had a scale; None is not known, as below.
    label_smoothing: whether targets were smoothed.
    dropout: whether features were dropped ahead of the head.
    auxiliary_head: whether there was one.
    trained_on: name of the dataset, or ''.
    notes: what else there is to say.
    details: every hyperparameter and the data's hashes, of a network that was
      trained here; what JSON can hold.
  """

  bn_scale: bool | None = None
  label_smoothing: bool | None = None
  dropout: bool | None = None
  auxiliary_head: bool | None = None
  trained_on: str = ''
  notes: str = ''
  details: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    for name in FACTORS:
      if getattr(self, name) not in (True, False, None):
        raise ValueError(
          f'recipe: {name}: expected true, false or null, found '
          f'{getattr(self, name)!r}'
        )

  @property
  def factors(self) -> dict[str, bool | None]:
    return {name: getattr(self, name) for name in FACTORS}

  @property
  def configuration(self) -> str | None:
    """'C1' to 'C5', or None where it is none of these or not known."""
    for name, factors in CONFIGURATIONS.items():
      if factors == self.factors:
        return name
    return None

  def to_json(self) -> dict[str, Any]:
    return {**dataclasses.asdict(self), 'details': dict(self.details)}

  @classmethod
  def from_json(cls, fields: Any) -> 'Recipe':
    """The inverse of `to_json`; what does not fit is a ValueError."""
    known = {field.name for field in dataclasses.fields(cls)}
    if not isinstance(fields, Mapping) or set(fields) != known:
      raise ValueError(f'recipe: expected {sorted(known)}, found {fields!r}')
    return cls(**fields)

  def __str__(self) -> str:
    """In a line: 'C5: with BN scale; without label smoothing, ...'."""
    parts = []
    for value, word in _WORDS.items():
      names = [FACTORS[name] for name, v in self.factors.items() if v is value]
      if names:
        parts.append(f'{word} {", ".join(names)}')
    text = '; '.join([*parts, *([self.notes] if self.notes else [])])
    return f'{self.configuration}: {text}' if self.configuration else text


UNKNOWN = Recipe()


def warning(recipes: Mapping[str, Recipe]) -> str:
  """Says in what way networks that are compared were not trained alike.

  Args:
    recipes: by what to call the network.

  Returns:
    One line for each factor in which they differ, or of which it is not known
    whether they do, under a heading; '' where there is nothing to say.
  """
  if len(recipes) < 2:
    return ''
  lines, differing = [], False
  for name, text in {**FACTORS, 'trained_on': 'trained on'}.items():
    values = {who: getattr(r, name) for who, r in recipes.items()}
    groups: dict[Any, list[str]] = {}
    for who, value in values.items():
      groups.setdefault(value, []).append(who)
    unknown = None in groups and name in FACTORS
    differing |= len(groups.keys() - {None, ''}) > 1
    if unknown and len(groups) == 1:
      lines.append(f'  {text}: not known of any')
    elif len(groups) > 1:
      parts = [
        f'{_WORDS[v] if name in FACTORS else v or "not known"}: '
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
