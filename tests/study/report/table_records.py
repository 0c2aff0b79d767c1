"""Makes records with what a table of text shows."""

from typing import Any

from tf_transfer.networks import recipe

PLAIN = recipe.Recipe(True, False, False, False, 'imagenet')


def record(
  network: str,
  imagenet: float | None,
  value: float,
  dataset: str = 'digits',
  metric: str = 'top1',
  **more: Any,
) -> dict[str, Any]:
  """Makes a record; `more` replaces its fields."""
  return {
    'network': network,
    'weights_sha256': f'sha of {network}',
    'recipe': PLAIN.to_json(),
    'dataset': dataset,
    'setting': 'logistic_regression',
    'metric': metric,
    'imagenet_top1': imagenet,
    'validation': {'value': value, 'low': 0, 'high': 1, 'examples': 100},
    'test': {
      'value': value,
      'low': max(0, value - 0.02),
      'high': min(1, value + 0.02),
      'examples': 1000,
    },
    'chosen': {'penalty': 0.1},
    'solver': {'converged': True, 'unconverged_penalties': []},
    **more,
  }
