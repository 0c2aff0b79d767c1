"""Makes records with what tables and ties need."""

from typing import Any


def record(
  network: str,
  dataset: str = 'pets',
  value: float = 0.5,
  setting: str = 'fine_tuned',
  **more: Any,
) -> dict[str, Any]:
  """Makes a record; `more` replaces its fields."""
  return {
    'identity': f'{network}_{dataset}',
    'setting': setting,
    'network': network,
    'dataset': dataset,
    'metric': 'top1',
    'imagenet_top1': 0.75,
    'test': {'value': value, 'examples': 100},
    'predictions': f'predictions/{network}_{dataset}.npz',
    **more,
  }
