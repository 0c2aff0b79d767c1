"""Tests of types, heads and values of a network's variables."""

import ml_dtypes
import numpy as np
import pytest

from tests.golden import rule
from tf_transfer import errors, networks
from tf_transfer.convert_weights import sources, variables
from tf_transfer.networks import weights

pytestmark = pytest.mark.usefixtures('traced_once')

NETWORK = 'mobilenet_v1'
ROW = sources.get_source(NETWORK, 'timm')
KERNEL = 'conv_stem.weight'
HEAD = ('classifier.weight', 'classifier.bias')


@pytest.fixture(scope='module')
def tensors():
  return rule.checkpoint('timm', NETWORK, 2.0)


def convert(tensors):
  return variables.convert(tensors, NETWORK, ROW)


def with_dtype(tensors, dtype):
  return {
    name: array.astype(dtype) if array.dtype == np.float32 else array
    for name, array in tensors.items()
  }


@pytest.mark.parametrize('dtype', [np.float16, ml_dtypes.bfloat16, '>f4', 'f8'])
def test_narrow_types_are_exact(tensors, dtype):
  cast = with_dtype(tensors, dtype)
  found = convert(cast)
  assert found.problems == ()
  # NumPy casts the values to float32 itself.
  wanted = convert(
    with_dtype(cast, np.float32)
    | {
      name: np.asarray(array, np.float32)
      for name, array in cast.items()
      if array.dtype == dtype
    }
  )
  for path, array in wanted.arrays.items():
    assert found.arrays[path].dtype == np.float32
    np.testing.assert_array_equal(found.arrays[path], array)
  said = [note for note in found.notes if 'exactly' in note]
  assert len(said) == (np.dtype(dtype).itemsize == 2)


def test_wide_types_are_rounded_and_said(tensors):
  wide = with_dtype(tensors, np.float64)
  wide[KERNEL] = wide[KERNEL] + 1e-12
  (note,) = convert(wide).notes
  assert note == '1 variable of float64 are rounded to float32'
  wide[KERNEL] = wide[KERNEL] + 1e300
  (problem,) = convert(wide).problems
  assert problem == 'params/backbone/stem/conv/kernel: holds NaN or infinity'


@pytest.mark.parametrize('dtype', [np.int64, np.uint8, np.complex64, 'V1'])
def test_other_types_are_refused_by_name(tensors, dtype):
  bad = np.zeros(tensors[KERNEL].shape, dtype)
  problems = convert({**tensors, KERNEL: bad}).problems
  message = 'params/backbone/stem/conv/kernel: expected floating point, found '
  assert any(problem.startswith(message) for problem in problems)
  assert not any(problem.startswith('missing') for problem in problems)


@pytest.mark.parametrize('name', [KERNEL, 'bn1.running_var'])
def test_zero_throughout(tensors, name):
  zero = {**tensors, name: np.zeros_like(tensors[name])}
  (problem,) = convert(zero).problems
  assert problem.endswith(': zero throughout')
  # A bias may be.
  bias = {**tensors, 'bn1.bias': np.zeros_like(tensors['bn1.bias'])}
  assert convert(bias).problems == ()


@pytest.mark.parametrize('num_classes', [1, 10, 21_843])
def test_head_of_other_classes(tensors, num_classes):
  kernel = np.ones((num_classes, 1024), np.float32)
  head = dict(zip(HEAD, (kernel, kernel[:, 0]), strict=True))
  found = convert({**tensors, **head})
  assert (found.problems, found.num_classes) == ((), num_classes)
  assert f'the head has {num_classes:,} classes, where' in found.notes[0]
  assert found.arrays['params/head/kernel'].shape == (1024, num_classes)


@pytest.mark.parametrize(
  'head',
  [
    {HEAD[1]: None},
    {HEAD[0]: None},
    {HEAD[0]: np.ones((10, 1024), np.float32)},
    {HEAD[1]: np.ones((10, 1), np.float32)},
  ],
)
def test_half_a_head_is_refused(tensors, head):
  changed = {n: a for n, a in {**tensors, **head}.items() if a is not None}
  assert 'params/head' in ''.join(convert(changed).problems)


def test_features_only(tensors, tmp_path):
  body = {n: a for n, a in tensors.items() if n not in HEAD}
  found = convert(body)
  assert (found.problems, found.num_classes) == ((), 0)
  assert found.notes[0].startswith('no head fits the network')
  path = tmp_path / 'a.safetensors'
  header = weights.Header(NETWORK, ROW.options, ROW.contract, 0)
  weights.save(path, header, weights.unflatten(found.arrays))
  net = networks.load(path)
  whole = convert(tensors).arrays
  for name, array in weights.flatten(net.variables).items():
    np.testing.assert_array_equal(array, whole[name])
  x = np.zeros((1, 32, 32, 3), np.float32)
  assert net.features(x).shape == (1, net.feature_dim)
  for function in (net.logits, net.logits_from_features):
    with pytest.raises(errors.InputError, match='has no head .*no logits'):
      function(x)


def test_summary_has_a_line_for_each_kind():
  problems = [
    *(f'unknown variable {n} (3,)' for n in range(300)),
    'missing a (3,)',
    'b: expected shape (3,), found (4,)',
    'c: zero throughout',
  ]
  assert variables.summarize(problems).splitlines() == [
    '',
    '  unknown variable 0 (3,), and 299 more (--ignore=PATTERN leaves '
    'variables out by their names)',
    '  missing a (3,)',
    '  b: expected shape (3,), found (4,), and 1 more',
  ]
