import numpy as np

from tests.study.report import page_records
from tf_transfer.configs import base
from tf_transfer.study.report import curves


def test_curves_of_the_papers_grid():
  """A line for each weight decay of the grid, through all learning rates."""
  search = base.fine_tuned_fields().to_dict()
  values = np.linspace(0.5, 0.9, 56).tolist()
  fields, _ = page_records.record(
    *('resnet50', 'pets', 'fine_tuned', 0.8, 0.76),
    search=search,
    trials=page_records.trials(search, values),
    validation_curve=values,
    chosen={'learning_rate': 0.1, 'weight_decay': 1e-3},
  )
  charts = curves.validation_curves([fields], ['a cell'])
  rows = charts['learning rate']['datasets']['rows']
  lines = {row['line']: [] for row in rows}
  for row in rows:
    lines[row['line']].append(row['x'])
  assert list(lines) == [
    *('0', '1e-06', '3.2e-06', '1e-05', '3.2e-05', '0.0001', '0.00032'),
    '0.001',
  ]
  for rates in lines.values():
    np.testing.assert_allclose(rates, np.logspace(-4, -1, 7))
  (chosen,) = (row for row in rows if row['chosen'])
  assert (chosen['line'], chosen['y']) == ('0.001', 0.9)
