"""What dataset_info.json says, and what it may not say."""

import json

import pytest

from tf_transfer.datasets.sources import tfds_info
from tf_transfer.errors import InputError

INFO = {
  'name': 'pets',
  'splits': [{'name': 'train', 'shardLengths': ['3', '2'], 'numBytes': '9'}],
  'fileFormat': 'tfrecord',
  'version': '1.0.0',
}


def put(root, info):
  (root / tfds_info.FILE).write_text(json.dumps(info))
  return str(root)


def with_split(**fields):
  return {**INFO, 'splits': [{**INFO['splits'][0], **fields}]}


def test_files_and_their_lengths(tmp_path):
  path = put(tmp_path, INFO)
  for i in range(2):
    (tmp_path / f'pets-train.tfrecord-0000{i}-of-00002').touch()
  files = tfds_info.record_files(path, tfds_info.read_info(path), 'train')
  assert files == {
    f'{path}/pets-train.tfrecord-00000-of-00002': 3,
    f'{path}/pets-train.tfrecord-00001-of-00002': 2,
  }


@pytest.mark.parametrize(
  ('info', 'message'),
  [
    ([], 'expected object'),
    ({}, 'missing required field name'),
    ({**INFO, 'splits': {}}, 'splits: expected array'),
    ({**INFO, 'splits': [7]}, r'splits\[0\]: expected object'),
    (with_split(shardLengths='3'), 'shardLengths: expected array'),
    (with_split(shardLengths=[-1]), r'shardLengths\[0\]: expected int >= 0'),
    (with_split(shardLengths=['x']), r'shardLengths\[0\]: expected str match'),
    (with_split(name=None), 'name: expected str'),
    (with_split(filepathTemplate='one'), 'files named as one, expected a name'),
    (
      with_split(filepathTemplate='{DATASET.__class__}-{SHARD_X_OF_Y}'),
      'files named as .*__class__',
    ),
    (
      with_split(filepathTemplate='../{SHARD_X_OF_Y}'),
      'leads out of',
    ),
    ({**INFO, 'name': '../../x'}, 'leads out of'),
    ({**INFO, 'fileFormat': 'parquet'}, 'prepared as parquet'),
    ({**INFO, 'splits': []}, 'no split train'),
    (INFO, '00000-of-00002: missing; 2 of the 2 files of train are'),
  ],
)
def test_what_is_wrong_is_named(tmp_path, info, message):
  path = put(tmp_path, info)
  with pytest.raises(InputError, match=message):
    tfds_info.record_files(path, tfds_info.read_info(path), 'train')


def test_no_json(tmp_path):
  for content in (b'{', b'', b'\xff', b'[' * 100_000):
    (tmp_path / tfds_info.FILE).write_bytes(content)
    with pytest.raises(InputError, match='dataset_info.json: '):
      tfds_info.read_info(str(tmp_path))
