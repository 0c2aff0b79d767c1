"""Says in words what a correlation with ImageNet accuracy depends on."""

from collections.abc import Sequence

import numpy as np

from tf_transfer.runtime.units import counted
from tf_transfer.study.analysis import (
  correlations,
  evidence,
  jackknife,
  partial,
)

# The intervals that the sentence of an answer has.
_IN_SENTENCE = evidence.NETWORKS, evidence.FAMILIES


def number(value: float) -> str:
  """Returns a coefficient to two decimals, with a real minus sign."""
  return f'{value:.2f}'.replace('-', '−')


def coefficient(
  facts: evidence.Evidence,
  over: Sequence[str] = _IN_SENTENCE,
) -> str:
  """Returns 'r = 0.99 of 16 networks on 12 datasets, 95 % interval ...'.

  Args:
    facts: of the correlation.
    over: of which intervals; those that it has are named.
  """
  text = (
    f'r = {number(facts.r)} of {counted(facts.num_networks, "network")} on '
    f'{counted(facts.num_datasets, "dataset")}'
  )
  selected = [one for one in facts.intervals if one.over in over]
  return f'{text}, {_in_words(selected)}' if selected else text


def short(facts: evidence.Evidence) -> list[str]:
  """Returns r and its intervals in lines for which a phone has room."""
  over_networks = facts.interval(evidence.NETWORKS)
  over_families = facts.interval(evidence.FAMILIES)
  text = f'r = {number(facts.r)}'
  if over_networks is not None:
    text += f' {_in_brackets(over_networks)}'
  lines = [f'{text}, {counted(facts.num_networks, "network")}']
  if over_families is not None:
    lines.append(f'over families {_in_brackets(over_families)}')
  return lines


def _in_brackets(one: evidence.Interval) -> str:
  """Returns '[0.97, 0.99]'."""
  return f'[{number(one.low)}, {number(one.high)}]'


def _in_words(intervals: Sequence[evidence.Interval]) -> str:
  """Returns '95 % interval 0.97 to 0.99 over networks, ... over families'."""
  return '95 % interval ' + ', '.join(
    f'{_ends(one)} over {one.over}' for one in intervals
  )


def _ends(
  interval: evidence.Interval | correlations.Correlation,
) -> str:
  """Returns '0.97 to 0.99'."""
  return f'{number(interval.low)} to {number(interval.high)}'


def unmet(facts: evidence.Evidence) -> list[str]:
  """Returns what the interval over networks takes for granted without proof.

  Args:
    facts: with an interval over networks on one side of zero.

  Returns:
    A condition for each kind of interval that does not lie on the same side;
    none where all that can be computed do.
  """
  return [
    *_families_unmet(facts),
    *_datasets_unmet(facts),
    *_recipe_unmet(facts),
  ]


def _agrees(facts: evidence.Evidence, over: str) -> bool:
  """Returns whether an interval lies on the side of that over networks."""
  one = facts.interval(over)
  return one is None or one.sign == facts.interval(evidence.NETWORKS).sign


def _families_unmet(facts: evidence.Evidence) -> list[str]:
  """Returns what networks of one family take for granted, if anything."""
  condition = 'only if networks of one family count as independent'
  families = counted(len(facts.families), 'family', 'families')
  if _cannot_check(facts) and len(facts.families) >= jackknife.FEWEST_GROUPS:
    return [
      f'{condition}, which cannot be checked: nearly all are of one of their '
      f'{families}'
    ]
  if _cannot_check(facts) and len(facts.families) > 1:
    return [f'{condition}, which so few families ({families}) cannot show']
  if _agrees(facts, evidence.FAMILIES):
    return []
  over_families = facts.interval(evidence.FAMILIES)
  return [
    f'{condition}: over their {families} the interval is '
    f'{_ends(over_families)}{_moves(facts)}'
  ]


def _cannot_check(facts: evidence.Evidence) -> bool:
  """Returns whether networks share families and that has no interval."""
  over_families = facts.interval(evidence.FAMILIES)
  return not facts.are_independent and over_families is None


def _moves(facts: evidence.Evidence) -> str:
  """Returns how r moves where one family is left out, '' if it has no value."""
  if len(facts.without) < 2:
    return ''
  low, high = min(facts.without.values()), max(facts.without.values())
  return (
    f', and leaving out one of them moves r from {number(low)} to '
    f'{number(high)}'
  )


def _datasets_unmet(facts: evidence.Evidence) -> list[str]:
  """Returns that r holds of these datasets alone, if others change it."""
  for rows, both in (
    (evidence.FAMILIES, evidence.FAMILIES_AND_DATASETS),
    (evidence.NETWORKS, evidence.NETWORKS_AND_DATASETS),
  ):
    # What families alone leave open is not due to datasets.
    if _agrees(facts, rows) and not _agrees(facts, both):
      ends = _ends(facts.interval(both))
      return [f'only on datasets like these: over {both} it is {ends}']
  return []


def _recipe_unmet(facts: evidence.Evidence) -> list[str]:
  """Returns what r is of networks that were pretrained alike, if not so."""
  sign = facts.interval(evidence.NETWORKS).sign
  for words, one in _given_recipe(facts.given_recipe):
    if not np.isnan(one.low) and _sign(one) != sign:
      return [
        'only if recipes make no difference: '
        f'{words} r is {number(one.r)} ({_ends(one)})'
      ]
  return []


def _sign(one: correlations.Correlation) -> int:
  """Returns the side of zero on which an interval lies, 0 if on neither."""
  return evidence.Interval('', one.low, one.high).sign


def scope(facts: evidence.Evidence) -> str:
  """Returns of what alone an answer speaks.

  Returns:
    '' if of networks and datasets at large.
  """
  text = ''
  if len(facts.families) == 1 and not facts.are_independent:
    text = f', all of one family, {facts.families[0]}'
  if facts.num_datasets < jackknife.FEWEST_GROUPS:
    few = (
      'this dataset'
      if facts.num_datasets == 1
      else f'these {facts.num_datasets} datasets'
    )
    text += (
      f', on {few} alone: it takes {jackknife.FEWEST_GROUPS} or more to check '
      'whether others would agree'
    )
  if _recipes_unchecked(facts.given_recipe):
    text += (
      f'{";" if text else ","} though recipes differ, and too few networks '
      'share one to check what that does'
    )
  return text


def _recipes_unchecked(given: partial.GivenRecipe | None) -> bool:
  """Returns whether recipes differ and r given them has no interval."""
  if given is None or given.num_recipes < 2:
    return False
  return all(np.isnan(one.low) for _, one in _given_recipe(given))


def _given_recipe(
  given: partial.GivenRecipe | None,
) -> list[tuple[str, correlations.Correlation]]:
  """Returns the correlations given the recipe that have a value, in words."""
  if given is None:
    return []
  pairs = [('within networks of one recipe', given.within)]
  # Where two recipes differ in all factors alike, they are the same.
  if not _are_equal(given.partial, given.within):
    pairs.append(('given the factors of the recipe', given.partial))
  return [(words, one) for words, one in pairs if not np.isnan(one.r)]


def _are_equal(
  one: correlations.Correlation, other: correlations.Correlation
) -> bool:
  """Returns whether two coefficients differ by float noise at most."""
  return bool(
    np.allclose(
      (one.r, one.low, one.high),
      (other.r, other.low, other.high),
      rtol=0,
      atol=1e-9,
      equal_nan=True,
    )
  )


def remarks(facts: evidence.Evidence) -> list[str]:
  """Returns what else there is to say of a correlation, a sentence each."""
  return [
    *_of_intervals(facts),
    *_of_families(facts),
    *_of_recipes(facts.given_recipe),
    *_of_errors(facts),
  ]


def _of_intervals(facts: evidence.Evidence) -> list[str]:
  """Returns the intervals that the sentence does not have."""
  others = [one for one in facts.intervals if one.over not in _IN_SENTENCE]
  return [f'{_in_words(others)}.'] if others else []


def _of_families(facts: evidence.Evidence) -> list[str]:
  """Returns what r is without one family, or why that cannot be said."""
  if facts.are_independent or not facts.intervals:
    return []
  lines = []
  if _cannot_check(facts):
    families = counted(len(facts.families), 'family', 'families')
    lines.append(
      f'These networks are of {families} ({", ".join(facts.families)}); it '
      f'takes {jackknife.FEWEST_GROUPS} or more, none of them nearly all '
      'networks, to check whether networks of one family are independent.'
    )
  if len(facts.without) > 1:
    ends = [f(facts.without, key=facts.without.get) for f in (min, max)]
    low, high = (f'{number(facts.without[f])} (without {f})' for f in ends)
    lines.append(
      f'Leaving out one family, r is from {low} to {high}; '
      f'{_most_moving(facts)} moves it most.'
    )
  return lines


def _most_moving(facts: evidence.Evidence) -> str:
  """Returns the family without which r differs most."""
  return max(facts.without, key=lambda f: abs(facts.without[f] - facts.r))


def _of_recipes(given: partial.GivenRecipe | None) -> list[str]:
  """Returns r given the recipe, and of how many networks none is known."""
  if given is None or (
    given.num_known == given.num_networks and given.num_recipes < 2
  ):
    return []
  lines = []
  for words, one in _given_recipe(given):
    text = f'{words[0].upper()}{words[1:]} r = {number(one.r)}'
    if not np.isnan(one.low):
      text += f', 95 % interval {_ends(one)} over networks'
    lines.append(
      f'{text} ({counted(given.num_known, "network")} of '
      f'{counted(given.num_recipes, "recipe")}).'
    )
  if given.num_recipes > 1 and not lines:
    lines.append(
      'Too few networks share a recipe for r within networks of one recipe.'
    )
  num_unknown = given.num_networks - given.num_known
  if num_unknown:
    lines.append(
      f'The recipe of {num_unknown} of {counted(given.num_networks, "network")}'
      ' is not known in full: whether recipes explain r cannot be told of '
      f'{"them" if num_unknown > 1 else "it"}.'
    )
  return lines


def _of_errors(facts: evidence.Evidence) -> list[str]:
  """Returns what errors of measurement do to r, where some are known."""
  errors = facts.attenuation
  if not errors.is_known:
    return []
  num_cells = facts.num_networks * facts.num_datasets
  known = [
    f'{what} (known of {count} of {counted(total, noun)})'
    for what, count, total, noun in (
      ('ImageNet top-1', errors.num_top1, facts.num_networks, 'network'),
      ('the mean over runs', errors.num_cells, num_cells, 'cell'),
    )
    if count
  ]
  widened = ', which the intervals allow for' if facts.intervals else ''
  return [
    f'Errors of {" and of ".join(known)} weaken r by the factor '
    f'{errors.factor:.3f}: without them it is '
    f'{number(errors.corrected(facts.r))}{widened}. (Reliability of ImageNet '
    f'top-1 {errors.top1:.3f}, of the average {errors.mean:.3f}.)'
  ]
