"""The datasets that networks are transferred to, each with three splits."""

from tf_transfer.datasets.dataset import Dataset, Split, few_examples, select
from tf_transfer.datasets.opening import (
  available,
  check,
  check_name,
  name_of,
  names,
  normalized_name,
  open,
  open_from_config,
  open_test,
  open_test_from_config,
  report_folder,
)
from tf_transfer.datasets.table import TABLE, Row, row, title
from tf_transfer.images.decoding import CorruptImage

__all__ = [
  'TABLE',
  'CorruptImage',
  'Dataset',
  'Row',
  'Split',
  'available',
  'check',
  'check_name',
  'few_examples',
  'name_of',
  'names',
  'normalized_name',
  'open',
  'open_from_config',
  'open_test',
  'open_test_from_config',
  'report_folder',
  'row',
  'select',
  'title',
]
