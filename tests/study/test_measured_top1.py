"""ImageNet top-1 that was measured here, in place of published numbers."""

import base64
import json
import math

import numpy as np
import pytest

from tests.study.report import page_records
from tf_transfer import errors
from tf_transfer.study import measured_top1, top1_protocol
from tf_transfer.study.analysis import accuracy_table

FIXED = page_records.FIXED
NAMES = ('resnet50', 'densenet121', 'mobilenet_v1')


def records(names=NAMES):
  return [
    page_records.cell(name, 0.8, 0.7 + i / 100)[0]
    for i, name in enumerate(names)
  ]


def write(directory, record, num_right, num_images=400, **changes):
  """Writes what the job imagenet does."""
  directory.mkdir(exist_ok=True)
  value = num_right / num_images
  # Most are wrong on the same images.
  right = np.arange(num_images) < num_right
  content = {
    'network': record['network'],
    'weights_sha256': record['weights_sha256'],
    'contract': {
      'image_size': 224,
      'mean': [0, 0, 0],
      'std': [1, 1, 1],
      'channels': 'rgb',
      'interpolation': 'bilinear',
      'antialias': True,
      'pixel_centres': True,
      'crop_fraction': 0.875,
    },
    'preprocessing': 'resize_then_crop',
    'split_sha256': 'e' * 64,
    'top1': {'value': value, 'low': 0.0, 'high': 1.0, 'examples': num_images},
    'top5': {'value': 1.0, 'low': 0.9, 'high': 1.0, 'examples': num_images},
    'correct': base64.b64encode(np.packbits(right)).decode(),
    'skipped': [],
  }
  crop = changes.pop('crop', 0.875)
  content['contract']['crop_fraction'] = crop
  content.update(changes)
  name = f'{record["network"]}_{content["preprocessing"]}_{crop}.json'
  (directory / name).write_text(json.dumps(content))
  return content


def test_all_are_replaced_with_their_errors(tmp_path):
  made = records()
  for number, record in enumerate(made):
    write(tmp_path, record, 300 + 10 * number)
  top1 = measured_top1.replace(made, tmp_path)
  for number, (record, before) in enumerate(
    zip(top1.records, made, strict=True)
  ):
    p = (300 + 10 * number) / 400
    assert record['imagenet_top1'] == p
    assert record['imagenet_top1_error'] == math.sqrt(p * (1 - p) / 400)
    assert record['imagenet_top1_source'] == 'measured here, on 400 images'
    assert str(top1_protocol.of(record)) == '224 px, central crop of 0.875'
    assert before['imagenet_top1'] != p, 'the ledger keeps the publisher’s'
  table = accuracy_table.build(top1.records, FIXED)
  np.testing.assert_array_equal(table.imagenet_top1, [0.75, 0.775, 0.8])
  np.testing.assert_allclose(
    table.top1_error, [0.02165, 0.02088, 0.02], atol=1e-5
  )
  (text,) = top1.remarks
  assert 'measured here, for all networks alike: 400 images' in text
  # By hand: √(p₁(1 − p₂) / (p₂(1 − p₁))) for nested hits, p₁ < p₂, of three
  # pairs 0.933, 0.866, 0.928.
  assert 'correlates by 0.91 on average' in text


def test_none_is_replaced_where_one_is_missing(tmp_path):
  made = records()
  for record in made[:2]:
    write(tmp_path, record, 300)
  top1 = measured_top1.replace(made, tmp_path)
  assert top1.records == made
  (text,) = top1.remarks
  assert 'as published' in text
  assert 'mobilenet_v1 is not among them' in text


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    ({'crop': 0.95}, 'central crops of 0.875 to 0.95'),
    ({'preprocessing': 'crop_then_resize'}, 'of other images'),
    ({'split_sha256': 'f' * 64}, 'of other images'),
    ({'skipped': ['a.jpg']}, 'of other images'),
    ({'image_size': 128}, 'of other images, sizes'),
  ],
)
def test_none_is_replaced_where_one_was_measured_otherwise(
  tmp_path, change, words
):
  made = records()
  write(tmp_path, made[0], 300, **change)
  for record in made[1:]:
    write(tmp_path, record, 300)
  top1 = measured_top1.replace(made, tmp_path)
  assert top1.records == made
  (text,) = top1.remarks
  assert words in text
  assert '--config.crop_fraction=0.875' in text


def test_whole_images_have_no_crop(tmp_path):
  made = records()
  for record, crop in zip(made, (0.875, 0.9, 1.0), strict=True):
    write(tmp_path, record, 300, preprocessing='whole_image', crop=crop)
  top1 = measured_top1.replace(made, tmp_path)
  assert {r['imagenet_top1'] for r in top1.records} == {0.75}
  assert str(top1_protocol.of(top1.records[0])) == '224 px, no crop'


def test_of_several_ways_one_is_taken_and_said(tmp_path):
  made = records()
  for record in made:
    write(tmp_path, record, 300)
    write(tmp_path, record, 200, preprocessing='whole_image')
  top1 = measured_top1.replace(made, tmp_path)
  assert {r['imagenet_top1'] for r in top1.records} == {0.75}
  assert 'measured in 2 ways' in top1.remarks[1]


def test_networks_without_weights_or_top1_need_no_measurement(tmp_path):
  made = records()
  made[1] = {**made[1], 'weights_sha256': ''}
  made[2] = {**made[2], 'imagenet_top1': None}
  write(tmp_path, made[0], 300)
  top1 = measured_top1.replace(made, tmp_path)
  assert [r['imagenet_top1'] for r in top1.records] == [0.75, 0.71, None]


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    ({'top1': {'value': 2.0}}, 'top1.value'),
    ({'weights_sha256': 'x'}, 'weights_sha256'),
    ({'correct': '!!!'}, 'not base64'),
    ({'correct': 'AAAA'}, 'expected a bit for each'),
    ({'correct': base64.b64encode(bytes(50)).decode()}, '0.0000% of the'),
  ],
)
def test_damaged_results_are_left_out_and_said(tmp_path, caplog, change, words):
  made = records()
  for record in made:
    write(tmp_path, record, 300)
  write(tmp_path, made[0], 300, **change)
  (tmp_path / 'other.json').write_text('{')
  top1 = measured_top1.replace(made, tmp_path)
  assert top1.records == made
  assert words in caplog.text
  assert 'other.json: not JSON' in caplog.text


def test_old_results_have_no_bits(tmp_path):
  made = records()
  for record in made:
    write(tmp_path, record, 300, correct='')
  top1 = measured_top1.replace(made, tmp_path)
  assert top1.records[0]['imagenet_top1'] == 0.75
  assert 'correlates' not in top1.remarks[0]


def test_directory(tmp_path):
  assert measured_top1.find_directory('', tmp_path) is None
  (tmp_path / 'imagenet').mkdir()
  assert measured_top1.find_directory('', tmp_path) == tmp_path / 'imagenet'
  with pytest.raises(errors.InputError, match='is no directory'):
    measured_top1.find_directory(str(tmp_path / 'none'), tmp_path)
  assert measured_top1.replace(records(), None).remarks == ()
