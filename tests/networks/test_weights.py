"""Tests of the weights file: round trip, strictness, and bad files."""

import dataclasses
import json
import os
import re
import struct
import tracemalloc

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from tf_transfer import contract, errors, networks
from tf_transfer.networks import recipe, weights
from tf_transfer.runtime import files


@pytest.fixture
def parts(weights_dir):
  return weights.read(weights_dir / 'efficientnet_lite0.safetensors')


def save(path, header, tensors):
  weights.save(path, header, weights.unflatten(tensors))
  return path


def test_round_trip(tmp_path, parts, weights_dir):
  path = save(tmp_path / 'again.safetensors', *parts)
  header, tensors = weights.read(path)
  assert header == parts[0]
  assert weights.read_header(path) == header
  for name, array in parts[1].items():
    np.testing.assert_array_equal(tensors[name], array)
  original = weights_dir / 'efficientnet_lite0.safetensors'
  assert path.read_bytes() == original.read_bytes()


def test_a_recipe_that_was_a_sentence_is_still_read(parts):
  fields = parts[0].to_json()
  old = {**fields, 'format': 1, 'recipe': 'dropout'}
  found = weights.Header.from_json(old)
  assert found.recipe == recipe.Recipe(notes='dropout')
  assert dataclasses.replace(found, recipe=parts[0].recipe) == parts[0]
  with pytest.raises(errors.InputError, match='recipe: expected'):
    weights.Header.from_json({**fields, 'recipe': 'dropout'})


def test_options_and_classes_rebuild_the_network(tmp_path, parts):
  header, tensors = parts
  header = dataclasses.replace(header, options={'epsilon': 0.5}, num_classes=9)
  tensors = {
    **tensors,
    'params/head/kernel': np.zeros((1280, 9)),
    'params/head/bias': np.zeros(9),
  }
  net = networks.load(save(tmp_path / 'a.safetensors', header, tensors))
  assert net.model.backbone.epsilon == 0.5
  assert net.model.num_classes == 9


def test_everything_wrong_is_in_one_error(tmp_path, parts):
  header, tensors = parts
  tensors = dict(tensors)
  del tensors['params/backbone/stem/conv/kernel']
  tensors['params/backbone/stem/conv/bias'] = np.zeros(32)
  tensors['params/head/kernel'] = tensors['params/head/kernel'].T
  path = save(tmp_path / 'bad.safetensors', header, tensors)
  with pytest.raises(errors.InputError) as caught:
    networks.load(path)
  message = str(caught.value)
  assert str(path) in message
  assert 'missing params/backbone/stem/conv/kernel (3, 3, 3, 32)' in message
  assert 'left over params/backbone/stem/conv/bias' in message
  assert 'expected shape (1280, 1000), found (1000, 1280)' in message


def test_weights_of_another_network(tmp_path, parts):
  header = dataclasses.replace(parts[0], network='efficientnet_lite2')
  path = save(tmp_path / 'a.safetensors', header, parts[1])
  with pytest.raises(errors.InputError, match='not hold the weights of eff'):
    networks.load(path)


def small_tensors():
  """Variables of the small Inception, each value of them plausible."""
  model = networks.build('inception_small', num_classes=3)
  rng = np.random.default_rng(0)
  return {
    path: np.abs(rng.normal(size=shape.shape)).astype(np.float32)
    for path, shape in networks.expected_variables(model, 32).items()
  }


HEADER = weights.Header(
  'inception_small',
  {},
  contract.Contract(32, (127.5,) * 3, (127.5,) * 3),
  num_classes=3,
)
KERNEL = 'params/backbone/conv_1a/conv/kernel'
VARIANCE = 'batch_stats/backbone/conv_1a/bn/var'


@pytest.fixture(scope='module')
def small_file(tmp_path_factory):
  """A weights file, 0.4 MB."""
  path = tmp_path_factory.mktemp('small') / 'inception_small.safetensors'
  return save(path, HEADER, small_tensors())


def rewrite(path, output, *, fields=None, tensors=None, digest=True):
  """Writes a weights file again as a hand that knows no digest would."""
  with safetensors.safe_open(path, 'numpy') as file:
    found = json.loads(file.metadata()['tf_transfer'])
    arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
  found.update(fields or {})
  if not digest:
    del found['content_sha256']
    found['format'] = 2
  arrays.update(tensors or {})
  data = safetensors.numpy.save(arrays, {'tf_transfer': json.dumps(found)})
  output.write_bytes(data)
  return output


def refused(path, load=networks.load) -> str:
  """Returns the one line by which a file is refused.

  Without the network, which `networks.load` traces, `weights.read` is faster.
  """
  with pytest.raises(errors.InputError) as caught:
    load(path)
  message = str(caught.value)
  assert str(path) in message
  assert '\n' not in message
  assert len(message) < 1000
  return message


def test_a_file_that_was_written_before_digests_loads(small_file, tmp_path):
  old = rewrite(small_file, tmp_path / 'old.safetensors', digest=False)
  net = networks.load(old)
  assert net.header == networks.load(small_file).header == HEADER
  assert net.sha256 == files.sha256(old)


@pytest.mark.parametrize('share', [0.0, 0.001, 0.5, 0.999])
def test_cut_short(tmp_path, small_file, share):
  data = small_file.read_bytes()
  path = tmp_path / 'cut.safetensors'
  path.write_bytes(data[: int(len(data) * share)])
  assert 'cut short' in refused(path)


def test_every_flipped_bit_is_noticed(tmp_path, small_file):
  """Of the header's JSON, of the list of tensors, and of the tensors."""
  data = small_file.read_bytes()
  path = tmp_path / 'flipped.safetensors'
  (header_size,) = struct.unpack('<Q', data[:8])
  rng = np.random.default_rng(0)
  positions = [
    *rng.integers(0, 8 * (8 + header_size), 40),
    *rng.integers(8 * (8 + header_size), 8 * len(data), 20),
    8 * (8 + header_size),
    8 * len(data) - 1,
  ]
  for position in positions:
    changed = bytearray(data)
    changed[position // 8] ^= 1 << position % 8
    path.write_bytes(changed)
    refused(path, weights.read)


@pytest.mark.parametrize('digest', [True, False])
@pytest.mark.parametrize(
  ('name', 'change', 'message'),
  [
    (KERNEL, lambda x: x.astype(np.int32), 'expected float32, found I32'),
    (KERNEL, lambda x: x.astype(np.float16), 'expected float32, found F16'),
    (KERNEL, lambda x: x.astype(np.float64), 'expected float32, found F64'),
    (KERNEL, lambda x: x.astype(ml_dtypes.bfloat16), 'found BF16'),
    (KERNEL, lambda x: x * 0, 'all values are 0'),
    (KERNEL, lambda x: np.where(x == x.max(), 1e30, x), '1e+30'),
    (KERNEL, lambda x: np.where(x == x.max(), -1e30, x), '-1e+30'),
    (KERNEL, lambda x: np.where(x == x.max(), np.nan, x), 'NaN'),
    (VARIANCE, lambda x: np.where(x == x.max(), np.inf, x), 'NaN or infinity'),
    (VARIANCE, lambda x: -x, 'a variance of'),
  ],
)
def test_tensors_of_no_network(
  tmp_path, small_file, digest, name, change, message
):
  """Without a digest there are the bounds; with one, it differs too."""
  array = change(small_tensors()[name])
  if array.dtype == np.float64 and 'F64' not in message:
    array = array.astype(np.float32)
  path = rewrite(
    small_file,
    tmp_path / 'bad.safetensors',
    tensors={name: array},
    digest=digest,
  )
  found = refused(path, weights.read)
  assert (message in found) or (digest and 'is damaged' in found)


def test_bounds_hold_for_what_was_written_so(tmp_path):
  tensors = {**small_tensors(), KERNEL: small_tensors()[KERNEL] * np.nan}
  path = save(tmp_path / 'nan.safetensors', HEADER, tensors)
  assert f'{KERNEL}: holds NaN' in refused(path)


def nested(depth: int):
  value = 0
  for _ in range(depth):
    value = [value]
  return value


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'format': 99}, 'format 99, this program reads 1 to 5'),
    ({'format': True}, 'format True'),
    ({'format': [1]}, 'format'),
    ({'color': 'red'}, 'color'),
    ({'color\nof' * 1000: 'red'}, 'color'),
    ({'format': 'x' * 10**6}, 'format'),
    ({'contract': {}}, 'contract: object missing required field'),
    ({'contract': []}, 'contract: expected object, found array'),
    ({'network': 7}, 'network: expected str, found int'),
    ({'network': 'resnet5'}, "unknown network 'resnet5': did you mean"),
    ({'network': '\x1b[31mred'}, r'\\\\x1b\[31mred'),
    ({'options': []}, 'options: expected object, found array'),
    ({'options': {'heads': 3}}, "unknown option of inception_small 'heads'"),
    ({'options': {'name': 'x'}}, "unknown option of inception_small 'name'"),
    (
      {'options': {'epsilon': 'x'}},
      'option epsilon: expected float, found str',
    ),
    ({'options': {'epsilon': 7.5}}, 'option epsilon: expected float <= 1.0'),
    ({'options': {'epsilon': float('nan')}}, 'option epsilon'),
    (
      {'options': {'use_scale': 1}},
      'option use_scale: expected bool, found int',
    ),
    ({'options': {'use_scale': [1]}}, 'options'),
    ({'num_classes': -1}, 'num_classes: expected int >= 0, found -1'),
    ({'num_classes': 10**12}, 'num_classes: expected int <= '),
    ({'num_classes': '1000'}, 'num_classes: expected int, found str'),
    ({'background': 1}, 'background: expected bool, found int'),
    ({'imagenet_top1': float('nan')}, 'imagenet_top1: expected float'),
    ({'imagenet_top1': float('inf')}, 'imagenet_top1: expected float <= 1.0'),
    ({'imagenet_top1': 7.5}, 'imagenet_top1: expected float <= 1.0, found 7.5'),
    ({'imagenet_top1': '70.4 %'}, 'imagenet_top1: expected .*, found str'),
    ({'source_sha256': 'SHA'}, 'source_sha256: expected str matching'),
    ({'licence': None}, 'licence: expected str, found null'),
    ({'recipe': {'bn_scale': 1}}, 'recipe'),
    ({'recipe': nested(900)}, 'header: nested too deeply'),
  ],
)
def test_header_that_does_not_fit(tmp_path, small_file, change, message):
  path = tmp_path / 'a.safetensors'
  assert re.search(message, refused(rewrite(small_file, path, fields=change)))


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('image_size', 0),
    ('image_size', True),
    ('image_size', 10**9),
    ('mean', [1, 2]),
    ('mean', [1, 2, 1e30]),
    ('std', [1, 2, 0]),
    ('std', '127'),
    ('channels', 'grb'),
    ('interpolation', ['bilinear']),
    ('antialias', 'yes'),
    ('pixel_centres', False),
    ('crop_fraction', 87.5),
  ],
)
def test_contract_that_does_not_fit(tmp_path, small_file, field, value):
  contract_fields = {**HEADER.contract.to_json(), field: value}
  path = rewrite(
    small_file,
    tmp_path / 'a.safetensors',
    fields={'contract': contract_fields},
  )
  message = refused(path)
  assert 'header: contract' in message
  assert field in message or field.replace('centres', 'centers') in message


def test_metadata_that_is_no_header(tmp_path, small_file):
  path = tmp_path / 'a.safetensors'
  tensors = small_tensors()
  for text, message in (
    ('[' * 100_000 + ']' * 100_000, 'nested too deeply'),
    ('{"a":' * 100_000 + '1' + '}' * 100_000, 'nested too deeply'),
    ('[]', 'expected object'),
    ('{', 'not JSON'),
    ('', 'not JSON'),
  ):
    path.write_bytes(safetensors.numpy.save(tensors, {'tf_transfer': text}))
    assert message in refused(path)


def test_a_digest_that_was_taken_out_is_missed(tmp_path, small_file):
  path = tmp_path / 'a.safetensors'
  for value in ('', None, 7, '0' * 64):
    rewrite(small_file, path, fields={'content_sha256': value})
    assert 'is damaged' in refused(path, weights.read)


def test_controls_of_a_terminal_are_escaped(tmp_path):
  header = dataclasses.replace(
    HEADER,
    license='\x1b[2JMIT\nerror: none',
    recipe=recipe.Recipe(notes='a\u202eb', details={'\x07': ['\x9b']}),
  )
  path = save(tmp_path / 'a.safetensors', header, small_tensors())
  found = networks.load(path).header
  assert found.license == r'\x1b[2JMIT\nerror: none'
  assert found.recipe.notes == r'a\u202eb'
  assert found.recipe.details == {r'\x07': [r'\x9b']}


def test_the_shapes_of_another_network(tmp_path, small_file):
  """Its name in the header does not help."""
  path = tmp_path / 'a.safetensors'
  rewrite(small_file, path, fields={'network': 'mobilenet_v1'}, digest=False)
  assert 'does not hold the weights of mobilenet_v1' in refused(path)


def test_no_value_is_read_where_shapes_differ(tmp_path, small_file):
  """A file of 2 GB under another network's name takes no memory."""
  path = tmp_path / 'large.safetensors'
  shape = [1024, 1024, 512]
  with safetensors.safe_open(small_file, 'numpy') as file:
    text = file.metadata()['tf_transfer']
  listing = json.dumps(
    {
      '__metadata__': {'tf_transfer': text},
      'x': {'dtype': 'F32', 'shape': shape, 'data_offsets': [0, 2**31]},
    }
  ).encode()
  with open(path, 'wb') as file:
    file.write(struct.pack('<Q', len(listing)) + listing)
    file.truncate(file.tell() + 2**31)
  tracemalloc.start()
  with pytest.raises(errors.InputError, match='does not hold'):
    networks.load(path)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert peak < 50e6


def make_pipe(path):
  os.mkfifo(path)


def make_npz(path):
  with open(path, 'wb') as file:
    np.savez(file, x=np.zeros(3))


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (lambda path: None, 'no weights file at'),
    (lambda path: path.mkdir(), 'it is a directory'),
    (make_pipe, 'it is no regular file'),
    (make_npz, 'it is a ZIP archive'),
    (lambda path: path.write_bytes(b''), 'cut short'),
    (lambda path: path.write_bytes(b'\x80\x02\x8a\n'), 'it is a pickle'),
    (lambda path: path.write_bytes(b'<!DOCTYPE html>'), 'it is a web page'),
    (lambda path: path.write_bytes(b'\x89PNG\r\n\x1a\n'), 'it is an image'),
    (lambda path: path.write_bytes(b'\xff\xd8\xff\xe0'), 'it is an image'),
    (
      lambda path: path.write_bytes(b'version https://git-lfs.github.com/'),
      'it is a Git LFS pointer',
    ),
    (lambda path: path.write_bytes(struct.pack('<Q', 2**60) + b'{}'), 'safete'),
    (lambda path: path.write_bytes(b'garbage' * 100), 'safetensors'),
    (
      lambda path: path.write_bytes(
        struct.pack('<Q', 200_000) + b'{"a":' * 40_000
      ),
      'safetensors',
    ),
    (
      lambda path: path.write_bytes(safetensors.numpy.save({'x': np.ones(3)})),
      'without the header',
    ),
  ],
)
def test_what_is_no_weights_file(tmp_path, make, message):
  path = tmp_path / 'a.safetensors'
  make(path)
  assert message in refused(path)


def test_names_that_no_file_has():
  for name in ('a\0b.safetensors', 'a' * 5000):
    with pytest.raises(errors.InputError, match='no weights file at'):
      networks.load(name)


def test_saving_removes_what_killed_processes_left(tmp_path):
  leftover = tmp_path / '.a.safetensors.a1b2c3d4.partial'
  leftover.write_bytes(bytes(100))
  save(tmp_path / 'b.safetensors', HEADER, small_tensors())
  assert [path.name for path in tmp_path.iterdir()] == ['b.safetensors']


def test_variables_are_nested_as_flax_has_them(lite0):
  expected = networks.expected_variables(lite0.model, 224)
  found = weights.flatten(lite0.variables)
  assert {k: v.shape for k, v in found.items()} == {
    k: v.shape for k, v in expected.items()
  }
  assert all(isinstance(v, jax.Array) for v in found.values())


def test_the_hash_is_that_of_the_file_without_its_digest(tmp_path, small_file):
  """Records of earlier versions know the same weights by it."""
  header, tensors = weights.read(small_file)
  fields = header.to_json()
  assert fields['format'] == 2
  older = tmp_path / 'older.safetensors'
  safetensors.numpy.save_file(
    tensors, older, {'tf_transfer': json.dumps(fields, sort_keys=True)}
  )
  assert (
    weights.sha256(small_file) == weights.sha256(older) == files.sha256(older)
  )
  assert weights.sha256(small_file) != files.sha256(small_file)
