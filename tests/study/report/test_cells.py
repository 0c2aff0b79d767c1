from tests.study.report import page_records
from tests.study.report.page_records import cell
from tf_transfer.study.report import cells as cells_lib


def test_names(tmp_path):
  records = page_records.write(
    tmp_path,
    [
      cell('resnet50', 0.7, 0.7),
      cell('resnet50', 0.8, 0.7, weights_sha256='f' * 64),
      cell('mine', 0.8, 0.7, 'folder:/data/birds'),
    ],
  )
  cells = cells_lib.name_cells(records)
  sha256 = records[0]['weights_sha256']
  assert [one.name for one in cells] == [
    (f'ResNet-50 ({sha256[:6]})', 'Oxford-IIIT Pets', 'Logistic regression'),
    ('ResNet-50 (ffffff)', 'Oxford-IIIT Pets', 'Logistic regression'),
    ('mine', 'birds', 'Logistic regression'),
  ]
  assert cells[0].comparison.paper is not None
  assert cells[2].comparison.paper is None


def test_folders_that_end_alike_have_their_whole_names(tmp_path):
  names = 'folder:/a/birds', 'folder:/b/birds', 'folder:/c/cats'
  records = page_records.write(
    tmp_path, [cell('mine', 0.8, 0.7, name) for name in names]
  )
  datasets = [one.dataset for one in cells_lib.name_cells(records)]
  assert datasets == ['folder:/a/birds', 'folder:/b/birds', 'cats']


def test_a_cell_that_does_not_count_has_its_identity_in_its_name(tmp_path):
  others = {'train': 64 * 'd', 'val': 64 * 'b', 'test': 64 * 'c'}
  records = page_records.write(
    tmp_path,
    [cell('n', 0.7, 0.7), cell('n', 0.8, 0.7, splits_sha256=others)],
  )
  cells = cells_lib.name_cells(records)
  assert [one.current for one in cells] == [False, True]
  first, second = cells_lib.unique_names(cells)
  assert second == 'n, Oxford-IIIT Pets, Logistic regression'
  assert first == f'{second} ({records[0]["identity"][:8]})'
