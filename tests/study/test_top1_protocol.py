"""The protocol of published ImageNet top-1, from who published it."""

import pytest

from tests.study.report import page_records
from tf_transfer import networks
from tf_transfer.convert_weights import table
from tf_transfer.networks import published_timm
from tf_transfer.study import top1_protocol

PUBLISHED = [
  pytest.param(network, source, id=f'{network}-{source.name}')
  for network, sources in table.SOURCES.items()
  for source in sources
  if source.imagenet_top1 is not None
]


def record(network='resnet50', source='made up', size=224, crop=0.875, **more):
  """Makes a record."""
  made, _ = page_records.cell(
    network,
    0.8,
    0.7,
    contract={'image_size': size, 'crop_fraction': crop},
    imagenet_top1_source=source,
    **more,
  )
  return made


@pytest.mark.parametrize(('network', 'source'), PUBLISHED)
def test_every_published_number_has_a_protocol(network, source):
  contract = source.contract
  found = top1_protocol.of(
    record(
      network,
      source.imagenet_top1_source,
      contract.image_size,
      contract.crop_fraction,
      imagenet_measure=source.imagenet_measure,
    )
  )
  if source.imagenet_measure:
    assert found == top1_protocol.Protocol(None, None)
    return
  assert found.image_size == contract.image_size
  if source.name == 'keras':
    assert found.crop is None
  else:
    # TF-Slim, torchvision and the authors measure with the weights' own crop.
    assert found.crop == pytest.approx(contract.crop_fraction)


def test_the_table_of_timm():
  """Rows of results-imagenet.csv whose top-1 is ours: size and crop.

  It also has resnet50.a1_in1k with 81.24 at 288 px without a crop.
  """
  rows = {
    'resnet50.a1_in1k': (80.382, 224, 0.950),
    'densenet121.ra_in1k': (75.574, 224, 0.875),
    'mobilenetv1_100.ra4_e3600_r224_in1k': (75.388, 224, 0.875),
    'nasnetalarge.tf_in1k': (82.638, 331, 0.911),
    'inception_resnet_v2.tf_in1k': (80.434, 299, 0.897),
    'tf_efficientnetv2_b3.in1k': (81.960, 300, 0.904),
    'tf_efficientnetv2_b3.in21k_ft_in1k': (82.634, 300, 0.900),
    'tf_efficientnetv2_l.in1k': (85.660, 480, 1.000),
  }
  checked = 0
  for sources in table.SOURCES.values():
    for source in sources:
      row = rows.get(source.file.removeprefix('timm/'))
      if row:
        contract = source.contract
        assert 100 * source.imagenet_top1 == pytest.approx(row[0])
        assert contract.image_size == row[1]
        assert contract.crop_fraction == pytest.approx(row[2], abs=6e-4)
        checked += 1
  assert checked == len(rows)


@pytest.mark.parametrize(
  ('source', 'text'),
  [
    ("TF-Slim's table of pretrained models", '224 px, central crop of 0.875'),
    ("Keras's table of applications", '224 px, crop not stated'),
    ('measured here on 50,000 images, the central 87.5 %', '224 px, central'),
    ('stated when it was converted', 'size not stated, crop not stated'),
    ('', 'size not stated, crop not stated'),
  ],
)
def test_text(source, text):
  assert str(top1_protocol.of(record(source=source))).startswith(text)


def test_size_of_a_study_is_not_that_of_the_publisher():
  source = "timm's table of results, for the weights x"
  found = top1_protocol.of(record(source=source, size=64, image_size=64))
  assert found == top1_protocol.Protocol(224, 0.875)


def test_records_without_a_contract():
  made = record(source="torchvision's table, for IMAGENET1K_V1")
  del made['contract']
  assert top1_protocol.of(made) == top1_protocol.Protocol(224, None)
  # As `distinct` names it among several of one architecture.
  made |= {'network': 'resnet50 (a0fcff)', 'architecture': 'resnet50'}
  assert top1_protocol.of(made) == top1_protocol.Protocol(224, None)


def test_no_top1_no_protocol():
  assert top1_protocol.of({**record(), 'imagenet_top1': None}) is None


def test_warning_where_crops_differ():
  slim = record('a', "TF-Slim's table of pretrained models")
  timm = record('b', "timm's table of results, for the weights x", crop=0.95)
  keras = record('c', "Keras's table of applications")
  assert top1_protocol.warnings([slim]) == []
  assert top1_protocol.warnings([slim, {**slim, 'dataset': 'dtd'}]) == []
  (text,) = top1_protocol.warnings([slim, timm])
  assert 'not measured alike: central crops are 0.875 to 0.95. ' in text
  (text,) = top1_protocol.warnings([slim, timm, keras])
  assert '0.95; the crop is not stated for 1 of 3 networks. ' in text
  (text,) = top1_protocol.warnings([slim, keras])
  assert text.startswith('It is not known whether')
  same = record('d', "torchvision's table, for IMAGENET1K_V1")
  assert top1_protocol.warnings([slim, same]) == []


def test_random_values_have_the_number_of_their_architecture():
  row = networks.TABLE['resnet50']
  made = record(source=row.imagenet_top1_source, weights_sha256='')
  (text,) = top1_protocol.warnings([made])
  assert 'what the architecture reached' in text
  assert top1_protocol.of(made) == top1_protocol.Protocol(224, 0.875)


def test_warning_where_a_top1_is_not_of_a_trained_head():
  head = record('resnet50', "timm's table of results, for the weights x")
  probe = record(
    'mobilenet_v1', 'a paper', imagenet_measure='linear_probe', crop=0.875
  )
  assert top1_protocol.measure(head) == ''
  assert top1_protocol.measure(probe) == 'linear probe'
  assert top1_protocol.of(probe) == top1_protocol.Protocol(None, None)
  assert top1_protocol.warnings([probe, {**probe, 'dataset': 'dtd'}])[1:] == []
  text, *_ = top1_protocol.warnings([head, probe])
  assert 'of MobileNet v1 it is by linear probe; of the others' in text


def test_source_that_states_size_and_crop():
  """Of timm's checkpoints by name: as its own words are read."""
  top1 = published_timm.top1('resnet50.a1_in1k')
  made = record(source=top1.source, crop=0.95)
  found = top1_protocol.of(made)
  assert (found.image_size, found.crop) == (288, 1.0)
  own = published_timm.top1('resnet50.a1_in1k', 224)
  found = top1_protocol.of(record(source=own.source, crop=0.95))
  assert (found.image_size, found.crop) == (224, 0.95)
  (warning,) = top1_protocol.warnings([made])
  assert 'ImageNet top-1 of 1 network is published for images of' in warning
  assert not top1_protocol.warnings([record(source=own.source, crop=0.95)])
  # A measurement of ours has taken its place.
  measured = {**made, top1_protocol.MEASURED: found}
  assert not top1_protocol.warnings([measured])
