"""The section on ImageNet top-1 says whose it is, and how it was measured."""

from tests.study.report import page_records
from tf_transfer import networks
from tf_transfer.study import measured_top1, top1_protocol
from tf_transfer.study.report import cells as cells_lib
from tf_transfer.study.report import imagenet_top1, tables
from tf_transfer.study.report import page as page_lib

TIMM = "timm's table of results, for the weights resnet50.a1_in1k"
KERAS = "Keras's table of applications"


def contract(size, crop):
  """Makes what a record says of its network's input."""
  return {
    'image_size': size,
    'mean': [0.0, 0.0, 0.0],
    'std': [1.0, 1.0, 1.0],
    'channels': 'rgb',
    'interpolation': 'bilinear',
    'antialias': True,
    'pixel_centres': True,
    'crop_fraction': crop,
  }


def published():
  """Makes cells of two publishers, and one from random values."""
  row = networks.TABLE['resnet50']
  return [
    page_records.cell(
      'resnet50',
      0.8,
      0.80382,
      contract=contract(224, 0.95),
      imagenet_top1_source=TIMM,
    ),
    page_records.cell(
      'inception_v3',
      0.8,
      0.779,
      contract=contract(299, 0.875),
      imagenet_top1_source=KERAS,
    ),
    page_records.record(
      'resnet50',
      'pets',
      'random_init',
      0.6,
      row.imagenet_top1,
      weights_sha256='',
      imagenet_top1_source=row.imagenet_top1_source,
    ),
  ]


def test_a_row_for_each_network(tmp_path):
  records = page_records.write(tmp_path, published())
  cells = cells_lib.name_cells(records)
  section = imagenet_top1.build(cells)
  assert section.table.rows == [
    (
      'ResNet-50',
      80.38,
      '–',
      TIMM,
      'trained head',
      224,
      'central crop of 0.95',
    ),
    (
      *('Inception v3', 77.9, '–', KERAS, 'trained head', 299),
      'crop not stated',
    ),
    (
      'ResNet-50, from random values',
      76.9,
      '–',
      'Kornblith et al. (2019), of the networks that they trained',
      'trained head',
      224,
      'central crop of 0.875',
    ),
  ]
  assert 'the crop is not stated for 1 of 2 networks' in section.warnings[0]
  assert 'what the architecture reached' in section.warnings[1]
  column = tables.provenance(cells).columns.index('ImageNet top-1 by')
  assert tables.provenance(cells).rows[0][column] == (
    f'{TIMM}; 224 px, central crop of 0.95'
  )


def test_the_page_warns_of_different_protocols(tmp_path):
  records = page_records.write(tmp_path, published())
  text = page_lib.render(records, [], tmp_path, top1_remarks=('A remark.',))
  assert 'whether ImageNet top-1 was measured alike' in text
  assert '<p>A remark.</p>' in text
  one = page_lib.render(records[:1], [], tmp_path)
  assert 'measured alike' not in one


def test_measured_numbers_have_errors(tmp_path):
  (record,) = page_records.write(
    tmp_path, [page_records.cell('resnet50', 0.8, 0.75)]
  )
  measured = {
    **record,
    'imagenet_top1': 0.76,
    'imagenet_top1_error': 0.0019,
    'imagenet_top1_source': 'measured here, on 50,000 images',
    top1_protocol.MEASURED: top1_protocol.Protocol(224, 0.875),
  }
  cells = cells_lib.name_cells([measured])
  (row,) = imagenet_top1.build(cells).table.rows
  assert row[1:] == (
    *(76.0, 0.19, 'measured here, on 50,000 images', 'trained head', 224),
    'central crop of 0.875',
  )
  assert measured_top1.replace([record], None).records == [record]


def test_a_linear_probe_is_said_to_be_one(tmp_path):
  probe = page_records.cell(
    'inception_v3',
    0.8,
    0.779,
    imagenet_top1_source='a paper',
    imagenet_measure='linear_probe',
  )
  records = page_records.write(tmp_path, [*published()[:1], probe])
  section = imagenet_top1.build(cells_lib.name_cells(records))
  assert section.table.rows[1] == (
    *('Inception v3', 77.9, '–', 'a paper', 'linear probe', '–'),
    'crop not stated',
  )
  assert 'of Inception v3 it is by linear probe' in section.warnings[0]
  page = page_lib.render(records, [], tmp_path)
  assert '(linear probe)' in page
