from tests.study.figures.figure_records import record
from tf_transfer.study.figures import settings


def test_same_figure_is_the_same_file(tmp_path):
  records = [record('a', 0.7, 0.8), record('b', 0.8, 0.9)]
  for name in 'xy':
    settings.settings_by_dataset(records, {'pets': 0.9}, tmp_path / name)
  for kind in ('png', 'pdf'):
    first, second = (tmp_path / f'{name}.{kind}' for name in 'xy')
    assert first.read_bytes() == second.read_bytes()
